"""The books after refunds: any mixture of steps leaves them in agreement, and the check finds what does not agree."""

import random

import pytest

from core.kit.errors import JishiError
from core.kit.ids import parse_pair, ref
from core.ledger import service as ledger
from core.ledger.check import check
from core.ledger.rules import Account, Transfer
from core.ledger.text import trace_text
from core.types.scope import PLATFORM
from tests.support.refunds import Bought, Paid, Till

TEA = Bought(2, 5_000, ((0, 500), (1_000, 0)))


def _lines(rng: random.Random) -> list[Bought]:
    made = []
    for _ in range(rng.randint(1, 3)):
        quantity, price = rng.randint(1, 5), rng.randint(0, 999)
        left, cuts = quantity * price, []
        for _ in range(rng.randint(0, 3)):
            total = rng.randint(0, left)
            market = rng.randint(0, total)
            cuts.append((market, total - market))
            left -= total
        made.append(Bought(quantity, price, tuple(cuts)))
    if rng.random() < 0.5:
        made.append(Bought(rng.randint(1, 2), 0, (), "gift", rng.choice([None, 0])))
    return made


async def _step(till: Till, order: Paid, rng: random.Random, units: list[Bought]) -> None:
    place = rng.randrange(len(units))
    some = (place, rng.randint(1, units[place].quantity))
    match rng.randint(0, 9):
        case 0:
            await till.accept(order)
        case 1 | 2:
            await till.ship(order, some)
        case 3:
            await till.ship(order)
        case 4:
            await till.complete(order)
        case 5:
            await till.drain()
        case 6:
            await till.refund(order, everything=True, shipping=rng.randint(0, 50), restock=rng.random() < 0.5)
        case _:
            await till.refund(order, some, shipping=rng.randint(0, 50), restock=rng.random() < 0.5)


@pytest.mark.parametrize("seed", range(8))
async def test_any_mixture_of_steps_leaves_books_stock_and_units_in_agreement(till: Till, seed: int) -> None:
    rng = random.Random(seed)
    orders, refusals = [], set()
    for _ in range(4):
        units = _lines(rng)
        base = sum(x.quantity * x.unit_price - sum(m for _, m in x.discounts) for x in units)
        order = await till.sell(
            *units,
            shipping=rng.randint(0, 300),
            shipping_market=rng.randint(0, 200),
            commission=rng.randint(0, base),
        )
        orders.append((order, units))
        if rng.random() < 0.7:
            await till.accept(order)
        for _ in range(14):
            try:
                await _step(till, order, rng, units)
            except JishiError as refusal:
                refusals.add(refusal.code)
            await till.assert_balanced()
    assert await till.row(
        "select bool_and(s.reserved = case when o.status in ('paid', 'accepted')"
        " then l.quantity - l.shipped_quantity - l.cancelled_quantity else 0 end)"
        " from order_line l join orders o on o.id = l.order_id join stock s on s.sku_id = l.sku_id"
    ) == (True,)
    for order, _ in orders:
        if await till.status(order) != "closed":
            left = await till.row(
                "select sum(quantity - refunded_quantity)::int, min(o.shipping_amount - o.refunded_shipping)::int"
                " from order_line l join orders o on o.id = l.order_id where o.id = $1",
                order.id,
            )
            if any(left):
                await till.refund(order, everything=True, shipping=left[1])
    await till.drain()
    await till.assert_balanced()
    frozen = await till.row("select coalesce(sum(payable - refunded_amount), 0)::bigint from orders")
    assert frozen == (0,)
    assert refusals <= {"wrong_status", "nothing_left", "refund_exceeds", "invalid"}


async def test_the_check_finds_refunds_that_do_not_agree(till: Till) -> None:
    orders = [await till.sell(TEA, commission=475) for _ in range(5)]
    for order in orders:
        await till.refund(order, (0, 1))
    await till.drain()
    await till.assert_balanced()
    taken, given, sent, fee, stray = orders
    async with till.begin() as tx:
        await tx.execute("update orders set refunding_amount = 7 where id = $1", taken.id)
        await tx.execute("update orders set refunded_market = refunded_market - 1 where id = $1", given.id)
        await tx.execute("update payment_leg set refunded_amount = 1 where order_id = $1", sent.id)
        await tx.execute("update orders set status = 'completed' where id = $1", fee.id)
    assert (await till.release(fee)).value == "released"
    async with till.begin() as tx:
        await tx.execute("update orders set refunded_commission = 0 where id = $1", fee.id)
        shop = stray.merchant_id
        out = Transfer(stray.id, shop, Account(shop, "frozen"), Account(shop, "gateway"), 5, "fix", stray.id)
        await ledger.post(tx, [out])
        found = (await check(tx)).problems
    assert sorted((p.code, p.order_id) for p in found) == sorted(
        [
            ("order_refunded", taken.ref),
            ("order_given_back", given.ref),
            ("order_sent_back", sent.ref),
            ("order_commission", fee.ref),
            ("order_kept", stray.ref),
        ]
    )


async def test_a_refund_can_be_followed_in_the_trace(till: Till) -> None:
    order = await till.sell(TEA, commission=475)
    await till.refund(order, everything=True)
    await till.drain()
    assert parse_pair(order.ref) == (order.merchant_id, order.id)
    async with till.begin(PLATFORM) as tx:
        posted = await ledger.trace(tx, ref(order.merchant_id, order.id))
    lines = [" ".join(line.split()[2:]) for line in trace_text(posted).splitlines()]
    assert lines == [
        "pay.buyer shop gateway <- shop frozen 85.00",
        "pay.subsidy market subsidy <- shop frozen 10.00",
        "refund.buyer shop frozen <- shop refund_transit 85.00",
        "refund.subsidy shop frozen <- market subsidy 10.00",
        "pay.funds shop gateway <- market funds 10.00",
        "refund.done shop refund_transit <- shop gateway 85.00",
        "refund.funds market funds <- shop gateway 10.00",
    ]
