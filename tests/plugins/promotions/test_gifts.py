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
    sale = lines_of(order)["sale"]
    assert (await fair.refund(shop, order, [(sale, 1)])).json()["deducted_amount"] == 0
    second = (await fair.refund(shop, order, [(sale, 1)])).json()
    assert (second["amount"], second["deducted_amount"]) == (5500, 500)
    third = (await fair.refund(shop, order, [(sale, 1)])).json()
    assert (third["amount"], third["deducted_amount"]) == (6000, 0)


async def test_a_gift_that_comes_back_with_the_goods_is_not_deducted(fair: Fair, market: Market) -> None:
    shop, tea, cup, _ = await a_gift(fair, market)
    buyer = await market.buyer()
    order = (await fair.bought(buyer, (tea, 2)))["orders"][0]
    lines = lines_of(order)
    both = (await fair.refund(shop, order, [(lines["sale"], 1), (lines["gift"], 1)])).json()
    assert (both["amount"], both["deducted_amount"]) == (6000, 0)
    assert await fair.value("select reserved from stock where sku_id = $1", cup.sku_id) == 0
    other = (await fair.bought(buyer, (tea, 2)))["orders"][0]
    assert (await fair.refund(shop, other)).json()["amount"] == 12_000


async def test_a_gift_has_to_be_returned_where_the_activity_says_so(fair: Fair, market: Market) -> None:
    shop, tea, _, _ = await a_gift(fair, market, on_refund="return")
    order = (await fair.bought(await market.buyer(), (tea, 2)))["orders"][0]
    lines = lines_of(order)
    refused = await fair.refund(shop, order, [(lines["sale"], 1)])
    assert (refused.status_code, refused.json()["code"]) == (409, "gift_to_return")
    assert "满百赠杯" in refused.json()["detail"]
    assert (await fair.refund(shop, order, [(lines["sale"], 1), (lines["gift"], 1)])).status_code == 201


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
    refund = (await fair.refund(shop, order, [(lines_of(order)["sale"], 1)])).json()
    assert refund["deducted_amount"] == worth


async def test_gifts_are_a_shops_own(fair: Fair, market: Market) -> None:
    shop, other = await market.merchant("shop-a"), await market.merchant("shop-b")
    cup = await market.product(shop)
    tiers = [{"from": 2, "gifts": [{"sku_id": cup.ref}]}]
    assert (await fair.draft(None, kind="gift", tiers=tiers)).json()["errors"][0]["code"] == "unsupported"
    assert (await fair.draft(other, kind="gift", tiers=tiers)).json()["errors"][0]["code"] == "unknown"
