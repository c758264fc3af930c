"""What a quote is offered, at what cost, and what it comes to over HTTP."""

from typing import Any

import pytest
from msgspec.structs import replace

from core.api import MARKET_ID, Basket, Invalid, hookspecs
from core.testkit import Market
from core.types import scope as scopes
from plugins.membership.schemas import Sale
from tests.support.membership import buy, give, growth, level, me, receive, refund


async def ask(runtime: Any, basket: Basket) -> tuple[int, int]:
    """(rules, statements) of the hook."""
    async with runtime.tx(scopes.buyer(basket.account_id)) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        rules = await dict(tx.hooks.of(hookspecs.price_rules))["membership"](tx, replace(basket, now=tx.now))
        return len(rules), tx.statements - before


async def test_price_rules_cost_a_stranger_no_statement_and_a_member_one(market: Market, basket: Any) -> None:
    runtime = market.runtime
    person, shop = await market.buyer(), await market.merchant()
    goods = basket(1000, 2000)
    shop_id = goods.lines[0].merchant_id
    await level(runtime)
    await level(runtime, shop_id, name="店铺", discount_bp=2000)
    wanted = replace(goods, account_id=me(person), versions={"membership": {MARKET_ID: 1, shop_id: 1}})
    assert await ask(runtime, replace(wanted, versions={})) == (0, 0)
    # The levels are read once, whoever asks.
    assert await ask(runtime, wanted) == (4, 1)
    assert await ask(runtime, wanted) == (4, 0)
    member = replace(wanted, holdings=frozenset(["membership"]))
    assert await ask(runtime, member) == (4, 1)
    assert await ask(runtime, replace(member, options={"membership": {"points": "max"}})) == (5, 1)
    # New levels and what the member has come in the same statement.
    changed = replace(member, versions={"membership": {MARKET_ID: 2, shop_id: 1}})
    assert await ask(runtime, changed) == (4, 1)
    # Where there is nothing to look for, nobody looks.
    assert await ask(runtime, replace(member, versions={})) == (0, 0)
    assert await ask(runtime, replace(wanted, options={"membership": {"points": 5}}, versions={})) == (1, 0)
    assert await ask(runtime, replace(wanted, account_id=None)) == (0, 0)
    assert shop.id != shop_id


@pytest.mark.parametrize("points", [-1, "all", 1.5, None, [1], True, 10**13])
async def test_a_wish_that_is_none_is_malformed(market: Market, basket: Any, points: Any) -> None:
    wanted = replace(
        basket(1000), account_id=me(await market.buyer()), options={"membership": {"points": points}}
    )
    with pytest.raises(Invalid) as refusal:
        await ask(market.runtime, wanted)
    assert "options.membership" in str(refusal.value.extra)


async def test_a_change_of_levels_counts_in_the_next_quote(market: Market) -> None:
    person, shop, operator = await market.buyer(), await market.merchant(), await market.operator()
    article = await market.product(shop, price=1000)

    async def price() -> int:
        return int((await person.quote((article.ref, 1))).json()["merchants"][0]["lines"][0]["payable"])

    assert await price() == 1000
    made = await operator.post(
        "/api/platform/membership/levels", {"name": "会员", "growth": 0, "discount_bp": 500}
    )
    assert await price() == 950
    path = f"/api/platform/membership/levels/{made.json()['id']}"
    prices = [{"sku_id": article.ref, "price": 900}]
    assert (await operator.call("PATCH", path, {"prices": prices})).status_code == 200
    assert await price() == 900
    assert (await operator.call("DELETE", path)).status_code == 204
    assert await price() == 1000


async def test_a_higher_level_is_reached_by_buying_and_lost_by_refunding(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    article = await market.product(shop, price=10_000)
    await level(market.runtime, growth=100, name="金卡", discount_bp=1000)
    await level(market.runtime, shop.id, growth=200, name="熟客", discount_bp=2000)

    async def price() -> int:
        return int((await person.quote((article.ref, 1))).json()["merchants"][0]["lines"][0]["payable"])

    assert await price() == 10_000
    trade = await buy(market, person, [(article, 1)])
    await market.drain()
    assert await price() == 10_000
    await receive(market, person, trade)
    assert (await growth(market.runtime, me(person)), await price()) == (100, 9000)
    more = await buy(market, person, [(article, 2)])
    await receive(market, person, more)
    assert (await growth(market.runtime, me(person), shop.id), await price()) == (280, 8000)
    await refund(market, trade["orders"][0])
    assert (await growth(market.runtime, me(person), shop.id), await price()) == (180, 9000)
    # What was placed stays as it was placed.
    placed = (await person.get(f"/api/shop/trades/{more['id']}")).json()["orders"][0]
    assert {d["kind"] for d in placed["discounts"]} == {"membership.price"}


async def test_who_bears_a_member_price_is_in_the_books(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    article = await market.product(shop, price=10_000)
    await level(market.runtime, merchant_share_bp=2500)
    await give(market.runtime, me(person), 500)
    trade = await market.purchase(person, [(article, 1)], {"membership": {"points": 500}})
    found = {d["kind"]: d["bearer"] for d in trade["orders"][0]["discounts"]}
    assert found == {
        "membership.price": {"market": 750, "merchant": 250},
        "membership.points": {"market": 500, "merchant": 0},
    }
    assert trade["payable"] - trade["shipping_amount"] == 8500


async def test_a_quote_costs_a_member_with_bought_levels_one_statement_too(
    market: Market, basket: Any
) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    card = await market.product(shop, price=3000)
    await level(runtime, shop.id, growth=None, gained_by="purchase", sold_by=(Sale(card.ref, 1),))
    await market.purchase(person, [(card, 1)])
    await market.drain()
    goods = basket(1000, 2000)
    lines = tuple(replace(line, merchant_id=shop.id) for line in goods.lines)
    versions = {"membership": {shop.id: 1}}
    mine = replace(goods, lines=lines, account_id=me(person), versions=versions)
    member = replace(mine, holdings=frozenset(["membership"]))
    assert await ask(runtime, member) == (2, 1)
    assert await ask(runtime, member) == (2, 1)
    assert await ask(runtime, mine) == (0, 0)
