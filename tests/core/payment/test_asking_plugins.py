"""Plugins have their say on a captured order; the payment is never lost to them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core import hookspecs
from core.hooks import hookimpl
from core.ledger.check import check
from core.orders import holds
from core.payment import applying, paying, repository, waiting
from core.payment.provider import PaidLeg, PaidNotice
from core.testkit import statements
from core.types.orders import Paying, PayingAnswer
from core.types.scope import PLATFORM, SYSTEM
from tests.support.refunds import hook

Desk = Any
Guard = Callable[..., Any]


async def _capture(desk: Desk, placed: Any) -> str:
    """The payment service says that all of it was paid."""
    async with desk.begin(SYSTEM) as tx:
        trade = await tx.fetchrow("select payable, expires_at from trade where id = $1", placed.trade_id)
        opened = await repository.open_payment(
            tx, placed.account_id, placed.trade_id, "sandbox", trade["payable"], trade["expires_at"]
        )
        legs = tuple(PaidLeg(leg.merchant_id, leg.amount, "gateway") for leg in opened.legs)
    async with desk.begin(SYSTEM) as tx:
        notice = PaidNotice(opened.id, "sandbox", trade["payable"], legs, "ref", tx.now)
        return str(await applying.apply(tx, notice))


async def _holds(desk: Desk) -> list[tuple[Any, ...]]:
    return await desk.rows("select plugin, cause, reason from order_hold order by plugin, cause, reason")


def _answering(answer: PayingAnswer | None, seen: list[Paying] | None = None) -> Guard:
    async def guard(tx: Any, about: Paying) -> PayingAnswer | None:
        if seen is not None:
            seen.append(about)
        return answer

    return guard


async def _broken(tx: Any, about: Paying) -> PayingAnswer | None:
    await tx.execute("update orders set remark = 'half done'")
    await tx.execute("select 1 / 0")
    return None


async def _assert_captured(desk: Desk, placed: Any) -> None:
    assert await desk.statuses(placed) == ("paid", {"paid"})
    assert await desk.rows("select status from payment") == [("paid",)]
    async with desk.begin(PLATFORM) as tx:
        assert (await check(tx)).balanced


async def test_without_such_a_plugin_no_statement_is_sent(desk: Desk) -> None:
    hook(desk.runtime, hookspecs.order_paying)
    with statements() as bare:
        await _capture(desk, await desk.place([100, 200]))
    assert not [sql for sql in bare.sent if "order_hold" in sql or "SAVEPOINT" in sql]


async def test_only_who_had_a_part_in_an_order_is_asked(desk: Desk) -> None:
    seen: list[str] = []

    def note(plugin: str) -> tuple[str, Guard]:
        async def guard(tx: Any, about: Paying) -> PayingAnswer | None:
            seen.append(plugin)
            return None

        return plugin, guard

    every = note("every")
    every[1].jishi_every_order = True  # type: ignore[attr-defined]
    hook(desk.runtime, hookspecs.order_paying, note("a"), note("b"), every, every_order=False)
    placed = await desk.place([100, 200], contributors=["a", "elsewhere"])
    with statements() as sent:
        await _capture(desk, placed)
    assert seen == ["a", "every"] * 2
    assert len([sql for sql in sent.sent if sql.startswith("SAVEPOINT")]) == 4
    seen.clear()
    await _capture(desk, await desk.place([100]))
    assert seen == ["every"]
    seen.clear()
    await _capture(desk, await desk.place([100], contributors=None))
    assert seen == ["a", "b", "every"], "of older orders nobody knows who had a part"
    assert await _holds(desk) == []


async def test_each_plugin_is_asked_about_each_order_and_may_want_nothing(desk: Desk) -> None:
    seen: list[Paying] = []
    hook(desk.runtime, hookspecs.order_paying, ("a", _answering(None, seen)), ("b", _answering(None, seen)))
    placed = await desk.place([100, 200])
    assert await _capture(desk, placed) == "applied"
    assert sorted((p.merchant_id, p.order_id) for p in seen) == sorted(placed.orders * 2)
    assert {(p.trade_id, p.account_id) for p in seen} == {(placed.trade_id, placed.account_id)}
    assert await _holds(desk) == []
    await _assert_captured(desk, placed)


async def test_a_plugin_holds_the_order_until_it_lifts_it(desk: Desk) -> None:
    until = desk.runtime.clock() + timedelta(hours=20)
    hook(
        desk.runtime,
        hookspecs.order_paying,
        ("group", _answering(PayingAnswer("hold", "two missing", until))),
    )
    placed = await desk.place([100, 200])
    await _capture(desk, placed)
    assert await _holds(desk) == [("group", "plugin", "two missing")] * 2
    assert await desk.rows("select distinct until from order_hold") == [(until,)]
    assert (
        await desk.rows("select event, reason from order_log where event <> 'moved'")
        == [("held", "group: two missing")] * 2
    )
    await _assert_captured(desk, placed)
    async with desk.begin(SYSTEM) as tx:
        for key in placed.orders:
            assert await holds.lift(tx, *key, "group")


async def test_a_plugin_that_fails_holds_the_order_and_is_asked_again(desk: Desk) -> None:
    seen: list[Paying] = []
    hook(desk.runtime, hookspecs.order_paying, ("bad", _broken), ("good", _answering(None, seen)))
    placed = await desk.place([100])
    assert await _capture(desk, placed) == "applied"
    assert await _holds(desk) == [("bad", "paying", "The plugin failed; it will be asked again.")]
    assert await desk.rows("select remark from orders") == [("",)]
    assert len(seen) == 1
    await _assert_captured(desk, placed)
    for _ in range(2):
        assert await desk.run_timers("ask_paying", paying.ask_paying) == 1
        assert len(await _holds(desk)) == 1
    hook(desk.runtime, hookspecs.order_paying, ("bad", _answering(None, seen)))
    assert await desk.run_timers("ask_paying", paying.ask_paying) == 1
    assert await _holds(desk) == []
    assert seen[1] == seen[0]
    assert await desk.run_timers("ask_paying", paying.ask_paying) == 0
    events = await desk.rows("select event from order_log where event <> 'moved' order by at")
    assert events == [("held",), ("lifted",)]


async def test_asked_again_it_may_hold_or_want_a_refund(desk: Desk) -> None:
    hook(desk.runtime, hookspecs.order_paying, ("bad", _broken))
    await _capture(desk, await desk.place([100]))
    hook(desk.runtime, hookspecs.order_paying, ("bad", _answering(PayingAnswer("hold", "its own"))))
    await desk.run_timers("ask_paying", paying.ask_paying)
    assert await _holds(desk) == [("bad", "plugin", "its own")]
    hook(desk.runtime, hookspecs.order_paying, ("bad", _broken))
    await _capture(desk, await desk.place([100]))
    hook(desk.runtime, hookspecs.order_paying, ("bad", _answering(PayingAnswer("refund", "too late"))))
    await desk.run_timers("ask_paying", paying.ask_paying)
    assert await _holds(desk) == [("bad", "paying", "too late"), ("bad", "plugin", "its own")]
    waiting = "select count(*) from outbox where event = 'timer:refund_captured'"
    assert await desk.rows(waiting) == [(1,)]


@pytest.mark.parametrize(
    "answer",
    [
        "hold",
        True,
        PayingAnswer("drop", "x"),  # type: ignore[arg-type]
        PayingAnswer("hold", "  "),
    ],
)
async def test_an_answer_that_cannot_be_is_a_failure(desk: Desk, answer: Any) -> None:
    hook(desk.runtime, hookspecs.order_paying, ("bad", _answering(answer)))
    placed = await desk.place([100])
    assert await _capture(desk, placed) == "applied"
    assert [row[:2] for row in await _holds(desk)] == [("bad", "paying")]
    await _assert_captured(desk, placed)


async def test_a_quarantined_plugin_is_asked_once_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(desk.runtime, hookspecs.order_paying)
    snapshot = desk.runtime.snapshot
    monkeypatch.setattr(snapshot, "quarantined", {"away": type("Away", (), {"order_paying": None})})
    placed = await desk.place([100], contributors=["away"])
    await _capture(desk, placed)
    assert [row[:2] for row in await _holds(desk)] == [("away", "paying")]
    await desk.run_timers("ask_paying", paying.ask_paying)
    assert len(await _holds(desk)) == 1
    monkeypatch.setattr(snapshot, "quarantined", {})
    hook(desk.runtime, hookspecs.order_paying, ("away", _answering(None)))
    await desk.run_timers("ask_paying", paying.ask_paying)
    assert await _holds(desk) == []
    await _assert_captured(desk, placed)


async def test_a_quarantined_plugin_holds_only_the_orders_that_it_is_asked_about(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        @hookimpl
        async def order_paying(self, tx: Any, paying: Any) -> None: ...

    class Curious:
        @hookimpl(every_order=True)
        async def order_paying(self, tx: Any, paying: Any) -> None: ...

    hook(desk.runtime, hookspecs.order_paying)
    monkeypatch.setattr(desk.runtime.snapshot, "quarantined", {"away": Away})
    await _capture(desk, await desk.place([100]))
    assert await _holds(desk) == []
    await _capture(desk, await desk.place([100], contributors=["away"]))
    assert [row[:2] for row in await _holds(desk)] == [("away", "paying")]
    monkeypatch.setattr(desk.runtime.snapshot, "quarantined", {"curious": Curious})
    await _capture(desk, await desk.place([100]))
    assert [row[:2] for row in await _holds(desk)] == [("away", "paying"), ("curious", "paying")]


async def test_a_closed_order_needs_no_answer(desk: Desk) -> None:
    hook(desk.runtime, hookspecs.order_paying, ("bad", _broken))
    placed = await desk.place([100])
    await _capture(desk, placed)
    await desk.rows("update orders set status = 'closed' returning 1")
    await desk.run_timers("ask_paying", paying.ask_paying)
    assert await _holds(desk) == []
    assert await desk.run_timers("ask_paying", paying.ask_paying) == 0


def test_the_back_off_doubles_up_to_ten_minutes() -> None:
    first = paying.FIRST_RETRY
    assert [waiting.back_off(first, n).total_seconds() for n in (0, 1, 2, 10, 10**6)] == [
        15,
        30,
        60,
        600,
        600,
    ]
