"""Coupons that come with an order: given when it is paid, taken back when it is refunded."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.api import (
    MARKET_ID,
    OrderEvent,
    RefundDraft,
    RefundEvent,
    RefundLine,
    hookspecs,
    new_id,
    paid_lines,
    ref,
)
from core.types.scope import SYSTEM
from plugins.coupons import granting
from tests.support.coupon_use import Purchase
from tests.support.coupons import claim, held, issue, numbers
from tests.support.placed_orders import Line, Placed, place_order
from tests.support.refunds import Bought, Till


async def pay(runtime: Any, order: Placed) -> None:
    event = OrderEvent(order.merchant_id, order.id, order.trade_id, order.account_id)
    async with runtime.tx(SYSTEM) as tx:
        await dict(tx.hooks.of(hookspecs.order_paid))["coupons"](tx, event)


async def gifts(runtime: Any, order: Placed) -> list[str]:
    return sorted((await held(runtime, order.account_id)).values())


async def name_product(runtime: Any, order: Placed, line: int) -> str:
    """The id of the product of a line of the order, which exists."""
    async with runtime.tx(SYSTEM) as tx:
        product_id = await tx.fetchval(
            "select product_id from order_line where id = $1", order.lines[line].id
        )
        await tx.execute(
            "insert into product (merchant_id, id, handle, title, created_at, updated_at)"
            " values ($1, $2, $2::uuid::text, 't', $3, $3)",
            order.merchant_id,
            product_id,
            tx.now,
        )
    return ref(order.merchant_id, product_id)


def draft(order: Placed, *parts: tuple[int, int, int], kept: int, whole: bool = False) -> RefundDraft:
    """A refund of (line, quantity, amount)."""
    lines = tuple(
        RefundLine(order.lines[n].id, new_id(), order.lines[n].sku_id, quantity, amount)
        for n, quantity, amount in parts
    )
    return RefundDraft(
        new_id(), order.merchant_id, order.id, order.trade_id, order.account_id, lines, 0, kept, whole, "bad"
    )


async def refund(runtime: Any, found: RefundDraft) -> list[tuple[str, int]]:
    async with runtime.tx(SYSTEM) as tx:
        answer = await dict(tx.hooks.of(hookspecs.refund_requesting))["coupons"](tx, found)
    return [(d.bearer, d.amount) for d in answer]


# place_order: two of 500 and one of 3000 fen, 4000 in all.


@pytest.mark.parametrize(("min_paid", "comes"), [(0, True), (4000, True), (4001, False)])
async def test_order_paid_brings_the_gift_of_an_order_that_is_large_enough(
    runtime: Any, min_paid: int, comes: bool
) -> None:
    template = await issue(runtime, claim="gift", gift={"min_paid": min_paid})
    order = await place_order(runtime)
    for _ in range(2):
        await pay(runtime, order)
    assert await gifts(runtime, order) == ["unused"] * comes
    assert (await numbers(runtime, template)).claimed == comes


async def test_gifts_of_many_orders_at_once_and_their_use_wait_for_each_other_and_come_to_an_end(
    runtime: Any,
) -> None:
    shop = new_id()
    made = [
        await issue(runtime, i, claim="gift", gift={"min_paid": 1}, per_account=9, total=1000)
        for i in (MARKET_ID, shop, MARKET_ID)
    ]
    orders = [await place_order(runtime, merchant_id=shop) for _ in range(6)]
    await asyncio.gather(*(pay(runtime, order) for order in orders))
    seconds = [await place_order(runtime, merchant_id=shop, account_id=o.account_id) for o in orders]
    for order, second in zip(orders, seconds, strict=True):
        purchase = Purchase(runtime, order.account_id, [shop])
        purchase.trade_id, purchase.orders = second.trade_id, {shop: second.id}
        await purchase.place()
    await asyncio.gather(*(pay(runtime, order) for order in [*seconds, *orders, *seconds]))
    for order in orders:
        assert await gifts(runtime, order) == ["unused"] * 4 + ["used"] * 2
    found = [await numbers(runtime, template) for template in made]
    assert [f.claimed for f in found] == [12, 12, 12]
    assert sum(f.used for f in found) == 12


async def test_what_the_market_bore_was_not_paid(runtime: Any) -> None:
    await issue(runtime, claim="gift", gift={"min_paid": 4000})
    order = await place_order(runtime, market_borne=1)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update order_line set payable = payable - 1 where id = $1", order.lines[0].id)
    await pay(runtime, order)
    assert await gifts(runtime, order) == []


async def test_a_gift_may_come_with_certain_products_only(runtime: Any) -> None:
    order = await place_order(runtime)
    cheap = await name_product(runtime, order, 0)
    large = {"min_paid": 1001, "product_ids": [cheap]}
    fits = {"min_paid": 1000, "product_ids": [cheap]}
    await issue(runtime, claim="gift", gift=large)
    await issue(runtime, order.merchant_id, claim="gift", gift=fits)
    await issue(runtime, claim="gift", gift={"product_ids": [cheap]})
    await pay(runtime, order)
    assert len(await gifts(runtime, order)) == 2
    other = await place_order(runtime)
    await pay(runtime, other)
    assert await gifts(runtime, other) == []


async def test_a_shops_gift_comes_with_its_own_orders_only(runtime: Any) -> None:
    order = await place_order(runtime)
    mine = await issue(runtime, order.merchant_id, claim="gift", gift={"min_paid": 1})
    await issue(runtime, new_id(), claim="gift", gift={"min_paid": 1})
    await issue(runtime, order.merchant_id, claim="gift")
    await pay(runtime, order)
    assert len(await gifts(runtime, order)) == 1
    assert (await numbers(runtime, mine)).claimed == 1


async def test_an_order_that_was_never_paid_brings_nothing(runtime: Any) -> None:
    await issue(runtime, claim="gift", gift={"min_paid": 0})
    order = await place_order(runtime, status="unpaid")
    await pay(runtime, order)
    assert await gifts(runtime, order) == []


async def test_an_order_costs_one_statement_more_where_there_are_no_gifts(runtime: Any) -> None:
    order = await place_order(runtime)
    event = OrderEvent(order.merchant_id, order.id, order.trade_id, order.account_id)
    async with runtime.tx(SYSTEM) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        await granting.give_gifts(tx, event)
        assert tx.statements - before == 1


async def test_refund_requesting_voids_an_unused_gift_that_the_order_no_longer_earns(runtime: Any) -> None:
    template = await issue(runtime, claim="gift", gift={"min_paid": 3000})
    order = await place_order(runtime)
    await pay(runtime, order)
    assert await refund(runtime, draft(order, (0, 2, 1000), kept=3000)) == []
    assert await gifts(runtime, order) == ["unused"]
    assert await refund(runtime, draft(order, (1, 1, 3000), kept=0)) == []
    assert await gifts(runtime, order) == ["void"]
    assert (await numbers(runtime, template)).voided == 1
    await pay(runtime, order)
    assert await gifts(runtime, order) == ["void"]


async def test_a_refund_of_the_whole_order_takes_back_every_gift(runtime: Any) -> None:
    order = await place_order(runtime)
    for issuer in (MARKET_ID, order.merchant_id):
        await issue(runtime, issuer, claim="gift", gift={"min_paid": 0})
    mine = await claim(runtime, order.account_id, await issue(runtime))
    await pay(runtime, order)
    await refund(runtime, draft(order, (0, 2, 1000), (1, 1, 3000), kept=0, whole=True))
    assert await gifts(runtime, order) == ["unused", "void", "void"]
    assert (await held(runtime, order.account_id))[mine] == "unused"


async def test_a_gift_for_products_goes_when_they_go_whatever_else_is_kept(runtime: Any) -> None:
    order = await place_order(runtime)
    gift = {"product_ids": [await name_product(runtime, order, 0)]}
    await issue(runtime, claim="gift", gift=gift)
    await pay(runtime, order)
    await refund(runtime, draft(order, (0, 1, 500), kept=3500))
    assert await gifts(runtime, order) == ["unused"]
    await refund(runtime, draft(order, (0, 2, 1000), kept=3000))
    assert await gifts(runtime, order) == ["void"]


async def use(runtime: Any, order: Placed, shop: UUID, *, paid: bool) -> Purchase:
    """The buyer of the order uses a coupon in another order."""
    purchase = Purchase(runtime, order.account_id, [shop])
    other = await place_order(runtime, merchant_id=shop, account_id=order.account_id, status="unpaid")
    purchase.trade_id, purchase.orders = other.trade_id, {shop: other.id}
    await purchase.place()
    if paid:
        await purchase.pay()
    return purchase


@pytest.mark.parametrize("paid", [True, False])
async def test_the_worth_of_a_used_gift_is_kept_back_once_by_bearer(runtime: Any, paid: bool) -> None:
    order = await place_order(runtime)
    await issue(runtime, claim="gift", gift={"min_paid": 1}, merchant_share_bp=3000, amount=500)
    await pay(runtime, order)
    purchase = await use(runtime, order, order.merchant_id, paid=paid)
    back = draft(order, (0, 2, 1000), (1, 1, 3000), kept=0, whole=True)
    assert await refund(runtime, back) == [("market", 350), ("merchant", 150)]
    assert await refund(runtime, draft(order, kept=0, whole=True)) == []
    assert await gifts(runtime, order) == ["used"]
    await purchase.close()
    assert await refund(runtime, draft(order, kept=0, whole=True)) == []
    assert await gifts(runtime, order) == ["unused"], "the buyer has paid for it"


async def test_what_another_shop_bore_of_a_gift_of_the_market_goes_to_the_market(runtime: Any) -> None:
    order = await place_order(runtime)
    await issue(runtime, claim="gift", gift={"min_paid": 1}, merchant_share_bp=3000, amount=500)
    await pay(runtime, order)
    await use(runtime, order, new_id(), paid=True)
    assert await refund(runtime, draft(order, kept=0, whole=True)) == [("market", 500)]


async def test_a_shops_own_gift_is_the_shops_money(runtime: Any) -> None:
    order = await place_order(runtime)
    await issue(runtime, order.merchant_id, claim="gift", gift={"min_paid": 1}, amount=700)
    await pay(runtime, order)
    await use(runtime, order, order.merchant_id, paid=True)
    assert await refund(runtime, draft(order, kept=0, whole=True)) == [("merchant", 700)]


async def test_what_was_refunded_of_a_used_gift_is_not_kept_back(runtime: Any) -> None:
    order, shop = await place_order(runtime), new_id()
    await issue(runtime, claim="gift", gift={"min_paid": 1}, amount=600)
    await pay(runtime, order)
    purchase = Purchase(runtime, order.account_id, [shop], lines=2)
    await purchase.place()
    await purchase.pay()
    await purchase.settle(purchase.refund(shop, 0))
    assert await refund(runtime, draft(order, kept=0, whole=True)) == [("market", 300)]


async def test_a_gift_that_came_back_unused_is_voided_not_kept_back(runtime: Any) -> None:
    order = await place_order(runtime)
    await issue(runtime, claim="gift", gift={"min_paid": 1})
    await pay(runtime, order)
    purchase = await use(runtime, order, new_id(), paid=False)
    await purchase.close()
    assert await refund(runtime, draft(order, kept=0, whole=True)) == []
    assert await gifts(runtime, order) == ["void"]


async def test_a_refund_that_comes_while_the_gift_is_being_given_waits_and_takes_it_back(
    runtime: Any,
) -> None:
    order = await place_order(runtime)
    await issue(runtime, claim="gift", gift={"min_paid": 1})

    async def refunding() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await tx.fetchrow("select 1 from orders where id = $1 for update", order.id)
            await granting.take_back(tx, draft(order, kept=0, whole=True))

    async with runtime.tx(SYSTEM) as tx:
        event = OrderEvent(order.merchant_id, order.id, order.trade_id, order.account_id)
        await granting.give_gifts(tx, event)
        second = asyncio.create_task(refunding())
        await asyncio.sleep(0.1)
        assert not second.done()
    await second
    assert await gifts(runtime, order) == ["void"]


async def test_paid_lines_are_less_what_was_refunded(runtime: Any, client: httpx.AsyncClient) -> None:
    till = Till(runtime, client)
    order = await till.sell(Bought(2, 500, ((100, 0),)), Bought(1, 3000))
    first = await till.refund(order, (0, 1))
    async with runtime.tx(SYSTEM) as tx:
        left = await paid_lines(tx, order.merchant_id, order.id)
        before = await paid_lines(tx, order.merchant_id, order.id, without=first.id)
        other = await paid_lines(tx, order.merchant_id, order.id, without=new_id())
        assert await paid_lines(tx, new_id(), order.id) == []
    assert [(line.quantity, line.amount) for line in left] == [(1, 450), (1, 3000)]
    assert [(line.quantity, line.amount) for line in before] == [(2, 900), (1, 3000)]
    assert other == left


async def test_a_gift_goes_through_payment_use_and_refund_and_the_books_agree(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    till, shop = Till(runtime, client), new_id()
    await issue(runtime, claim="gift", gift={"min_paid": 3000}, amount=500, merchant_share_bp=2000)
    order = await till.sell(Bought(4, 1000), merchant_id=shop)
    await till.drain()
    (gift,) = await held(runtime, order.account_id)
    assert (await till.refund(order, (0, 1))).deductions == ()
    purchase = Purchase(runtime, order.account_id, [shop])
    other = await place_order(runtime, merchant_id=shop, account_id=order.account_id, status="unpaid")
    purchase.trade_id, purchase.orders = other.trade_id, {shop: other.id}
    await purchase.place()
    second = await till.refund(order, (0, 1))
    assert [(d.bearer, d.amount) for d in second.deductions] == [("market", 400), ("merchant", 100)]
    assert (second.goods_amount, second.amount) == (1000, 500)
    last = await till.refund(order, everything=True)
    assert (last.deductions, last.amount) == ((), 2000)
    await till.drain()
    assert await held(runtime, order.account_id) == {gift: "used"}


async def test_a_used_gift_worth_more_than_a_refund_is_kept_back_from_those_after_it(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    till, shop = Till(runtime, client), new_id()
    await issue(runtime, claim="gift", gift={"min_paid": 900}, amount=500, merchant_share_bp=2000)
    order = await till.sell(Bought(3, 300), merchant_id=shop)
    await till.drain()
    purchase = Purchase(runtime, order.account_id, [shop])
    other = await place_order(runtime, merchant_id=shop, account_id=order.account_id, status="unpaid")
    purchase.trade_id, purchase.orders = other.trade_id, {shop: other.id}
    await purchase.place()
    refunds = [await till.refund(order, (0, 1)) for _ in range(3)]
    assert [refund.amount for refund in refunds] == [0, 100, 300]
    kept = [(d.bearer, d.amount) for refund in refunds for d in refund.deductions]
    assert kept == [("market", 300), ("market", 100), ("merchant", 100)]
    await till.drain()
    await till.assert_balanced()


async def test_a_gift_of_the_shop_that_the_buyer_keeps_brings_no_coupon(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    till = Till(runtime, client)
    await issue(runtime, claim="gift", gift={"min_paid": 0})
    order = await till.sell(Bought(1, 500), Bought(1, 0, (), "gift", 0))
    await till.drain()
    await till.accept(order)
    await till.ship(order)
    assert list((await held(runtime, order.account_id)).values()) == ["unused"]
    await till.refund(order, (0, 1))
    assert list((await held(runtime, order.account_id)).values()) == ["void"]


async def test_a_gift_for_products_is_taken_back_by_the_refund_of_the_last_of_them(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    till = Till(runtime, client)
    order = await till.sell(Bought(2, 500), Bought(1, 3000))
    placed = Placed(
        order.merchant_id,
        order.id,
        order.trade_id,
        order.account_id,
        "",
        tuple(Line(i, i, 1) for i in order.lines),
    )
    product = await name_product(runtime, placed, 0)
    await issue(runtime, claim="gift", gift={"min_paid": 400, "product_ids": [product]})
    await till.drain()
    assert await gifts(runtime, placed) == ["unused"]
    await till.refund(order, (1, 1))
    await till.refund(order, (0, 1))
    assert await gifts(runtime, placed) == ["unused"]
    await till.refund(order, (0, 1))
    assert await gifts(runtime, placed) == ["void"]
    await till.drain()
    await till.assert_balanced()


async def test_an_order_that_went_back_before_its_event_arrived_brings_no_gift(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    till = Till(runtime, client)
    await issue(runtime, claim="gift", gift={"min_paid": 1})
    order = await till.sell(Bought(1, 1000))
    await till.refund(order, everything=True)
    await till.drain()
    assert await held(runtime, order.account_id) == {}


async def test_refund_done_of_an_order_with_a_used_gift_leaves_the_statistics_whole(runtime: Any) -> None:
    order = await place_order(runtime)
    template = await issue(runtime, claim="gift", gift={"min_paid": 1}, amount=500)
    await pay(runtime, order)
    await use(runtime, order, order.merchant_id, paid=True)
    back = draft(order, kept=0, whole=True)
    await refund(runtime, back)
    event = RefundEvent(
        back.merchant_id, back.order_id, back.trade_id, back.account_id, back.id, whole_order=True
    )
    async with runtime.tx(SYSTEM) as tx:
        await dict(tx.hooks.of(hookspecs.refund_done))["coupons"](tx, event)
    found = await numbers(runtime, template)
    assert (found.used, found.voided, found.cost.market) == (1, 0, 500)
