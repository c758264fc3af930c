"""What placing takes of stock, limits, seats, points and coupons comes back exactly: when the trade is closed, and when it is
paid and every unit of it is refunded, one at a time and in any order."""

import random
from datetime import timedelta
from typing import Any

import pytest

from core.kit.ids import parse_pair, ref
from core.testkit import Market, TestClock
from core.testkit.market import Person
from core.types.scope import SYSTEM
from tests.support.festival import Festival, Json, ok
from tests.support.promotions import Fair

# Prices that share out badly.
MORE = {"a2": 3331, "b2": 2777, "c3": 1999, "a9": 500}
SHOP_COUPON = {
    "name": "店铺券", "kind": "rate", "rate_bp": 777, "total": 99, "per_account": 9, "valid": {"days": 7},
}  # fmt: skip
FREIGHT_COUPON = {
    "name": "运费券", "kind": "free_shipping", "cap": 1111, "total": 99, "per_account": 9, "valid": {"days": 7},
}  # fmt: skip

_ROWS = {
    "stock": "select sku_id, on_hand, reserved from stock order by 1",
    "coupons": "select id, status from coupons_coupon where status <> 'unused' order by 1",
    "flash_sale": "select sku_id, sold from flash_sale_item where sold <> 0 order by 1",
    "flash_sale accounts": "select account_id, sku_id, taken from flash_sale_taking where taken <> 0 order by 1, 2",
    "group_buy": "select sku_id, sold from group_buy_price where sold <> 0 order by 1",
    "group_buy seats": "select id from group_buy_seat where live order by 1",
    "promotions": "select id, claimed from promotions_promotion where claimed <> 0 order by 1",
    "promotions accounts": "select account_id, promotion_id, used from promotions_account where used <> 0 order by 1, 2",
    "membership": "select account_id, points, debt from membership_account order by 1",
    "membership growth": "select account_id, merchant_id, growth from membership_member where growth <> 0 order by 1, 2",
}
CLAIMED = set(_ROWS) - {"membership growth"}


class Stalls(Festival):
    """The festival with more of everything: limits, gifts, reductions, coupons and levels of shops, free shipping."""

    async def open(self) -> "Stalls":
        """Everything runs when this returns."""
        await super().open()
        for title, price in MORE.items():
            self.goods[title] = await self.market.product(self.shops[title[0]], title=title, price=price)
        market, shop = Fair(self.market), self.shops
        counted = {"per_account": 99, "total": 999, "ends_in": timedelta(days=3)}
        gifts = [{"sku_id": self.goods["a9"].ref, "quantity": 1}]
        items = [{"sku_id": self.goods["b2"].ref, "amount": 111}]
        halves = {"nth": 2, "rate_bp": 5000}
        some = {"kind": "products", "ids": [self.goods["a2"].product]}
        for name, owner, terms in (
            ("limited", shop["b"], {"kind": "limited", "items": items}),
            ("odd halves", shop["a"], {"kind": "nth", **halves, "scope": some}),
            ("gift", shop["a"], {"kind": "gift", "by": "count", "tiers": [{"from": 2, "gifts": gifts}], "on_refund": "keep"}),
            ("reduction", shop["c"], {"kind": "reduction", "tiers": [{"from": 1999, "minus": 333}], "each": True}),
            ("market", None, {"kind": "reduction", "tiers": [{"from": 5000, "rate_bp": 777}], "merchant_share_bp": 3333}),
            ("freight", None, {"kind": "free_shipping", "tiers": [{"from": 9000, "cap": 777}], "merchant_share_bp": 3333}),
        ):  # fmt: skip
            self.activity[name] = ref(parse_pair(await market.run(owner, name=name, **terms, **counted))[1])
        at = "coupons/templates"
        self.templates = [
            (await ok(self.staff["b"].post(f"/api/merchant/{at}", SHOP_COUPON)))["id"],
            (await ok(self.operator.post(f"/api/platform/{at}", FREIGHT_COUPON)))["id"],
        ]
        level = {"name": "老客", "growth": 0, "discount_bp": 777}
        await ok(self.staff["c"].post("/api/merchant/membership/levels", level))
        return self

    async def guest(self, rng: random.Random) -> Person:
        """A member with points and a coupon of each kind."""
        person = await self.buyer(points=rng.randint(1, 5000), growth=100, coupon=True)
        for template in self.templates:
            await ok(person.post(f"/api/shop/coupons/templates/{template}/claim"))
        return person

    def choice(self, rng: random.Random, turn: int) -> tuple[dict[str, int], Json]:
        """What is bought in this turn, and how: at a flash price, in a group, or several things."""
        points: Json = {"membership": {"points": "max"}}
        if turn == 0:
            return {"c1": 2}, self.flash() | points
        if turn == 1:
            return {"b1": 2}, self.group() | points
        titles = rng.sample(["a1", "a2", "b2", "c2", "c3"], rng.randint(3, 5))
        return {title: rng.randint(1, 3) for title in titles}, points

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """What every tool has given out."""
        async with self.runtime.tx(SYSTEM) as tx:
            return {name: [tuple(row) for row in await tx.fetch(sql)] for name, sql in _ROWS.items()}

    async def refund_one_by_one(self, trade: Json, rng: random.Random) -> int:
        """Every unit of what was bought, the last of an order with its freight; the sum of the refunds."""
        units = [
            (order["id"], line["id"])
            for order in trade["orders"]
            for line in order["lines"]
            if line["kind"] != "gift"
            for _ in range(line["quantity"])
        ]
        rng.shuffle(units)
        back = 0
        for order, line in units:
            body = {"reason": "缺货", "lines": [{"line_id": line, "quantity": 1}]}
            back += (await ok(self.operator.post(f"/api/platform/orders/{order}/refunds", body)))["amount"]
            await self.market.drain()
        return back


@pytest.fixture
async def stalls(market: Market, clock: TestClock) -> Stalls:
    """The market with all tools running."""
    return await Stalls(market, clock).open()


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """What is not as it was."""
    return {name for name in before if before[name] != after[name]}


async def test_a_closed_trade_gives_back_what_placing_took(stalls: Stalls) -> None:
    rng, seen = random.Random(1), set[str]()
    for turn in range(6):
        person = await stalls.guest(rng)
        before = await stalls.rows()
        wanted, options = stalls.choice(rng, turn)
        trade = await stalls.place(person, wanted, **options)
        seen |= changed(before, await stalls.rows())
        await ok(person.post(f"/api/shop/trades/{trade['id']}/close"))
        await stalls.market.drain()
        assert changed(before, await stalls.rows()) == set(), (turn, wanted)
    assert seen == CLAIMED
    assert await stalls.money() == {}


async def test_refunds_of_one_unit_after_another_give_back_what_placing_took(stalls: Stalls) -> None:
    rng, seen = random.Random(2), set[str]()
    for turn in range(5):
        person, other = await stalls.guest(rng), await stalls.buyer()
        before = await stalls.rows()
        wanted, options = stalls.choice(rng, turn)
        trades = [await stalls.buy(person, wanted, **options)]
        seen |= changed(before, await stalls.rows())
        if "group_buy" in options:
            # Nobody leaves a group by a refund while it is being filled.
            group = stalls.group(await stalls.group_of(person))
            trades.append(await stalls.buy(other, {"b1": 1}, **group))
        for trade in trades:
            assert await stalls.refund_one_by_one(trade, rng) == trade["payable"], (turn, wanted)
        assert changed(before, await stalls.rows()) == set(), (turn, wanted)
        assert await stalls.money() == {}
    assert seen == CLAIMED
    await nothing_was_brought(stalls)


async def nothing_was_brought(stalls: Stalls) -> None:
    """All reports say that everything went back, to the fen, whatever it was shared out in."""
    brought = 0
    for name, activity in stalls.activity.items():
        found = await ok(stalls.operator.get(f"/api/platform/activities/{activity}/report"))
        brought += found["orders"]
        assert found["goods_amount"] == found["refunded_amount"], name
        assert (found["units"], found["market_borne"], found["merchant_borne"]) == (0, 0, 0), name
    assert brought
