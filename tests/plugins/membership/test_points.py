"""Points in a purchase: used by placing, back by closing and refunding, earned by what stays; never lost, never twice."""

import random
from typing import Any

import pytest

from core.api import (
    Closing,
    ClosingOrder,
    OrderEvent,
    RefundDraft,
    Refunded,
    hookspecs,
    new_id,
    parse_pair,
    parse_ref,
)
from core.testkit import Market, statements
from core.testkit.market import Person, sign_in
from core.types.scope import SYSTEM, Audience
from plugins.membership.config import Config
from tests.support.membership import balance, balanced, buy, give, growth, journal, me, receive, refund


def event(trade: dict[str, Any], person: Person, place: int = 0) -> OrderEvent:
    merchant_id, order_id = parse_pair(trade["orders"][place]["id"])
    return OrderEvent(merchant_id, order_id, parse_ref(trade["id"]), me(person))


async def call(runtime: Any, spec: Any, about: Any) -> int:
    """Call the plugin's hook; how many statements it sent."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.fetchval("select 1")
        before: int = tx.statements
        await dict(tx.hooks.of(spec))["membership"](tx, about)
        return int(tx.statements) - before


async def test_order_completed_brings_points_and_growth_for_the_goods_that_were_paid_once(
    market: Market,
) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1250)
    await give(runtime, me(person), 333)
    trade = await buy(market, person, [(article, 3)], points=333)
    assert await balance(runtime, me(person)) == (0, 0)
    await receive(market, person, trade)
    # 37.50 less 3.33: 34 whole yuan, freight not counted.
    assert await balance(runtime, me(person)) == (34, 0)
    assert await growth(runtime, me(person)) == await growth(runtime, me(person), shop.id) == 34
    await call(runtime, hookspecs.order_completed, event(trade, person))
    assert await balance(runtime, me(person)) == (34, 0)
    assert await journal(runtime, me(person)) == [("granted", 333), ("used", -333), ("earned", 34)]
    # By default a released order brings nothing more.
    await call(runtime, hookspecs.order_released, event(trade, person))
    assert await balance(runtime, me(person)) == (34, 0)


async def test_order_released_brings_them_where_the_operator_says_so(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    set_config(market, monkeypatch, earn_at="released", points_per_yuan=2)
    trade = await buy(market, person, [(await market.product(shop, price=1000), 1)])
    await market.fulfil(person, trade)
    await call(runtime, hookspecs.order_completed, event(trade, person))
    assert await balance(runtime, me(person)) == (0, 0)
    await market.drain()
    assert await balance(runtime, me(person)) == (20, 0)
    await call(runtime, hookspecs.order_released, event(trade, person))
    assert await balance(runtime, me(person)) == (20, 0)


def set_config(market: Market, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    monkeypatch.setitem(market.runtime.snapshot._configs, Config, Config(**more))


async def test_order_placing_takes_points_for_each_order_its_part_in_three_statements(market: Market) -> None:
    runtime, person = market.runtime, await market.buyer()
    shops = [await market.merchant(slug) for slug in ("one", "two")]
    goods = [await market.product(shop, price=price) for shop, price in zip(shops, (1000, 2000), strict=True)]
    await give(runtime, me(person), 500)
    chosen = {"options": {"membership": {"points": 400}}}
    lines = [(a.ref, 1) for a in goods]
    quote = (await person.quote(*lines, **chosen)).json()
    body = {
        "lines": [{"sku_id": a.ref, "quantity": 1} for a in goods],
        "expected_payable": quote["payable"],
        **chosen,
    }
    with statements() as seen:
        assert (await person.post("/api/shop/checkout", body)).status_code == 201
    assert len([s for s in seen.sql if "membership" in s and "json_agg(l)" not in s]) == 3
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select merchant_id, used_points, used_fen from membership_order")
    assert {r["merchant_id"]: (r["used_points"], r["used_fen"]) for r in rows} == {
        shops[0].id: (133, 133),
        shops[1].id: (267, 267),
    }
    assert await balance(runtime, me(person)) == (100, 0)


async def test_more_points_than_there_are_are_refused_with_words(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    await give(market.runtime, me(person), 50)
    quote = (await person.quote((article.ref, 1), options={"membership": {"points": 51}})).json()
    (told,) = [e for e in quote["explain"] if e["plugin"] == "membership"]
    assert (told["outcome"], told["code"], told["short"]) == ("refused", "points_short", 1)
    assert quote["discount_amount"] == 0
    best = (await person.quote((article.ref, 1), options={"membership": {"points": "max"}})).json()
    assert best["discount_amount"] == 50
    nobody = await market.buyer()
    none = (await nobody.quote((article.ref, 1), options={"membership": {"points": "max"}})).json()
    assert [e["code"] for e in none["explain"] if e["plugin"] == "membership"] == ["no_points"]


async def test_order_closing_gives_points_back_to_end_when_they_would_have(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    await give(runtime, me(person), 300)
    async with runtime.tx(SYSTEM) as tx:
        before = await tx.fetch("select expires_at, points from membership_lot order by 1")
    placed = await person.checkout((article.ref, 1), options={"membership": {"points": "max"}})
    assert await balance(runtime, me(person)) == (0, 0)
    path = f"/api/shop/trades/{placed.json()['id']}/close"
    assert [(await person.post(path)).status_code for _ in range(2)] == [200, 200]
    assert await balance(runtime, me(person)) == (300, 0)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetch("select expires_at, points from membership_lot order by 1") == before


async def test_a_trade_that_is_not_paid_in_time_gives_points_back(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    await give(runtime, me(person), 300)
    await person.checkout((article.ref, 1), options={"membership": {"points": "max"}})
    await market.drain(hours=3)
    assert await balance(runtime, me(person)) == (300, 0)
    assert await journal(runtime, me(person)) == [("granted", 300), ("used", -300), ("returned", 300)]


async def test_refund_settling_unit_by_unit_adds_up_to_all_that_was_used_and_earned(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    one, two = await market.product(shop, price=333), await market.product(shop, price=1777)
    await give(runtime, me(person), 700)
    trade = await buy(market, person, [(one, 3), (two, 2)], points=700)
    await receive(market, person, trade)
    earned = (3 * 333 + 2 * 1777 - 700) // 100
    assert await balance(runtime, me(person)) == (earned, 0)
    order = trade["orders"][0]
    parts = [(1, 0), (0, 1), (1, 0), (1, 0), (0, 1)]
    if order["lines"][0]["unit_price"] != 333:
        parts = [(b, a) for a, b in parts]
    seen = [(earned, 0)]
    for part in parts:
        await refund(market, order, *part)
        seen.append(await balance(runtime, me(person)))
    assert seen[-1] == (700, 0)
    assert all(debt == 0 for _, debt in seen)
    assert [points for points, _ in seen] == sorted(points for points, _ in seen)
    assert await growth(runtime, me(person)) == await growth(runtime, me(person), shop.id) == 0
    entries = await journal(runtime, me(person))
    assert sum(n for kind, n in entries if kind == "returned") == 700
    assert sum(n for kind, n in entries if kind == "taken_back") == -earned


async def test_a_full_refund_after_release_takes_back_what_it_brought(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=10_000)
    await give(runtime, me(person), 1000)
    trade = await buy(market, person, [(article, 1)], points=1000)
    await receive(market, person, trade)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select released_at from orders") is not None
    assert await balance(runtime, me(person)) == (90, 0)
    await refund(market, trade["orders"][0])
    assert await balance(runtime, me(person)) == (1000, 0)
    assert await growth(runtime, me(person)) == 0


async def test_an_order_refunded_before_it_is_complete_brings_only_what_stays(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    trade = await buy(market, person, [(article, 3)])
    await refund(market, trade["orders"][0], 1)
    await receive(market, person, trade)
    assert await balance(runtime, me(person)) == (20, 0)
    whole = await buy(market, person, [(article, 3)], points=20)
    await refund(market, whole["orders"][0])
    assert await balance(runtime, me(person)) == (20, 0)


async def test_a_refund_decided_before_the_order_earns_and_settled_after_takes_nothing(
    market: Market,
) -> None:
    """The units that go back never brought anything, so nothing of them is taken."""
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    trade = await buy(market, person, [(article, 3)])
    await receive(market, person, trade)
    about = event(trade, person)
    draft = RefundDraft(
        new_id(), about.merchant_id, about.order_id, about.trade_id, about.account_id, (), 0, 3000, False, ""
    )
    await call(runtime, hookspecs.refund_settling, Refunded(draft, 1000))
    assert await balance(runtime, me(person)) == (30, 0)


async def test_points_spent_meanwhile_become_debt_which_the_next_ones_pay(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=10_000)
    first = await buy(market, person, [(article, 1)])
    await receive(market, person, first)
    second = await buy(market, person, [(article, 1)], points="max")
    await refund(market, first["orders"][0])
    assert await balance(runtime, me(person)) == (0, 100)
    mine = (await person.get("/api/shop/membership")).json()
    assert (mine["points"], mine["debt"]) == (0, 100)
    await receive(market, person, second)
    assert await balance(runtime, me(person)) == (0, 1)
    # What comes back with a refund pays it too: 100 used, 99 earned.
    await refund(market, second["orders"][0])
    assert await balance(runtime, me(person)) == (0, 0)


async def test_settling_again_changes_nothing(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    await give(runtime, me(person), 100)
    trade = await buy(market, person, [(article, 2)], points=100)
    await receive(market, person, trade)
    about = event(trade, person)
    draft = RefundDraft(
        new_id(), about.merchant_id, about.order_id, about.trade_id, about.account_id, (), 0, 950, True, ""
    )
    for _ in range(3):
        assert await call(runtime, hookspecs.refund_settling, Refunded(draft, 950)) <= 3
        assert await balance(runtime, me(person)) == (100, 0)


async def test_who_used_no_points_costs_one_statement_to_close_and_to_refund(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    trade = await buy(market, person, [(await market.product(shop), 1)])
    about = event(trade, person)
    draft = RefundDraft(
        new_id(), about.merchant_id, about.order_id, about.trade_id, about.account_id, (), 0, 0, True, ""
    )
    assert await call(runtime, hookspecs.refund_settling, Refunded(draft, 0)) == 1
    order = ClosingOrder(about.order_id, about.merchant_id)
    closing = Closing(about.trade_id, about.account_id, (order,), whole_trade=True, reason="")
    assert await call(runtime, hookspecs.order_closing, closing) == 1
    await give(runtime, me(person), 50)
    assert await call(runtime, hookspecs.order_closing, closing) == 1


async def test_order_closing_of_points_takes_three_statements_and_again_changes_nothing(
    market: Market,
) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    await give(runtime, me(person), 300)
    placed = await person.checkout((article.ref, 1), options={"membership": {"points": 200}})
    about = event(placed.json(), person)
    order = ClosingOrder(about.order_id, about.merchant_id)
    closing = Closing(about.trade_id, about.account_id, (order,), whole_trade=True, reason="")
    for _ in range(2):
        assert await call(runtime, hookspecs.order_closing, closing) == 3
        assert await balance(runtime, me(person)) == (300, 0)


async def test_points_end_with_their_month_and_come_back_with_a_grace(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=10_000)
    await give(runtime, me(person), 100)
    trade = await buy(market, person, [(article, 1)], points=60)
    (ending,) = (await person.get("/api/shop/membership")).json()["expiring"]
    assert ending["points"] == 40
    market.runtime.clock.advance(days=400)
    person = await again(market, person)
    # Also before the sweep nobody can spend them.
    assert (await person.get("/api/shop/membership")).json()["points"] == 0
    quote = (await person.quote((article.ref, 1), options={"membership": {"points": "max"}})).json()
    assert quote["discount_amount"] == 0
    await market.drain()
    await sweep(market)
    assert await balance(runtime, me(person)) == (0, 0)
    assert (await journal(runtime, me(person)))[-1] == ("expired", -40)
    await sweep(market)
    await refund(market, trade["orders"][0])
    assert await balance(runtime, me(person)) == (60, 0)
    (ending,) = (await person.get("/api/shop/membership")).json()["expiring"]
    assert ending["points"] == 60
    market.runtime.clock.advance(days=32)
    assert await balance(runtime, me(person)) == (60, 0)
    await sweep(market)
    assert await balance(runtime, me(person)) == (0, 0)


async def again(market: Market, person: Person) -> Person:
    """Signed in anew, after a long time."""
    found = await sign_in(market.runtime, Audience.SHOP, account_id=me(person))
    return Person(market.client, market.runtime, found)


async def sweep(market: Market) -> None:
    plugin = market.runtime.snapshot.installed["membership"]
    async with market.runtime.tx(SYSTEM) as tx:
        await plugin.cycles["sweep"].run(tx)


async def test_open_business_counts_orders_whose_points_may_still_come_back(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=10_000)
    await give(runtime, me(person), 300)

    async def owed() -> int:
        async with runtime.tx(SYSTEM) as tx:
            found = await runtime.snapshot.installed["membership"].open_business(tx)
            return int(found["orders with points"])

    kept = await buy(market, person, [(article, 1)], points=100)
    back = await buy(market, person, [(article, 1)], points=100)
    assert await owed() == 2
    await refund(market, back["orders"][0])
    assert await owed() == 1
    await market.fulfil(person, kept)
    assert await owed() == 1
    # The money is released.
    await market.drain()
    assert await owed() == 0


@pytest.mark.parametrize("seed", range(3))
async def test_the_journal_always_sums_to_points_and_debt(market: Market, seed: int) -> None:
    """A random life: purchases with points, some closed, some refunded in part, gifts, ends of months."""
    runtime, chance = market.runtime, random.Random(seed)
    person = await market.buyer()
    shops = [await market.merchant(slug) for slug in ("one", "two")]
    goods = [
        await market.product(shop, price=chance.randint(50, 9999), on_hand=999)
        for shop in shops
        for _ in "ab"
    ]
    await give(runtime, me(person), 700, "start")
    paid: list[dict[str, Any]] = []
    # Nothing of the last one is refunded or delivered yet.
    fresh = False
    for turn in range(14):
        step = chance.choice(["buy", "buy", "receive", "refund", "refund", "close", "give", "later"])
        if step in ("buy", "close"):
            lines = [(a, chance.randint(1, 3)) for a in chance.sample(goods, chance.randint(1, 3))]
            wish = {"membership": {"points": "max"}}
            if step == "buy":
                paid.append(await market.purchase(person, lines, wish))
                fresh = True
            else:
                placed = await person.checkout(*[(a.ref, n) for a, n in lines], options=wish)
                await person.post(f"/api/shop/trades/{placed.json()['id']}/close")
        elif step == "receive" and fresh:
            await receive(market, person, paid[-1])
            fresh = False
        elif step == "refund" and paid:
            order = chance.choice(chance.choice(paid)["orders"])
            fresh = False
            operator = await market.operator()
            line = chance.choice(order["lines"])
            body = {"reason": "x", "lines": [{"line_id": line["id"], "quantity": 1}]}
            await operator.post(f"/api/platform/orders/{order['id']}/refunds", body)
            await market.drain()
        elif step == "give":
            await give(runtime, me(person), chance.randint(1, 500), f"turn {turn}")
        elif step == "later":
            runtime.clock.advance(days=chance.randint(1, 3))
        await balanced(runtime)
    for trade in paid:
        for order in trade["orders"]:
            operator = await market.operator()
            await operator.post(f"/api/platform/orders/{order['id']}/refunds", {"reason": "x"})
            await market.drain()
            await balanced(runtime)
    gifts = sum(n for kind, n in await journal(runtime, me(person)) if kind == "granted")
    assert await balance(runtime, me(person)) == (gifts, 0)
    assert await growth(runtime, me(person)) == 0


async def test_points_of_a_placement_that_are_gone_refuse_it(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    article = await market.product(shop, price=1000)
    await give(runtime, me(person), 100)
    quote = (await person.quote((article.ref, 1), options={"membership": {"points": 100}})).json()
    async with runtime.tx(SYSTEM) as tx:
        await runtime.snapshot.benefit("membership.points").revoke(tx, me(person), "test")
    body = {"lines": [{"sku_id": article.ref, "quantity": 1}], "expected_payable": quote["payable"],
            "options": {"membership": {"points": 100}}}  # fmt: skip
    answer = await person.post("/api/shop/checkout", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "price_changed")
