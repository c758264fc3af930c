"""Money at the same moment: refunds, releases, payouts and calls of orders with earners."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from core.fulfilment.release import Outcome, release
from core.kit.errors import JishiError
from core.kit.ids import new_id, new_number
from core.ledger import balances
from core.worker.inline import drain
from tests.support.refunds import Bought, Paid, Till


async def _completed(till: Till, **more: Any) -> Paid:
    order = await till.sell(
        Bought(3, 1_001, ((100, 50),)), Bought(1, 500, ((500, 0),)), shipping=300, commission=140, **more
    )
    await till.accept(order)
    await till.ship(order)
    await till.complete(order)
    return order


async def _quiet(*actions: Awaitable[Any]) -> None:
    async def one(action: Awaitable[Any]) -> None:
        with contextlib.suppress(JishiError):
            await action

    await asyncio.gather(*(one(action) for action in actions))


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_at_once_every_fen_is_in_one_place(till: Till, seed: int) -> None:
    rng, earners, shop = random.Random(seed), [new_id(), new_id()], new_id()
    orders = []
    for _ in range(3):
        earnings = [(0, who, rng.randint(1, 90)) for who in rng.sample(earners, rng.randint(0, 2))]
        orders.append(await _completed(till, merchant_id=shop, earnings=earnings))

    async def roll() -> None:
        async with till.begin() as tx:
            await balances.roll_up(tx, rng.randint(1, 40))

    for _ in range(5):
        order = rng.choice(orders)
        steps: list[Awaitable[Any]] = [roll()]
        for _ in range(rng.randint(1, 4)):
            match rng.randint(0, 4):
                case 0:
                    steps.append(till.release(order))
                case 1:
                    steps.append(till.pay_out(shop))
                case 2:
                    steps.append(
                        till.refund(rng.choice(orders), everything=True, shipping=rng.randint(0, 50))
                    )
                case _:
                    steps.append(till.refund(rng.choice(orders), (0, 1), shipping=rng.randint(0, 30)))
        await _quiet(*steps)
        if rng.random() < 0.5:
            await till.drain()
        await till.assert_balanced()
    await till.drain()
    for order in orders:
        await till.release(order)
    await till.drain()
    await drain(till.runtime, until=till.runtime.clock() + timedelta(minutes=30), strict=True)
    await till.pay_out(shop)
    await till.drain()
    assert await till.row("select count(*) from channel_call where status <> 'done'") == (0,)
    await till.assert_balanced()
    left = await till.balances()
    assert not {"gateway", "frozen", "payable", "refund_transit", "payout_transit"} & set(left)


async def test_two_refunds_that_both_run_short_share_what_is_owed(till: Till) -> None:
    shop = new_id()
    first = await _completed(till, merchant_id=shop)
    await till.drain()
    await till.pay_out(shop)
    await till.drain()
    second = await _completed(till, merchant_id=shop)
    await till.drain()
    owed = -(await till.balances())["payable"]
    await _quiet(
        till.refund(first, everything=True), till.refund(first, (0, 1)), till.refund(second, everything=True)
    )
    await till.drain()
    await till.assert_balanced()
    left = await till.balances()
    assert left.get("payable", 0) == 0 or left.get("debt", 0) == 0
    assert owed > 0


async def test_an_open_case_or_a_hold_keeps_the_money_until_the_latest_day(till: Till) -> None:
    order = await _completed(till)
    case = new_id()
    async with till.begin() as tx:
        await tx.execute(
            "insert into aftersale (merchant_id, id, order_id, trade_id, account_id, number, kind, reason, created_at,"
            " updated_at) values ($1, $2, $3, $4, $5, $6, 'refund_only', 'x', $7, $7)",
            *(order.merchant_id, case, order.id, order.trade_id, order.account_id, new_number(), tx.now),
        )
    assert await till.release(order) is Outcome.HELD
    async with till.begin() as tx:
        await tx.execute("update aftersale set status = 'closed', closed_at = $2 where id = $1", case, tx.now)
        await tx.execute(
            "insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)"
            " values ($1, $2, 'tests', $3, 'x', $4)",
            *(order.merchant_id, order.id, order.account_id, tx.now),
        )
    assert await till.release(order) is Outcome.HELD
    day = till.runtime.clock() + timedelta(days=175, minutes=1)
    await drain(till.runtime, until=day, strict=True)
    assert await till.order(order, "released_at is not null") == (True,)
    await till.assert_balanced()


async def test_on_the_latest_day_even_an_order_that_never_left_is_released_and_can_be_refunded(
    till: Till,
) -> None:
    order = await till.sell(Bought(2, 1_000), commission=100, earnings=[(0, new_id(), 50)])
    assert await till.release(order) is Outcome.NOT_DUE
    async with till.begin() as tx:
        assert await release(tx, order.merchant_id, order.id, latest=True) is Outcome.RELEASED
    async with till.begin() as tx:
        assert await release(tx, order.merchant_id, order.id, latest=True) is Outcome.NOT_DUE
    await till.drain()
    await till.pay_out(order.merchant_id)
    await till.drain()
    await till.refund(order, everything=True)
    await till.drain()
    await till.assert_balanced()
    await till.assert_mirrored()
    assert await till.status(order) == "closed"
