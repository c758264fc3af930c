"""One delivery: an event or timer handed to one plugin, in a transaction that also notes that it was.

At least once sent, exactly once kept: the row of `delivery` is locked, the effect runs and the row is marked `done` in
one transaction, so a message that comes twice, or whose worker dies, changes nothing a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import structlog

from core.db.tx import Tx
from core.deployment.runtime import AWAY, Runtime
from core.hooks import event_payload
from core.plugin import Snapshot
from core.types.scope import SYSTEM, Scope

MAX_TRIES = 20
# Seconds an effect may take. Effects work on the database only, so one that takes longer hangs.
TIME_LIMIT = 120.0
_MAX_BACKOFF = 300
_TIMER = "timer:"

_log = structlog.get_logger("jishi.worker")

_LOCK = """
select o.event, o.payload::text as payload, o.scope, o.at from delivery d join outbox o on o.id = d.event_id
where d.event_id = $1 and d.plugin = $2 and d.status = 'sent' for update of d skip locked
"""
_DONE = "update delivery set status = 'done', done_at = $3, error = null where event_id = $1 and plugin = $2"
_FAILED = """
update delivery set error = $3,
  status = case when $5 or tries >= $6 then 'parked' else 'new' end,
  due_at = $4::timestamptz + make_interval(secs => least($7, power(2, least(tries, 12) - 1)))
where event_id = $1 and plugin = $2 and status = 'sent'
returning status, tries
"""


class Outcome(StrEnum):
    """How a delivery ended. `skipped`: done already, or in another worker's hands, or not due yet."""

    DONE = "done"
    FAILED = "failed"
    PARKED = "parked"
    SKIPPED = "skipped"


class GoneError(Exception):
    """Nobody takes this event any more; trying again would not help."""


async def deliver(runtime: Runtime, event_id: UUID, plugin: str) -> Outcome:
    """Run the effect or timer behind one claimed delivery. Never raises for what the plugin or the database does.

    A failure is noted on the row with a back-off of 1 s doubling to 5 min; after 20 tries, or when the plugin is gone,
    the row is parked. If even that cannot be written, the relay sends it again.
    """
    log = _log.bind(event_id=str(event_id), plugin=plugin)
    try:
        async with asyncio.timeout(TIME_LIMIT):
            return await _attempt(runtime, event_id, plugin)
    except Exception as error:
        log.warning(
            "effect failed", reason=_reason(error), exc_info=not isinstance(error, (*AWAY, GoneError))
        )
        try:
            return await _fail(runtime, event_id, plugin, error)
        except AWAY:
            log.warning("the database is away; the delivery will be sent again", exc_info=True)
            return Outcome.FAILED


async def _attempt(runtime: Runtime, event_id: UUID, plugin: str) -> Outcome:
    async with runtime.tx(SYSTEM) as tx:
        found = await tx.fetchrow(_LOCK, event_id, plugin)
        if found is None:
            return Outcome.SKIPPED
        run = handler(tx.snapshot, found["event"], plugin, found["payload"].encode())
        scope = Scope.decode(found["scope"])
        if scope != SYSTEM:
            await tx.enter(scope)
        await run(tx)
        if scope != SYSTEM:
            await tx.enter(SYSTEM)
        await tx.execute(_DONE, event_id, plugin, tx.now)
    return Outcome.DONE


def handler(snapshot: Snapshot, event: str, plugin: str, payload: bytes) -> Callable[[Tx], Awaitable[None]]:
    """The plugin's implementation with the decoded payload, also when it is switched off. Raises `GoneError`."""
    if event.startswith(_TIMER):
        timer = snapshot.timer(plugin, event.removeprefix(_TIMER))
        if timer is None:
            raise GoneError(f"Plugin {plugin} is not installed or has no timer {event.removeprefix(_TIMER)}.")
        raw = msgspec.Raw(payload)
        return lambda tx: timer(tx, raw)
    effect = snapshot.hooks.find(event, plugin)
    if effect is None:
        raise GoneError(f"Plugin {plugin} is not installed or does not take {event} any more.")
    decoded: Any = msgspec.json.decode(payload, type=event_payload(snapshot.hooks.specs[event]))
    return lambda tx: effect(tx, decoded)


async def _fail(runtime: Runtime, event_id: UUID, plugin: str, error: Exception) -> Outcome:
    async with runtime.tx(SYSTEM) as tx:
        gone = isinstance(error, GoneError)
        row = await tx.fetchrow(
            _FAILED, event_id, plugin, _reason(error), tx.now, gone, MAX_TRIES, float(_MAX_BACKOFF)
        )
    if row is None:
        return Outcome.SKIPPED
    if row["status"] == "parked":
        _log.error(
            "delivery parked",
            event_id=str(event_id),
            plugin=plugin,
            tries=row["tries"],
            reason=_reason(error),
        )
        return Outcome.PARKED
    return Outcome.FAILED


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]
