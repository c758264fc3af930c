"""Deliveries without worker and Redis, for tests and tools."""

from collections import Counter
from datetime import datetime

from core.deployment.runtime import Runtime
from core.types.scope import SYSTEM
from core.worker.claim import claim
from core.worker.deliver import Outcome, deliver

# What waits for another of its lane is not next, however long it has been due.
_NEXT = """
select min(due_at) from delivery x where status in ('new', 'sent') and due_at <= $1
  and (lane is null or not exists (
    select from delivery e where e.plugin = x.plugin and e.lane = x.lane and e.lane is not null
      and e.status in ('new', 'sent', 'parked') and e.seq < x.seq))
"""
_ERROR = "select error from delivery where event_id = $1 and plugin = $2"


class DrainError(Exception):
    """A delivery failed while `strict` was asked for, or deliveries do not come to an end."""


async def drain(
    runtime: Runtime, *, until: datetime | None = None, max_rounds: int = 1000, strict: bool = False
) -> Counter[Outcome]:
    """Run everything that is due, and what that brings about, until nothing is left; counts of the outcomes.

    With `until`, time passes: the runtime's clock stands at each next due time in turn, so that timers and retries up to
    `until` run as they would; afterwards it is put back. With `strict` the first failing effect raises `DrainError`.
    """
    clock, outcomes = runtime.clock, Counter[Outcome]()
    try:
        for _ in range(max_rounds):
            if until is not None:
                due = await _next_due(runtime, until)
                if due is None:
                    return outcomes
                moment = max(due, min(clock(), until))
                runtime.clock = lambda moment=moment: moment  # type: ignore[misc]
            claimed = await claim(runtime)
            if not claimed and until is None:
                return outcomes
            for event_id, plugin in ((c.event_id, c.plugin) for c in claimed):
                outcome = await deliver(runtime, event_id, plugin)
                outcomes[outcome] += 1
                if strict and outcome in (Outcome.FAILED, Outcome.PARKED):
                    async with runtime.tx(SYSTEM) as tx:
                        raise DrainError(await tx.fetchval(_ERROR, event_id, plugin))
    finally:
        runtime.clock = clock
    raise DrainError(f"Deliveries do not end: {max_rounds} rounds, {dict(outcomes)}.")


async def _next_due(runtime: Runtime, until: datetime) -> datetime | None:
    async with runtime.tx(SYSTEM) as tx:
        found: datetime | None = await tx.fetchval(_NEXT, until)
        return found
