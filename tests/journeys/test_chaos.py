"""Everything is killed at random while thousands of events are on their way: each effect changes rows exactly once.

Two web processes, two workers, PostgreSQL and Valkey, all real and killed with kill -9, Valkey flushed too; the supervisor
of `jishi run` brings them up again. The sequence comes from a seed, which is printed: JISHI_CHAOS_SEED=<seed> repeats it.
"""

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import asyncpg
import pytest

from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.hooks import hookimpl
from core.testkit import Plugins
from core.types.scope import SYSTEM
from core.worker import inline
from core.worker.deliver import Outcome
from tests.support.chaos import Asking, Peer, Supervised, connected, faults, fetch, plan
from tests.support.chaos_plugins import (
    FAILED,
    FAILS,
    RESEND,
    TABLES,
    Chaos,
    ChaosFan,
    ChaosOrdered,
    Marked,
    ask,
    fail_at_first,
    note,
)
from tests.support.walk import Walker

EVENTS, OVER_HTTP, CLIENTS = 5000, 1000, 4
# Each of the five kinds of harm.
TIMES = 3
PATIENCE = 180.0
_OPEN = "select plugin, status, count(*) from delivery where status <> 'done' and plugin like 'chaos%' group by 1, 2"
_EFFECTS = "select what, n, lane from chaos_effect order by id"
_BEGUN = (
    "select event_id, event, (payload ->> 'n')::int as n from delivery d join outbox o on o.id = d.event_id"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="jishi-chaos-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _market(folder: Path, peer: Peer) -> AsyncIterator[tuple[Supervised, Runtime]]:
    market = Supervised(folder, peer.url, **{RESEND: "2"})
    try:
        settings = await asyncio.to_thread(market.start)
        owner = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
        await owner.execute(TABLES)
        await owner.close()
        runtime = connected(settings)
        await runtime.open()
        yield market, runtime
        await runtime.close()
    finally:
        await asyncio.to_thread(market.stop)


async def _under_fire(market: Supervised, asking: Asking, seed: int) -> None:
    """Ask for all events, a share of them at each step."""
    token = Walker(market.deployment.url, "buyer1", "shop").token
    steps = plan(seed, TIMES)
    tasks = [asyncio.create_task(asking.directly(part, 2)) for part in range(2)]
    tasks += [
        asyncio.create_task(
            asking.over_http(market.deployment.url, token, f"client {c}", random.Random(seed + c))
        )
        for c in range(CLIENTS)
    ]
    try:
        for number, step in enumerate(steps, 1):
            await asyncio.sleep(step.pause)
            asking.allowed = EVENTS * number // len(steps)
            await asyncio.sleep(step.lead)
            await market.strike(step, asking.runtime)
            market.keep()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _settled(market: Supervised, runtime: Runtime) -> None:
    until = time.monotonic() + PATIENCE
    while left := await fetch(runtime, _OPEN):
        assert time.monotonic() < until, f"still open: {[tuple(r) for r in left]}"
        market.keep()
        await asyncio.sleep(0.2)


async def test_killing_everything_at_random_loses_and_doubles_no_effect(folder: Path) -> None:
    seed = int(os.environ.get("JISHI_CHAOS_SEED", random.randrange(10**6)))
    print(f"JISHI_CHAOS_SEED={seed}")
    began = time.monotonic()
    async with Peer().open() as peer, _market(folder, peer) as (market, runtime):
        try:
            up = time.monotonic()
            asking = Asking(runtime, EVENTS, OVER_HTTP)
            await _under_fire(market, asking, seed)
            fired = time.monotonic()
            await _settled(market, runtime)
            done = time.monotonic()
            await _judge(runtime, asking, peer)
        except AssertionError as error:
            raise AssertionError(
                f"JISHI_CHAOS_SEED={seed}: {error}\n{market.deployment.log.read_text()[-3000:]}"
            ) from error
        calls = sum(len(made) for made in peer.calls.values())
        print(
            f"start {up - began:.1f} s, under fire {fired - up:.1f} s, the rest {done - fired:.1f} s; "
            f"{dict(market.kills)}; requests tried again: {dict(asking.statuses)}; {calls} calls of {len(peer.calls)}"
        )


async def _judge(runtime: Runtime, asking: Asking, peer: Peer) -> None:
    asked = {r["n"] for r in await fetch(runtime, "select n from chaos_asked")}
    found = faults(asked, [tuple(r) for r in await fetch(runtime, _EFFECTS)])
    assert not found, found[:20]
    assert asking.answered <= asked, "what was answered is there"
    assert set(range(1, EVENTS + 1)) - asked <= asking.unknown
    begun = await fetch(runtime, _BEGUN)
    emitted = {r["n"] for r in begun if r["event"] in ("chaos_marked", "chaos_stepped")}
    assert emitted == asked, "a row and its event: both or neither"
    keys = {str(r["event_id"]): r["n"] for r in begun if r["event"] == "outbound:call"}
    assert peer.calls.keys() == keys.keys()
    assert all(set(made) == {keys[key]} for key, made in peer.calls.items()), "a key is of one call"
    assert asking.statuses.keys() <= {"lost", 409, 503}, asking.statuses
    assert await fetch(runtime, "select from delivery where status = 'parked'") == []


class Leaky(Chaos):
    """Commits its effect beside the transaction of the delivery."""

    runtime: ClassVar[Runtime]

    @hookimpl
    async def chaos_marked(self, tx: Tx, event: Marked) -> None:
        """Once for each try."""
        async with self.runtime.tx(SYSTEM) as own:
            await note(own, "plain", event)
        if event.n % FAILS == 0:
            fail_at_first(event)


@pytest.fixture
def jishi_plugins(request: pytest.FixtureRequest) -> Plugins:
    return Plugins(also=[request.param, ChaosOrdered, ChaosFan], only=True)


@pytest.mark.parametrize("jishi_plugins", [Chaos, Leaky], indirect=True)
async def test_the_verdict_sees_an_effect_that_is_not_one_with_its_delivery(
    runtime: Runtime, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAILED, str(tmp_path))
    Leaky.runtime = runtime
    connection = await asyncpg.connect(owner)
    await connection.execute(TABLES)
    await connection.close()
    numbers = [4, 8, 5, 31, 52, 93]
    async with runtime.tx(SYSTEM) as tx:
        for n in numbers:
            await ask(tx, Marked(n, "lane"), "direct")
    outcomes = await inline.drain(runtime, until=runtime.clock() + timedelta(minutes=1))
    assert outcomes[Outcome.FAILED] == 3
    effects = [tuple(r) for r in await fetch(runtime, _EFFECTS)]
    leaks = isinstance(runtime.snapshot.active["chaos"], Leaky)
    doubled = [f"plain of {n} was done 2 times" for n in (31, 93)]
    assert faults(numbers, effects) == (doubled if leaks else [])


def test_the_verdict_names_what_is_missing_too_much_or_out_of_order() -> None:
    good = [("ordered", 4, "a"), ("fan", 4, "a"), ("ordered", 8, "a"), ("fan", 8, "a")]
    assert faults([4, 8], good) == []
    assert faults([4, 8], good[::-1]) == ["in lane a 4 came after 8"]
    assert faults([4, 8], good[1:]) == ["ordered of 4 was not done"]
    assert faults([4], good) == [
        "fan of 8 was done though nobody asked",
        "ordered of 8 was done though nobody asked",
    ]
