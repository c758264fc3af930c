"""Money that comes too late or twice goes back by itself."""

from typing import Any

import pytest

from core.kit.errors import Conflict
from core.kit.ids import new_id, parse_ref
from core.ledger.check import check
from core.payment.calls import channel_calls
from core.payment.provider import RefundOrder
from core.payment.sandbox import SandboxProvider
from core.types.scope import PLATFORM

Desk = Any


async def test_a_payment_for_a_closed_trade_is_sent_back_in_full(desk: Desk) -> None:
    placed = await desk.place([5_000, 300, 0])
    payment = await desk.open(placed)
    await desk.close(placed)
    assert (await desk.pay(payment))["notified"]
    assert await desk.payment(payment) == "refunding"
    assert await desk.statuses(placed) == ("closed", {"closed"})
    assert await desk.transfers() == [("late.in", 300), ("late.in", 5_000)]
    assert await desk.run_timers("channel_calls", channel_calls) == 2
    assert await desk.payment(payment) == "refunded"
    assert await desk.transfers() == [
        ("late.in", 300),
        ("late.in", 5_000),
        ("late.out", 300),
        ("late.out", 5_000),
    ]
    booked = (
        "select status, sum(refunded) from payment p join leg l on payment_id = id where p.account = :account"
    )
    assert desk.theirs(booked) == [("refunded", 5_300)]
    assert await desk.rows("select sum(refunded_amount)::int from payment_leg") == [(5_300,)]
    async with desk.begin(PLATFORM) as tx:
        assert (await check(tx)).balanced


async def test_the_refund_timer_does_nothing_once_the_money_is_back(desk: Desk) -> None:
    placed = await desk.place()
    payment = await desk.open(placed)
    await desk.close(placed)
    await desk.pay(payment)
    await desk.run_timers("channel_calls", channel_calls)
    before = await desk.transfers()
    assert await desk.run_timers("channel_calls", channel_calls) == 1
    assert await desk.run_timers("channel_calls", channel_calls) == 0
    assert await desk.transfers() == before


async def test_the_second_payment_of_one_trade_is_sent_back_and_the_first_stays(desk: Desk) -> None:
    placed = await desk.place()
    first = await desk.open(placed)
    await desk.rows("update payment set provider = 'other' returning 1")
    second = await desk.open(placed)
    assert first.id != second.id
    await desk.rows("update payment set provider = 'sandbox' returning 1")
    assert (await desk.pay(first))["notified"]
    assert (await desk.pay(second))["notified"]
    assert (await desk.payment(first), await desk.payment(second)) == ("paid", "refunding")
    await desk.run_timers("channel_calls", channel_calls)
    assert (await desk.payment(first), await desk.payment(second)) == ("paid", "refunded")
    assert await desk.statuses(placed) == ("paid", {"paid"})
    async with desk.begin(PLATFORM) as tx:
        assert (await check(tx)).balanced


async def test_a_refund_that_fails_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = await desk.place([100, 200])
    payment = await desk.open(placed)
    await desk.close(placed)
    await desk.pay(payment)
    real = SandboxProvider.refund
    asked: list[int] = []

    async def breaks_at_the_second_leg(self: SandboxProvider, outside: Any, order: RefundOrder) -> bool:
        asked.append(order.amount)
        if len(asked) == 2:
            raise OSError("line is down")
        return await real(self, outside, order)

    monkeypatch.setattr(SandboxProvider, "refund", breaks_at_the_second_leg)
    await desk.run_timers("channel_calls", channel_calls)
    assert await desk.payment(payment) == "refunding"
    await desk.run_timers("channel_calls", channel_calls)
    assert await desk.payment(payment) == "refunded"
    assert desk.theirs("select sum(refunded) from leg where account = :account") == [(300,)]


async def test_the_sandbox_refunds_once_per_refund_id_and_never_more_than_was_paid(desk: Desk) -> None:
    placed = await desk.place([1_000])
    payment = await desk.open(placed)
    await desk.pay(payment)
    merchant, provider = placed.orders[0][0], SandboxProvider()
    part = RefundOrder(new_id(), parse_ref(payment.id), merchant, 600, "half")
    assert await provider.refund(desk.outside, part)
    assert await provider.refund(desk.outside, part)
    assert desk.theirs("select refunded, finished from leg where account = :account") == [(600, 0)]
    with pytest.raises(Conflict, match="More than is left"):
        await provider.refund(
            desk.outside, RefundOrder(new_id(), parse_ref(payment.id), merchant, 401, "more")
        )
