"""Order by key, fairness among plugins, outside calls, and what the operator does about what fails."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import pytest

from core import hookspecs
from core.db.outside import Outside
from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.events import service
from core.events.schemas import Kind, Status
from core.hooks import HookError, freeze, hookimpl
from core.kit.errors import Conflict
from core.kit.ids import new_id, ref
from core.plugin import Outbound, Plugin, Snapshot
from core.types.events import MerchantEvent
from core.types.scope import SYSTEM
from core.worker import claim as claims
from core.worker.claim import Claimed, claim, give_back
from core.worker.deliver import Outcome
from core.worker.dispatch import Dispatcher
from core.worker.inline import drain
from tests.core.worker.worker_probe import Ring, Start, marks, register, statuses


class Orderly(Plugin):
    name = "orderly"
    title = "Orderly"
    summary = "One after another."
    fails: ClassVar[set[str]] = set()
    seen: ClassVar[list[tuple[UUID, str]]] = []

    @hookimpl(ordered_by="merchant_id")
    async def merchant_changed(self, tx: Tx, event: MerchantEvent) -> None:
        if event.status in self.fails:
            raise RuntimeError("not yet")
        self.seen.append((event.merchant_id, event.status))


def _with(runtime: Runtime, plugin: Plugin) -> None:
    runtime.snapshot = Snapshot(runtime.snapshot.generation, [plugin], [plugin], hookspecs)


async def test_a_failing_effect_holds_back_its_own_key_only(probe: Runtime) -> None:
    _with(probe, Orderly())
    Orderly.seen.clear()
    Orderly.fails = {"one"}
    a, b = new_id(), new_id()
    for status in ("one", "two", "three"):
        async with probe.tx(SYSTEM) as tx:
            for merchant_id in (a, b):
                name = status if merchant_id == a else f"other {status}"
                tx.emit(hookspecs.merchant_changed, MerchantEvent(merchant_id, name))
    await drain(probe)
    assert Orderly.seen == [(b, "other one"), (b, "other two"), (b, "other three")]
    Orderly.fails = set()
    await drain(probe, until=probe.clock() + timedelta(minutes=1))
    assert [s for m, s in Orderly.seen if m == a] == ["one", "two", "three"]


async def test_what_is_parked_holds_its_lane_until_it_is_dropped(probe: Runtime) -> None:
    _with(probe, Orderly())
    Orderly.seen.clear()
    Orderly.fails = {"one"}
    merchant_id = new_id()
    for status in ("one", "two"):
        async with probe.tx(SYSTEM) as tx:
            tx.emit(hookspecs.merchant_changed, MerchantEvent(merchant_id, status))
    await drain(probe, until=probe.clock() + timedelta(hours=3))
    assert Orderly.seen == []
    async with probe.tx(SYSTEM) as tx:
        [parked] = (await service.page(tx, status=Status.PARKED)).items
        shown = await service.drop(tx, parked.event_id, "orderly", "the shop is gone", None)
    assert shown.deliveries[0].status is Status.DROPPED
    await drain(probe)
    assert Orderly.seen == [(merchant_id, "two")]


class Wrong(Plugin):
    name = "wrong"
    title = "Wrong"
    summary = "Orders by what is not there."

    @hookimpl(ordered_by="nothing")
    async def merchant_changed(self, tx: Tx, event: MerchantEvent) -> None: ...


def test_an_order_by_a_missing_field_is_refused() -> None:
    with pytest.raises(HookError, match="ordered_by nothing"):
        freeze(hookspecs, {}, [Wrong()], [Wrong()])


async def test_each_plugin_is_claimed_beside_a_flood_of_another(probe: Runtime) -> None:
    async with probe.tx(SYSTEM) as tx:
        for plugin, count in (("flood", 1000), ("quiet", 1)):
            for _ in range(count):
                tx.schedule(plugin, "ring", Ring(new_id()), tx.now)
    claimed = await claim(probe, batch=50)
    assert [sum(c.plugin == p for c in claimed) for p in ("flood", "quiet")] == [50, 1]
    assert [c.plugin for c in await claim(probe, room={"flood": 3})] == ["flood"] * 3
    await give_back(probe, claimed)
    assert len(await claim(probe, batch=50)) == 51


async def test_a_slow_plugin_has_half_of_the_places(probe: Runtime) -> None:
    running: list[str] = []
    slow = asyncio.Event()

    async def run(claimed: Claimed) -> None:
        running.append(claimed.plugin)
        if claimed.plugin == "slow":
            await slow.wait()

    dispatcher, now = Dispatcher(probe, 4, run), probe.clock()
    for plugin, count in (("slow", 50), ("quick", 20)):
        taken = [Claimed(new_id(), plugin, now) for _ in range(count)]
        dispatcher.take(taken)
        dispatcher.take(taken[::-1])
    await asyncio.sleep(0.05)
    assert running.count("slow") == 2
    assert running.count("quick") == 20
    slow.set()
    await asyncio.sleep(0.05)
    assert running.count("slow") == 50
    await dispatcher.stop(1)


async def test_nothing_begins_and_nothing_just_begun_is_locked_while_the_rest_is_put_off(
    probe: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[list[Claimed]] = []
    let, ended = asyncio.Event(), asyncio.Event()
    begun: list[Claimed] = []

    async def renew(_: Runtime, held: list[Claimed]) -> None:
        renewed.append(held)
        await let.wait()

    async def run(claimed: Claimed) -> None:
        begun.append(claimed)
        await ended.wait()

    monkeypatch.setattr(claims, "RESEND", 0.3)
    monkeypatch.setattr(claims, "renew", renew)
    dispatcher = Dispatcher(probe, 2, run)
    first, second, other = (Claimed(new_id(), plugin, probe.clock()) for plugin in ("a", "a", "b"))
    keeping = asyncio.create_task(dispatcher.keep())
    dispatcher.take([first, second])
    await asyncio.sleep(0.15)
    assert renewed == [[second]], "the first has only just begun"
    dispatcher.take([other])
    await asyncio.sleep(0.01)
    assert begun == [first]
    let.set()
    await asyncio.sleep(0.01)
    assert begun == [first, other]
    await asyncio.sleep(0.1)
    assert renewed[1] == [first, second], "an outside call may take long"
    ended.set()
    keeping.cancel()
    await dispatcher.stop(1)


async def test_5000_timers_at_once_run_once_each_and_starve_nobody(
    probe: Runtime, start_worker: Start
) -> None:
    worker = await start_worker(probe)
    await register(probe, 1)
    while not await marks(probe):
        await asyncio.sleep(0.05)
    async with probe.tx(SYSTEM) as tx:
        due = tx.now
        for _ in range(5000):
            tx.schedule("probe", "ring", Ring(new_id()), due)
    await asyncio.sleep(0.3)
    lonely = new_id()
    began = time.monotonic()
    async with probe.tx(SYSTEM) as tx:
        tx.schedule("follower", "ring", Ring(lonely), tx.now)
    while True:
        async with probe.tx(SYSTEM) as tx:
            if await tx.fetchval("select true from mark where id = $1", lonely):
                break
        assert time.monotonic() - began < 30
        await asyncio.sleep(0.05)
    assert (await statuses(probe)).get("done", 0) < 4000, "most of the flood was still waiting"
    worker.kill()
    await worker.wait()
    await start_worker(probe)
    until = time.monotonic() + 60
    while (await statuses(probe)).get("done", 0) < 5002 and time.monotonic() < until:
        await asyncio.sleep(0.2)
    found = await marks(probe)
    assert len(found) == len(set(found)) == 5002


@pytest.mark.parametrize("ahead", ["-300", "3600"])
async def test_timers_run_within_a_second_whatever_the_workers_clock(
    probe: Runtime, start_worker: Start, monkeypatch: pytest.MonkeyPatch, ahead: str
) -> None:
    monkeypatch.setenv("PROBE_CLOCK_AHEAD", ahead)
    await start_worker(probe)
    await register(probe, 1)
    while not await marks(probe):
        await asyncio.sleep(0.05)
    async with probe.tx(SYSTEM) as tx:
        first = tx.now + timedelta(seconds=1)
        dues = [first + timedelta(milliseconds=15 * n) for n in range(200)]
        for due in dues:
            tx.schedule("probe", "ring", Ring(new_id()), due)
    await asyncio.sleep(9)
    later = new_id()
    async with probe.tx(SYSTEM) as tx:
        tx.schedule("probe", "ring", Ring(later), tx.now + timedelta(minutes=30))
    await asyncio.sleep(1)
    async with probe.tx(SYSTEM) as tx:
        rows = await tx.fetch("select at from mark where what = 'ring' order by at")
    late = [(r["at"] - due).total_seconds() for r, due in zip(rows, dues, strict=True)]
    assert min(late) >= 0
    # Precise to a second; a few may be held up by whatever else the machine does.
    assert sorted(late)[150] < 1
    assert max(late) < 5


class Call(msgspec.Struct):
    """Payload of the outside call."""

    url: str
    account_id: UUID


class Receipt(msgspec.Struct):
    """What the peer answers."""

    number: str


async def _call(outside: Outside, key: UUID, payload: msgspec.Raw) -> Receipt:
    asked = msgspec.json.decode(payload, type=Call)
    answer = await outside.http.post(asked.url, headers={"Idempotency-Key": str(key)})
    answer.raise_for_status()
    async with outside.new_tx(SYSTEM) as tx:
        assert not await tx.fetchval(
            "select count(*) from pg_stat_activity where state = 'idle in transaction'"
            " and datname = current_database() and pid <> pg_backend_pid()"
        )
    return Receipt(answer.text)


async def _done(tx: Tx, key: UUID, payload: msgspec.Raw, answer: Any) -> None:
    await tx.execute("insert into mark (id, what, at) values ($1, $2, $3)", key, answer.number, tx.now)


class Caller(Plugin):
    name = "caller"
    title = "Caller"
    summary = "Calls outside."
    outbound: ClassVar[Mapping[str, Outbound]] = {"tell": Outbound(_call, _done)}


@contextlib.asynccontextmanager
async def _peer(keys: list[str], failures: int) -> Any:
    """A local service that fails at first and remembers the keys it was given."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        keys.append(next(x for x in head.split("\r\n") if x.startswith("idempotency-key")).split()[1])
        status = "503 No" if len(keys) <= failures else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_an_outside_call_keeps_its_key_through_retries(probe: Runtime) -> None:
    _with(probe, Caller())
    keys: list[str] = []
    async with _peer(keys, 2) as url:
        async with probe.tx(SYSTEM) as tx:
            key = tx.outbound("caller", "tell", Call(url, new_id()))
        outcomes = await drain(probe, until=probe.clock() + timedelta(minutes=1))
    assert outcomes == {Outcome.FAILED: 2, Outcome.DONE: 1}
    assert keys == [str(key)] * 3
    assert await marks(probe) == [key]
    async with probe.tx(SYSTEM) as tx:
        shown = await service.show(tx, ref(key))
    assert shown.kind is Kind.OUTBOUND
    assert shown.answers == {"caller": {"number": "no"}}


async def test_the_operator_sees_retries_and_drops(probe: Runtime) -> None:
    await register(probe, 3)
    probe.snapshot = Snapshot(probe.snapshot.generation, [], [], hookspecs)
    await drain(probe)
    async with probe.tx(SYSTEM) as tx:
        [line] = (await service.summary(tx)).items
        assert (line.plugin, line.event, line.waiting, line.parked) == ("probe", "account_registered", 0, 3)
        first = await service.page(tx, status=Status.PARKED, limit=2)
        rest = await service.page(tx, status=Status.PARKED, limit=2, cursor=first.next_cursor)
        assert len({d.event_id for d in (*first.items, *rest.items)}) == 3
        assert "not installed" in (first.items[0].error or "")
        one = first.items[0].event_id
        dropped = await service.drop(tx, one, "probe", "known", new_id())
        assert dropped.deliveries[0].dropped is not None
        with pytest.raises(Conflict):
            await service.retry(tx, one, "probe")
        assert (await service.retry_parked(tx, "other", None)).retried == 0
        assert (await service.retry_parked(tx, "probe", None)).retried == 2
    assert await statuses(probe) == {"new": 2, "dropped": 1}


async def test_a_stopped_worker_gives_back_what_it_has_not_begun(probe: Runtime, start_worker: Start) -> None:
    from tests.core.worker.test_process import _slow

    await _slow(probe)
    worker = await start_worker(probe)
    await register(probe, 300)
    while len(await marks(probe)) < 20:
        await asyncio.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    assert await worker.wait() == 0
    found = await statuses(probe)
    assert len(await marks(probe)) == found["done"] < 300
    assert found["new"] > 0, "given back; the rest waits in Redis"
    await start_worker(probe)
    while (await statuses(probe)).get("done", 0) < 300:
        await asyncio.sleep(0.05)
    assert len(await marks(probe)) == 300
