"""The worker process with real servers: what may die, dies; no effect is lost or doubled."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.db import migrations
from core.deployment import service
from core.deployment.runtime import Runtime
from core.embedded import Engines
from core.kit.settings import Settings
from core.types.scope import PLATFORM
from tests.core.worker.worker_probe import Start, make_runtime, marks, prepare, register, until

_EVENTS = 200


async def _slow(probe: Runtime) -> None:
    await service.configure(probe, "probe", {"pause": 0.03})


async def _some(probe: Runtime) -> int:
    """Wait until the worker is in the middle of it; how far it is."""
    found = await until(probe, 20, 30)
    assert 20 <= len(found) < _EVENTS - 20
    return len(found)


async def test_redis_forgetting_everything_loses_no_effect(probe: Runtime, start_worker: Start) -> None:
    await _slow(probe)
    worker = await start_worker(probe)
    ids = await register(probe, _EVENTS)
    await _some(probe)
    await probe.redis.flushdb()
    assert await until(probe, _EVENTS, 15) == sorted(ids)
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0
    assert time.monotonic() - began < 3
    assert await marks(probe) == sorted(ids)


async def test_worker_killed_in_the_middle_loses_no_effect(probe: Runtime, start_worker: Start) -> None:
    await _slow(probe)
    worker = await start_worker(probe)
    ids = await register(probe, _EVENTS)
    await _some(probe)
    worker.kill()
    await worker.wait()
    await start_worker(probe)
    assert await until(probe, _EVENTS, 20) == sorted(ids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_idle_worker_stops_at_once(probe: Runtime, start_worker: Start, number: signal.Signals) -> None:
    worker = await start_worker(probe)
    await register(probe, 1)
    assert len(await until(probe, 1, 30)) == 1
    began = time.monotonic()
    worker.send_signal(number)
    assert await worker.wait() == 0
    assert time.monotonic() - began < 2


async def test_worker_follows_a_change_of_plugins(probe: Runtime, start_worker: Start) -> None:
    worker = await start_worker(probe)
    await register(probe, 1)
    assert len(await until(probe, 1, 30)) == 1
    await service.configure(probe, "probe", {"broken": True})
    await asyncio.sleep(0.5)
    ids = await register(probe, 1)
    await asyncio.sleep(1)
    await service.configure(probe, "probe", {})
    found = await until(probe, 2, 30)
    assert len(found) == 2
    assert ids < set(found)
    assert worker.returncode is None


async def test_worker_outlives_its_database_connections(probe: Runtime, start_worker: Start) -> None:
    worker = await start_worker(probe)
    await register(probe, 1)
    assert len(await until(probe, 1, 30)) == 1
    async with probe.tx(PLATFORM) as tx:
        await tx.execute("""select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()""")
    ids = await register(probe, 20)
    assert ids < set(await until(probe, 21, 30))
    assert worker.returncode is None


@pytest.fixture
def engines() -> Iterator[Engines]:
    """Servers of our own, to be killed."""
    folder = Path(tempfile.mkdtemp(prefix="jishi-kill-"))
    folder.chmod(0o755)
    engines = Engines(folder)
    yield engines
    engines.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def killable(engines: Engines) -> AsyncIterator[Runtime]:
    """A runtime on them."""
    urls = await asyncio.to_thread(engines.start)
    settings = Settings(
        database_url=urls.owner_database_url, app_database_url=urls.app_database_url, redis_url=urls.redis_url
    )
    await migrations.upgrade(settings.database_url, [migrations.CORE])
    await prepare(settings, settings.database_url.replace("+asyncpg", ""))
    runtime = make_runtime(settings)
    await runtime.open()
    yield runtime
    await runtime.close()


async def test_engines_killed_in_the_middle_lose_no_effect(
    engines: Engines, killable: Runtime, start_worker: Start
) -> None:
    await service.configure(killable, "probe", {"pause": 0.03})
    worker = await start_worker(killable)
    ids = await register(killable, _EVENTS)
    await _some(killable)
    for daemon in engines._daemons:
        assert daemon._process is not None
        daemon._process.kill()
    for _ in range(20):
        await asyncio.sleep(0.1)
        await asyncio.to_thread(engines.poll)
    assert await until(killable, _EVENTS, 20) == sorted(ids)
    assert worker.returncode is None
