"""What purchases use of promotions: claimed by placing, given back when nothing stays, never twice."""

import asyncio
from typing import Any

import pytest

from core.api import MARKET_ID, hookspecs
from core.cart import service as cart
from core.cart.schemas import QuoteRequest, WantedLine
from core.checkout import repository
from core.testkit import Market, statements
from core.types.scope import buyer as buyer_scope
from plugins.promotions import usage
from tests.support.promotions import Fair

HALF = {"kind": "nth", "rate_bp": 5000}


async def test_order_placing_claims_sets_and_a_second_purchase_gets_what_is_left(
    fair: Fair, market: Market
) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF, per_account=3, total=100)
    buyer, other = await market.buyer(), await market.buyer()
    trade = await fair.bought(buyer, (tea, 4))
    assert trade["payable"] == 3000
    assert await fair.used(promotion) == (2, 2)
    assert (await fair.bought(buyer, (tea, 4)))["payable"] == 3500
    refused = (await buyer.quote((tea.ref, 4))).json()
    assert refused["payable"] == 4000
    assert [e["code"] for e in refused["explain"]] == ["promotion_limit"]
    assert refused["explain"][0]["reason_zh"]
    assert (await fair.bought(other, (tea, 6)))["payable"] == 4500
    assert await fair.used(promotion) == (6, 6)


async def test_who_has_used_nothing_yet_may_use_it_as_often_as_one_account_may(
    fair: Fair, market: Market
) -> None:
    """Also once the promotion is known, so that the database is not asked about it."""
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF, per_account=1)
    for sold in (1, 2):
        buyer = await market.buyer()
        assert (await buyer.quote((tea.ref, 4))).json()["payable"] == 3500
        assert (await fair.bought(buyer, (tea, 4)))["payable"] == 3500
        assert await fair.used(promotion) == (0, sold)


async def test_order_closing_gives_back_what_a_trade_had_claimed(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF, per_account=2, total=2)
    buyer = await market.buyer()
    placed = (await buyer.checkout((tea.ref, 4))).json()
    assert await fair.used(promotion) == (2, 2)
    other = (await (await market.buyer()).quote((tea.ref, 2))).json()
    assert [e["code"] for e in other["explain"]] == ["promotion_sold_out"]
    closed = await buyer.post(f"/api/shop/trades/{placed['id']}/close")
    assert closed.status_code == 200, closed.text
    assert await fair.used(promotion) == (0, 0)
    await buyer.post(f"/api/shop/trades/{placed['id']}/close")
    assert await fair.used(promotion) == (0, 0)
    assert (await buyer.quote((tea.ref, 4))).json()["payable"] == 3000


async def test_refund_settling_gives_back_with_a_whole_order_and_never_with_a_part(
    fair: Fair, market: Market
) -> None:
    """A peer returns on any after-sale of an order, even of one line."""
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF, per_account=2, total=2)
    buyer = await market.buyer()
    order = (await fair.bought(buyer, (tea, 4)))["orders"][0]
    line = order["lines"][0]["id"]
    part = await fair.refund(shop, order, [(line, 1)])
    assert part.status_code == 201, part.text
    # Every unit carries its share of the saving: 4 units, 30 yuan.
    assert part.json()["amount"] == 750
    await market.drain()
    assert await fair.used(promotion) == (2, 2)
    rest = await fair.refund(shop, order)
    assert rest.json()["amount"] == 2250
    await market.drain()
    assert await fair.used(promotion) == (0, 0)


async def test_a_promotion_counts_once_a_trade_however_many_orders_it_touches(
    fair: Fair, market: Market
) -> None:
    one, two = await market.merchant("shop-a"), await market.merchant("shop-b")
    tea, cup = await market.product(one, price=8000), await market.product(two, price=4000)
    promotion = await fair.run(
        None, kind="reduction", per_account=1, total=9, tiers=[{"from": 10_000, "minus": 1200}]
    )
    buyer = await market.buyer()
    trade = await fair.bought(buyer, (tea, 1), (cup, 1))
    assert trade["payable"] == 10_800
    assert await fair.used(promotion) == (1, 1)
    assert (await buyer.quote((tea.ref, 2))).json()["payable"] == 16_000
    shops = {order["merchant"]["id"]: order for order in trade["orders"]}
    await fair.refund(one, shops[one.ref])
    await market.drain()
    assert await fair.used(promotion) == (1, 1)
    await fair.refund(two, shops[two.ref])
    await market.drain()
    assert await fair.used(promotion) == (0, 0)


async def test_after_a_refund_the_other_lines_keep_their_share_though_the_threshold_is_gone(
    fair: Fair, market: Market
) -> None:
    shop = await market.merchant()
    tea, cup = await market.product(shop, price=6000), await market.product(shop, price=5000)
    await fair.run(shop, kind="reduction", tiers=[{"from": 10_000, "minus": 1100}])
    buyer = await market.buyer()
    order = (await fair.bought(buyer, (tea, 1), (cup, 1)))["orders"][0]
    lines = {line["sku_id"]: line["id"] for line in order["lines"]}
    assert (await fair.refund(shop, order, [(lines[tea.ref], 1)])).json()["amount"] == 5400
    assert (await fair.refund(shop, order, [(lines[cup.ref], 1)])).json()["amount"] == 4500


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> Any:
    """All check out the same; everybody has quoted before anybody places."""
    original = repository.place

    async def run(buyers: list[Any], tea: Any) -> list[int]:
        together = asyncio.Barrier(len(buyers))

        async def place(*args: Any) -> Any:
            async with asyncio.timeout(20):
                await together.wait()
            return await original(*args)

        monkeypatch.setattr(repository, "place", place)
        return await _race(buyers, tea)

    return run


async def _race(buyers: list[Any], tea: Any) -> list[int]:
    wanted = {"lines": [{"sku_id": tea.ref, "quantity": 2}], "expected_payable": 1500}
    answers = await asyncio.gather(*(person.post("/api/shop/checkout", wanted) for person in buyers))
    return sorted(answer.status_code for answer in answers)


async def test_the_last_set_goes_to_one_of_many(fair: Fair, market: Market, race: Any) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF, total=1)
    buyers = [await market.buyer() for _ in range(4)]
    assert await race(buyers, tea) == [201] + [409] * 3
    assert await fair.used(promotion) == (1, 0)


async def test_an_account_has_its_share_once_in_many_tabs(fair: Fair, market: Market, race: Any) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF, per_account=1)
    person = await market.buyer()
    assert (await race([person] * 3, tea)).count(201) == 1
    assert await fair.used(promotion) == (0, 1)


async def test_control_without_the_condition_an_account_has_it_in_each_tab(
    fair: Fair, market: Market, race: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above would catch; each tab has quoted before any of them places."""
    condition = """where a.used + excluded.used <= (select p.per_account from promotions_promotion p
      where p.merchant_id = a.merchant_id and p.id = a.promotion_id)"""
    assert condition in usage._CLAIM
    monkeypatch.setattr(usage, "_CLAIM", usage._CLAIM.replace(condition, ""))
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF, per_account=1)
    person = await market.buyer()
    assert await race([person] * 2, tea) == [201, 201]
    assert await fair.used(promotion) == (0, 2)


async def of_basket(market: Market, person: Any, *articles: Any) -> tuple[int, int]:
    """(rules, statements) of one call of `price_rules` in the quote's own transaction."""
    lines = [WantedLine(article.ref, 2) for article in articles]
    async with market.runtime.tx(buyer_scope(person.me.account_id)) as tx:
        loaded = await cart.to_basket(tx, person.me.account_id, QuoteRequest(lines=lines))
        [hook] = [hook for name, hook in tx.hooks.of(hookspecs.price_rules) if name == "promotions"]
        with statements() as seen:
            found = await hook(tx, loaded.basket)
        return len(found), len(seen)


async def test_price_rules_cost_no_statement_while_nothing_changed_and_none_where_there_are_none(
    fair: Fair, market: Market
) -> None:
    shop, plain = await market.merchant("shop-a"), await market.merchant("shop-b")
    tea, cup = await market.product(shop), await market.product(plain)
    person = await market.buyer()
    assert await of_basket(market, person, tea, cup) == (0, 0)
    await fair.run(shop, **HALF)
    await fair.run(None, kind="free_shipping", tiers=[{"from": 5900}])
    assert await of_basket(market, person, tea, cup) == (2, 1)
    assert await of_basket(market, person, tea, cup) == (2, 0)
    assert await of_basket(market, person, cup) == (1, 0)
    await fair.run(shop, kind="reduction", tiers=[{"from": 5900, "minus": 1}])
    assert await of_basket(market, person, tea) == (3, 1)
    assert await of_basket(market, person, tea) == (3, 0)


async def test_price_rules_ask_once_what_is_left_where_it_is_counted(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    tea, cup = await market.product(shop), await market.product(shop)
    gift = await market.product(shop)
    person = await market.buyer()
    await fair.run(shop, **HALF, per_account=1, scope={"kind": "products", "ids": [tea.product]})
    assert await of_basket(market, person, tea) == (1, 1)
    # Who has used nothing has nothing to be counted.
    assert await of_basket(market, person, tea) == (1, 0)
    await fair.bought(person, (tea, 2))
    assert await of_basket(market, person, tea) == (1, 1)
    assert await of_basket(market, person, cup) == (0, 0)
    await fair.run(
        shop,
        kind="gift",
        by="count",
        scope={"kind": "products", "ids": [cup.product]},
        tiers=[{"from": 2, "gifts": [{"sku_id": gift.ref}]}],
    )
    assert await of_basket(market, person, tea, cup) == (2, 1)
    assert await of_basket(market, person, tea, cup) == (2, 1)


async def test_order_placing_asks_nothing_where_nothing_is_counted(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    tea = await market.product(shop)
    person = await market.buyer()
    await fair.run(shop, **HALF)
    with statements() as seen:
        assert (await person.checkout((tea.ref, 2))).status_code == 201
    assert not [sql for sql in seen.sql if "promotions_use" in sql]
    await fair.run(None, kind="reduction", per_account=5, tiers=[{"from": 500, "minus": 1}])
    with statements() as seen:
        assert (await person.checkout((tea.ref, 2))).status_code == 201
    assert len([sql for sql in seen.sql if "insert into promotions_use" in sql]) == 1


async def test_what_closing_returns_is_what_placing_claimed_for_every_kind(
    fair: Fair, market: Market
) -> None:
    one, two = await market.merchant("shop-a"), await market.merchant("shop-b")
    tea, cup, pot = [await market.product(one, price=p) for p in (3000, 2000, 1000)]
    mug = await market.product(two, price=5000)
    gift = await market.product(one, price=500, on_hand=50)
    limits = {"per_account": 50, "total": 60}
    ran = [
        await fair.run(one, kind="limited", items=[{"sku_id": pot.ref, "price": 900}], **limits),
        await fair.run(one, **HALF, scope={"kind": "products", "ids": [tea.product]}, **limits),
        await fair.run(
            None, kind="bundle", price=6000, items=[{"sku_id": cup.ref}, {"sku_id": mug.ref}], **limits
        ),
        await fair.run(
            one, kind="gift", by="count", each=True, tiers=[{"from": 2, "gifts": [{"sku_id": gift.ref}]}], **limits
        ),
        await fair.run(one, kind="reduction", tiers=[{"from": 5000, "minus": 500, "free_freight": True}], **limits),
        await fair.run(None, kind="reduction", tiers=[{"from": 5000, "minus": 700}], **limits),
    ]  # fmt: skip
    buyer = await market.buyer()
    placed = (await buyer.checkout((tea.ref, 4), (cup.ref, 2), (pot.ref, 3), (mug.ref, 2))).json()
    assert [await fair.used(promotion) for promotion in ran] == [
        (3, 3), (2, 2), (2, 2), (4, 4), (1, 1), (1, 1)
    ]  # fmt: skip
    assert await fair.value("select reserved from stock where sku_id = $1", gift.sku_id) == 4
    await buyer.post(f"/api/shop/trades/{placed['id']}/close")
    assert {await fair.used(promotion) for promotion in ran} == {(0, 0)}
    assert await fair.value("select reserved from stock where sku_id = $1", gift.sku_id) == 0
    assert MARKET_ID
