"""Deletes what nobody asks for any more, in batches so that nothing waits for it."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from core.deployment.runtime import Runtime
from core.kit.tasks import cancelled
from core.types.scope import SYSTEM

KEEP = timedelta(days=7)
_EVERY = 3600.0
_BATCH = 1000

_log = structlog.get_logger("jishi.worker")

# $1: rows at most, $2: the time before which all is old, $3: the first id of that time (ids are in the order of time).
_DELIVERY = """
with old as (
  select event_id, plugin from delivery where event_id < $3 and status = 'done' and done_at < $2
  order by event_id limit $1 for update skip locked
)
delete from delivery d using old where (d.event_id, d.plugin) = (old.event_id, old.plugin)
"""
_OUTBOX = """
with old as (
  select id from outbox o where id < $3 and at < $2 and not exists (select from delivery d where d.event_id = o.id)
  order by id limit $1 for update skip locked
)
delete from outbox o using old where o.id = old.id
"""
_IDEMPOTENCY = """
with old as (
  select account_id, route, key from idempotency where at < $2 order by at limit $1 for update skip locked
)
delete from idempotency i using old where (i.account_id, i.route, i.key) = (old.account_id, old.route, old.key)
"""
_SESSION = """
with old as (select id from session where expires_at < $2 order by id limit $1 for update skip locked)
delete from session s using old where s.id = old.id
"""
# Guests whose session has run out, or ended more than an hour before $2: by then none of their requests is under way.
_GUEST = """
with old as materialized (
  select id from account a where guest and not exists (
    select from session s where s.account_id = a.id and s.expires_at > $2
      and (s.revoked_at is null or s.revoked_at > $2 - interval '1 hour'))
  limit $1 for update skip locked
),
lines as (delete from cart_line x using old where x.account_id = old.id),
places as (delete from address x using old where x.account_id = old.id),
held as (delete from holding x using old where x.account_id = old.id),
ended as (delete from session x using old where x.account_id = old.id)
delete from account a using old where a.id = old.id
"""


async def sweep(runtime: Runtime) -> dict[str, int]:
    """Delete delivered events and idempotency keys older than seven days, expired sessions, and guests who have none, with
    their cart, addresses and holdings. Rows deleted by table."""
    now = runtime.clock()
    cut = now - KEEP
    first = UUID(int=int(cut.timestamp() * 1000) << 80)
    return {
        "delivery": await _delete(runtime, _DELIVERY, cut, first),
        "outbox": await _delete(runtime, _OUTBOX, cut, first),
        "idempotency": await _delete(runtime, _IDEMPOTENCY, cut),
        "session": await _delete(runtime, _SESSION, now),
        "account": await _delete(runtime, _GUEST, now),
    }


async def _delete(runtime: Runtime, sql: str, *args: datetime | UUID) -> int:
    deleted = 0
    while True:
        async with runtime.tx(SYSTEM) as tx:
            count = int((await tx.execute(sql, _BATCH, *args)).rpartition(" ")[2])
        deleted += count
        if count < _BATCH:
            return deleted


async def run(runtime: Runtime) -> None:
    """Once an hour until cancelled."""
    while not cancelled():
        await asyncio.sleep(_EVERY)
        try:
            _log.info("swept", **await sweep(runtime))
        except Exception:  # noqa: BLE001 -- it must not end
            _log.exception("housekeeping failed; trying again in an hour")
