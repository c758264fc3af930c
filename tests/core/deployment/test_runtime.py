"""A process follows the database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from core.deployment import service
from core.deployment.runtime import Runtime
from core.plugin import Snapshot
from core.types.scope import ANONYMOUS, PLATFORM
from tests.core.deployment.deployment_plugins import Make


@asynccontextmanager
async def _listening(runtime: Runtime) -> AsyncIterator[asyncio.Event]:
    changed = asyncio.Event()

    async def note() -> None:
        changed.set()

    runtime.on_change(note)
    task = asyncio.create_task(runtime.listen())
    await asyncio.sleep(0.2)
    yield changed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _toggle(runtime: Runtime, *, on: bool) -> None:
    await (service.enable if on else service.disable)(runtime, "base")


async def test_listening_process_hears_of_a_change_at_once(make: Make) -> None:
    here, there = await make(), await make()
    async with _listening(there) as changed:
        await _toggle(here, on=False)
        await asyncio.wait_for(changed.wait(), 2)
    assert not there.snapshot.active


async def test_listener_and_pool_come_back_after_the_database_dropped_them(make: Make) -> None:
    here, there = await make(), await make()
    async with _listening(there) as changed:
        async with there.tx(ANONYMOUS) as tx:
            await tx.fetchval("select 1")
        async with here.tx(PLATFORM) as tx:
            await tx.execute("""select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()""")
        await _toggle(here, on=False)
        await asyncio.wait_for(changed.wait(), 4)
    assert not there.snapshot.active


async def test_process_whose_app_cannot_be_built_stays_as_it_was_and_tries_again(make: Make) -> None:
    runtime, calls = await make(), 0
    before = runtime.snapshot

    async def refuse_once(_: Snapshot) -> Callable[[], None]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("cannot build")
        return lambda: None

    runtime.on_build(refuse_once)
    await _toggle(runtime, on=False)
    assert runtime.snapshot is before
    assert await runtime.reload()
    assert not runtime.snapshot.active
