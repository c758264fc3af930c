"""The relay: due deliveries from the database to Redis, for ever.

Redis is transport, never truth. A key in it marks its memory: when the key can be set anew, Redis has forgotten
everything it was told, and what was sent becomes due at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from redis.exceptions import RedisError

from core.deployment.runtime import AWAY, Runtime
from core.kit.tasks import cancelled
from core.worker.claim import Claimed, claim, revive
from core.worker.cycles import LOOK, Cycles

EPOCH = "jishi:epoch"
_IDLE = 0.2
_BUSY = 0.05
_RECONNECT = (0.2, 0.5, 1.0, 2.0)
# Messages waiting in Redis beyond which no more are sent: the rest is as well off in the database.
_ENOUGH = 50

_log = structlog.get_logger("jishi.worker")

Send = Callable[[Sequence[Claimed]], Awaitable[None]]
Waiting = Callable[[], Awaitable[int]]
Room = Callable[[], Mapping[str, int]]


class Relay:
    """Hands claimed deliveries to `send`; `waiting` tells how many messages nobody has taken yet, `room` how many more of
    a plugin this worker wants."""

    def __init__(self, runtime: Runtime, send: Send, waiting: Waiting, room: Room) -> None:
        self._runtime, self._send, self._waiting, self._room = runtime, send, waiting, room
        self._unsent: list[Claimed] = []
        self._cycles, self._looked = Cycles(runtime), -LOOK

    async def run(self) -> None:
        """Until cancelled, however often database and Redis go away and come back."""
        failures = 0
        while not cancelled():
            try:
                busy = await self.round()
                failures = 0
                await asyncio.sleep(_BUSY if busy else _IDLE)
            except (*AWAY, RedisError) as error:
                if failures == 0:
                    _log.warning("relay interrupted; trying again", reason=f"{type(error).__name__}: {error}")
                await asyncio.sleep(_RECONNECT[min(failures, len(_RECONNECT) - 1)])
                failures += 1
            except Exception:  # noqa: BLE001 -- it must not end
                _log.exception("relay failed; trying again")
                await asyncio.sleep(_RECONNECT[-1])

    async def round(self) -> bool:
        """Claim and send one batch; whether there is likely more."""
        if await self._runtime.redis.set(EPOCH, self._runtime.clock().isoformat(), nx=True):
            lost = await revive(self._runtime)
            if lost:
                _log.warning("Redis lost its memory; sending again", deliveries=lost)
        if time.monotonic() - self._looked >= LOOK:
            await self._cycles.begin()
            self._looked = time.monotonic()
        room = self._room()
        if not self._unsent:
            if await self._waiting() >= _ENOUGH:
                return True
            self._unsent = await claim(self._runtime, room=room)
        if self._unsent:
            await self._send(self._unsent)
        busy, self._unsent = bool(self._unsent or room), []
        return busy
