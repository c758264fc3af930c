"""Deliveries: exactly once, in the right scope, retried, parked."""

import asyncio
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import msgspec

from core import hookspecs
from core.db.tx import Tx
from core.deployment import service
from core.deployment.runtime import Runtime
from core.hooks import hookimpl
from core.kit.ids import new_id
from core.plugin import Plugin, Snapshot
from core.types.events import AccountEvent, MerchantEvent
from core.types.scope import PLATFORM, SYSTEM, buyer, merchant
from core.worker.claim import claim
from core.worker.deliver import MAX_TRIES, Outcome, deliver, handler
from core.worker.inline import drain
from tests.core.worker.worker_probe import Probe, ProbeConfig, Ring, marks, register, statuses


def _with(runtime: Runtime, config: ProbeConfig) -> None:
    plugin = Probe(config)
    runtime.snapshot = Snapshot(runtime.snapshot.generation, [plugin], [plugin], hookspecs)


async def test_message_that_comes_many_times_at_once_changes_rows_once(probe: Runtime) -> None:
    _with(probe, ProbeConfig(pause=0.1))
    ids = await register(probe, 1)
    [claimed] = await claim(probe)
    event_id, plugin = claimed.event_id, claimed.plugin
    outcomes = await asyncio.gather(*(deliver(probe, event_id, plugin) for _ in range(4)))
    assert sorted(outcomes) == ["done", "skipped", "skipped", "skipped"]
    assert await deliver(probe, event_id, plugin) is Outcome.SKIPPED
    assert await marks(probe) == [*ids]


async def test_control_effect_without_its_delivery_row_would_run_twice(probe: Runtime) -> None:
    payload = msgspec.json.encode({"account_id": str(new_id())})
    run = handler(probe.snapshot, "account_registered", "probe", payload)

    async def bare() -> None:
        async with probe.tx(SYSTEM) as tx:
            await run(tx)

    await asyncio.gather(bare(), bare())
    assert len(await marks(probe)) == 2


async def test_failing_effect_leaves_nothing_and_comes_again_later_and_later(probe: Runtime) -> None:
    _with(probe, ProbeConfig(broken=True))
    await register(probe, 1)
    [claimed] = await claim(probe)
    event_id, plugin = claimed.event_id, claimed.plugin
    assert await deliver(probe, event_id, plugin) is Outcome.FAILED
    assert await deliver(probe, event_id, plugin) is Outcome.SKIPPED, (
        "a late duplicate does not shorten the back-off"
    )
    assert await marks(probe) == []
    assert await claim(probe) == []
    await drain(probe, until=probe.clock() + timedelta(seconds=60))
    async with probe.tx(SYSTEM) as tx:
        row = await tx.fetchrow("select status, tries, error, due_at from delivery")
    assert row is not None
    assert (row["status"], row["tries"]) == ("new", 6), "after 1, 2, 4, 8 and 16 seconds"
    assert row["error"] == "RuntimeError: broken on purpose"
    _with(probe, ProbeConfig())
    await drain(probe, until=probe.clock() + timedelta(minutes=5))
    assert len(await marks(probe)) == 1


async def test_effect_that_never_succeeds_is_parked(probe: Runtime) -> None:
    _with(probe, ProbeConfig(broken=True))
    await register(probe, 1)
    outcomes = await drain(probe, until=probe.clock() + timedelta(hours=3))
    assert outcomes == {Outcome.FAILED: MAX_TRIES - 1, Outcome.PARKED: 1}
    assert await statuses(probe) == {"parked": 1}


async def test_delivery_to_a_plugin_that_is_gone_is_parked_with_the_reason(probe: Runtime) -> None:
    await register(probe, 1)
    probe.snapshot = Snapshot(probe.snapshot.generation, [], [], hookspecs)
    assert await drain(probe) == {Outcome.PARKED: 1}
    async with probe.tx(SYSTEM) as tx:
        error = await tx.fetchval("select error from delivery")
    assert "Plugin probe is not installed" in error


async def test_plugin_switched_off_still_gets_what_happened_while_it_was_on(probe: Runtime) -> None:
    ids = await register(probe, 1)
    for name in ("follower", "probe"):
        await service.disable(probe, name)
    await register(probe, 1)
    assert await drain(probe) == {Outcome.DONE: 1}
    assert await marks(probe) == [*ids]


async def test_effect_runs_in_the_scope_of_its_event(probe: Runtime) -> None:
    owner, account = new_id(), new_id()
    async with probe.tx(SYSTEM) as tx:
        for scope in (SYSTEM, merchant(owner), PLATFORM, buyer(account)):
            tx.emit(hookspecs.merchant_changed, MerchantEvent(owner, "open"), scope=scope)
    await drain(probe, strict=True)
    async with probe.tx(SYSTEM) as tx:
        seen = [r["what"] for r in await tx.fetch("select what from mark")]
    assert sorted(s.split()[0] for s in seen) == ["buyer", "merchant", "platform", "system"]
    assert f"merchant {owner}" in seen
    assert await statuses(probe) == {"done": 4}


class Teller(Plugin):
    """Emits in the scope of the event it takes, and fails on demand."""

    name = "teller"
    title = "Teller"
    summary = "Tells on."
    fails: ClassVar[bool] = False

    @hookimpl
    async def merchant_changed(self, tx: Tx, event: MerchantEvent) -> None:
        assert await tx.fetchval("select current_setting('jishi.scope')") == "merchant"
        tx.emit(hookspecs.account_registered, AccountEvent(event.merchant_id))
        if self.fails:
            raise RuntimeError("after having told")

    @hookimpl
    async def account_registered(self, tx: Tx, event: AccountEvent) -> None:
        await tx.execute("insert into mark (id) values ($1)", event.account_id)


async def test_what_an_effect_emits_comes_with_the_mark_of_its_delivery_or_not_at_all(probe: Runtime) -> None:
    teller, owner = Teller(), new_id()
    probe.snapshot = Snapshot(probe.snapshot.generation, [teller], [teller], hookspecs)
    async with probe.tx(SYSTEM) as tx:
        tx.emit(hookspecs.merchant_changed, MerchantEvent(owner, "open"), scope=merchant(owner))
    Teller.fails = True
    assert await drain(probe) == {Outcome.FAILED: 1}
    assert await statuses(probe) == {"new": 1}
    Teller.fails = False
    assert await drain(probe, until=probe.clock() + timedelta(minutes=1)) == {Outcome.DONE: 2}
    assert await marks(probe) == [owner]


async def test_entering_a_scope_forgets_the_former_one(probe: Runtime) -> None:
    async with probe.tx(merchant(new_id())) as tx:
        await tx.fetchval("select 1")
        await tx.enter(buyer(UUID(int=7)))
        left = await tx.fetchrow("""select current_setting('jishi.scope') as scope,
            current_setting('jishi.merchant_id') as merchant, current_setting('jishi.account_id') as account""")
    assert left is not None
    assert tuple(left) == ("buyer", "", str(UUID(int=7)))


async def test_timer_fires_once_when_it_is_due(probe: Runtime) -> None:
    mark, due = new_id(), probe.clock() + timedelta(minutes=30)
    async with probe.tx(SYSTEM) as tx:
        tx.schedule("probe", "ring", Ring(mark), due)
    assert not await drain(probe, until=due - timedelta(seconds=1))
    clock = probe.clock
    assert await drain(probe, until=due + timedelta(days=3)) == {Outcome.DONE: 1}
    assert probe.clock is clock
    assert not await drain(probe, until=due + timedelta(days=9))
    async with probe.tx(SYSTEM) as tx:
        assert [tuple(r) for r in await tx.fetch("select id, at from mark")] == [(mark, due)]
