"""A payment from opening to paid: once, whatever is repeated, lost or forged."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from core import hookspecs
from core.kit.errors import Conflict, NotFound
from core.kit.ids import new_id, parse_ref, ref
from core.ledger.check import check
from core.payment import applying, registry, sandbox, timers
from core.payment.calls import channel_calls
from core.payment.provider import PaidLeg, PaidNotice
from core.sandbox.messages import Behaviour, Notified
from core.types.scope import PLATFORM, SYSTEM
from tests.support.refunds import hook

Desk = Any


async def test_paying_makes_payment_trade_and_every_order_paid(desk: Desk) -> None:
    placed = await desk.place([5_000, 300, 0], borne=70)
    payment = await desk.open(placed)
    assert payment.status == "created"
    assert await desk.pay(payment) == {"status": "paid", "notified": True}
    assert await desk.statuses(placed) == ("paid", {"paid"})
    assert await desk.payment(payment) == "paid"
    assert await desk.transfers() == [
        ("pay.buyer", 300),
        ("pay.buyer", 5_000),
        *[("pay.subsidy", 70)] * 3,
    ]
    assert await desk.run_timers("channel_calls", channel_calls) == 3
    assert (await desk.transfers())[2:5] == [("pay.funds", 70)] * 3
    logs = await desk.rows("select old_status, new_status from order_log")
    assert logs == [("unpaid", "paid")] * 3
    assert await desk.rows("select count(*) from orders where paid_at is not null") == [(3,)]
    async with desk.begin(PLATFORM) as tx:
        assert (await check(tx)).balanced


async def test_paying_again_and_notifying_again_changes_nothing(desk: Desk) -> None:
    await sandbox.behave(desk.outside, Behaviour(notify_copies=2))
    placed = await desk.place()
    payment = await desk.open(placed)
    first = await desk.pay(payment)
    before = await desk.transfers()
    assert await desk.pay(payment) == await desk.pay(payment, notify=False) == first
    assert (await sandbox.notify(desk.outside)).sent == 0
    sent = "select count(*), sum(attempts), count(done_at) from notification where account = :account"
    assert desk.theirs(sent) == [(3, 3, 3)]
    assert await desk.transfers() == before
    assert await desk.rows("select result, count(*) from payment_notification group by 1") == [("applied", 1)]


async def test_an_open_payment_is_given_again_instead_of_a_second_one(desk: Desk) -> None:
    placed = await desk.place()
    first, second = await desk.open(placed), await desk.open(placed)
    assert first == second
    assert await desk.rows("select count(*) from payment") == [(1,)]


async def test_payments_opened_at_once_for_one_trade_are_one(desk: Desk) -> None:
    placed = await desk.place()
    opened = await asyncio.gather(*(desk.open(placed) for _ in range(4)))
    assert len({p.id for p in opened}) == 1


async def test_a_trade_that_costs_nothing_is_paid_without_the_provider(desk: Desk) -> None:
    placed = await desk.place([0], borne=500)
    payment = await desk.open(placed)
    assert (payment.status, payment.client) == ("paid", {})
    assert await desk.statuses(placed) == ("paid", {"paid"})
    assert desk.theirs("select count(*) from payment where account = :account") == [(0,)]
    await desk.run_timers("channel_calls", channel_calls)
    assert await desk.transfers() == [("pay.funds", 500), ("pay.subsidy", 500)]
    assert (await sandbox.books(desk.outside)).funds == -500


async def test_what_cannot_be_paid_is_refused_with_its_reason(desk: Desk) -> None:
    placed, over, closed = await desk.place(), await desk.place(ttl=-1), await desk.place()
    await desk.pay(await desk.open(placed))
    await desk.close(closed)
    for trade, code in ((placed, "already_paid"), (over, "trade_expired"), (closed, "trade_closed")):
        with pytest.raises(Conflict) as refused:
            await desk.open(trade)
        assert refused.value.code == code


async def test_another_buyers_trade_is_not_found(desk: Desk) -> None:
    placed = await desk.place()
    placed.account_id = new_id()
    with pytest.raises(NotFound):
        await desk.open(placed)


async def test_a_notice_of_another_amount_is_kept_but_not_applied(desk: Desk) -> None:
    placed = await desk.place([5_000, 300])
    payment = await desk.open(placed)
    legs = [
        PaidLeg(merchant, amount, "x")
        for (merchant, _), amount in zip(placed.orders, (5_000, 299), strict=True)
    ]
    for total, shares in ((5_299, legs), (5_300, legs), (5_300, legs[:1])):
        async with desk.begin(SYSTEM) as tx:
            notice = PaidNotice(parse_ref(payment.id), "sandbox", total, shares, "x", tx.now)
            assert await applying.apply(tx, notice) == "mismatch"
    await sandbox.behave(desk.outside, Behaviour(notify_wrong=100))
    assert (await desk.pay(payment))["notified"]
    assert await desk.rows("select result, applied_at from payment_notification") == [("mismatch", None)]
    assert await desk.statuses(placed) == ("unpaid", {"unpaid"})
    assert await desk.transfers() == []


async def test_a_lost_notification_is_sent_again(desk: Desk) -> None:
    placed = await desk.place()
    payment = await desk.open(placed)
    assert await desk.pay(payment, notify=False) == {"status": "paid", "notified": False}
    assert await desk.statuses(placed) == ("unpaid", {"unpaid"})
    assert await sandbox.notify(desk.outside) == Notified(1, 1)
    assert await desk.statuses(placed) == ("paid", {"paid"})
    assert await sandbox.notify(desk.outside) == Notified(0, 0)


async def test_a_payment_not_heard_of_is_asked_for(desk: Desk) -> None:
    placed = await desk.place()
    payment = await desk.open(placed)
    await desk.run_timers("query_payment", timers.query_payment)
    assert await desk.payment(payment) == "created"
    await desk.pay(payment, notify=False)
    await desk.run_timers("query_payment", timers.query_payment)
    assert await desk.statuses(placed) == ("paid", {"paid"})
    await desk.run_timers("query_payment", timers.query_payment)
    assert await desk.run_timers("query_payment", timers.query_payment) == 0


async def test_a_payment_of_a_trade_long_expired_is_closed_at_its_provider(desk: Desk) -> None:
    placed = await desk.place()
    payment = await desk.open(placed)
    await desk.rows("update payment set expires_at = now() - interval '1 hour' returning 1")
    await desk.run_timers("query_payment", timers.query_payment)
    assert await desk.payment(payment) == "closed"
    refused = await desk.http.post(payment.client["pay_url"])
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_closed")


async def test_unknown_payments_and_providers_are_not_found(desk: Desk) -> None:
    for path in (
        f"/api/payments/sandbox/{ref(new_id())}/pay",
        "/api/payments/sandbox/%00/pay",
        "/api/payments/nowhere/notifications",
    ):
        assert (await desk.http.post(path)).status_code == 404
    assert list(registry.providers(desk.runtime.env)) == ["sandbox"]


def _signed(desk: Desk, body: bytes, stamp: str, *, over: bytes | None = None) -> dict[str, str]:
    signature = desk.runtime.env.vault.sandbox_sign(stamp.encode() + b"\n" + (over or body))
    return {"X-Sandbox-Timestamp": stamp, "X-Sandbox-Signature": signature}


async def test_forged_and_stale_notifications_are_refused(desk: Desk) -> None:
    payment = await desk.open(await desk.place())
    await desk.pay(payment, notify=False)
    body, now = b'{"event_id":"x"}', int(time.time())
    for headers in (
        {},
        {"X-Sandbox-Timestamp": str(now), "X-Sandbox-Signature": "00"},
        _signed(desk, body, str(now), over=b"other"),
        _signed(desk, body, str(now - 301)),
        _signed(desk, body, str(now + 302)),
    ):
        answer = await desk.http.post("/api/payments/sandbox/notifications", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    answer = await desk.http.post(
        "/api/payments/sandbox/notifications", content=body, headers=_signed(desk, body, str(now))
    )
    assert answer.status_code == 400


async def test_a_notification_for_no_payment_of_ours_is_not_found_and_not_kept(desk: Desk) -> None:
    stamp = str(int(time.time()))
    body = msgspec.json.encode(
        {
            "event_id": "e",
            "payment_id": ref(new_id()),
            "transaction_id": "t",
            "amount": 1,
            "legs": [],
            "paid_at": "2026-01-01T00:00:00Z",
        }
    )
    answer = await desk.http.post(
        "/api/payments/sandbox/notifications", content=body, headers=_signed(desk, body, stamp)
    )
    assert answer.status_code == 404
    assert await desk.rows("select count(*) from payment_notification") == [(0,)]


async def _wants_nothing(_tx: Any, _paying: Any) -> None:
    """As most plugins with most orders."""


async def test_applying_takes_three_statements_however_many_orders_there_are(desk: Desk) -> None:
    hook(desk.runtime, hookspecs.order_paying, ("a", _wants_nothing), every_order=False)
    for amounts in ([100], [100] * 7):
        payment = await desk.open(await desk.place(amounts))
        await desk.pay(payment, notify=False)
        found = await sandbox.SandboxProvider().query(desk.outside, parse_ref(payment.id))
        async with desk.begin(SYSTEM) as tx:
            begin = 1
            assert await applying.apply(tx, found.paid) == "applied"
            assert tx.statements - begin == 3


async def test_notices_at_once_are_applied_once(desk: Desk) -> None:
    placed = await desk.place([100, 200])
    payment = await desk.open(placed)
    await desk.pay(payment, notify=False)
    results = await asyncio.gather(*(_apply(desk, payment.id) for _ in range(8)))
    assert sorted(results) == ["applied", *["duplicate"] * 7]
    assert await desk.transfers() == [("pay.buyer", 100), ("pay.buyer", 200)]


async def _apply(desk: Desk, payment_id: str) -> str:
    found = await sandbox.SandboxProvider().query(desk.outside, parse_ref(payment_id))
    assert found.paid is not None
    async with desk.begin(SYSTEM) as tx:
        return await applying.apply(tx, found.paid)
