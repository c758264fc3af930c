"""Refunds at the same moment as refunds, parcels, the release and their own repeats."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from core import hookspecs
from core.aftersales import service, timers
from core.fulfilment import release as releasing
from core.kit.errors import JishiError
from core.orders import repository as order_rows
from core.payment.call_done import RefundSent
from core.payment.calls import CallsDue, channel_calls
from core.types.orders import Refunded
from tests.support.refunds import SPARE, Bought, Paid, Till, hook


async def at_once(*actions: Callable[[], Awaitable[Any]]) -> list[str]:
    """What became of actions that all start together: `done` or the code of the refusal, sorted."""

    async def outcome(action: Callable[[], Awaitable[Any]]) -> str:
        try:
            await action()
        except JishiError as refusal:
            return refusal.code
        except Exception as error:  # noqa: BLE001 -- what the database refuses counts as well
            return type(error).__name__
        return "done"

    return sorted(await asyncio.gather(*(outcome(action) for action in actions)))


async def test_two_refunds_never_take_the_same_unit(till: Till) -> None:
    order = await till.sell(Bought(5, 333, ((77, 11),)), shipping=100, commission=31)
    outcomes = await at_once(*[lambda: till.refund(order, (0, 1), shipping=20) for _ in range(8)])
    assert outcomes.count("done") == 5
    assert set(outcomes) == {"done", "wrong_status"}
    assert await till.row("select array_agg(first_unit order by first_unit) from refund_line") == (
        [0, 1, 2, 3, 4],
    )
    assert await till.line(order, 0) == (0, 5, 5)
    assert await till.stock(order, 0) == (5 + SPARE, 0)
    await till.drain()
    assert await till.order(order, "status", "refunded_amount") == ("closed", order.payable)
    assert await till.balances() == {}
    await till.assert_balanced()


async def test_without_the_lock_only_the_database_would_stop_the_second(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the lock taken out, both find the units there."""
    order = await till.sell(Bought(2, 500))
    read, both, found = service.repository.order, asyncio.Event(), 0

    async def unlocked(tx: Any, merchant_id: Any, order_id: Any) -> Any:
        return await tx.fetchrow(
            "select * from orders where merchant_id = $1 and id = $2", merchant_id, order_id
        )

    async def look(tx: Any, row: Any) -> Any:
        nonlocal found
        seen = await read(tx, row)
        found += 1
        if found == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 10)
        return seen

    monkeypatch.setattr(order_rows, "locked", unlocked)
    monkeypatch.setattr(service.repository, "order", look)
    outcomes = await at_once(*[lambda: till.refund(order, (0, 1)) for _ in range(2)])
    assert outcomes == ["UniqueViolationError", "done"]


@pytest.mark.parametrize("_", range(3))
async def test_a_unit_is_shipped_or_refunded_never_both(till: Till, _: int) -> None:
    order = await till.sell(Bought(4, 1_000), Bought(1, 500))
    await till.accept(order)
    outcomes = await at_once(
        lambda: till.ship(order, (0, 3)), lambda: till.refund(order, (0, 4)), lambda: till.ship(order, (0, 2))
    )
    assert "done" in outcomes
    assert set(outcomes) <= {"done", "invalid", "nothing_left"}
    shipped, refunded, cancelled = await till.line(order, 0)
    assert (refunded, shipped + cancelled) == (4, 4)
    assert await till.stock(order, 0) == (4 + SPARE - shipped, 0)
    assert await till.status(order) == "accepted"
    await till.refund(order, everything=True)
    assert await till.status(order) == ("shipped" if shipped else "closed")
    await till.drain()
    await till.assert_balanced()


@pytest.mark.parametrize("_", range(3))
async def test_cancelling_and_accepting_at_once_end_in_one_of_both(till: Till, _: int) -> None:
    order = await till.sell(Bought(1, 1_000))

    async def cancel() -> None:
        async with till.begin() as tx:
            await service.cancel(tx, order.account_id, order.merchant_id, order.id, "")

    assert await at_once(cancel, lambda: till.accept(order)) == ["done", "wrong_status"]
    assert await till.status(order) in ("accepted", "closed")


async def _completed(till: Till) -> Paid:
    order = await till.sell(Bought(3, 1_001, ((100, 50),)), shipping=300, commission=140)
    await till.accept(order)
    await till.ship(order)
    await till.complete(order)
    return order


@pytest.mark.parametrize("_", range(4))
async def test_a_refund_comes_before_the_release_or_after_it(till: Till, _: int) -> None:
    order = await _completed(till)
    await at_once(
        lambda: till.refund(order, (0, 1)),
        lambda: till.release(order),
        lambda: till.refund(order, (0, 1), shipping=10),
        lambda: till.release(order),
    )
    await till.drain()
    assert await till.release(order) in (releasing.Outcome.RELEASED, releasing.Outcome.NOT_DUE)
    assert await till.order(order, "released_at is not null", "refunding_amount") == (True, 0)
    await till.assert_balanced()
    await till.refund(order, everything=True, shipping=290)
    await till.drain()
    assert await till.balances() == {}
    await till.assert_balanced()


async def test_a_refund_delivered_many_times_at_once_is_paid_and_told_once(till: Till) -> None:
    told: list[Refunded] = []

    async def counts(tx: Any, refunded: Refunded) -> None:
        told.append(refunded)

    hook(till.runtime, hookspecs.refund_settling, ("counts", counts))
    order = await _completed(till)
    refund = await till.refund(order, (0, 2))
    async with till.begin() as tx:
        payment_id = await tx.fetchval("select payment_id from channel_call where id = $1", refund.id)
    due = msgspec.Raw(msgspec.json.encode(CallsDue(order.merchant_id, payment_id)))
    sent = msgspec.Raw(msgspec.json.encode(RefundSent(order.merchant_id, refund.id)))

    async def deliver() -> None:
        async with till.begin() as tx:
            await channel_calls(tx, due)

    async def settles() -> None:
        async with till.begin() as tx:
            await timers.refund_sent(tx, sent)

    assert await at_once(*[deliver] * 6) == ["done"] * 6
    assert await at_once(*[settles] * 6) == ["done"] * 6
    assert len(told) == 1
    assert till.theirs("select sum(refunded) from leg where account = :account") == (refund.amount,)
    assert await till.row(
        "select count(*) from ledger_transfer where code = 'refund.done' and amount = $1", refund.amount
    ) == (1,)
    await till.assert_balanced()


async def test_refunds_of_the_same_goods_never_wait_for_each_other_for_ever(till: Till) -> None:
    first = await till.sell(Bought(1, 100), Bought(1, 200), Bought(1, 300))
    orders = [first]
    for n in range(7):
        skus = first.skus if n % 2 else first.skus[::-1]
        lines = (Bought(1, 100), Bought(1, 200), Bought(1, 300))
        orders.append(await till.sell(*lines, merchant_id=first.merchant_id, skus=skus))
    for order in orders[:4]:
        await till.accept(order)
        await till.ship(order)
    both = [lambda o=o: till.refund(o, everything=True, restock=True) for o in orders]
    assert await at_once(*both) == ["done"] * 8
    assert {await till.stock(first, place) for place in range(3)} == {(8 + 8 * SPARE, 0)}
    await till.drain()
    assert await till.balances() == {}
    await till.assert_balanced()
