"""Statements of the market's events, of what is handed in, and of what buyers see of events."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import Tx
from plugins.group_buy.repository import COUNTS, PRICES, Key
from plugins.group_buy.review import Status
from plugins.group_buy.schemas import ActivityIn

_ADD_EVENT = """
insert into group_buy_event (merchant_id, id, name, rules, sign_up_until, starts_at, ends_at, sizes, hours, new_only,
  invited, category_ids, merchant_share_bp, market_coupons, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""

_EVENTS = """
select * from group_buy_event where ($1::uuid is null or id < $1)
  and ($2::uuid is null or invited = '{}' or $2 = any(invited)) order by id desc limit $3
"""
# One that is being stopped waits for what is just being approved, and the other way round.
_EVENT_TO_JOIN = "select * from group_buy_event where id = $1 for share"

_CHANGE_EVENT = """
update group_buy_event set rules = coalesce($3, rules), sign_up_until = coalesce($4, sign_up_until),
  invited = coalesce($5::uuid[], invited)
where id = $1 and sign_up_until > $2 and stopped_at is null returning id
"""
_STOP_EVENT = """
update group_buy_event set stopped_at = $2 where id = $1 and stopped_at is null and ends_at > $2 returning id
"""
_STOP_ACTIVITIES = "update group_buy_activity set stopped_at = $2 where event_id = $1 and stopped_at is null"

_KNOWN = {
    "merchant": "select count(*)::int from merchant where id = any($1::uuid[])",
    "category": "select count(*)::int from category where id = any($1::uuid[])",
}

_CATEGORIES = "select category_path from listing where merchant_id = $1 and product_id = $2"

_ADD_ENTRY = """
insert into group_buy_entry (merchant_id, id, event_id, product_id, terms, applied_at)
values ($1, $2, $3, $4, $5::jsonb, $6)
"""
_CHANGE_ENTRY = """
update group_buy_entry set product_id = $3, terms = $4::jsonb, status = $5, version = version + 1, reason = '',
  applied_at = $6, reviewed_at = null, reviewed_by = null
where merchant_id = $1 and id = $2
"""
_MOVE_ENTRY = """
update group_buy_entry set status = $3, reason = coalesce($4, reason), reviewed_at = coalesce($5, reviewed_at),
  reviewed_by = coalesce($6, reviewed_by)
where merchant_id = $1 and id = $2
"""
_LOCK_ENTRY = """
select *, terms::text as terms_json from group_buy_entry where merchant_id = $1 and id = $2 for no key update
"""

_ENTRIES = """
select n.*, n.terms::text as terms_json, l.title, e.merchant_share_bp from group_buy_entry n
left join group_buy_event e on e.id = n.event_id
left join listing l on l.merchant_id = n.merchant_id and l.product_id = n.product_id
where ($1::uuid is null or n.merchant_id = $1) and ($2::uuid is null or n.id = $2) and ($3::uuid is null or n.event_id = $3)
  and ($4::text is null or n.status = $4) and ($5::uuid is null or n.id < $5)
order by n.id desc limit $6
"""

_SHOWN_EVENTS = """
select * from group_buy_event where stopped_at is null and ends_at > $1 order by starts_at, id limit 50
"""

_ITEMS = f"""
select a.*, {PRICES}, %s, l.title, l.image_url from group_buy_activity a
join listing l on l.merchant_id = a.merchant_id and l.product_id = a.product_id and l.live
where a.event_id = $1 and (a.stopped_at is null or a.stopped_at > a.starts_at) and ($2::uuid is null or a.id > $2)
order by a.id limit $3
"""  # noqa: S608
# How many groups there are is for staff.
_ACTIVITIES = {True: _ITEMS % COUNTS, False: _ITEMS % "null as counts"}

_OPEN = """
select g.merchant_id, g.id, g.activity_id, g.code, g.size, g.taken, g.expires_at, a.product_id, l.title, l.image_url, (
  select c.nickname from group_buy_seat s join account c on c.id = s.account_id
  where s.merchant_id = g.merchant_id and s.group_id = g.id and s.leader limit 1) as nickname
from group_buy_activity a
join group_buy_group g on g.merchant_id = a.merchant_id and g.activity_id = a.id
join listing l on l.merchant_id = a.merchant_id and l.product_id = a.product_id and l.live
where a.event_id = $1 and a.show_open and g.status = 'running' and g.expires_at > $2 and g.taken < g.size
  and ($3::timestamptz is null or (g.expires_at, g.id) > ($3, $4))
order by g.expires_at, g.id limit $5
"""


class EventRow(NamedTuple):
    """A row of `group_buy_event` about to be written."""

    merchant_id: UUID
    id: UUID
    name: str
    rules: str
    sign_up_until: datetime
    starts_at: datetime
    ends_at: datetime
    sizes: Sequence[int]
    hours: int
    new_only: str | None
    invited: Sequence[UUID]
    category_ids: Sequence[UUID]
    merchant_share_bp: int
    market_coupons: bool


async def add_event(tx: Tx, row: EventRow) -> None:
    """A new event."""
    await tx.execute(_ADD_EVENT, *row, tx.now)


async def event(tx: Tx, event_id: UUID) -> asyncpg.Record | None:
    """An event."""
    return await tx.fetchrow("select * from group_buy_event where id = $1", event_id)


async def event_to_join(tx: Tx, event_id: UUID) -> asyncpg.Record | None:
    """An event, which is not stopped before the transaction ends. In the system scope."""
    return await tx.fetchrow(_EVENT_TO_JOIN, event_id)


async def events(tx: Tx, before: UUID | None, guest: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Events, newest first; those to which a `guest` shop is admitted."""
    return await tx.fetch(_EVENTS, before, guest, limit)


async def change_event(
    tx: Tx, event_id: UUID, rules: str | None, until: datetime | None, invited: Sequence[UUID] | None
) -> bool:
    """Rules, end of the sign-up, invited shops; None keeps. False when there is none whose sign-up is open."""
    return await tx.fetchval(_CHANGE_EVENT, event_id, tx.now, rules, until, invited) is not None


async def stop_event(tx: Tx, event_id: UUID) -> bool:
    """End an event and its activities now; False when it is over or not there. In the system scope."""
    if await tx.fetchval(_STOP_EVENT, event_id, tx.now) is None:
        return False
    await tx.execute(_STOP_ACTIVITIES, event_id, tx.now)
    return True


async def known(tx: Tx, table: str, ids: Sequence[UUID]) -> int:
    """How many of these merchants or categories there are."""
    found: int = await tx.fetchval(_KNOWN[table], ids)
    return found


async def categories(tx: Tx, product: Key) -> set[UUID]:
    """The category of a product and those above it."""
    return set(await tx.fetchval(_CATEGORIES, *product) or ())


async def add_entry(tx: Tx, key: Key, event_id: UUID | None, product_id: UUID, terms: ActivityIn) -> None:
    """What a shop hands in. Raises asyncpg's UniqueViolationError when the product is in the event already."""
    await tx.execute(_ADD_ENTRY, *key, event_id, product_id, _json(terms), tx.now)


async def change_entry(tx: Tx, key: Key, product_id: UUID, terms: ActivityIn, status: Status) -> None:
    """Other terms, for another review. Raises as `add_entry`."""
    await tx.execute(_CHANGE_ENTRY, *key, product_id, _json(terms), status, tx.now)


async def move_entry(
    tx: Tx, key: Key, status: Status, by: UUID | None = None, reason: str | None = None
) -> None:
    """Another status; with `by` it was reviewed."""
    await tx.execute(_MOVE_ENTRY, *key, status, reason, tx.now if by is not None else None, by)


async def locked_entry(tx: Tx, key: Key) -> asyncpg.Record | None:
    """What was handed in, as it is until the transaction ends."""
    return await tx.fetchrow(_LOCK_ENTRY, *key)


async def entries(
    tx: Tx,
    *,
    merchant_id: UUID | None = None,
    entry_id: UUID | None = None,
    event_id: UUID | None = None,
    status: str | None = None,
    before: UUID | None = None,
    limit: int = 1,
) -> list[asyncpg.Record]:
    """What was handed in, newest first, with the product's title and what the shop bears in the event."""
    return await tx.fetch(_ENTRIES, merchant_id, entry_id, event_id, status, before, limit)


async def shown_events(tx: Tx) -> list[asyncpg.Record]:
    """Events that run or will."""
    return await tx.fetch(_SHOWN_EVENTS, tx.now)


async def activities_of(
    tx: Tx, event_id: UUID, after: UUID | None, limit: int, *, staff: bool
) -> list[asyncpg.Record]:
    """Activities of an event with their products, but for those that were stopped before they began."""
    return await tx.fetch(_ACTIVITIES[staff], event_id, after, limit)


async def open_groups(
    tx: Tx, event_id: UUID, after: tuple[datetime, UUID] | None, limit: int
) -> list[asyncpg.Record]:
    """Groups of an event that can be joined, the first to end first. In the system scope."""
    at, last = after or (None, None)
    return await tx.fetch(_OPEN, event_id, tx.now, at, last, limit)


def terms_of(row: asyncpg.Record) -> ActivityIn:
    """The terms in a row of an entry."""
    return msgspec.json.decode(row["terms_json"], type=ActivityIn)


def _json(terms: ActivityIn) -> str:
    return msgspec.json.encode(terms).decode()
