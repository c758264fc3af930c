"""Levels that are bought: for how long, at whose prices, and what refunds take back."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from core.api import MARKET_ID, OrderEvent, RefundDraft, RefundLine, hookspecs, new_id, parse_pair, parse_ref
from core.testkit import Market
from core.testkit.market import Article, Person, Shop, sign_in
from core.types.scope import SYSTEM, Audience
from plugins.membership.config import Config
from plugins.membership.schemas import Sale, SkuPrice
from plugins.membership.terms import later
from tests.support.membership import balanced, level, me, refund

SHOP, MERCHANT, PLATFORM = (f"/api/{a}/membership" for a in ("shop", "merchant", "platform"))
DAY = timedelta(days=1)


async def card(
    market: Market,
    shop: Shop,
    merchant_id: UUID | None = None,
    *,
    months: int = 1,
    price: int = 3000,
    **more: Any,
) -> Article:
    """An article of the shop that sells a level: of the shop, or whose it is."""
    article = await market.product(shop, price=price, on_hand=999, title="卡")
    given = {"name": "会员卡", "growth": None, "gained_by": "purchase", **more}
    sold_by = (Sale(article.ref, months),)
    await level(market.runtime, shop.id if merchant_id is None else merchant_id, sold_by=sold_by, **given)
    return article


async def ends(market: Market, person: Person) -> list[datetime]:
    """When the person's levels end, as the books have it."""
    await balanced(market.runtime)
    async with market.runtime.tx(SYSTEM) as tx:
        sql = "select until from membership_term where account_id = $1 order by until"
        return [row["until"] for row in await tx.fetch(sql, me(person))]


async def price(person: Person, *goods: Article) -> list[int]:
    quote = (await person.quote(*[(a.ref, 1) for a in goods])).json()
    found = {x["sku_id"]: int(x["payable"]) for m in quote["merchants"] for x in m["lines"]}
    return [found[a.ref] for a in goods]


async def buys(market: Market, person: Person, *goods: tuple[Article, int]) -> dict[str, Any]:
    trade = await market.purchase(person, list(goods))
    await market.drain()
    return trade


async def paid_back(market: Market, order: dict[str, Any], *quantities: int) -> int:
    """What the buyer gets for the goods of a refund."""
    made = await refund(market, order, *quantities)
    return int(made["amount"]) - int(made["shipping_amount"])


async def again(market: Market, person: Person) -> Person:
    """Signed in anew, after a long time."""
    found = await sign_in(market.runtime, Audience.SHOP, account_id=me(person))
    return Person(market.client, market.runtime, found)


async def test_order_paid_brings_the_level_and_its_prices_which_end_by_themselves(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    goods = await market.product(shop, price=1000)
    sold = await card(market, shop, months=1)
    # Not in the very purchase that buys it.
    assert await price(person, goods, sold) == [1000, 3000]
    trade = await market.purchase(person, [(sold, 1), (goods, 1)])
    assert trade["payable"] - trade["shipping_amount"] == 4000
    assert await price(person, goods) == [1000]
    await market.drain()
    (end,) = await ends(market, person)
    assert await price(person, goods) == [900]
    mine = (await person.get(SHOP)).json()
    (there,) = mine["shops"]
    assert (there["level"], there["growth"], [b["level"]["name"] for b in there["bought"]]) == (
        None,
        0,
        ["会员卡"],
    )
    assert datetime.fromisoformat(there["bought"][0]["until"]) == end
    (sale,) = there["levels"][0]["sold_by"]
    assert (sale["sku_id"], sale["product_id"], sale["months"]) == (sold.ref, sold.product, 1)
    (line,) = (await person.get(f"{SHOP}/bought")).json()["items"]
    assert (line["amount"], line["kind"], line["reference"]) == (1, "bought", trade["orders"][0]["id"])
    assert datetime.fromisoformat(line["expires_at"]) == end
    staff = await market.staff(shop)
    (seen,) = (await staff.get(f"{MERCHANT}/members")).json()["items"]
    assert [b["name"] for b in seen["bought"]] == ["会员卡"]
    journal = (await staff.get(f"{MERCHANT}/members/{seen['id']}/journal")).json()["items"]
    assert [(e["unit"], e["amount"]) for e in journal] == [("level", 1)]
    market.runtime.clock.advance(days=(end - market.runtime.clock()).days + 1)
    assert await price(await again(market, person), goods) == [1000]


async def test_the_event_twice_brings_the_level_once_and_others_orders_cost_one_statement(
    market: Market,
) -> None:
    person, shop = await market.buyer(), await market.merchant()
    goods = await market.product(shop)
    sold = await card(market, shop)
    for article, most in ((sold, 99), (goods, 1)):
        trade = await buys(market, person, (article, 1))
        merchant_id, order_id = parse_pair(trade["orders"][0]["id"])
        event = OrderEvent(merchant_id, order_id, parse_ref(trade["id"]), me(person))
        for name in (hookspecs.order_paid, hookspecs.order_paid):
            async with market.runtime.tx(SYSTEM) as tx:
                await tx.fetchval("select 1")
                before = tx.statements
                await dict(tx.hooks.of(name))["membership"](tx, event)
                assert tx.statements - before <= most
    (end,) = await ends(market, person)
    assert end < market.runtime.clock() + 32 * DAY


async def test_completed_orders_bring_it_where_the_market_says_so(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, shop = await market.buyer(), await market.merchant()
    sold = await card(market, shop)
    configs: dict[Any, Any] = market.runtime.snapshot._configs
    monkeypatch.setitem(configs, Config, Config(bought_at="completed"))
    trade = await buys(market, person, (sold, 1))
    assert await ends(market, person) == []
    await market.fulfil(person, trade)
    await market.drain()
    assert len(await ends(market, person)) == 1


async def test_pieces_and_renewals_add_up(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    sold = await card(market, shop, months=3)
    start = market.runtime.clock()
    await buys(market, person, (sold, 2))
    market.runtime.clock.advance(days=10)
    await buys(market, person, (sold, 1))
    (end,) = await ends(market, person)
    assert abs(end - later(start, 9)) < timedelta(minutes=5)


async def test_the_lowest_price_of_all_levels_counts_on_each_line(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    one, two = [await market.product(shop, price=1000) for _ in "ab"]
    await level(market.runtime, shop.id, growth=0, discount_bp=500, prices=(SkuPrice(one.ref, 600),))
    sold = await card(market, shop, discount_bp=2000)
    market_card = await card(market, shop, MARKET_ID, discount_bp=3000)
    assert await price(person, one, two) == [600, 950]
    await buys(market, person, (sold, 1))
    assert await price(person, one, two) == [600, 800]
    await buys(market, person, (market_card, 1))
    quote = (await person.quote((two.ref, 1))).json()
    (cut,) = quote["merchants"][0]["lines"][0]["adjustments"]
    assert (cut["kind"], cut["amount"], cut["bearer"]) == (
        "membership.price",
        300,
        {"market": 300, "merchant": 0},
    )
    assert await price(person, one) == [600]


async def test_refund_requesting_takes_the_time_back_and_keeps_back_the_days_that_were_used(
    market: Market,
) -> None:
    person, shop = await market.buyer(), await market.merchant()
    goods = await market.product(shop, price=1000)
    sold = await card(market, shop, months=1, price=3000)
    trade = await buys(market, person, (sold, 3))
    whole = (await ends(market, person))[0] - market.runtime.clock()
    market.runtime.clock.advance(days=9)
    # Two pieces stay, so that none of the time was used for nothing.
    assert await paid_back(market, trade["orders"][0], 1) == 3000
    left = (await ends(market, person))[0] - market.runtime.clock()
    assert 38 * DAY < whole - left < 41 * DAY
    assert await price(person, goods) == [900]
    got = await paid_back(market, trade["orders"][0], 2)
    # Ten days have begun, of two months.
    assert 6000 - 6000 * 10 // 59 - 1 <= got <= 6000 - 6000 * 10 // 62
    assert await price(person, goods) == [1000]
    kinds = [(e["kind"], e["amount"]) for e in (await person.get(f"{SHOP}/bought")).json()["items"]]
    assert kinds == [("taken_back", -2), ("taken_back", -1), ("bought", 3)]


async def test_what_the_level_saved_meanwhile_is_kept_back_if_it_is_more(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    goods = await market.product(shop, price=10_000)
    sold = await card(market, shop, months=12, price=3000)
    trade = await buys(market, person, (sold, 1))
    saving = await buys(market, person, (goods, 2))
    assert saving["payable"] - saving["shipping_amount"] == 18_000
    # Of two pieces one goes back, and what it saved is not saved any more.
    await refund(market, saving["orders"][0], 1)
    assert await paid_back(market, trade["orders"][0]) == 3000 - 1000
    assert await price(person, goods) == [10_000]
    again = await buys(market, person, (sold, 1))
    for _ in range(4):
        await buys(market, person, (goods, 1))
    # Nobody gets less than nothing.
    assert await paid_back(market, again["orders"][0]) == 0


async def test_a_refund_before_the_level_came_brings_only_the_rest_and_keeps_nothing_back(
    market: Market,
) -> None:
    person, shop = await market.buyer(), await market.merchant()
    sold = await card(market, shop)
    trade = await market.purchase(person, [(sold, 3)])
    # The refund is decided and settled before the event of the payment is delivered.
    order = trade["orders"][0]
    operator = await market.operator()
    body = {"reason": "x", "lines": [{"line_id": order["lines"][0]["id"], "quantity": 2}]}
    answer = await operator.post(f"/api/platform/orders/{order['id']}/refunds", body)
    assert answer.json()["amount"] == 6000
    start = market.runtime.clock()
    await market.drain()
    (end,) = await ends(market, person)
    assert abs(end - later(start, 1)) < timedelta(minutes=5)


async def test_orders_keep_what_was_sold_when_they_were_placed(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    staff = await market.staff(shop)
    sold = await card(market, shop, months=6)
    (made,) = (await staff.get(f"{MERCHANT}/levels")).json()
    path = f"{MERCHANT}/levels/{made['id']}"
    placed = (await person.checkout((sold.ref, 1))).json()
    market.runtime.clock.advance(seconds=1)
    for sold_by in ([{"sku_id": sold.ref, "months": 1}], []):
        answer = await staff.call("PATCH", path, {"sold_by": sold_by})
        assert answer.status_code == 200, answer.text
        assert [s["months"] for s in answer.json()["sold_by"]] == [s["months"] for s in sold_by]
    assert (await staff.call("DELETE", path)).json()["code"] == "level_in_use"
    start = market.runtime.clock()
    await market.pay(person, placed["id"])
    await market.drain()
    (end,) = await ends(market, person)
    assert abs(end - later(start, 6)) < timedelta(minutes=5)
    # What is not on sale any more brings nothing.
    await buys(market, person, (sold, 1))
    assert await ends(market, person) == [end]


async def test_a_level_that_somebody_has_bought_cannot_be_removed(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    sold = await card(market, shop, months=1)
    await buys(market, person, (sold, 1))
    staff = await market.staff(shop)
    (made,) = (await staff.get(f"{MERCHANT}/levels")).json()
    path = f"{MERCHANT}/levels/{made['id']}"
    await staff.call("PATCH", path, {"sold_by": []})
    market.runtime.clock.advance(days=2)
    assert (await staff.call("DELETE", path)).json()["code"] == "level_in_use"
    async with market.runtime.tx(SYSTEM) as tx:
        plugin = market.runtime.snapshot.installed["membership"]
        assert (await plugin.open_business(tx))["bought levels"] == 1
    market.runtime.clock.advance(days=30)
    staff = await market.staff(shop)
    assert (await staff.call("DELETE", path)).status_code == 204


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"growth": 5}, "growth"),
        ({"gained_by": "growth"}, "growth"),
        ({"gained_by": "growth", "growth": 5}, "sold_by"),
        ({"sold_by": [{"sku_id": "x", "months": 1}]}, "sold_by[0].sku_id"),
    ],
)
async def test_a_bought_level_takes_no_growth_and_is_sold_by_skus_that_there_are(
    market: Market, more: dict[str, Any], field: str
) -> None:
    shop = await market.merchant()
    article = await market.product(shop)
    staff = await market.staff(shop)
    sold_by = [{"sku_id": article.ref, "months": 1}]
    body = {"name": "卡", "gained_by": "purchase", "sold_by": sold_by, **more}
    answer = await staff.post(f"{MERCHANT}/levels", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_shops_sell_their_own_levels_by_their_own_skus_and_the_market_by_those_it_names(
    market: Market,
) -> None:
    one, two = await market.merchant("one"), await market.merchant("two")
    article = await market.product(one)
    staff, operator = await market.staff(two), await market.operator()
    body = {"name": "卡", "gained_by": "purchase", "sold_by": [{"sku_id": article.ref, "months": 1}]}
    assert (await staff.post(f"{MERCHANT}/levels", body)).status_code == 422
    made = await operator.post(f"{PLATFORM}/levels", body)
    assert made.status_code == 201, made.text
    again = await operator.post(f"{PLATFORM}/levels", body)
    assert (again.status_code, again.json()["code"]) == (409, "sku_taken")
    owner = await market.staff(one)
    # Staff of a shop see nothing of levels of the market that its SKUs sell but what everybody sees.
    assert (await owner.get(f"{MERCHANT}/levels")).json() == []
    answer = await owner.call("DELETE", f"{MERCHANT}/levels/{made.json()['id']}")
    assert answer.status_code == 404
    assert (await owner.post(f"{MERCHANT}/levels", {**body, "name": "店卡"})).status_code == 201
    path = f"{PLATFORM}/levels/{made.json()['id']}"
    assert (await operator.call("PATCH", path, {"growth": 5})).status_code == 422
    person = await market.buyer()
    trade = await buys(market, person, (article, 1))
    mine = (await person.get(SHOP)).json()
    assert [b["level"]["name"] for b in mine["market"]["bought"]] == ["卡"]
    assert [b["level"]["name"] for b in mine["shops"][0]["bought"]] == ["店卡"]
    # Both were used for one price.
    market.runtime.clock.advance(days=2)
    assert 1000 - 1000 * 3 // 28 - 1 <= await paid_back(market, trade["orders"][0]) <= 1000 - 1000 * 3 // 31
    assert (await (await market.buyer()).get(SHOP)).json()["market"]["bought"] == []


async def test_gifts_bring_no_level(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    sold = await card(market, shop)
    trade = await market.purchase(person, [(sold, 1)])
    async with market.runtime.tx(SYSTEM) as tx:
        order_id = parse_pair(trade["orders"][0]["id"])[1]
        await tx.execute("update order_line set kind = 'gift' where order_id = $1", order_id)
    await market.drain()
    assert await ends(market, person) == []


async def test_payments_and_refunds_at_once_leave_exact_books(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    sold = await card(market, shop, months=1)
    trades = [await market.purchase(person, [(sold, 2)]) for _ in range(3)]
    operator = await market.operator()

    async def give_back(trade: dict[str, Any], line: int) -> None:
        order = trade["orders"][0]
        body = {"reason": "x", "lines": [{"line_id": order["lines"][line]["id"], "quantity": 1}]}
        answer = await operator.post(f"/api/platform/orders/{order['id']}/refunds", body)
        assert answer.status_code < 300, answer.text

    start = market.runtime.clock()
    await asyncio.gather(market.drain(), *(give_back(trade, 0) for trade in trades))
    await market.drain()
    (end,) = await ends(market, person)
    assert abs(end - later(start, 3)) < timedelta(minutes=5)


async def test_refund_requesting_sends_four_statements_and_one_for_an_order_that_brought_no_level(
    market: Market,
) -> None:
    person, shop = await market.buyer(), await market.merchant()
    sold, goods = await card(market, shop), await market.product(shop)
    for article, most in ((sold, 4), (goods, 1)):
        trade = await buys(market, person, (article, 1))
        merchant_id, order_id = parse_pair(trade["orders"][0]["id"])
        market.runtime.clock.advance(days=1)
        refund_id = new_id()
        line_id = parse_pair(trade["orders"][0]["lines"][0]["id"])[1]
        line = RefundLine(line_id, article.product_id, article.sku_id, 1, 3000)
        draft = RefundDraft(
            refund_id, merchant_id, order_id, parse_ref(trade["id"]), me(person), (line,), 0, 0, True, "x"
        )
        async with market.runtime.tx(SYSTEM) as tx:
            await tx.fetchval("select 1")
            before = tx.statements
            kept = await dict(tx.hooks.of(hookspecs.refund_requesting))["membership"](tx, draft)
            assert tx.statements - before == most
        assert [(d.bearer, 0 < d.amount < 300) for d in kept] == ([("merchant", True)] if most == 4 else [])
    await balanced(market.runtime)
