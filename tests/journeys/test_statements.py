"""What a purchase costs in statements, request by request: as much with all plugins on as with none, and for each plugin of
which the buyer owns something one more to read it."""

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import REGISTRY

from core.plugin import discover
from core.testkit import Article, Market, Plugins, Shop
from core.testkit.market import Person
from tests.support import coupons, membership
from tests.support.promotions import Fair

QUOTE, CART, CHECKOUT, PAYMENT, PAID = (
    "POST /quote",
    "PUT /cart/lines/{sku_id:str}",
    "POST /checkout",
    "POST /trades/{trade_id:str}/payments",
    "POST /payments/sandbox/notifications",
)
PLAIN = {CART: 3, QUOTE: 3, CHECKOUT: 6, PAYMENT: 4, PAID: 6}


@pytest.fixture(params=["none", "all"])
def jishi_plugins(request: pytest.FixtureRequest) -> Plugins:
    """No plugin at all, or all that are installed."""
    return Plugins(also=tuple(discover().values()) if request.param == "all" else (), only=True)


async def goods(market: Market) -> list[Article]:
    """An article of each of three shops."""
    return [await market.product(await market.merchant(slug), price=5000) for slug in ("one", "two", "three")]


def statements() -> dict[str, int]:
    """So far, by route."""
    found: dict[str, int] = {}
    for metric in REGISTRY.collect():
        for sample in metric.samples if metric.name == "jishi_statements" else ():
            if sample.name.endswith("_total"):
                route = f"{sample.labels['method']} {sample.labels['route'].partition(':')[2]}"
                found[route] = found.get(route, 0) + int(sample.value)
    return found


async def purchase(
    market: Market, person: Person, articles: list[Article], options: Mapping[str, Any]
) -> dict[str, int]:
    """The statements of each request of a purchase, the last article put into the cart for all of them."""
    before: dict[str, int] = {}
    for article in articles:
        before = statements()
        put = await person.put(f"/api/shop/cart/lines/{article.ref}", {"quantity": 1, "selected": True})
        assert put.status_code == 200, put.text
    # Without a key: a quote changes nothing.
    asked: dict[str, Any] = {"json": {"options": options}, "headers": person.headers}
    quote = (await person.client.post("/api/shop/quote", **asked)).json()
    body = {"expected_payable": quote["payable"], "options": options}
    trade = await person.post("/api/shop/checkout", body)
    assert trade.status_code == 201, trade.text
    await market.pay(person, trade.json()["id"])
    after = statements()
    return {route: after[route] - before.get(route, 0) for route in PLAIN}


async def test_plugins_of_which_the_buyer_owns_nothing_cost_no_statement(market: Market) -> None:
    articles = await goods(market)
    for _ in range(2):
        found = await purchase(market, await market.buyer(), articles, {})
    assert found == PLAIN


@pytest.mark.parametrize("jishi_plugins", ["all"], indirect=True)
async def test_each_plugin_reads_once_what_the_buyer_owns_and_writes_what_it_uses(market: Market) -> None:
    runtime, articles = market.runtime, await goods(market)
    shop, gift = articles[0].merchant_id, await market.product(articles[0].merchant_id)
    await membership.level(runtime)
    tiers = [{"from": 100, "gifts": [{"sku_id": gift.ref}]}]
    await Fair(market).run(Shop(shop, "one"), kind="gift", tiers=tiers)
    template = await coupons.issue(runtime, shop)
    options = {"membership": {"points": 100}}
    for _ in range(2):
        buyer = await market.buyer()
        await membership.give(runtime, buyer.me.account_id, 500)
        await coupons.claim(runtime, buyer.me.account_id, template)
        found = await purchase(market, buyer, articles, options)
    # Promotions look what is left of the gift; membership and coupons what the buyer has.
    assert found[CART] == found[QUOTE] == PLAIN[QUOTE] + 3
    assert found[PAYMENT] == PLAIN[PAYMENT]
    # What the market bears of the discounts is a call of the payment service.
    assert found[PAID] == PLAIN[PAID] + 1
    # Besides, coupons take the coupon in one, membership the points and promotions the gift in three each.
    assert found[CHECKOUT] == PLAIN[CHECKOUT] + 3 + 7
