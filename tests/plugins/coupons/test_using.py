"""Using coupons: priced by the hook, marked used by placing, given back by closing, counted when paid."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core.api import (
    MARKET_ID,
    Basket,
    BasketLine,
    Closing,
    ClosingOrder,
    Conflict,
    Invalid,
    OrderEvent,
    PlacedOrder,
    Placement,
    hookspecs,
    new_id,
    parse_pair,
    parse_ref,
    ref,
)
from core.pricing.service import price
from core.types import scope as scopes
from core.types.pricing import Quote
from core.types.scope import SYSTEM
from tests.support.coupons import claim, held, issue, nobody, statistics


class Purchase:
    """A purchase in two shops, carried through the hooks that coupons implement."""

    def __init__(self, runtime: Any, account_id: UUID, shops: list[UUID]) -> None:
        self.runtime, self.account_id, self.shops = runtime, account_id, shops
        self.trade_id = new_id()
        self.orders = {shop: new_id() for shop in shops}

    def basket(self, now: Any, options: dict[str, Any]) -> Basket:
        lines = []
        for shop in self.shops:
            sku_id = new_id()
            lines.append(BasketLine(ref(shop, sku_id), shop, new_id(), sku_id, 1, 10_000))
        return Basket(tuple(lines), self.account_id, now, options=options)

    async def quote(self, **coupons: Any) -> Quote:
        async with self.runtime.tx(scopes.buyer(self.account_id)) as tx:
            return await price(tx, self.basket(tx.now, {"coupons": coupons} if coupons else {}))

    async def place(self, quote: Quote | None = None) -> Quote:
        priced = quote or await self.quote()
        async with self.runtime.tx(SYSTEM) as tx:
            orders = tuple(
                PlacedOrder(
                    self.orders[parse_ref(m.merchant_id)], parse_ref(m.merchant_id), "n", m, 0, "none"
                )
                for m in priced.merchants
            )
            placement = Placement(self.trade_id, self.account_id, orders, priced, tx.now)
            await self._hook(tx, hookspecs.order_placing)(tx, placement)
        return priced

    async def close(self, *shops: UUID, whole: bool) -> None:
        orders = tuple(ClosingOrder(self.orders[shop], shop) for shop in shops)
        async with self.runtime.tx(SYSTEM) as tx:
            closing = Closing(self.trade_id, self.account_id, orders, whole, "unpaid")
            await self._hook(tx, hookspecs.order_closing)(tx, closing)

    async def pay(self, shop: UUID) -> None:
        event = OrderEvent(shop, self.orders[shop], self.trade_id, self.account_id)
        async with self.runtime.tx(SYSTEM) as tx:
            await self._hook(tx, hookspecs.order_paid)(tx, event)

    def _hook(self, tx: Any, spec: Any) -> Any:
        return dict(tx.hooks.of(spec))["coupons"]


@pytest.fixture
def purchase(runtime: Any) -> Purchase:
    return Purchase(runtime, new_id(), [new_id(), new_id()])


def applied(quote: Quote) -> set[str]:
    return {e.rule for e in quote.explain if e.outcome == "applied"}


def refused(quote: Quote) -> dict[str, str]:
    return {e.rule: e.code for e in quote.explain if e.outcome == "refused"}


async def test_price_rules_take_the_best_coupons_in_one_statement(runtime: Any, purchase: Purchase) -> None:
    shop = purchase.shops[0]
    small = await claim(runtime, purchase.account_id, await issue(runtime, shop, amount=100))
    large = await claim(runtime, purchase.account_id, await issue(runtime, shop, amount=300))
    market = await claim(runtime, purchase.account_id, await issue(runtime, amount=200))
    far = await claim(runtime, purchase.account_id, await issue(runtime, threshold=50_000))
    quote = await purchase.quote()
    assert applied(quote) == {large, market}
    assert refused(quote) == {far: "threshold"}
    assert quote.discount_amount == 500
    assert small not in applied(quote)
    async with runtime.tx(scopes.buyer(purchase.account_id)) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        rules = await dict(tx.hooks.of(hookspecs.price_rules))["coupons"](tx, purchase.basket(tx.now, {}))
        assert (len(rules), tx.statements - before) == (4, 1)


async def test_named_coupons_are_taken_and_no_others(runtime: Any, purchase: Purchase) -> None:
    shop = purchase.shops[0]
    small = await claim(runtime, purchase.account_id, await issue(runtime, shop, amount=100))
    await claim(runtime, purchase.account_id, await issue(runtime, shop, amount=300))
    await claim(runtime, purchase.account_id, await issue(runtime, amount=200))
    quote = await purchase.quote(ids=[small])
    assert (applied(quote), quote.discount_amount) == ({small}, 100)
    assert (await purchase.quote(ids=[])).discount_amount == 0
    assert (await purchase.quote(ids="best")).discount_amount == 500


async def test_a_coupon_that_is_not_the_buyers_is_unknown(runtime: Any, purchase: Purchase) -> None:
    foreign = await claim(runtime, new_id(), await issue(runtime))
    quote = await purchase.quote(ids=[foreign, nobody(), "nonsense"])
    assert set(refused(quote).values()) == {"unknown_coupon"}
    assert len(refused(quote)) == 3
    async with runtime.tx(SYSTEM) as tx:
        again = await price(tx, purchase.basket(tx.now, {"coupons": {"ids": [foreign]}}))
    assert refused(again) == {foreign: "unknown_coupon"}


@pytest.mark.parametrize("ids", [5, "worst", [1], None, ["x"] * 51])
async def test_a_choice_that_is_none_is_malformed(purchase: Purchase, ids: Any) -> None:
    with pytest.raises(Invalid):
        await purchase.quote(ids=ids)


async def test_order_placing_uses_what_was_applied_and_only_once(runtime: Any, purchase: Purchase) -> None:
    market = await claim(runtime, purchase.account_id, await issue(runtime))
    spare = await claim(runtime, purchase.account_id, await issue(runtime, amount=1))
    quote = await purchase.place()
    assert await held(runtime, purchase.account_id) == {market: "used", spare: "unused"}
    with pytest.raises(Conflict) as refusal:
        await purchase.place(quote)
    assert refusal.value.code == "coupon_used"
    named = await purchase.quote(ids=[market])
    assert refused(named) == {market: "coupon_used"}


async def test_a_coupon_that_expired_since_the_quote_refuses_the_placement(
    runtime: Any, purchase: Purchase
) -> None:
    await claim(runtime, purchase.account_id, await issue(runtime))
    quote = await purchase.quote()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_coupon set expires_at = $1", tx.now - timedelta(seconds=1))
    with pytest.raises(Conflict):
        await purchase.place(quote)


async def test_order_closing_gives_back_the_shops_with_its_order_and_the_markets_with_the_trade(
    runtime: Any, purchase: Purchase
) -> None:
    one, two = purchase.shops
    mine = await claim(runtime, purchase.account_id, await issue(runtime, one))
    other = await claim(runtime, purchase.account_id, await issue(runtime, two))
    market = await claim(runtime, purchase.account_id, await issue(runtime))
    await purchase.place()
    await purchase.close(one, whole=False)
    assert await held(runtime, purchase.account_id) == {mine: "unused", other: "used", market: "used"}
    await purchase.close(two, whole=True)
    assert set((await held(runtime, purchase.account_id)).values()) == {"unused"}
    again = Purchase(runtime, purchase.account_id, purchase.shops)
    assert applied(await again.place()) == {mine, other, market}
    await purchase.close(one, two, whole=True)
    assert set((await held(runtime, purchase.account_id)).values()) == {"used"}


async def test_a_coupon_given_back_too_late_is_expired(runtime: Any, purchase: Purchase) -> None:
    market = await claim(runtime, purchase.account_id, await issue(runtime))
    await purchase.place()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_coupon set expires_at = $1", tx.now - timedelta(seconds=1))
    await purchase.close(*purchase.shops, whole=True)
    assert await held(runtime, purchase.account_id) == {market: "expired"}


async def test_order_paid_is_counted_for_the_templates_that_brought_the_order(
    runtime: Any, purchase: Purchase
) -> None:
    one, two = purchase.shops
    of_shop, of_market = await issue(runtime, one), await issue(runtime)
    for template in (of_shop, of_market):
        await claim(runtime, purchase.account_id, template)
    await purchase.place()
    assert (await statistics(runtime))[of_market] == (100, 1, 0, 0)
    await asyncio.gather(purchase.pay(one), purchase.pay(two))
    assert (await statistics(runtime, one))[of_shop] == (100, 1, 1, 1)
    assert (await statistics(runtime, MARKET_ID))[of_market] == (100, 1, 1, 2)


async def test_terms_are_those_of_the_claim(runtime: Any, purchase: Purchase) -> None:
    template = await issue(runtime, amount=500)
    await claim(runtime, purchase.account_id, template)
    async with runtime.tx(SYSTEM) as tx:
        sql = "update coupons_template set terms = terms || '{\"amount\": 1}' where id = $1"
        await tx.execute(sql, parse_pair(template)[1])
    assert (await purchase.quote()).discount_amount == 500
