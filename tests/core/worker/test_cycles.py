"""What is to be done again and again is done once in each span of time."""

from datetime import timedelta
from typing import Any

import pytest

from core.plugin import Cycle
from core.types.scope import SYSTEM
from core.worker import inline
from core.worker.cycles import Cycles, event_id
from tests.core.worker.worker_probe import Probe, tick


@pytest.fixture(autouse=True)
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe does something every hour."""
    monkeypatch.setattr(Probe, "cycles", {"tick": Cycle(timedelta(hours=1), tick)})


async def _ticks(runtime: Any) -> int:
    async with runtime.tx(SYSTEM) as tx:
        return int(await tx.fetchval("select count(*) from mark where what = 'tick'"))


async def test_a_span_is_delivered_once_whichever_worker_sees_it(probe: Any) -> None:
    for worker in (Cycles(probe), Cycles(probe)):
        assert await worker.begin() == 1
        assert await worker.begin() == 0
    await inline.drain(probe)
    assert await _ticks(probe) == 1


async def test_the_next_span_is_another_delivery(probe: Any) -> None:
    cycles, clock = Cycles(probe), probe.clock
    await cycles.begin()
    await inline.drain(probe)
    probe.clock = lambda: clock() + timedelta(hours=1)
    await cycles.begin()
    await inline.drain(probe)
    assert await _ticks(probe) == 2


async def test_a_span_that_still_waits_gets_no_successor(probe: Any) -> None:
    cycles, clock = Cycles(probe), probe.clock
    await cycles.begin()
    probe.clock = lambda: clock() + timedelta(hours=3)
    await cycles.begin()
    async with probe.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from outbox where event = 'timer:tick'") == 1


def test_ids_of_spans_are_in_the_order_of_time() -> None:
    earlier, later = event_id("a", "b", 1_700_000_000), event_id("a", "b", 1_700_003_600)
    assert earlier < later
    assert earlier.version == 7
