"""A story: one purchase and everything after it. Every decision is drawn from the run's seed and the story's number."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from uuid import UUID

from core.kit.ids import parse_pair, parse_ref
from tests.stress.client import Answer, Caller, Person
from tests.stress.database import Database
from tests.stress.place import Place
from tests.stress.scene import Scene
from tests.stress.tally import Tally
from tests.stress.till import Till

# Of the writes, this many are sent again once they are answered, and so many twice at once, with the same key.
_AGAIN, _TWICE = 0.2, 0.12
# And so many are sent with the same key and another body.
_OTHER_BODY = 0.02
# Seconds between two looks at what is waited for.
_FIRST_LOOK, _LONGEST_LOOK = 0.8, 4.0


class World:
    """What all stories of a run share. At most `at_once` of them act at a time; one that waits lets others act."""

    def __init__(
        self, seed: int, place: Place, caller: Caller, scene: Scene, tally: Tally, at_once: int
    ) -> None:
        self.seed, self.place, self.caller, self.scene, self.tally = seed, place, caller, scene, tally
        self.slots = asyncio.Semaphore(at_once)
        self.database = Database(place.folder / "data")
        self.till = Till(place.folder / "data", caller)
        # The story of each order, by its number.
        self.told: dict[str, int] = {}


class Story:
    """One of them, with what it has done so far."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.buyer = world.scene.buyers[self.draw("buyer").randrange(len(world.scene.buyers))]
        self.steps: list[str] = []
        self._writes = 0

    def draw(self, what: str) -> random.Random:
        """The chance that decides about `what`; nothing else that happens changes it."""
        return random.Random(f"{self.world.seed}:{self.number}:{what}")

    def found(self, rule: str, detail: str) -> None:
        """Something is wrong in this story."""
        steps = "; ".join(self.steps[-12:])
        self.world.tally.found(rule, f"{detail} (after {steps})", self.number)

    async def post(self, who: Person, path: str, body: Any = None, *, may: Collection[str] = ()) -> Answer:
        """A write, maybe sent twice with the same key, which must give the same answer. A refusal whose code is not among
        `may` is a finding."""
        self._writes += 1
        chance = self.draw(f"write {self._writes}")
        key, dice = f"{chance.getrandbits(96):x}", chance.random()

        async def send() -> Answer:
            return await who.send("POST", path, body, key=key, story=self.number)

        if dice < _TWICE:
            answers = list(await asyncio.gather(send(), send()))
        else:
            answers = [await send()]
            if dice < _TWICE + _AGAIN and answers[0].ok:
                answers.append(await send())
        if dice > 1 - _OTHER_BODY and body and answers[0].ok:
            await self._other_body(who, path, body, key)
        done = [answer for answer in answers if answer.ok]
        if len(done) == 2 and done[0] != done[1]:
            self.found("same key, another answer", f"POST {path}: {done[0]} and {done[1]}")
        return self._judged(path, done[0] if done else answers[0], may)

    async def _other_body(self, who: Person, path: str, body: Any, key: str) -> None:
        other = await who.send("POST", path, {**body, "other": 1}, key=key, story=self.number)
        if other.code not in ("idempotency_mismatch", "invalid", "bad_request"):
            self.found("same key, another body", f"POST {path}: {other}")

    def _judged(self, path: str, answer: Answer, may: Collection[str]) -> Answer:
        self.steps.append(f"{path.rpartition('/')[2]} {answer.code or answer.status}")
        if not answer.ok:
            self.world.tally.refusals[answer.code] += 1
            if answer.code not in may:
                self.found("refused", f"POST {path}: {answer.status} {answer.body}")
        return answer

    async def both(
        self, first: Awaitable[Answer], second: Awaitable[Answer], what: str, *, one: bool
    ) -> list[Answer]:
        """Two conflicting writes at once; with `one`, only one of them may be done."""
        answers = list(await asyncio.gather(first, second))
        if one and all(answer.ok for answer in answers):
            self.found("both of two that exclude each other", what)
        return answers

    async def pause(self, seconds: float) -> None:
        """Wait, and let other stories act."""
        self.world.slots.release()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.world.slots.acquire()

    async def until(
        self,
        look: Callable[[], Awaitable[Any]],
        good: Callable[[Any], bool],
        what: str,
        *,
        seconds: float,
        must: bool = True,
    ) -> Any:
        """Look again and again until it is good; that it never is, is a finding if it `must`. The last that was seen."""
        end, pause = time.monotonic() + seconds, _FIRST_LOOK
        while True:
            seen = await look()
            if good(seen):
                return seen
            if time.monotonic() > end:
                if must:
                    self.found("never happened", f"{what}: {str(seen)[:400]}")
                return seen
            await self.pause(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK)

    async def order(self, order_id: str) -> Any:
        """An order as its buyer sees it."""
        return await self.buyer.get(f"/api/shop/orders/{order_id}")

    def tell(self, trade: Any) -> None:
        """These orders are this story's."""
        for order in trade["orders"]:
            self.world.told[order["number"]] = self.number
            self.world.tally.orders["placed"] += 1


def uuid_of(reference: str) -> UUID:
    """The row's id in an opaque id, the second one of a pair."""
    return parse_pair(reference)[1] if len(reference) > 30 else parse_ref(reference)
