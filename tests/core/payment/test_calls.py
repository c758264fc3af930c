"""Calls of payment services: in order, once, again until known, refused for good only when the service says so."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from core.deployment.runtime import Runtime
from core.doctor import books
from core.kit.errors import Conflict, NotFound, Unavailable
from core.kit.ids import new_id
from core.payment import calls, sandbox
from core.payment.calls import Call, CallsDue
from core.payment.sandbox import SandboxProvider
from core.sandbox.messages import Behaviour
from tests.support.refunds import Bought, Paid, Till

TEA = Bought(2, 5_000, ((0, 500), (1_000, 0)))


@pytest.fixture
def till(runtime: Runtime, client: httpx.AsyncClient) -> Till:
    """See `Till`."""
    return Till(runtime, client)


async def _calls(till: Till) -> list[tuple[Any, ...]]:
    async with till.begin() as tx:
        return [
            tuple(r) for r in await tx.fetch("select kind, status, amount from channel_call order by seq")
        ]


async def _due(till: Till, order: Paid) -> msgspec.Raw:
    async with till.begin() as tx:
        payment = await tx.fetchval(
            "select payment_id from channel_call where order_id = $1 limit 1", order.id
        )
    return msgspec.Raw(msgspec.json.encode(CallsDue(order.merchant_id, payment)))


async def _look(till: Till, due: msgspec.Raw) -> None:
    async with till.begin() as tx:
        await calls.channel_calls(tx, due)


async def _completed(till: Till, **more: Any) -> Paid:
    order = await till.sell(TEA, shipping=800, commission=475, **more)
    await till.accept(order)
    await till.ship(order)
    await till.complete(order)
    return order


async def test_the_calls_of_an_order_are_made_in_the_order_they_were_decided(till: Till) -> None:
    order = await _completed(till)
    await till.release(order)
    await till.refund(order, (0, 1))
    await till.drain()
    assert await _calls(till) == [
        ("subsidise", "done", 1_000),
        ("split", "done", 475),
        ("finish", "done", 0),
        ("return_split", "done", 237),
        ("refund", "done", 4_250),
        ("return_subsidy", "done", 500),
    ]
    await till.assert_balanced()


async def test_a_call_whose_outcome_is_unknown_is_made_again_and_booked_once(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lost = SandboxProvider.subsidise, 0

    async def answer_is_lost(self: SandboxProvider, outside: Any, order: Any) -> bool:
        nonlocal lost
        answer = await real(self, outside, order)
        lost += 1
        if lost < 3:
            raise Unavailable("The line went down.")
        return answer

    monkeypatch.setattr(SandboxProvider, "subsidise", answer_is_lost)
    order = await till.sell(TEA, commission=475)
    due = await _due(till, order)
    for tries in (1, 2):
        await _look(till, due)
        assert await till.row("select status, tries, error from channel_call") == (
            "waiting",
            tries,
            "unavailable: The line went down.",
        )
        assert (await till.balances())["gateway"] == 8_500
    await till.assert_balanced()
    await _look(till, due)
    assert await _calls(till) == [("subsidise", "done", 1_000)]
    await till.assert_mirrored()


async def test_a_service_that_is_still_working_is_asked_again(till: Till) -> None:
    order = await till.sell(TEA, commission=475)
    due = await _due(till, order)
    outside = calls_outside(till)
    await sandbox.behave(outside, Behaviour(working=2))
    for _ in range(2):
        await _look(till, due)
        assert await _calls(till) == [("subsidise", "waiting", 1_000)]
    await _look(till, due)
    assert await _calls(till) == [("subsidise", "done", 1_000)]
    await till.assert_mirrored()


def calls_outside(till: Till) -> Any:
    """What calls to the sandbox take."""
    from core.payment.provider import Outside

    return Outside(till.runtime.env, till.http, till.begin, till.runtime.clock)


async def test_a_refused_call_holds_up_those_after_it_until_staff_has_it_made_again(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(self: SandboxProvider, outside: Any, order: Any) -> bool:
        raise Conflict("The leg is closed.", code="finished")

    order = await _completed(till)
    await till.drain()
    await _retried(till, monkeypatch, refuses)
    await till.drain()
    assert order.payable == 9_300
    await till.assert_balanced()


async def _retried(till: Till, monkeypatch: pytest.MonkeyPatch, refuses: Any) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(SandboxProvider, "split", refuses)
        order = await _completed(till)
        await till.release(order)
        await till.drain()
        await till.refund(order, (0, 1))
        await till.drain()
    async with till.begin() as tx:
        rows = await tx.fetch(
            "select merchant_id, id, kind, status, error, tries from channel_call where order_id = $1 order by seq",
            order.id,
        )
    assert [r["status"] for r in rows] == ["done", "refused", *["waiting"] * 4]
    assert rows[1]["error"] == "finished: The leg is closed."
    assert rows[1]["tries"] == 1
    await till.assert_balanced()
    findings = await books.calls(till.runtime)
    assert findings[0].status == "failing"
    assert "finished" in findings[0].detail
    async with till.begin() as tx:
        with pytest.raises(NotFound):
            await calls.retry(tx, order.merchant_id, new_id())
        with pytest.raises(Conflict) as done:
            await calls.retry(tx, order.merchant_id, rows[0]["id"])
        assert done.value.code == "wrong_status"
        assert (await calls.page(tx, "refused", None, 10)).items[0].kind == "split"
        assert (await calls.retry(tx, order.merchant_id, rows[1]["id"])).status == "waiting"
    await till.drain()
    async with till.begin() as tx:
        assert await tx.fetchval("select bool_and(status = 'done') from channel_call")
    assert (await books.calls(till.runtime))[0].status == "ok"


async def test_without_enough_money_a_call_waits_and_is_not_refused(till: Till) -> None:
    order = await till.sell(Bought(1, 1_000))
    await till.accept(order)
    async with till.begin() as tx:
        payment = await tx.fetchval("select id from payment")
        early = Call(
            *(order.merchant_id, new_id(), payment, order.id, "sandbox", "return_split", 1, order.id),
        )
        await calls.ask(tx, [early])
        await calls.ask(tx, [early])
    await till.drain()
    assert await till.row("select status, left(error, 11) from channel_call") == ("waiting", "not_enough:")
    await till.assert_balanced()


async def test_looked_at_many_times_at_once_a_call_is_booked_and_posted_once(till: Till) -> None:
    order = await _completed(till)
    await till.release(order)
    due = await _due(till, order)
    await asyncio.gather(*(_look(till, due) for _ in range(6)))
    await till.drain()
    assert {status for _, status, _ in await _calls(till)} == {"done"}
    await till.assert_balanced()


async def test_an_order_that_costs_the_buyer_nothing_is_paid_by_the_market(till: Till) -> None:
    order = await till.sell(Bought(1, 1_000, ((1_000, 0),)), commission=50)
    assert order.payable == 0
    await till.accept(order)
    await till.ship(order)
    await till.complete(order)
    await till.drain()
    await till.pay_out(order.merchant_id)
    await till.drain()
    assert await till.row("select status, amount from payout") == ("paid", 950)
    await till.refund(order, everything=True)
    await till.drain()
    await till.assert_mirrored()
    await till.assert_balanced()


async def test_what_a_refund_withholds_for_the_market_reaches_it_before_and_after_the_release(
    till: Till,
) -> None:
    from core import hookspecs
    from core.types.orders import Deduction
    from tests.support.refunds import hook

    async def keeps(tx: Any, draft: Any) -> list[Deduction]:
        return [Deduction("tests", "用过的赠券", 700, "market")]

    hook(till.runtime, hookspecs.refund_requesting, ("tests", keeps))
    for released in (False, True):
        order = await till.sell(TEA, shipping=800, commission=475)
        await till.accept(order)
        await till.ship(order)
        if released:
            await till.complete(order)
            await till.release(order)
        await till.refund(order, (0, 1))
        await till.drain()
        await till.assert_mirrored()
        await till.assert_balanced()
        if released:
            await till.pay_out(order.merchant_id)
            await till.refund(order, (0, 1))
            await till.drain()
            await till.assert_mirrored()
            await till.assert_balanced()
    assert (await _calls(till))[3][:2] == ("split", "done")
