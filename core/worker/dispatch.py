"""Who is next in this worker: plugins take turns, and none has more than half of the places.

Messages are taken from Redis at once and wait here, by plugin. So a plugin that is slow or has thousands due fills its own
queue only; that of another is always looked at next.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

import structlog

from core.deployment.runtime import AWAY, Runtime
from core.kit.tasks import cancelled
from core.worker import claim as claims
from core.worker.claim import BATCH, Claimed

_log = structlog.get_logger("jishi.worker")

Run = Callable[[Claimed], Awaitable[object]]


class Dispatcher:
    """Runs deliveries on the event loop, at most `places` at a time; all methods belong to that loop."""

    def __init__(self, runtime: Runtime, places: int, run: Run) -> None:
        self._runtime, self._places, self._run = runtime, places, run
        self._share = max(1, places // 2)
        # Plugins in the order of their turns; one that was served goes to the end.
        self._queues: dict[str, deque[Claimed]] = {}
        self._held: dict[tuple[UUID, str], Claimed] = {}
        self._running: dict[asyncio.Task[None], Claimed] = {}
        self._busy: Counter[str] = Counter()
        # Begun since the last time they were put off: about to lock their rows, if they have not yet.
        self._begun: set[tuple[UUID, str]] = set()
        self._stopping = self._renewing = False

    def take(self, claimed: Iterable[Claimed]) -> None:
        """Put each into its plugin's queue; what came twice is here once."""
        for one in claimed:
            key = (one.event_id, one.plugin)
            if key not in self._held:
                self._held[key] = one
                self._queues.setdefault(one.plugin, deque()).append(one)
        self._fill()

    def room(self) -> dict[str, int]:
        """How many more deliveries of each plugin that has some here are wanted. Nothing before half of them are done:
        few large claims cost less than many small ones."""
        waiting = {plugin: len(queue) for plugin, queue in self._queues.items()}
        return {plugin: BATCH - n if n <= BATCH // 2 else 0 for plugin, n in waiting.items()}

    async def keep(self) -> None:
        """Until cancelled: put off sending again what waits here, and the outside calls that are being made.

        Rows are locked for it. Who begins finds its row locked and takes it for another worker's, to be sent again much
        later; so nothing begins meanwhile, and what has only just begun is left out.
        """
        while not cancelled():
            await asyncio.sleep(claims.RESEND / 3)
            held = [claimed for key, claimed in self._held.items() if key not in self._begun]
            self._begun.clear()
            if held:
                self._renewing = True
                try:
                    with contextlib.suppress(*AWAY):
                        await claims.renew(self._runtime, held)
                finally:
                    self._renewing = False
                    self._fill()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, let what runs end within `seconds`, then cut it off; give back what was not done."""
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        cut = [task for task in self._running if not task.done()]
        for task in cut:
            task.cancel()
        if cut:
            _log.warning("effects cut off; they are delivered again", effects=len(cut))
            await asyncio.wait(cut, timeout=1)
        if self._held:
            with contextlib.suppress(*AWAY):
                await claims.give_back(self._runtime, list(self._held.values()))

    def _fill(self) -> None:
        while not self._stopping and not self._renewing and len(self._running) < self._places:
            plugin = next((p for p, q in self._queues.items() if q and self._busy[p] < self._share), None)
            if plugin is None:
                return
            queue = self._queues.pop(plugin)
            claimed = queue.popleft()
            self._queues[plugin] = queue
            self._busy[plugin] += 1
            self._begun.add((claimed.event_id, plugin))
            task = asyncio.create_task(self._one(claimed))
            self._running[task] = claimed
            task.add_done_callback(self._ended)

    async def _one(self, claimed: Claimed) -> None:
        await self._run(claimed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        claimed = self._running.pop(task)
        self._busy[claimed.plugin] -= 1
        if task.cancelled():
            return
        if task.exception() is not None:
            _log.error("delivery ended in an error", exc_info=task.exception())
        key = (claimed.event_id, claimed.plugin)
        self._held.pop(key, None)
        self._begun.discard(key)
        if not self._queues.get(claimed.plugin) and not self._busy[claimed.plugin]:
            self._queues.pop(claimed.plugin, None)
        self._fill()
