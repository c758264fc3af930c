"""Statements of groups and their seats.

Whoever changes a group locks first what core locks (orders, then stock), then the group's row, then seats, then the quota;
what it decides by, it reads in a statement after the lock. So of two last payments one sees the other, and no two wait for
each other.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from core.api import Tx, columns, new_id
from plugins.group_buy.machine import Event, Group, Seat, Status

Key = tuple[UUID, UUID]

_OPEN = """
insert into group_buy_group (merchant_id, id, activity_id, code, size, created_at)
select a.merchant_id, $3, a.id, $4, a.size, $5 from group_buy_activity a
where a.merchant_id = $1 and a.id = $2 and a.stopped_at is null and a.starts_at <= $5 and a.ends_at > $5
on conflict (code) do nothing
returning size, expires_at,
  (select per_account from group_buy_activity where merchant_id = $1 and id = $2) as per_account
"""

# The row is locked by this, so the seats that the next statement sees are all there are.
_JOIN = """
update group_buy_group g set taken = g.taken + 1
where g.merchant_id = $1 and g.activity_id = $2 and g.id = $3 and g.status = 'running' and g.expires_at > $4
  and g.taken < g.size
returning g.size, g.expires_at,
  (select per_account from group_buy_activity where merchant_id = $1 and id = $2) as per_account
"""

_SIT = """
insert into group_buy_seat (merchant_id, id, activity_id, group_id, account_id, order_id, sku_id, number, size, leader,
  units, price, created_at)
select $1, $2, $3, $4, $5, $6, $7, free.n, $8, $9, $10, $11, $12 from (
  select min(n) as n from generate_series(1, $8::int) n where not exists (
    select from group_buy_seat s where s.merchant_id = $1 and s.group_id = $4 and s.number = n)) free
where free.n is not null
on conflict do nothing
returning number, (select coalesce(sum(s.units - s.returned), 0)::int from group_buy_seat s
  where s.merchant_id = $1 and s.activity_id = $3 and s.account_id = $5 and s.status <> 'closed') as before
"""

_CLAIM = """
update group_buy_price set sold = sold + $4
where merchant_id = $1 and activity_id = $2 and sku_id = $3 and sold + $4 <= quota
returning sold
"""

_STATE = "select status, taken, size from group_buy_group where merchant_id = $1 and id = $2"

_GROUP = """
select g.merchant_id, g.id, g.activity_id, g.status, g.size, g.paid, a.hours, a.virtual_fill, g.expires_at
from group_buy_group g join group_buy_activity a on a.merchant_id = g.merchant_id and a.id = g.activity_id
where g.merchant_id = $1 and g.id = $2 for no key update of g
"""
_GROUP_OF_ORDER = """
select g.merchant_id, g.id, g.activity_id, g.status, g.size, g.paid, a.hours, a.virtual_fill, g.expires_at
from group_buy_group g join group_buy_activity a on a.merchant_id = g.merchant_id and a.id = g.activity_id
where g.merchant_id = $1 and g.id = (
  select s.group_id from group_buy_seat s where s.merchant_id = $1 and s.order_id = $2)
for no key update of g
"""

# The order's own payment makes nobody an old customer.
_SEAT = """
select s.id, s.status, s.leader, a.new_only is null or s.leader or not exists (
  select from orders o where o.account_id = s.account_id and o.paid_at is not null and o.id <> s.order_id
    and (a.new_only = 'market' or o.merchant_id = s.merchant_id)) as welcome
from group_buy_seat s join group_buy_activity a on a.merchant_id = s.merchant_id and a.id = s.activity_id
where s.merchant_id = $1 and s.order_id = $2
"""

_PAID = """
with mine as (
  update group_buy_seat set status = 'paid', paid_at = $4, live = $5::text <> 'succeeded'
  where merchant_id = $1 and id = $3
), others as (
  update group_buy_seat set live = false
  where merchant_id = $1 and group_id = $2 and id <> $3 and live and $5::text = 'succeeded'
)
update group_buy_group set status = $5::text, paid = paid + 1, opened_at = coalesce(opened_at, $4::timestamptz),
  expires_at = coalesce(expires_at, $6::timestamptz), ended_at = case when $5::text = 'succeeded' then $4::timestamptz end
where merchant_id = $1 and id = $2
"""

_REFUSED = """
with mine as (
  update group_buy_seat set status = 'refused', number = null, live = false, paid_at = $4
  where merchant_id = $1 and id = $3
)
update group_buy_group set taken = taken - case when $5 then 1 else 0 end where merchant_id = $1 and id = $2
"""

_LOCK_CLOSING = """
select g.merchant_id, g.id from group_buy_group g
where (g.merchant_id, g.id) in (
  select s.merchant_id, s.group_id from group_buy_seat s
  join unnest($1::uuid[], $2::uuid[]) o(merchant_id, id) on s.merchant_id = o.merchant_id and s.order_id = o.id)
order by g.merchant_id, g.id for no key update of g
"""
_CLOSE = """
with gone as (
  update group_buy_seat s set status = 'closed', number = null, live = false
  from unnest($1::uuid[], $2::uuid[]) o(merchant_id, id)
  where s.merchant_id = o.merchant_id and s.order_id = o.id and s.status in ('held', 'expired')
  returning s.merchant_id, s.activity_id, s.group_id, s.sku_id, s.units
), freed as (
  update group_buy_group g set taken = g.taken - 1,
    status = case when g.status = 'opening' then 'closed' else g.status end,
    ended_at = case when g.status = 'opening' then $3::timestamptz end
  from gone where g.merchant_id = gone.merchant_id and g.id = gone.group_id and g.status in ('opening', 'running')
)
update group_buy_price p set sold = p.sold - gone.units from gone
where p.merchant_id = gone.merchant_id and p.activity_id = gone.activity_id and p.sku_id = gone.sku_id
"""

_BACK = """
with old as (
  select s.id, least(s.units - s.returned, $3::int) as n from group_buy_seat s
  where s.merchant_id = $1 and s.order_id = $2 and s.status <> 'closed' for no key update
), back as (
  update group_buy_seat s set returned = s.returned + old.n from old where s.merchant_id = $1 and s.id = old.id
  returning s.activity_id, s.sku_id, old.n
)
update group_buy_price p set sold = p.sold - back.n from back
where p.merchant_id = $1 and p.activity_id = back.activity_id and p.sku_id = back.sku_id
"""

_BOUND = """
select s.status, g.status as group_status from group_buy_seat s
join group_buy_group g on g.merchant_id = s.merchant_id and g.id = s.group_id
where s.merchant_id = $1 and s.order_id = $2
"""

_SEATED = """
select id, account_id, order_id, status, leader from group_buy_seat
where merchant_id = $1 and group_id = $2 and number is not null order by paid_at, number
"""

_LEAVE = """
with leaver as (
  update group_buy_seat set status = 'leaving', number = null, live = false, leader = false, left_group = true
  where merchant_id = $1 and id = $3
), heir as (
  update group_buy_seat set leader = true where merchant_id = $1 and id = $4
), unpaid as (
  update group_buy_seat set status = 'expired', number = null, live = false
  where merchant_id = $1 and group_id = $2 and status = 'held' and $5::text = 'closed'
)
update group_buy_group set status = $5::text, paid = paid - 1,
  taken = case when $5::text = 'closed' then 0 else taken - 1 end,
  ended_at = case when $5::text = 'closed' then $6::timestamptz end
where merchant_id = $1 and id = $2
"""

_FILL = """
with seats as (
  update group_buy_seat set live = false, status = case when status = 'held' then 'expired' else status end,
    number = case when status = 'held' then null else number end
  where merchant_id = $1 and group_id = $2 and number is not null
)
update group_buy_group set status = 'succeeded', placeholders = size - paid, taken = paid, ended_at = $3
where merchant_id = $1 and id = $2
"""

_FAIL = """
with seats as (
  update group_buy_seat set live = false, number = null,
    status = case when status = 'held' then 'expired' else 'leaving' end
  where merchant_id = $1 and group_id = $2 and number is not null returning order_id, account_id, status
), g as (
  update group_buy_group set status = 'failing', ended_at = $3 where merchant_id = $1 and id = $2
)
select order_id, account_id from seats where status = 'leaving' order by order_id
"""

_DECIDED = """
update group_buy_seat set status = 'refunded' where merchant_id = $1 and order_id = $2 and status = 'leaving'
"""
_ALL_DECIDED = """
update group_buy_group g set status = 'failed' where g.merchant_id = $1 and g.id = $2 and g.status = 'failing'
  and not exists (select from group_buy_seat s
    where s.merchant_id = $1 and s.group_id = $2 and s.status = 'leaving')
returning g.id
"""

_PAID_ORDERS = """
select order_id, account_id from group_buy_seat
where merchant_id = $1 and group_id = $2 and status = $3 and not left_group order by order_id
"""


class Taking(NamedTuple):
    """A seat that is to be taken; a new group is opened without `group_id`."""

    merchant_id: UUID
    activity_id: UUID
    sku_id: UUID
    group_id: UUID | None
    account_id: UUID
    order_id: UUID
    units: int
    price: int


class Room(NamedTuple):
    """A group with a free seat, locked."""

    id: UUID
    size: int
    expires_at: datetime | None
    per_account: int | None


async def open_group(tx: Tx, taking: Taking, code: str) -> Room | None:
    """A new group with its first seat free; None when the activity does not run."""
    group_id = new_id()
    row = await tx.fetchrow(_OPEN, taking.merchant_id, taking.activity_id, group_id, code, tx.now)
    return None if row is None else Room(group_id, row["size"], row["expires_at"], row["per_account"])


async def join(tx: Tx, taking: Taking, group_id: UUID) -> Room | None:
    """A seat of a running group is counted and its row locked; None when no seat is free, or its time is over."""
    row = await tx.fetchrow(_JOIN, taking.merchant_id, taking.activity_id, group_id, tx.now)
    return None if row is None else Room(group_id, row["size"], row["expires_at"], row["per_account"])


async def sit(tx: Tx, taking: Taking, room: Room) -> int | None:
    """Take the lowest free number. The answer is what the account had bought in the activity before; None when it sits in a
    group of the activity that is not over, or no number is free."""
    row = await tx.fetchrow(
        _SIT,
        taking.merchant_id,
        new_id(),
        taking.activity_id,
        room.id,
        taking.account_id,
        taking.order_id,
        taking.sku_id,
        room.size,
        taking.group_id is None,
        taking.units,
        taking.price,
        tx.now,
    )
    return None if row is None else int(row["before"])


async def claim(tx: Tx, taking: Taking) -> bool:
    """Take the units off the quota; False when not enough is left."""
    key = taking.merchant_id, taking.activity_id, taking.sku_id
    return await tx.fetchval(_CLAIM, *key, taking.units) is not None


async def is_full(tx: Tx, merchant_id: UUID, group_id: UUID) -> bool:
    """Whether all seats of a running group are taken, or it has succeeded."""
    row = await tx.fetchrow(_STATE, merchant_id, group_id)
    return row is not None and (
        row["status"] == "succeeded" or (row["status"] == "running" and row["taken"] >= row["size"])
    )


async def locked(tx: Tx, key: Key) -> Group | None:
    """A group, locked until the transaction ends."""
    return _group(await tx.fetchrow(_GROUP, *key))


async def locked_of(tx: Tx, order: Key) -> Group | None:
    """The group in which this order has a seat, locked; None when it has none."""
    return _group(await tx.fetchrow(_GROUP_OF_ORDER, *order))


def _group(row: asyncpg.Record | None) -> Group | None:
    if row is None:
        return None
    return Group(
        row["merchant_id"],
        row["id"],
        row["activity_id"],
        Status(row["status"]),
        row["size"],
        row["paid"],
        row["hours"],
        row["virtual_fill"],
        row["expires_at"],
    )


async def seat_of(tx: Tx, order: Key) -> Seat:
    """The order's seat, which there is; its group must be locked."""
    row = await tx.fetchrow(_SEAT, *order)
    assert row is not None, "seats are not deleted"
    return Seat(row["id"], row["status"], row["leader"], row["welcome"])


async def paid(
    tx: Tx, group: Group, seat_id: UUID, event: Event, at: datetime, expires_at: datetime | None = None
) -> None:
    """A held seat is paid, which is this event for its group."""
    await tx.execute(_PAID, group.merchant_id, group.id, seat_id, at, group.after(event), expires_at)


async def refused(tx: Tx, group: Group, seat: Seat) -> None:
    """A seat was paid for in vain: it is free. One that is given up already stays so."""
    if seat.status in ("held", "expired"):
        await tx.execute(_REFUSED, group.merchant_id, group.id, seat.id, tx.now, seat.status == "held")


async def close(tx: Tx, orders: Sequence[Key]) -> None:
    """These orders are given up unpaid: their seats and units are free, and a group that one of them would have opened is
    closed. Two statements, one when none of them has a seat."""
    pairs = columns(orders, 2)
    if await tx.fetch(_LOCK_CLOSING, *pairs):
        await tx.execute(_CLOSE, *pairs, tx.now)


async def give_back(tx: Tx, order: Key, units: int) -> None:
    """Units of an order are refunded: the quota has them again."""
    await tx.execute(_BACK, *order, units)


async def bound(tx: Tx, order: Key) -> bool:
    """Whether the order sits, paid, in a group that is not over."""
    row = await tx.fetchrow(_BOUND, *order)
    return row is not None and row["status"] == "paid" and row["group_status"] in ("opening", "running")


async def seated(tx: Tx, group: Group) -> list[asyncpg.Record]:
    """(id, account_id, order_id, status, leader) of what is held and paid in a locked group, in the order of payment."""
    return await tx.fetch(_SEATED, group.merchant_id, group.id)


async def leave(tx: Tx, group: Group, seat_id: UUID, heir_id: UUID | None, event: Event) -> None:
    """A paid seat is given up; the lead goes to `heir_id`, if to anybody."""
    await tx.execute(_LEAVE, group.merchant_id, group.id, seat_id, heir_id, group.after(event), tx.now)


async def fill(tx: Tx, group: Group) -> None:
    """A group succeeds with placeholders on its empty seats."""
    await tx.execute(_FILL, group.merchant_id, group.id, tx.now)


async def fail(tx: Tx, group: Group) -> list[asyncpg.Record]:
    """A group's time is over; (order_id, account_id) of what has to be refunded."""
    return await tx.fetch(_FAIL, group.merchant_id, group.id, tx.now)


async def decided(tx: Tx, group: Group, order_id: UUID) -> bool:
    """The refund of a seat that is given up is decided; whether that was the last of a failing group, which has failed by
    that."""
    await tx.execute(_DECIDED, group.merchant_id, order_id)
    return await tx.fetchval(_ALL_DECIDED, group.merchant_id, group.id) is not None


async def orders_of(tx: Tx, key: Key, status: str) -> list[asyncpg.Record]:
    """(order_id, account_id) of the seats of this status whose buyers did not leave the group."""
    return await tx.fetch(_PAID_ORDERS, *key, status)


async def running(tx: Tx) -> int:
    """How many groups are not over, of all shops."""
    found: int = await tx.fetchval(
        "select count(*) from group_buy_group where status in ('opening', 'running', 'failing')"
    )
    return found
