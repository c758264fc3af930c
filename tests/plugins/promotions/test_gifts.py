"""Gifts over HTTP: stock of their own, and what becomes of them when goods go back."""

from typing import Any

import pytest

from core.testkit import Market
from tests.support.promotions import Fair


async def a_gift(fair: Fair, market: Market, **more: Any) -> tuple[Any, Any, Any, str]:
    """A shop whose tea at 60 yuan brings a cup from 100 yuan on; (shop, tea, cup, promotion)."""
    shop = await market.merchant()
    tea, cup = await market.product(shop, price=6000), await market.product(shop, price=500, on_hand=3)
    tiers = [{"from": 10_000, "gifts": [{"sku_id": cup.ref}]}]
    promotion = await fair.run(shop, kind="gift", name="满百赠杯", tiers=tiers, **more)
    return shop, tea, cup, promotion


def lines_of(order: Any) -> dict[str, str]:
    return {line["kind"]: line["id"] for line in order["lines"]}


async def test_a_gift_is_a_line_at_nothing_out_of_its_own_stock(fair: Fair, market: Market) -> None:
    _, tea, cup, _ = await a_gift(fair, market)
    buyer = await market.buyer()
    trade = await fair.bought(buyer, (tea, 2))
    gift = next(line for line in trade["orders"][0]["lines"] if line["kind"] == "gift")
    assert (gift["sku_id"], gift["quantity"], gift["unit_price"], gift["payable"]) == (cup.ref, 1, 0, 0)
    assert trade["payable"] == 12_000
    assert await fair.value("select reserved from stock where sku_id = $1", cup.sku_id) == 1
    # Three cups are bought, none is left to be given: the purchase goes on without.
    quote = (await buyer.quote((tea.ref, 2), (cup.ref, 2))).json()
    assert quote["problems"] == []
    assert [e["code"] for e in quote["explain"]] == ["gift_gone"]


async def test_refund_requesting_deducts_a_gift_once_that_the_kept_goods_no_longer_earn(
    fair: Fair, market: Market
) -> None:
    shop, tea, _, _ = await a_gift(fair, market)
    buyer = await market.buyer()
    order = (await fair.bought(buyer, (tea, 3)))["orders"][0]
    await fair.ship(shop, order)
    sale = lines_of(order)["sale"]
    assert (await fair.refund(shop, order, [(sale, 1)])).json()["deducted_amount"] == 0
    second = (await fair.refund(shop, order, [(sale, 1)])).json()
    assert (second["amount"], second["deducted_amount"]) == (5500, 500)
    third = (await fair.refund(shop, order, [(sale, 1)])).json()
    assert (third["amount"], third["deducted_amount"]) == (6000, 0)
    await fair.assert_balanced()


async def test_a_gift_that_has_not_left_is_cancelled_with_the_goods_that_earned_it(
    fair: Fair, market: Market
) -> None:
    shop, tea, cup, _ = await a_gift(fair, market)
    order = (await fair.bought(await market.buyer(), (tea, 2)))["orders"][0]
    lines = lines_of(order)
    first = (await fair.refund(shop, order, [(lines["sale"], 1)])).json()
    assert (first["amount"], first["deductions"]) == (6000, [])
    assert [(x["line_id"], x["quantity"]) for x in first["lines"]] == [(lines["sale"], 1), (lines["gift"], 1)]
    assert await fair.value("select (on_hand, reserved) from stock where sku_id = $1", cup.sku_id) == (3, 0)
    assert (await fair.refund(shop, order, [(lines["sale"], 1)])).json()["amount"] == 6000
    await fair.assert_balanced()
    assert await fair.value("select (status, refunded_amount) from orders") == ("closed", 12_000)
    assert await fair.value("select sum(debit - credit)::int from ledger_recent where kind = 'gateway'") == 0


async def test_what_is_left_to_ship_does_not_wait_for_a_cancelled_gift(fair: Fair, market: Market) -> None:
    shop, tea, _, _ = await a_gift(fair, market)
    order = (await fair.bought(await market.buyer(), (tea, 2)))["orders"][0]
    sale = lines_of(order)["sale"]
    await fair.ship(shop, order, [(sale, 1)])
    await fair.refund(shop, order, [(sale, 1)])
    assert await fair.value("select status from orders") == "shipped"


async def test_a_gift_that_comes_back_with_the_goods_is_not_deducted(fair: Fair, market: Market) -> None:
    shop, tea, cup, _ = await a_gift(fair, market)
    buyer = await market.buyer()
    order = (await fair.bought(buyer, (tea, 2)))["orders"][0]
    await fair.ship(shop, order)
    lines = lines_of(order)
    both = (await fair.refund(shop, order, [(lines["sale"], 1), (lines["gift"], 1)], restock=True)).json()
    assert (both["amount"], both["deducted_amount"]) == (6000, 0)
    assert await fair.value("select (on_hand, reserved) from stock where sku_id = $1", cup.sku_id) == (3, 0)
    other = (await fair.bought(buyer, (tea, 2)))["orders"][0]
    assert (await fair.refund(shop, other)).json()["amount"] == 12_000


@pytest.mark.parametrize("released", [False, True])
async def test_what_was_deducted_for_a_gift_is_given_back_once_it_comes_back(
    fair: Fair, market: Market, released: bool
) -> None:
    shop, tea, cup, _ = await a_gift(fair, market)
    buyer = await market.buyer()
    order = (await fair.bought(buyer, (tea, 2)))["orders"][0]
    await fair.ship(shop, order)
    lines = lines_of(order)
    assert (await fair.refund(shop, order, [(lines["sale"], 1)])).json()["amount"] == 5500
    if released:
        await buyer.post(f"/api/shop/orders/{order['id']}/receive")
        await market.drain(days=40)
        assert await fair.value("select released_at is not null from orders")
    back = (await fair.refund(shop, order, [(lines["gift"], 1)], restock=True)).json()
    assert (back["amount"], back["goods_amount"], back["deducted_amount"]) == (500, 0, -500)
    assert [(d["label"], d["amount"]) for d in back["deductions"]] == [("满百赠杯", -500)]
    assert await fair.value("select on_hand from stock where sku_id = $1", cup.sku_id) == 3
    assert (await fair.refund(shop, order, [(lines["sale"], 1)])).json()["amount"] == 6000
    await fair.assert_balanced()
    assert await fair.value("select refunded_amount from orders") == 12_000


async def test_a_gift_worth_more_than_a_refund_is_kept_back_from_those_after_it(
    fair: Fair, market: Market
) -> None:
    shop = await market.merchant()
    leaf, cup = await market.product(shop, price=300), await market.product(shop, price=500)
    await fair.run(shop, kind="gift", by="count", tiers=[{"from": 4, "gifts": [{"sku_id": cup.ref}]}])
    order = (await fair.bought(await market.buyer(), (leaf, 4)))["orders"][0]
    await fair.ship(shop, order)
    sale = lines_of(order)["sale"]
    amounts = [(await fair.refund(shop, order, [(sale, 1)])).json()["amount"] for _ in range(4)]
    assert amounts == [0, 100, 300, 300]
    await fair.assert_balanced()


async def test_a_gift_has_to_be_returned_where_the_activity_says_so(fair: Fair, market: Market) -> None:
    shop, tea, _, _ = await a_gift(fair, market, on_refund="return")
    order = (await fair.bought(await market.buyer(), (tea, 2)))["orders"][0]
    await fair.ship(shop, order)
    lines = lines_of(order)
    refused = await fair.refund(shop, order, [(lines["sale"], 1)])
    assert (refused.status_code, refused.json()["code"]) == (409, "gift_to_return")
    assert "满百赠杯" in refused.json()["detail"]
    assert (await fair.refund(shop, order, [(lines["sale"], 1), (lines["gift"], 1)])).status_code == 201


async def test_a_gift_to_be_returned_that_has_not_left_is_cancelled(fair: Fair, market: Market) -> None:
    shop, tea, cup, _ = await a_gift(fair, market, on_refund="return")
    order = (await fair.bought(await market.buyer(), (tea, 2)))["orders"][0]
    refund = await fair.refund(shop, order, [(lines_of(order)["sale"], 1)])
    assert (refund.status_code, refund.json()["amount"]) == (201, 6000)
    assert await fair.value("select reserved from stock where sku_id = $1", cup.sku_id) == 0


async def test_a_case_about_a_gift_is_answered_before_staff_cancel_it(fair: Fair, market: Market) -> None:
    shop, tea, _, _ = await a_gift(fair, market)
    pot = await market.product(shop, price=100)
    buyer = await market.buyer()
    order = (await fair.bought(buyer, (tea, 2), (pot, 1)))["orders"][0]
    by_sku = {line["sku_id"]: line["id"] for line in order["lines"]}
    gift = lines_of(order)["gift"]
    units = [{"line_id": by_sku[pot.ref], "quantity": 1}, {"line_id": gift, "quantity": 1}]
    case = {"kind": "refund_only", "reason": "不想要了", "lines": units}
    asked = await buyer.post(f"/api/shop/orders/{order['id']}/aftersales", case)
    assert asked.status_code == 201, asked.text
    refused = await fair.refund(shop, order, [(by_sku[tea.ref], 1)])
    assert (refused.status_code, refused.json()["code"]) == (409, "in_case")


async def test_or_the_buyer_keeps_it(fair: Fair, market: Market) -> None:
    shop, tea, _, _ = await a_gift(fair, market, on_refund="keep")
    order = (await fair.bought(await market.buyer(), (tea, 2)))["orders"][0]
    refund = (await fair.refund(shop, order, [(lines_of(order)["sale"], 1)])).json()
    assert (refund["amount"], refund["deducted_amount"]) == (6000, 0)


async def test_goods_outside_the_scope_take_no_gift_with_them(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    tea, pot = await market.product(shop, price=11_000), await market.product(shop, price=9000)
    cup = await market.product(shop, price=500)
    scope = {"kind": "products", "ids": [tea.product]}
    await fair.run(shop, kind="gift", scope=scope, tiers=[{"from": 10_000, "gifts": [{"sku_id": cup.ref}]}])
    # A full reduction leaves less than the threshold of the gift, which looked at the goods before.
    await fair.run(shop, kind="reduction", tiers=[{"from": 10_000, "minus": 4000}])
    order = (await fair.bought(await market.buyer(), (tea, 1), (pot, 1)))["orders"][0]
    [line] = [line["id"] for line in order["lines"] if line["sku_id"] == pot.ref]
    assert (await fair.refund(shop, order, [(line, 1)])).json()["deducted_amount"] == 0


@pytest.mark.parametrize(("stated", "worth"), [(None, 500), (300, 300), (0, 0)])
async def test_a_gift_counts_for_what_is_stated_or_what_it_cost(
    fair: Fair, market: Market, stated: int | None, worth: int
) -> None:
    shop = await market.merchant()
    tea, cup = await market.product(shop, price=6000), await market.product(shop, price=500)
    gift = {"sku_id": cup.ref} | ({} if stated is None else {"value": stated})
    await fair.run(shop, kind="gift", by="count", tiers=[{"from": 2, "gifts": [gift]}])
    order = (await fair.bought(await market.buyer(), (tea, 2)))["orders"][0]
    await fair.ship(shop, order)
    refund = (await fair.refund(shop, order, [(lines_of(order)["sale"], 1)])).json()
    assert refund["deducted_amount"] == worth


async def test_gifts_are_a_shops_own(fair: Fair, market: Market) -> None:
    shop, other = await market.merchant("shop-a"), await market.merchant("shop-b")
    cup = await market.product(shop)
    tiers = [{"from": 2, "gifts": [{"sku_id": cup.ref}]}]
    assert (await fair.draft(None, kind="gift", tiers=tiers)).json()["errors"][0]["code"] == "unsupported"
    assert (await fair.draft(other, kind="gift", tiers=tiers)).json()["errors"][0]["code"] == "unknown"
