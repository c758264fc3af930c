"""What one worker process delivers, with a plugin that does nothing: events of one plugin, timers due at once, and events one
at a time. Run as a program it is that worker."""

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import msgspec
from prometheus_client import Counter

from bench import engines, measure
from bench.market import free_port
from core import hookspecs
from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.deployment.service import ensure
from core.hooks import hookimpl
from core.kit.crypto import Vault
from core.kit.ids import new_id
from core.kit.settings import Env, Settings
from core.plugin import Plugin, TimerHandler
from core.types.events import AccountEvent
from core.types.scope import SYSTEM
from core.worker.main import run_worker, sized

_ROOT = Path(__file__).parents[1]
_SPACING = 0.15
_OPEN = "select exists (select from delivery where status in ('new', 'sent'))"
# Seconds from when they were due ($2, or for each when it was emitted) until the worker took them, of what came after $1.
_DELAYS = """
select percentile_cont(array[0.5, 0.99]) within group (
  order by extract(epoch from d.done_at - coalesce($2, o.at))::float8)
from delivery d join outbox o on o.id = d.event_id where o.at >= $1
"""


class _Nothing(msgspec.Struct):
    """Payload of the timer."""


async def _ring(tx: Tx, payload: msgspec.Raw) -> None:
    """Does nothing."""


class Bench(Plugin):
    """Takes events and timers, and does nothing with them."""

    name = "bench"
    title = "Bench"
    summary = "Does nothing."
    timers: ClassVar[dict[str, TimerHandler]] = {"ring": _ring}

    @hookimpl
    async def account_registered(self, tx: Tx, event: AccountEvent) -> None:
        """Does nothing."""


_CLASSES: dict[str, type[Plugin]] = {"bench": Bench}


def rows(effects: int, timers: int, single: int) -> list[measure.Row]:
    """The rows of the table, measured on engines and a worker of their own; all gone afterwards."""
    with _running() as (settings, postgres):
        return asyncio.run(_all(settings, postgres, effects, timers, single))


@contextmanager
def _running() -> Iterator[tuple[Settings, int]]:
    """Settings for engines with the plugin on, and the process id of their PostgreSQL."""
    with engines.temporary() as (urls, folder):
        settings = Settings(
            data=str(folder),
            database_url=urls.owner_database_url,
            app_database_url=urls.app_database_url,
            redis_url=urls.redis_url,
            worker_metrics=f"127.0.0.1:{free_port()}",
        )
        asyncio.run(_prepared(settings))
        yield settings, engines.postgres_of(folder)


async def _prepared(settings: Settings) -> None:
    await ensure(settings.database_url, _CLASSES, None, hookspecs)


async def _all(
    settings: Settings, postgres: int, effects: int, timers: int, single: int
) -> list[measure.Row]:
    runtime = _runtime(settings)
    await runtime.open()
    process = _start(settings)
    try:
        await _effects(runtime, 500)
        await _until_done(runtime, process)
        meter = _Meter(runtime, process, postgres)
        found = [await meter.row(f"{effects:,} effects of one plugin", effects, _effects) for _ in range(2)][
            1:
        ]
        found.append(await meter.row(f"{timers:,} timers due at once", timers, _timers))
        found.append(await meter.row(f"{single:,} effects, one at a time", single, _single))
        idle = f"{measure.rss_mb(process.pid):.0f} MB"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        await runtime.close()
    return [*found, ("worker process after", "", "", "", idle)]


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.worker", msgspec.json.encode(settings).decode()]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL)


class _Meter:
    """What the worker's part costs: from when the events are committed, or the timers due, until all are done."""

    def __init__(self, runtime: Runtime, process: subprocess.Popen[bytes], postgres: int) -> None:
        self._runtime, self._process, self._postgres = runtime, process, postgres
        self._port = int(runtime.env.settings.worker_metrics.rpartition(":")[2])

    async def row(
        self, name: str, count: int, begin: Callable[[Runtime, int], Awaitable[datetime | None]]
    ) -> measure.Row:
        """One row of the table; `begin` leaves the work to the worker and answers when it was due. Its own share counts only
        where it takes its time (`_single`)."""
        start, before = self._runtime.clock(), self._spent()
        due = await begin(self._runtime, count)
        if begin is not _single:
            before = self._spent()
        began = time.perf_counter()
        await _until_done(self._runtime, self._process)
        took = time.perf_counter() - began
        worker, postgres, statements = (
            (now - then) / count for now, then in zip(self._spent(), before, strict=True)
        )
        async with self._runtime.tx(SYSTEM) as tx:
            half, most = await tx.fetchval(_DELAYS, start, due)
        delays = f"delay p50 {_seconds(half)}, p99 {_seconds(most)}"
        rate = "" if begin is _single else f"{count / took:.0f}/s, "
        return name, f"{worker:.2f}", f"{postgres:.2f}", f"{statements:.1f}", rate + delays

    def _spent(self) -> tuple[float, float, float]:
        """CPU of the worker and of PostgreSQL in ms, statements of the worker."""
        return (
            measure.cpu_ms(self._process.pid),
            measure.tree_cpu_ms(self._postgres),
            measure.statements(self._port).total,
        )


async def _effects(runtime: Runtime, count: int) -> None:
    async with runtime.tx(SYSTEM) as tx:
        for _ in range(count):
            tx.emit(hookspecs.account_registered, AccountEvent(new_id()))


async def _timers(runtime: Runtime, count: int) -> datetime:
    async with runtime.tx(SYSTEM) as tx:
        due = tx.now + timedelta(seconds=2)
        for _ in range(count):
            tx.schedule("bench", "ring", _Nothing(), due)
    await asyncio.sleep((due - runtime.clock()).total_seconds())
    return due


async def _single(runtime: Runtime, count: int) -> None:
    for _ in range(count):
        await _effects(runtime, 1)
        await asyncio.sleep(_SPACING)


async def _until_done(runtime: Runtime, process: subprocess.Popen[bytes]) -> None:
    while True:
        async with runtime.tx(SYSTEM) as tx:
            if not await tx.fetchval(_OPEN):
                return
        if process.poll() is not None:
            raise SystemExit("the worker has ended")
        await asyncio.sleep(0.05)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def _runtime(settings: Settings) -> Runtime:
    return Runtime(Env(settings, Vault(secrets.token_bytes(32))), _CLASSES, hookspecs)


if __name__ == "__main__":
    given = sized(msgspec.json.decode(sys.argv[1], type=Settings))
    # As the web process counts its statements.
    Tx.on_end = Counter("jishi_sql", "SQL statements of this process").inc
    run_worker(lambda: _runtime(given), given)
