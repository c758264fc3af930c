"""The worker process: dramatiq's threads take messages from Redis, the work itself runs on one event loop.

The loop owns the connection pool, the relay and the listener; a thread of dramatiq only hands over to the dispatcher what
its message names: several deliveries, each with a transaction of its own. Nothing is lost with it: a delivery that shows
no outcome is sent again.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import dramatiq
import msgspec
import redis
import structlog
import uvloop
from dramatiq import worker as dramatiq_worker
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.deployment.runtime import AWAY, Runtime
from core.kit.settings import Settings
from core.worker import housekeeping
from core.worker.claim import Claimed
from core.worker.clock import DatabaseClock
from core.worker.deliver import deliver
from core.worker.dispatch import Dispatcher
from core.worker.metrics import MetricsServer
from core.worker.relay import Relay

QUEUE = "deliveries"
NAMESPACE = "jishi"
# Seconds that running effects get to end when the process is asked to stop; what is cut off is sent again.
GRACE = 10.0
_POLL_MS = 100
_THREADS = 2
# Deliveries that one message names. A message costs as much as a delivery, and dramatiq fetches few of them at a time.
_TOGETHER = 20
# Connections beside those of the effects: for the relay and for what keeps, sweeps and measures.
_SPARE = 3
_RECONNECT = 0.5

_log = structlog.get_logger("jishi.worker")


def sized(settings: Settings) -> Settings:
    """The settings with a connection for each effect that may run at the same time: else a slow plugin would take those of
    the others."""
    wanted = settings.worker_threads + _SPARE
    return msgspec.structs.replace(settings, pool_size=max(settings.pool_size, wanted))


def run_worker(make_runtime: Callable[[], Runtime], settings: Settings) -> None:
    """Deliver events and timers until SIGTERM or SIGINT, then return; call it in the main thread.

    Waits for a database that is not there yet. Raises `PluginError` when the plugins do not fit together.
    """
    uvloop.run(_Worker(settings).run(make_runtime))


class _Worker:
    def __init__(self, settings: Settings) -> None:
        # What dramatiq waits after Redis went away: its seconds would outlast the time we have to stop.
        dramatiq_worker.CONSUMER_RESTART_DELAY_SECS = _RECONNECT
        dramatiq_worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS = _RECONNECT  # type: ignore[assignment]
        client = redis.Redis.from_url(
            settings.redis_url, socket_timeout=5, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1)
        )
        # No middleware: retries, time limit and age are the outbox's business.
        self._broker = RedisBroker(client=client, middleware=[], namespace=NAMESPACE)  # type: ignore[no-untyped-call]
        declare = dramatiq.actor(actor_name="run_deliveries", queue_name=QUEUE, broker=self._broker)
        self._actor = declare(self._hand_over)
        self._settings = settings
        self._stop = asyncio.Event()

    async def run(self, make_runtime: Callable[[], Runtime]) -> None:
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        self._runtime = runtime = make_runtime()
        try:
            if await self._opened():
                await self._serve()
        finally:
            await runtime.close()

    async def _opened(self) -> bool:
        """Whether the runtime is open; False when asked to stop before."""
        while not self._stop.is_set():
            try:
                await self._runtime.open()
            except AWAY as error:
                _log.warning("waiting for the database", reason=str(error) or type(error).__name__)
                await asyncio.sleep(_RECONNECT)
            else:
                return True
        return False

    async def _serve(self) -> None:
        runtime = self._runtime
        runtime.clock = clock = DatabaseClock(runtime)
        await clock.look()
        dispatcher = Dispatcher(runtime, self._settings.worker_threads, self._deliver)
        self._dispatcher = dispatcher
        worker = dramatiq.Worker(self._broker, worker_threads=_THREADS, worker_timeout=_POLL_MS)
        worker.start()
        tasks = [
            asyncio.create_task(c)
            for c in (
                runtime.listen("worker"),
                Relay(runtime, self._send, self._waiting, dispatcher.room).run(),
                dispatcher.keep(),
                clock.follow(),
                housekeeping.run(runtime),
            )
        ]
        async with MetricsServer(runtime, self._settings.worker_metrics):
            _log.info(
                "worker ready", generation=runtime.snapshot.generation, plugins=list(runtime.snapshot.active)
            )
            await self._stop.wait()
            await _ended(tasks)
            await self._stopped(worker)
        _log.info("worker stopped")

    async def _stopped(self, worker: dramatiq.Worker) -> None:
        """Take no more messages, let the effects end. In a daemon thread: one that hangs must not keep the process alive."""
        ended = asyncio.Event()

        def stop() -> None:
            try:
                worker.stop(timeout=int(GRACE * 1000))
            except redis.RedisError:
                _log.warning("messages could not be given back; they are sent again")
            finally:
                self._loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=stop, name="stop", daemon=True).start()
        await asyncio.gather(
            asyncio.wait({asyncio.ensure_future(ended.wait())}, timeout=GRACE), self._dispatcher.stop(GRACE)
        )

    async def _deliver(self, claimed: Claimed) -> None:
        await deliver(self._runtime, claimed.event_id, claimed.plugin, claimed.due_at)

    def _hand_over(self, deliveries: list[tuple[str, str, str]]) -> None:
        """In a thread of dramatiq."""
        claimed = [Claimed(UUID(i), plugin, datetime.fromisoformat(due)) for i, plugin, due in deliveries]
        self._loop.call_soon_threadsafe(self._dispatcher.take, claimed)

    async def _send(self, claimed: Sequence[Claimed]) -> None:
        await asyncio.to_thread(self._enqueue, claimed)

    def _enqueue(self, claimed: Sequence[Claimed]) -> None:
        for n in range(0, len(claimed), _TOGETHER):
            some = [(str(c.event_id), c.plugin, c.due_at.isoformat()) for c in claimed[n : n + _TOGETHER]]
            self._broker.enqueue(self._actor.message(some))

    async def _waiting(self) -> int:
        return int(await self._runtime.redis.llen(f"{NAMESPACE}:{QUEUE}"))


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a driver may swallow one cancellation, and the loop around it goes to sleep."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
