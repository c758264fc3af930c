"""The service misbehaves as it is told to, for the account that told it, and the same way again for the same seed."""

import asyncio
import time
from typing import Any

import pytest

from core.kit.ids import new_id

Caller = Any


async def until(good: Any, *, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_paying_tells_the_market_before_it_answers(caller: Caller, inbox: Any) -> None:
    payment, _ = await caller.open(60, 40)
    assert await caller.pay(payment) == {"status": "paid", "notified": True}
    assert inbox.amounts() == [100]
    assert await caller.pay(payment) == {"status": "paid", "notified": True}
    assert inbox.amounts() == [100]


async def test_a_notification_is_sent_until_it_is_acknowledged(caller: Caller, inbox: Any) -> None:
    inbox.status = 500
    payment, _ = await caller.open(100)
    assert await caller.pay(payment) == {"status": "paid", "notified": False}
    assert await caller.ask("POST", "/notifications/send") == {"sent": 1, "acknowledged": 0}
    inbox.status = 204
    assert await caller.pay(payment) == {"status": "paid", "notified": True}
    assert await caller.ask("POST", "/notifications/send") == {"sent": 0, "acknowledged": 0}
    assert len({message["event_id"] for _, message in inbox.got}) == 1
    assert len(inbox.got) == 3


async def test_delayed_notifications_come_by_themselves_and_overtake_each_other(
    caller: Caller, inbox: Any
) -> None:
    await caller.behave(notify_delay=30, notify_shuffle=300, seed=7)
    amounts = list(range(1, 13))
    for amount in amounts:
        payment, _ = await caller.open(amount)
        assert await caller.pay(payment) == {"status": "paid", "notified": False}
    await until(lambda: len(inbox.got) == len(amounts))
    assert sorted(inbox.amounts()) == amounts != list(inbox.amounts())


async def test_copies_wrong_amounts_and_lost_ones(caller: Caller, inbox: Any) -> None:
    await caller.behave(notify_copies=2)
    await caller.paid(100)
    assert inbox.amounts() == [100] * 3
    await caller.behave(notify_wrong=100)
    await caller.paid(200)
    assert inbox.amounts()[3:] == [201]
    await caller.behave(notify_lost=100)
    payment, _ = await caller.open(300)
    assert await caller.pay(payment) == {"status": "paid", "notified": False}
    assert inbox.amounts()[4:] == []
    assert await caller.pay(payment) == {"status": "paid", "notified": True}
    assert inbox.amounts()[4:] == [300]


async def test_a_notification_asked_to_get_lost_is_kept_for_later(caller: Caller, inbox: Any) -> None:
    payment, _ = await caller.open(100)
    assert await caller.pay(payment, notify=False) == {"status": "paid", "notified": False}
    assert inbox.got == []
    path = f"/notifications/send?payment_id={payment}"
    assert await caller.ask("POST", path) == {"sent": 1, "acknowledged": 1}


async def test_calls_refused_before_booking_change_nothing(caller: Caller) -> None:
    payment, (shop,) = await caller.paid(100)
    await caller.behave(fail_before=100)
    order = {"id": new_id(), "payment_id": payment, "merchant_id": shop, "amount": 10}
    assert await caller.refused("POST", "/refunds", order) == (503, "unavailable")
    assert (await caller.books())["buyers"] == 100
    await caller.behave()
    assert await caller.ask("POST", "/refunds", order) == {"status": "done"}


async def test_calls_whose_answer_is_lost_are_booked(caller: Caller) -> None:
    payment, (shop,) = await caller.paid(100)
    await caller.behave(fail_after=100)
    seen, orders = set(), []
    for _ in range(20):
        order = {"id": new_id(), "payment_id": payment, "merchant_id": shop, "amount": 1}
        orders.append(order)
        try:
            seen.add(await caller.refused("POST", "/refunds", order))
        except (AssertionError, ValueError):
            seen.add("cut off")
    assert seen == {(504, "unavailable"), "cut off"}
    assert (await caller.books())["buyers"] == 80
    await caller.behave()
    for order in orders:
        assert await caller.ask("POST", "/refunds", order) == {"status": "done"}
    assert (await caller.books())["buyers"] == 80


@pytest.mark.parametrize("path", ["/refunds", "/splits", "/payouts", "/finishes", "/subsidies"])
async def test_operations_are_worked_on_until_asked_for_often_enough(caller: Caller, path: str) -> None:
    payment, (shop,) = await caller.paid(100)
    await caller.ask("POST", "/finishes", {"id": new_id(), "payment_id": payment, "merchant_id": shop})
    payment, _ = payment, shop
    await caller.behave(working=2)
    order: dict[str, Any] = {"id": new_id(), "payment_id": payment, "merchant_id": shop}
    if path in ("/splits", "/finishes", "/subsidies"):
        payment, (shop,) = await caller.paid(50)
        order |= {"payment_id": payment, "merchant_id": shop}
    if path == "/payouts":
        order.pop("payment_id")
    order |= {"shares": [{"owner_id": new_id(), "amount": 5}]} if path == "/splits" else {}
    order |= {} if path in ("/splits", "/finishes") else {"amount": 5}
    asked = [(await caller.ask("POST", path, order))["status"] for _ in range(4)]
    assert asked == ["working", "working", "done", "done"]


async def test_banks_send_payouts_back_and_the_money_is_there_again(caller: Caller) -> None:
    payment, (shop,) = await caller.paid(100)
    await caller.ask("POST", "/finishes", {"id": new_id(), "payment_id": payment, "merchant_id": shop})
    await caller.behave(payouts_returned=100)
    order = {"id": new_id(), "merchant_id": shop, "amount": 60, "recovered": 10}
    for _ in range(2):
        assert await caller.ask("POST", "/payouts", order) == {"status": "returned"}
    assert await caller.books() == {"buyers": 100, "funds": 10, "merchants": {str(shop): 90}}


async def test_the_same_seed_fails_the_same_calls(caller: Caller, another: Any) -> None:
    async def run(who: Any) -> list[int]:
        await who.behave(fail_before=50, seed=42)
        return [(await who.call("GET", f"/payments/{new_id()}")).status_code for _ in range(30)]

    first = await run(caller)
    assert first == await run(another("other")) == await run(caller)
    assert {503, 404} == set(first)
    assert (await another("third").call("GET", f"/payments/{new_id()}")).status_code == 404


@pytest.mark.parametrize("how", [{"fail_before": 101}, {"fail_after": -1}, {"working": "x"}, {"seed": 2**60}])
async def test_behaviour_that_cannot_be_is_refused(caller: Caller, how: dict[str, Any]) -> None:
    assert await caller.refused("PUT", "/behaviour", how) == (422, "invalid")
    assert (await caller.ask("GET", "/behaviour"))["fail_before"] == 0
