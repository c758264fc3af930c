"""Statements of activities and of what is shown; those of seats are in `seats.py`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.api import Tx, columns
from plugins.group_buy.schemas import ActivityIn

Key = tuple[UUID, UUID]


def bought_before(account: str) -> str:
    """SQL: whether the account of this parameter is an old customer, as far as activity `a` minds."""
    return f"""(a.new_only is not null and exists (
    select from orders o where o.account_id = {account} and o.paid_at is not null
      and (a.new_only = 'market' or o.merchant_id = a.merchant_id)))"""


# What an activity is to one account: the SKU's price, the group that is to be joined, and what it has in the activity.
_OFFER = f"""
select a.name, a.size, a.per_order, a.per_account, a.market_coupons, a.event_id, a.merchant_share_bp,
  a.starts_at, a.ends_at, a.stopped_at,
  p.price, p.leader_price, p.quota - p.sold as left, g.status as group_status, g.taken as group_taken, g.expires_at,
  coalesce(mine.busy, false) as busy, coalesce(mine.inside, false) as inside, coalesce(mine.units, 0) as taken,
  {bought_before("$5")} as bought_before
from group_buy_activity a
left join group_buy_price p on p.merchant_id = a.merchant_id and p.activity_id = a.id and p.sku_id = $3
left join group_buy_group g on g.merchant_id = a.merchant_id and g.activity_id = a.id and g.id = $4
left join lateral (
  select bool_or(s.live) as busy, bool_or(s.live and s.group_id = $4) as inside,
    sum(s.units - s.returned) filter (where s.status <> 'closed')::int as units
  from group_buy_seat s where s.account_id = $5 and s.merchant_id = a.merchant_id and s.activity_id = a.id
) mine on true
where a.merchant_id = $1 and a.id = $2
"""  # noqa: S608

_ADD = """
insert into group_buy_activity (merchant_id, id, product_id, name, size, hours, per_order, per_account, new_only, show_open,
  virtual_fill, market_coupons, starts_at, ends_at, event_id, merchant_share_bp, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
_ADD_PRICES = """
insert into group_buy_price (merchant_id, activity_id, sku_id, price, leader_price, quota)
select $1, $2, * from unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::int[])
"""

_SKUS = """
select sku_id, price from listing_sku where merchant_id = $1 and product_id = $2 and sku_id = any($3::uuid[]) and live
"""

_CHANGE = """
update group_buy_activity set name = coalesce($3, name), ends_at = coalesce($4, ends_at)
where merchant_id = $1 and id = $2
"""
_QUOTA = """
update group_buy_price p set quota = w.quota from unnest($3::uuid[], $4::int[]) w(sku_id, quota)
where p.merchant_id = $1 and p.activity_id = $2 and p.sku_id = w.sku_id and p.sold <= w.quota
returning p.sku_id
"""
_STOP = (
    "update group_buy_activity set stopped_at = $3 where merchant_id = $1 and id = $2 and stopped_at is null"
)
_LOCK = "select * from group_buy_activity where merchant_id = $1 and id = $2 for update"

PRICES = """(select json_agg(json_build_object('sku_id', p.sku_id, 'price', p.price, 'leader_price', p.leader_price,
    'quota', p.quota, 'sold', p.sold) order by p.price, p.sku_id)::text
  from group_buy_price p where p.merchant_id = a.merchant_id and p.activity_id = a.id) as prices"""

COUNTS = """(select json_object_agg(c.status, c.n)::text from (
    select g.status, count(*) as n from group_buy_group g
    where g.merchant_id = a.merchant_id and g.activity_id = a.id group by g.status) c) as counts"""

_ONE = f"""
select a.*, {PRICES}, {COUNTS} from group_buy_activity a where a.id = $2 and ($1::uuid is null or a.merchant_id = $1)
"""  # noqa: S608

_PAGE = f"""
select a.*, {PRICES}, {COUNTS} from group_buy_activity a
where a.merchant_id = $1 and ($2::uuid is null or a.id < $2) order by a.id desc limit $3
"""  # noqa: S608

_OF_PRODUCT = f"""
select a.*, {PRICES}, null as counts from group_buy_activity a
where a.merchant_id = $1 and a.product_id = $2 and a.stopped_at is null and a.ends_at > $3
order by a.starts_at, a.id limit 10
"""  # noqa: S608

_GROUPS = """
select * from group_buy_group
where merchant_id = $1 and activity_id = $2 and ($3::text is null or status = $3) and ($4::uuid is null or id < $4)
order by id desc limit $5
"""

_LOWEST = """
select m.id as merchant_id, f.* from unnest($1::uuid[]) m(id) cross join lateral (
  select a.id, a.product_id, a.size, a.starts_at, a.ends_at, min(p.price) as price
  from group_buy_activity a join group_buy_price p on p.merchant_id = a.merchant_id and p.activity_id = a.id
  where a.merchant_id = m.id and a.stopped_at is null and a.starts_at <= $2 and a.ends_at > $2 and p.sold < p.quota
  group by a.merchant_id, a.id, a.product_id, a.size order by a.id desc limit $3) f
"""


async def offer(
    tx: Tx, activity: Key, sku_id: UUID, group_id: UUID | None, account_id: UUID | None
) -> asyncpg.Record | None:
    """The activity as `account_id` finds it; in the account's or the system scope."""
    return await tx.fetchrow(_OFFER, *activity, sku_id, group_id, account_id)


async def add(
    tx: Tx,
    key: Key,
    product_id: UUID,
    data: ActivityIn,
    prices: Sequence[tuple[Any, ...]],
    event: tuple[UUID, int] | None = None,
) -> None:
    """An activity with its prices: (SKU, price, leader's price, quota); perhaps of an event: (its id, what the shop bears of
    the discount in basis points)."""
    event_id, share = event or (None, 10_000)
    await tx.execute(
        _ADD,
        *key,
        product_id,
        data.name,
        data.size,
        data.hours,
        data.per_order,
        data.per_account,
        data.new_only,
        data.show_open,
        data.virtual_fill,
        data.market_coupons,
        data.starts_at,
        data.ends_at,
        event_id,
        share,
        tx.now,
    )
    await tx.execute(_ADD_PRICES, *key, *columns(prices, 4))


async def prices_of(tx: Tx, product: Key, skus: Sequence[UUID]) -> dict[UUID, int]:
    """The ordinary prices of those of these SKUs that the product is sold in."""
    return {row["sku_id"]: row["price"] for row in await tx.fetch(_SKUS, *product, list(skus))}


async def lock(tx: Tx, key: Key) -> asyncpg.Record | None:
    """An activity, locked."""
    return await tx.fetchrow(_LOCK, *key)


async def change(tx: Tx, key: Key, name: str | None, ends_at: datetime | None) -> None:
    """Another name or end."""
    await tx.execute(_CHANGE, *key, name, ends_at)


async def set_quotas(tx: Tx, key: Key, quotas: Sequence[tuple[UUID, int]]) -> set[UUID]:
    """Other quotas (SKU, pieces); the answer is of which SKUs: those that take part and have not sold more."""
    return {row["sku_id"] for row in await tx.fetch(_QUOTA, *key, *columns(quotas, 2))}


async def stop(tx: Tx, key: Key) -> None:
    """No new groups."""
    await tx.execute(_STOP, *key, tx.now)


async def one(tx: Tx, merchant_id: UUID | None, activity_id: UUID) -> asyncpg.Record | None:
    """An activity with its prices, and how many groups it has by status; of this shop, or with None of any."""
    return await tx.fetchrow(_ONE, merchant_id, activity_id)


async def page(tx: Tx, merchant_id: UUID, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """A shop's activities, newest first."""
    return await tx.fetch(_PAGE, merchant_id, before, limit)


async def of_product(tx: Tx, product: Key) -> list[asyncpg.Record]:
    """A product's activities that run or will."""
    return await tx.fetch(_OF_PRODUCT, *product, tx.now)


async def groups(
    tx: Tx, activity: Key, status: str | None, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """An activity's groups, newest first."""
    return await tx.fetch(_GROUPS, *activity, status, before, limit)


async def lowest(tx: Tx, merchants: Sequence[UUID], most: int) -> list[asyncpg.Record]:
    """(merchant_id, id, product_id, size, ends_at, price) of the activities that run in these shops, at most `most` of
    each."""
    return await tx.fetch(_LOWEST, list(merchants), tx.now, most)


class PriceRow(msgspec.Struct, frozen=True):
    """A price as the statements above answer it."""

    sku_id: UUID
    price: int
    leader_price: int | None
    quota: int
    sold: int


def prices(row: asyncpg.Record) -> list[PriceRow]:
    """The prices in a row."""
    return msgspec.json.decode(row["prices"] or "[]", type=list[PriceRow])


def counts(row: asyncpg.Record) -> dict[str, int]:
    """Status -> number of groups in a row."""
    return msgspec.json.decode(row["counts"] or "{}", type=dict[str, int])
