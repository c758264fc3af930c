"""Waiting until nothing is on its way any more. What would only be looked at again after minutes is looked at sooner: a
deployment has the time, a run has not."""

import asyncio
import time
from uuid import UUID

from tests.stress.story import World

# What is put off for longer with each try, and may come at any time. What it waits for is among `_OPEN`.
_PATIENT = [
    f"timer:{name}"
    for name in (
        "channel_calls",
        "ask_paying",
        "refund_captured",
        "settle_refund",
        "refund_payment",
        "query_payment",
    )
]
# These come when a deadline is over; further away than any deadline of a run is only another try.
_DEADLINES = ["timer:release", "timer:aftersale_due"]
# Timers this near are waited for. Seconds.
_SOON = 45.0
_HASTE_EVERY = 9.0
_DELIVERIES = """
select o.event || ' to ' || d.plugin || ' ' || d.status as what, count(*) as n, max(d.tries) as tries, max(d.error) as error
from delivery d join outbox o on o.id = d.event_id
where d.status in ('new', 'sent') and d.due_at < now() + make_interval(secs => $1)
  and o.event <> all($2::text[]) and not (o.payload = '{}' and o.event like 'timer:%')
group by 1
"""
_OPEN = """
select 'unpaid trade' as what, count(*) as n from trade where status = 'unpaid'
union all select 'refund on its way', count(*) from refund where status = 'refunding'
union all select 'unsettled refund', count(*) from refund where unsettled <> '{}'
union all select 'held order', count(*) from order_hold
union all select 'channel call ' || kind, count(*) from channel_call where status = 'waiting' group by kind
union all select 'payment on its way back', count(*) from payment where status = 'refunding'
union all select 'payout on its way', count(*) from payout where status = 'sending'
union all select 'order not released', count(*) from orders where status = 'completed' and released_at is null
union all select 'order ' || status, count(*) from orders where status in ('accepted', 'shipped') group by status
union all select 'case ' || status, count(*) from aftersale where status not in ('done', 'cancelled', 'closed') group by status
union all select 'shop that is owed', count(*) from (
  select owner from (
    select owner, credit - debit as amount from ledger_balance where kind = 'payable' and owner = merchant_id
    union all select owner, credit - debit from ledger_recent where kind = 'payable' and owner = merchant_id) x
  group by owner having sum(amount) >= 100) y
"""
_HASTEN = """
update delivery d set due_at = now() from outbox o
where o.id = d.event_id and d.status = 'new' and (d.due_at > now() and o.event = any($1)
  or d.due_at > now() + interval '3 minutes' and o.event = any($2))
"""


async def settle(world: World, seconds: float) -> None:
    """Until it is quiet twice in a row; what still is on its way after `seconds` is a finding."""
    await world.till.calm()
    await world.till.tell_all()
    began, calm = time.monotonic(), 0
    haste = _HASTE_EVERY / world.place.pace
    while True:
        moving = await on_their_way(world)
        calm = 0 if moving else calm + 1
        if calm == 2:
            return
        passed = time.monotonic() - began
        if passed > seconds:
            for what in moving:
                world.tally.found("never quiet", f"after {seconds:.0f} s: {what}")
            return
        if passed > haste:
            await world.database.execute(_HASTEN, _PATIENT, _DEADLINES)
            haste = passed + _HASTE_EVERY / world.place.pace
        await asyncio.sleep(1.0)


async def hasten(world: World) -> None:
    """Until cancelled: look soon at what is put off for longer with each try."""
    while True:
        await asyncio.sleep(_HASTE_EVERY / world.place.pace)
        await world.database.execute(_HASTEN, _PATIENT, _DEADLINES)


async def on_their_way(world: World) -> list[str]:
    """What is not done yet, in words."""
    async with world.database.connected() as connection:
        deliveries = await connection.fetch(_DELIVERIES, _SOON, _PATIENT)
        rows = await connection.fetch(_OPEN)
        unheard = {
            r["id"]
            for r in await connection.fetch("select id from payment where status in ('created', 'closed')")
        }
    found = [f"{r['n']} x {r['what']} (tries {r['tries']}: {r['error']})" for r in deliveries]
    found += [f"{r['n']} x {r['what']}" for r in rows if r["n"]]
    paid = world.till.rows("select id from payment where status in ('paid', 'refunded')")
    lost = [row["id"] for row in paid if UUID(row["id"]) in unheard]
    return [*found, f"{len(lost)} payments that we have not heard of"] if lost else found
