"""The database's clock, followed by the worker.

Workers compare due times with the present. If each took its own clock, one that is behind would be late for everything
and one that is ahead early; so they all take the database's, moved on by a clock that nobody sets.
"""

import asyncio
import time
from datetime import datetime, timedelta

import structlog

from core.deployment.runtime import AWAY, Runtime
from core.kit.tasks import cancelled
from core.types.scope import SYSTEM

_EVERY = 10.0
# Seconds: an answer that took longer says too little about the time.
_PROMPT = 0.5
_REMARKABLE = 1.0

_log = structlog.get_logger("jishi.worker")


class DatabaseClock:
    """A `Clock`. Until the database has told the time it is the runtime's own."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._own = runtime, runtime.clock
        self._base: tuple[datetime, float] | None = None
        self._warned = False

    def __call__(self) -> datetime:
        """The present in UTC."""
        if self._base is None:
            return self._own()
        at, since = self._base
        return at + timedelta(seconds=time.monotonic() - since)

    async def look(self) -> None:
        """Ask the database for the time. Raises what a database that is away raises."""
        async with self._runtime.tx(SYSTEM) as tx:
            await tx.fetchval("select 1")
            began = time.monotonic()
            now: datetime = await tx.fetchval("select clock_timestamp()")
            ended = time.monotonic()
        if ended - began > _PROMPT and self._base is not None:
            return
        self._base = (now, (began + ended) / 2)
        ahead = (self._own() - self()).total_seconds()
        if abs(ahead) > _REMARKABLE and not self._warned:
            self._warned = True
            _log.warning(
                "this machine's clock differs from the database's, which counts", seconds=round(ahead, 1)
            )

    async def follow(self) -> None:
        """Until cancelled."""
        while not cancelled():
            await asyncio.sleep(_EVERY)
            try:
                await self.look()
            except AWAY:
                continue
