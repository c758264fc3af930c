"""One delivery: an event or timer handed to one plugin, in a transaction that also notes that it was.

At least once sent, exactly once kept: the row of `delivery` is locked, the effect runs and the row is marked `done` in
one transaction, so a message that comes twice, or whose worker dies, changes nothing a second time. An outside call is
made before that transaction (`core.worker.outbound`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NoReturn
from uuid import UUID

import httpx
import msgspec
import structlog

from core.db.outbox import OUTBOUND, TIMER
from core.db.tx import Tx
from core.deployment.runtime import AWAY, Runtime
from core.hooks import event_payload
from core.kit import logs, tracing
from core.kit.meters import metered
from core.plugin import Outbound, Snapshot
from core.types.scope import SYSTEM, Scope
from core.worker import metrics, outbound

MAX_TRIES = 20
# Seconds an effect may take, or an outside call with what it is answered by. What takes longer hangs.
TIME_LIMIT = 120.0
_MAX_BACKOFF = 300

_log = structlog.get_logger("jishi.worker")

# Locks the row and marks it at once: when the effect fails, the mark goes with all the rest. An outside call is yet to be
# made and is marked with its answer. `status || ''` leaves the planner the primary key alone; the index of what is due
# would be read from end to end for each delivery.
_TAKE = """
with held as materialized (
  select o.event, o.payload::text as payload, o.scope from delivery d join outbox o on o.id = d.event_id
  where d.event_id = $1 and d.plugin = $2 and d.status || '' = 'sent' for update of d skip locked
), done as (
  update delivery set status = 'done', done_at = $3, error = null
  where event_id = $1 and plugin = $2 and (select not starts_with(event, $4) from held)
)
select event, payload, scope from held
"""
_FAILED = """
update delivery set error = $3,
  status = case when $5 or tries >= $6 then 'parked' else 'new' end,
  due_at = $4::timestamptz + make_interval(secs => least($7, power(2, least(tries, 12) - 1)))
where event_id = $1 and plugin = $2 and status || '' = 'sent'
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


class _Attempt:
    """What is known of a delivery while it is made."""

    def __init__(self, event_id: UUID, plugin: str) -> None:
        self.event_id, self.plugin, self.event = event_id, plugin, "?"


async def deliver(runtime: Runtime, event_id: UUID, plugin: str, due_at: datetime | None = None) -> Outcome:
    """Run the effect, timer or outside call behind one claimed delivery. Never raises for what the plugin or the database
    does. `due_at` is for the metrics.

    A failure is noted on the row with a back-off of 1 s doubling to 5 min; after 20 tries, or when the plugin is gone,
    the row is parked. If even that cannot be written, the relay sends it again.
    """
    attempt, began = _Attempt(event_id, plugin), time.perf_counter()
    logs.begin(event_id=str(event_id), plugin=plugin, generation=runtime.snapshot.generation)
    run = tracing.traced(f"deliver to {plugin}", {"jishi.plugin": plugin}, _deliver, "consumer")
    outcome: Outcome = await run(runtime, attempt)
    seconds = time.perf_counter() - began
    delay = None if due_at is None else max(0.0, (runtime.clock() - due_at).total_seconds())
    metrics.observe(plugin, attempt.event, outcome, seconds, delay)
    return outcome


async def _deliver(runtime: Runtime, attempt: _Attempt) -> Outcome:
    try:
        async with asyncio.timeout(TIME_LIMIT):
            return await _attempt(runtime, attempt)
    except Exception as error:
        log = _log.bind(event_id=str(attempt.event_id), plugin=attempt.plugin)
        expected = isinstance(error, (*AWAY, GoneError, httpx.HTTPError))
        log.warning("effect failed", event_name=attempt.event, reason=_reason(error), exc_info=not expected)
        try:
            return await _fail(runtime, attempt.event_id, attempt.plugin, error)
        except AWAY:
            log.warning("the database is away; the delivery will be sent again")
            return Outcome.FAILED


async def _attempt(runtime: Runtime, attempt: _Attempt) -> Outcome:
    event_id, plugin = attempt.event_id, attempt.plugin
    async with runtime.tx(SYSTEM) as tx:
        found = await tx.fetchrow(_TAKE, event_id, plugin, tx.now, OUTBOUND)
        if found is None:
            return Outcome.SKIPPED
        attempt.event, payload = found["event"], found["payload"].encode()
        logs.note(event_name=attempt.event)
        scope = Scope.decode(found["scope"])
        call = outside_call(tx.snapshot, attempt.event, plugin)
        if call is None:
            run = handler(tx.snapshot, attempt.event, plugin, payload)
            if scope != SYSTEM:
                await tx.enter(scope)
            await run(tx)
    if call is not None and not await outbound.make(runtime, call, event_id, plugin, payload, scope):
        return Outcome.SKIPPED
    return Outcome.DONE


def outside_call(snapshot: Snapshot, event: str, plugin: str) -> Outbound | None:
    """The plugin's outside call behind this event, also when it is switched off; None for what is none. Raises
    `GoneError`."""
    if not event.startswith(OUTBOUND):
        return None
    name = event.removeprefix(OUTBOUND)
    found = snapshot.installed.get(plugin)
    call = found.outbound.get(name) if found is not None else None
    return call or _gone(f"Plugin {plugin} is not installed or has no outside call {name}.")


def handler(snapshot: Snapshot, event: str, plugin: str, payload: bytes) -> Callable[[Tx], Awaitable[None]]:
    """The plugin's implementation with the decoded payload, also when it is switched off. Raises `GoneError`."""
    if event.startswith(TIMER):
        name, raw = event.removeprefix(TIMER), msgspec.Raw(payload)
        timer = snapshot.timer(plugin, name)
        if timer is None:
            _gone(f"Plugin {plugin} is not installed or has no timer {name}.")
        run = metered(event, plugin, timer, load=False)
        return lambda tx: run(tx, raw)
    effect = snapshot.hooks.find(event, plugin)
    if effect is None:
        _gone(f"Plugin {plugin} is not installed or does not take {event} any more.")
    decoded: Any = msgspec.json.decode(payload, type=_payload(snapshot.hooks.specs[event]))
    return lambda tx: effect(tx, decoded)


@lru_cache(maxsize=512)
def _payload(spec: Callable[..., Any]) -> type[Any]:
    """As `event_payload`, which reads the signature and takes as long as a statement."""
    return event_payload(spec)


def _gone(message: str) -> NoReturn:
    raise GoneError(message)


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
