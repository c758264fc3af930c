"""Buying at a flash price: what it costs, what it takes, and what comes back."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from core.testkit import Market, TestClock
from core.testkit.counting import statements
from core.testkit.market import Person
from core.types.scope import SYSTEM
from tests.support.coupons import claim, issue
from tests.support.flash_sales import choice, good, goods, market_sale, shop_sale, standing


async def _outcome(person: Person, sku: str, activity: str, quantity: int = 1) -> str:
    """Why the flash price does not hold, `applied` if it does."""
    quote = await good(await person.quote((sku, quantity), options=choice(activity)))
    told = [e for e in quote["explain"] if e["plugin"] == "flash_sale"]
    assert len(told) == 1, quote["explain"]
    assert told[0]["outcome"] == "applied" or (told[0]["reason"] and told[0]["reason_zh"])
    return told[0]["code"] if told[0]["outcome"] == "refused" else told[0]["outcome"]


async def _payable(person: Person, sku: str, activity: str | None = None, quantity: int = 1) -> int:
    options = choice(activity) if activity else {}
    payable: int = (await good(await person.quote((sku, quantity), options=options)))["payable"]
    return payable


async def test_the_flash_price_is_for_who_asks_for_it(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article)
    person = await market.buyer()
    assert await _payable(person, article.ref) == 3000
    assert await _payable(person, article.ref, activity) == 1000


async def test_price_rules_and_order_placing_cost_few_statements(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, per_account=9)
    person = await market.buyer()
    lines = [{"sku_id": article.ref, "quantity": 1}]
    sent: dict[tuple[str, bool], int] = {}
    for asked in (False, True, False, True):
        options = choice(activity) if asked else {}
        payable = 1000 if asked else 3000
        with statements() as seen:
            await good(await person.post("/api/shop/quote", {"lines": lines, "options": options}))
        sent["quote", asked] = len(seen)
        body = {"lines": lines, "options": options, "expected_payable": payable}
        with statements() as seen:
            await good(await person.post("/api/shop/checkout", body))
        sent["placement", asked] = len(seen)
        if not asked:
            assert "flash_sale" not in str(seen)
    assert sent["quote", True] - sent["quote", False] == 1
    # Its terms, as in the quote; taking it; and the shorter time to pay.
    assert sent["placement", True] - sent["placement", False] == 3


async def test_placing_takes_the_quota_and_stock_and_shortens_the_time_to_pay(
    market: Market, clock: TestClock
) -> None:
    clock.freeze()
    _, [article] = await goods(market)
    activity = await shop_sale(market, article)
    person = await market.buyer()
    trade = await good(await person.checkout((article.ref, 1), options=choice(activity)))
    assert datetime.fromisoformat(trade["expires_at"]) == clock() + timedelta(seconds=300)
    shown = await good(await person.get(f"/api/shop/trades/{trade['id']}"))
    assert shown["expires_at"] == trade["expires_at"]
    cut = trade["orders"][0]["discounts"][0]
    assert (cut["plugin"], cut["amount"], cut["activity_id"]) == ("flash_sale", 2000, activity)
    assert await standing(market.runtime, activity) == (1, 1, 1)
    # Within its own time the trade is not closed, after it it is.
    await market.drain(minutes=4)
    assert (await good(await person.get(f"/api/shop/trades/{trade['id']}")))["status"] == "unpaid"
    await market.drain(minutes=6)
    assert (await good(await person.get(f"/api/shop/trades/{trade['id']}")))["status"] == "closed"
    assert await standing(market.runtime, activity) == (0, 0, 0)


async def test_order_closing_gives_back_once(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article)
    person = await market.buyer()
    for _ in range(2):
        trade = await good(await person.checkout((article.ref, 1), options=choice(activity)))
        assert await standing(market.runtime, activity) == (1, 1, 1)
        for _ in range(2):
            await good(await person.post(f"/api/shop/trades/{trade['id']}/close"))
        assert await standing(market.runtime, activity) == (0, 0, 0)


async def test_more_than_one_sku_is_refused(market: Market) -> None:
    _, [article, other] = await goods(market, 2)
    activity = await shop_sale(market, article)
    person = await market.buyer()
    answer = await person.quote((article.ref, 1), (other.ref, 1), options=choice(activity))
    assert (answer.status_code, answer.json()["code"]) == (409, "single_sku")


@pytest.mark.parametrize("rubbish", [None, 1, [], {}, {"activity_id": 5}, {"activity_id": "x", "y": 1}])
async def test_rubbish_as_a_choice_names_the_field(market: Market, rubbish: Any) -> None:
    _, [article] = await goods(market)
    person = await market.buyer()
    answer = await person.quote((article.ref, 1), options={"flash_sale": rubbish})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "options.flash_sale"


async def test_limits_hold_in_the_quote_and_in_the_database(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, quantity=4, per_order=2, per_account=3)
    person, other = await market.buyer(), await market.buyer()
    assert await _outcome(person, article.ref, activity, 3) == "order_limit"
    await good(await person.checkout((article.ref, 2), options=choice(activity)))
    assert await _outcome(person, article.ref, activity, 2) == "account_limit"
    await good(await person.checkout((article.ref, 1), options=choice(activity)))
    assert await _outcome(person, article.ref, activity) == "account_limit"
    assert await _outcome(other, article.ref, activity, 2) == "sold_out"
    await good(await other.checkout((article.ref, 1), options=choice(activity)))
    assert await _outcome(await market.buyer(), article.ref, activity) == "sold_out"
    assert await standing(market.runtime, activity) == (4, 4, 4)
    # Whoever bought before it was gone and confirms only now is told the new price.
    body = {"lines": [{"sku_id": article.ref, "quantity": 1}], "options": choice(activity)}
    late = await (await market.buyer()).post("/api/shop/checkout", body | {"expected_payable": 1000})
    assert (late.status_code, late.json()["code"]) == (409, "price_changed")
    assert "sold_out" in [e["code"] for e in late.json()["quote"]["explain"]]


async def test_the_sale_has_its_time(market: Market, clock: TestClock) -> None:
    clock.freeze()
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, starts=10, ends=20)
    person = await market.buyer()
    assert await _outcome(person, article.ref, activity) == "not_started"
    clock.advance(minutes=10)
    assert await _outcome(person, article.ref, activity) == "applied"
    clock.advance(minutes=10)
    assert await _outcome(person, article.ref, activity) == "flash_over"
    assert await _payable(person, article.ref, activity) == 3000
    assert await _outcome(person, article.ref, "nowhere") == "unknown_activity"


async def test_a_stopped_sale_sells_no_more_and_keeps_what_was_bought(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article)
    person = await market.buyer()
    trade = await market.purchase(person, [(article, 1)], options=choice(activity))
    staff = await market.staff(article.merchant_id)
    path = f"/api/merchant/flash_sale/activities/{activity}/stop"
    assert (await good(await staff.post(path)))["phase"] == "stopped"
    assert (await staff.post(path)).json()["code"] == "flash_over"
    assert await _outcome(await market.buyer(), article.ref, activity) == "flash_over"
    assert trade["payable"] == 1000
    assert await standing(market.runtime, activity) == (1, 1, 1)


async def _refunded(market: Market, trade: dict[str, Any], quantity: int | None = None) -> None:
    order = trade["orders"][0]
    body: dict[str, Any] = {"reason": "test"}
    if quantity is not None:
        body["lines"] = [{"line_id": order["lines"][0]["id"], "quantity": quantity}]
    operator = await market.operator()
    await good(await operator.post(f"/api/platform/orders/{order['id']}/refunds", body))
    await market.drain()


async def test_refund_settling_gives_units_back_while_the_sale_runs(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, per_order=3, per_account=3)
    person = await market.buyer()
    trade = await market.purchase(person, [(article, 3)], options=choice(activity))
    assert await standing(market.runtime, activity) == (3, 3, 3)
    await _refunded(market, trade, 1)
    assert await standing(market.runtime, activity) == (2, 2, 2)
    await _refunded(market, trade, 2)
    assert await standing(market.runtime, activity) == (0, 0, 0)


async def test_a_refund_after_the_sale_gives_no_quota_back(market: Market, clock: TestClock) -> None:
    clock.freeze()
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, ends=10)
    trade = await market.purchase(await market.buyer(), [(article, 1)], options=choice(activity))
    clock.advance(minutes=11)
    await _refunded(market, trade)
    assert await standing(market.runtime, activity) == (1, 1, 1)


@pytest.mark.parametrize(("share", "market_pays"), [(10_000, 0), (3_000, 1400), (0, 2000)])
async def test_the_market_pays_its_part(
    market: Market, clock: TestClock, share: int, market_pays: int
) -> None:
    _, [article] = await goods(market)
    activity = await market_sale(market, article, event={"merchant_share_bp": share})
    clock.advance(minutes=61)
    person = await market.buyer()
    trade = await market.purchase(person, [(article, 1)], options=choice(activity))
    borne = trade["orders"][0]["discounts"][0]["bearer"]
    assert borne == {"market": market_pays, "merchant": 2000 - market_pays}


@pytest.mark.parametrize(("open_to_market", "payable"), [(False, 1000), (True, 500)])
async def test_coupons_go_with_the_price_only_if_the_event_says_so(
    market: Market, open_to_market: bool, payable: int
) -> None:
    shop, [article] = await goods(market)
    activity = await shop_sale(market, article, event={"market_coupons": open_to_market})
    person = await market.buyer()
    for issuer in ((), (shop.id,)):
        await claim(market.runtime, person.me.account_id, await issue(market.runtime, *issuer, amount=500))
    assert await _payable(person, article.ref, activity) == payable
    assert await _payable(person, article.ref) == 2000


async def test_open_business_counts_what_may_still_come_back(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article)
    await market.purchase(await market.buyer(), [(article, 1)], options=choice(activity))
    plugin = market.runtime.snapshot.installed["flash_sale"]
    async with market.runtime.tx(SYSTEM) as tx:
        assert await plugin.open_business(tx) == {"flash purchases": 1}
