"""Kills what the market runs on, as the seed says, and watches that it comes back."""

import asyncio
import random
import time
from collections.abc import Iterator

import httpx

from tests.stress.place import Place
from tests.stress.tally import Tally

TARGETS = {"web": 30, "worker": 25, "sandbox": 15, "postgres": 15, "valkey": 10, "flushall": 5}
# Seconds within which `jishi run` must have brought back what was killed.
_BACK = 60.0


class Kill:
    """One of them: once so many stories have begun, and a little later."""

    def __init__(self, after: int, delay: float, target: str, which: int) -> None:
        self.after, self.delay, self.target, self.which = after, delay, target, which


def plan(seed: int, first: int, purchases: int, kills: int) -> Iterator[Kill]:
    """The kills of a burst of stories `first` and following, spread over them."""
    for n in range(kills):
        chance = random.Random(f"{seed}:{first}:kill {n}")
        after = first + round((n + chance.random()) * purchases / kills)
        target = chance.choices(list(TARGETS), list(TARGETS.values()))[0]
        yield Kill(after, chance.uniform(0, 1.5), target, chance.randrange(8))


class Killer:
    """Carries a plan out."""

    def __init__(self, place: Place, tally: Tally) -> None:
        self._place, self._tally = place, tally
        self.begun = 0

    async def carry_out(self, kills: list[Kill]) -> None:
        """Until all are done; cancel it when there is nothing left to kill for."""
        for kill in sorted(kills, key=lambda k: k.after):
            while self.begun < kill.after:
                await asyncio.sleep(0.05)
            await asyncio.sleep(kill.delay)
            await self._kill(kill)

    async def _kill(self, kill: Kill) -> None:
        if kill.target == "flushall":
            done = await asyncio.to_thread(self._place.flush_redis)
            self._tally.kills["flushall"] += done
            return
        number = len(self._place.processes(kill.target))
        pid = self._place.kill_one(kill.target, kill.which)
        if pid is None:
            self._tally.kills[f"{kill.target} (away already)"] += 1
            return
        self._tally.kills[kill.target] += 1
        if not await self.back(kill.target, number, pid):
            self._tally.found(
                "not brought back", f"{kill.target} was killed and is not there after {_BACK:.0f} s"
            )

    async def back(self, part: str, number: int, gone: int) -> bool:
        """Whether as many processes of a part run again as did, and the market answers."""
        until = time.monotonic() + _BACK
        while time.monotonic() < until:
            await asyncio.sleep(0.3)
            pids = self._place.processes(part)
            if gone not in pids and len(pids) >= number and await self._ready():
                return True
        return False

    async def _ready(self) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=3, verify=False) as http:
                return (await http.get(f"{self._place.url}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False
