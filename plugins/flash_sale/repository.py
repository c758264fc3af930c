"""Statements of events, slots, entries and items; those of buying are in `usage.py`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from core.api import Tx, columns

_ADD_EVENT = """
insert into flash_sale_event (merchant_id, id, name, rules, sign_up_until, invited, category_ids, merchant_share_bp,
  market_coupons, token_required, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

_ADD_SLOTS = """
insert into flash_sale_slot (merchant_id, id, event_id, starts_at, ends_at)
select $1, x.id, $2, x.starts_at, x.ends_at
from unnest($3::uuid[], $4::timestamptz[], $5::timestamptz[]) x(id, starts_at, ends_at)
"""

_SLOTS = """(select json_agg(json_build_object('id', s.id, 'starts_at', s.starts_at, 'ends_at', s.ends_at,
  'stopped_at', s.stopped_at, 'stop_reason', s.stop_reason) order by s.starts_at, s.id)::text from flash_sale_slot s
  where s.merchant_id = e.merchant_id and s.event_id = e.id) as slots"""

_EVENTS = f"""
select e.*, {_SLOTS} from flash_sale_event e
where e.merchant_id = $1 and ($2::uuid is null or e.id = $2) and ($3::uuid is null or e.id < $3)
  and ($4::uuid is null or e.invited = '{{}}' or $4 = any(e.invited)) order by e.id desc limit $5
"""  # noqa: S608

_CHANGE_EVENT = """
update flash_sale_event set name = coalesce($4, name), rules = coalesce($5, rules),
  sign_up_until = coalesce($6, sign_up_until), invited = coalesce($7::uuid[], invited)
where merchant_id = $1 and id = $2 and sign_up_until > $3 returning id
"""

_STOP = """
update flash_sale_slot set stopped_at = $3, stop_reason = $4
where merchant_id = $1 and id = $2 and stopped_at is null and ends_at > $3 returning id
"""

_SIGN_UP = """
select s.starts_at, s.ends_at, s.stopped_at, e.id as event_id, e.sign_up_until, e.invited, e.category_ids
from flash_sale_slot s join flash_sale_event e on e.merchant_id = s.merchant_id and e.id = s.event_id
where s.merchant_id = $1 and s.id = $2
"""

_GOODS = """
select sku_id, product_id, title, price, live, category_path from listing_sku
where merchant_id = $1 and sku_id = any($2::uuid[])
"""

_PUT_ENTRY = """
insert into flash_sale_entry as e (merchant_id, id, event_id, activity_id, sku_id, product_id, title, price, quantity,
  per_order, per_account, applied_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (merchant_id, activity_id, sku_id) do update set title = excluded.title, price = excluded.price,
  quantity = excluded.quantity, per_order = excluded.per_order, per_account = excluded.per_account, status = 'applied',
  reason = '', applied_at = excluded.applied_at, reviewed_at = null, reviewed_by = null
where e.status <> 'passed' returning *
"""

_ENTRIES = """
select * from flash_sale_entry where ($1::uuid is null or merchant_id = $1) and ($2::uuid is null or event_id = $2)
  and ($3::text is null or status = $3) and ($4::uuid is null or id < $4) order by id desc limit $5
"""

_LOCKED_ENTRY = """
select n.*, e.sign_up_until, s.starts_at, s.ends_at, s.stopped_at from flash_sale_entry n
join flash_sale_slot s on s.id = n.activity_id
join flash_sale_event e on e.merchant_id = s.merchant_id and e.id = s.event_id
where n.merchant_id = $1 and n.id = $2 for no key update of n
"""

_MOVE_ENTRY = """
update flash_sale_entry set status = $3, reason = $4, reviewed_at = $5, reviewed_by = $6
where merchant_id = $1 and id = $2 returning *
"""

_ADD_ITEMS = """
insert into flash_sale_item (merchant_id, activity_id, sku_id, product_id, price, quantity, per_order, per_account,
  created_at)
select $1, a.id, x.sku_id, x.product_id, x.price, x.quantity, x.per_order, x.per_account, $9
from unnest($2::uuid[]) a(id),
  unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::int[], $7::int[], $8::int[])
    x(sku_id, product_id, price, quantity, per_order, per_account)
"""

_NEAR = """
select i.merchant_id, i.product_id, i.activity_id, i.price, s.starts_at, s.ends_at
from flash_sale_slot s join flash_sale_item i on i.merchant_id = any($1::uuid[]) and i.activity_id = s.id
where s.stopped_at is null and s.ends_at > $2 and s.starts_at < $3 and i.sold < i.quantity
"""

_ITEMS = """
select i.merchant_id, i.activity_id, i.sku_id, i.product_id, i.price, i.quantity, i.per_order, i.per_account, i.sold,
  l.title, l.specs, l.image_url, l.price as normal_price, l.live
from flash_sale_item i left join listing_sku l on l.merchant_id = i.merchant_id and l.sku_id = i.sku_id
where i.activity_id = any($1::uuid[]) order by i.activity_id, i.sku_id limit $2
"""

_SALES = """
select s.merchant_id, s.id, s.starts_at, s.ends_at, s.stopped_at, e.name, e.rules, e.token_required
from flash_sale_slot s join flash_sale_event e on e.merchant_id = s.merchant_id and e.id = s.event_id
where ($1::uuid is null or s.id = $1) and ($2::uuid is null or s.merchant_id = $2)
  and ($3::timestamptz is null or s.ends_at > $3) and ($4::timestamptz is null or s.starts_at < $4)
order by s.starts_at, s.id limit $5
"""


_KNOWN = {
    "merchant": "select count(*)::int from merchant where id = any($1::uuid[])",
    "category": "select count(*)::int from category where id = any($1::uuid[])",
}


class EventRow(NamedTuple):
    """A row of `flash_sale_event` about to be written."""

    merchant_id: UUID
    id: UUID
    name: str
    rules: str
    sign_up_until: datetime | None
    invited: Sequence[UUID]
    category_ids: Sequence[UUID]
    merchant_share_bp: int
    market_coupons: bool
    token_required: bool


class ItemRow(NamedTuple):
    """What is sold in a slot."""

    sku_id: UUID
    product_id: UUID
    price: int
    quantity: int
    per_order: int
    per_account: int


async def add_event(tx: Tx, row: EventRow, slots: Sequence[tuple[UUID, datetime, datetime]]) -> None:
    """An event and its slots (activity id, start, end)."""
    await tx.execute(_ADD_EVENT, *row, tx.now)
    await tx.execute(_ADD_SLOTS, row.merchant_id, row.id, *columns(slots, 3))


async def events(
    tx: Tx,
    merchant_id: UUID,
    event_id: UUID | None = None,
    before: UUID | None = None,
    guest: UUID | None = None,
    limit: int = 1,
) -> list[asyncpg.Record]:
    """A merchant's events, newest first, with their `slots` as JSON; those to which a `guest` shop is admitted."""
    return await tx.fetch(_EVENTS, merchant_id, event_id, before, guest, limit)


async def change_event(tx: Tx, merchant_id: UUID, event_id: UUID, *values: Any) -> bool:
    """Name, rules, end of the sign-up, invited shops; None keeps. False when there is none whose sign-up is open."""
    return await tx.fetchval(_CHANGE_EVENT, merchant_id, event_id, tx.now, *values) is not None


async def stop(tx: Tx, merchant_id: UUID, activity_id: UUID, reason: str) -> bool:
    """End a slot now, and note why; False when it is over or not there."""
    return await tx.fetchval(_STOP, merchant_id, activity_id, tx.now, reason) is not None


async def sign_up(tx: Tx, merchant_id: UUID, activity_id: UUID) -> asyncpg.Record | None:
    """A slot with what its event says about signing up."""
    return await tx.fetchrow(_SIGN_UP, merchant_id, activity_id)


async def goods(tx: Tx, merchant_id: UUID, skus: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """A shop's SKUs as buyers see them, by id."""
    return {row["sku_id"]: row for row in await tx.fetch(_GOODS, merchant_id, skus)}


async def put_entry(tx: Tx, *values: Any) -> asyncpg.Record | None:
    """Sign up, or change what was not passed; None when it was."""
    return await tx.fetchrow(_PUT_ENTRY, *values, tx.now)


async def entries(
    tx: Tx,
    merchant_id: UUID | None,
    event_id: UUID | None,
    status: str | None,
    before: UUID | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Sign-ups, newest first."""
    return await tx.fetch(_ENTRIES, merchant_id, event_id, status, before, limit)


async def locked_entry(tx: Tx, merchant_id: UUID, entry_id: UUID) -> asyncpg.Record | None:
    """A sign-up with its slot's times, as it is until the transaction ends."""
    return await tx.fetchrow(_LOCKED_ENTRY, merchant_id, entry_id)


async def move_entry(
    tx: Tx, merchant_id: UUID, entry_id: UUID, status: str, reason: str, by: UUID | None
) -> asyncpg.Record:
    """Another status; with `by` it was reviewed."""
    row = await tx.fetchrow(
        _MOVE_ENTRY, merchant_id, entry_id, status, reason, tx.now if by is not None else None, by
    )
    assert row is not None, "the row is locked"
    return row


async def add_items(tx: Tx, merchant_id: UUID, activities: Sequence[UUID], items: Sequence[ItemRow]) -> None:
    """The same items for each of these slots."""
    await tx.execute(_ADD_ITEMS, merchant_id, activities, *columns(items, 6), tx.now)


async def drop_item(tx: Tx, merchant_id: UUID, activity_id: UUID, sku_id: UUID) -> None:
    """Take an item out of which nothing was sold."""
    await tx.execute(
        "delete from flash_sale_item where merchant_id = $1 and activity_id = $2 and sku_id = $3 and sold = 0",
        merchant_id,
        activity_id,
        sku_id,
    )


async def near(tx: Tx, shops: Sequence[UUID], horizon: datetime) -> list[asyncpg.Record]:
    """What these shops sell in slots that run or start before `horizon`, as far as any is left."""
    return await tx.fetch(_NEAR, shops, tx.now, horizon)


async def items(tx: Tx, activities: Sequence[UUID], limit: int) -> list[asyncpg.Record]:
    """What is sold in these slots, beside what the SKUs are."""
    return await tx.fetch(_ITEMS, activities, limit)


async def sales(
    tx: Tx,
    *,
    activity_id: UUID | None = None,
    merchant_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1,
) -> list[asyncpg.Record]:
    """Slots with their events by their start; those that touch the time from `since` to `until`."""
    return await tx.fetch(_SALES, activity_id, merchant_id, since, until, limit)


async def known(tx: Tx, table: str, ids: Sequence[UUID]) -> int:
    """How many of these merchants or categories there are."""
    found: int = await tx.fetchval(_KNOWN[table], ids)
    return found
