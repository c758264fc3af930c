"""A festival weekend in one market: a coupon and a flash sale of the market, one shop's second item at half price, another's
group-buying, member prices and points. Groups fill and fail, trades are not paid, orders go back in part, shops are paid
out; and where every fen, piece, seat, point and coupon is."""

from typing import Any

import pytest

from core.testkit import Market, TestClock
from core.testkit.market import Person
from tests.support import membership
from tests.support.festival import FREIGHT, Festival, Json, ok


@pytest.fixture
async def festival(market: Market, clock: TestClock) -> Festival:
    """The market with all tools running."""
    return await Festival(market, clock).open()


def cuts(order: Any) -> dict[str, list[tuple[str, int, int, int]]]:
    """Line by title -> (kind, fen, borne by the market, by the shop) of what came off it, one after another."""
    found: dict[str, list[tuple[str, int, int, int]]] = {line["title"]: [] for line in order["lines"]}
    titles = {line["id"]: line["title"] for line in order["lines"]}
    for d in order["discounts"]:
        by = d["bearer"]
        found[titles[d["line_id"]]].append((d["kind"], d["amount"], by["market"], by["merchant"]))
    return found


class Weekend:
    """Who buys, and what; `given` is what the market has borne so far."""

    ann: Person
    bob: Person
    cat: Person
    dan: Person
    eve: Person
    fay: Person
    gus: Person
    hal: Person
    ida: Person
    anns: Json
    bobs: Json
    cats: Json
    dans: Json
    eves: Json
    fays: Json
    guss: Json

    def __init__(self, festival: Festival) -> None:
        self.at, self.given = festival, 0

    async def ann_buys(self) -> None:
        """With all that goes together."""
        # Ann, a member with 2,000 points and the coupon, buys 2 a1 and 2 c2.
        # a1: half of the second is 3,000 off 12,000, more than a member's 1,200; c2: 10 % of 5,000 is 500, 250 borne by each.
        # The coupon's 1,000 over 9,000 : 4,500 is 666.7 and 333.3, of which shops bear 300 over 667 : 333, 200.1 and 99.9.
        # Her 1,000 points over 8,333 : 4,167 are 666.6 and 333.4. She pays 7,666 and 3,834 and freight of 800 and 600.
        self.ann = await self.at.buyer(points=2000, growth=100, coupon=True)
        self.anns = await self.at.buy(self.ann, {"a1": 2, "c2": 2}, membership={"points": 1000})
        assert cuts(self.anns["by"]["a"]) == {
            "a1": [
                ("promotions.nth", 3000, 0, 3000),
                ("coupons.market", 667, 467, 200),
                ("membership.points", 667, 667, 0),
            ]
        }
        assert cuts(self.anns["by"]["c"]) == {
            "c2": [
                ("membership.price", 500, 250, 250),
                ("coupons.market", 333, 233, 100),
                ("membership.points", 333, 333, 0),
            ]
        }
        assert {slug: order["payable"] for slug, order in self.anns["by"].items()} == {"a": 8466, "c": 4434}
        assert (await self.at.points(self.ann), await self.at.coupons(self.ann)) == (1000, ["used"])

    async def groups_are_bought(self) -> None:
        """Two fill, one does not."""
        # Bob opens a group and Cat joins for 2 pieces, with 300 points; it is full. Eve's and Fay's group fills too.
        self.bob, self.cat, self.eve, self.fay = [
            await self.at.buyer(points=points) for points in (0, 300, 0, 0)
        ]
        self.bobs = await self.at.buy(self.bob, {"b1": 1}, **self.at.group())
        self.cats = await self.at.buy(
            self.cat,
            {"b1": 2},
            **self.at.group(await self.at.group_of(self.bob)),
            membership={"points": "max"},
        )
        self.eves = await self.at.buy(self.eve, {"b1": 1}, **self.at.group())
        self.fays = await self.at.buy(self.fay, {"b1": 1}, **self.at.group(await self.at.group_of(self.eve)))
        assert [t["payable"] for t in (self.bobs, self.cats, self.eves, self.fays)] == [
            8000,
            14_700,
            8000,
            8000,
        ]
        for person in (self.bob, self.cat, self.eve, self.fay):
            assert await self.at.seats(person) == [("paid", "succeeded")]

        # Dan, a member, opens another, with 500 points; Ida takes a seat in it and does not pay.
        self.dan, self.ida = await self.at.buyer(points=500, growth=100), await self.at.buyer()
        self.dans = await self.at.buy(self.dan, {"b1": 1}, **self.at.group(), membership={"points": 500})
        assert self.dans["payable"] == 7500
        assert cuts(self.dans["by"]["b"]) == {
            "b1": [("group_buy.price", 3000, 0, 3000), ("membership.points", 500, 500, 0)]
        }
        await self.at.place(self.ida, {"b1": 1}, **self.at.group(await self.at.group_of(self.dan)))

    async def some_do_not_pay(self) -> None:
        """In the flash sale, and otherwise."""
        # Gus buys 2 c1 in the flash sale: 6,000 off, of which the shop bears 40 %. Hal places one too and does not pay, nor
        # what he places with his coupon and his points.
        self.gus, self.hal = await self.at.buyer(), await self.at.buyer(points=800, coupon=True)
        self.guss = await self.at.buy(self.gus, {"c1": 2}, **self.at.flash())
        assert cuts(self.guss["by"]["c"]) == {"c1": [("flash_sale.price", 6000, 3600, 2400)]}
        assert self.guss["payable"] == 4600
        await self.at.place(self.hal, {"c1": 1}, **self.at.flash())
        hals = await self.at.place(self.hal, {"a1": 2, "c2": 2}, membership={"points": 800})
        # 9,000 and 5,000 less 1,000 and 800, and freight.
        assert hals["payable"] == 14_000 - 1000 - 800 + 1400
        assert (await self.at.points(self.hal), await self.at.coupons(self.hal)) == (0, ["used"])
        assert await self.at.counts() == {
            # Ann's 4, the groups' 1 + 2 + 1 + 1 and Dan's, Gus's 2, Ida's 1, Hal's 1 and 4 are reserved until they are shipped.
            "on hand": 400, "reserved": 18, "coupons used": 2, "flash pieces": 3, "flash limits": 3,
            # Ida's and Dan's seats are in the only group that is not over.
            "group quota": 7, "group seats": 2, "promotion total": 2, "promotion limits": 2,
            "points": 1000, "debt": 0, "growth": 200,
        }  # fmt: skip

    async def everything_is_frozen(self, frozen: dict[str, int]) -> None:
        """For the shops, by the buyers and, for what is given, the market; nothing else moved."""
        assert await self.at.money() == {
            **{(slug, kind): amount for slug, amount in frozen.items() for kind in ("frozen", "gateway")},
            ("market", "subsidy"): self.given,
            ("market", "funds"): -self.given,
        }

    async def all_is_paid(self) -> None:
        """By shop, and what the market adds."""
        # What was paid is frozen with the market's part: A 8,466 + 467 + 667. B 8,000, 14,700 + 300, 8,000 twice, 7,500 + 500.
        # C 4,434 + 250 + 233 + 333 and 4,600 + 3,600.
        frozen = {"a": 9600, "b": 47_000, "c": 5250 + 8200}
        self.given = 1134 + 300 + 500 + 816 + 3600
        await self.everything_is_frozen(frozen)

    async def some_goes_back_in_part(self) -> None:
        """Before anything is sent."""
        # In part back: one of Ann's a1. Of 3,000 a unit has 1,500, of the coupon's 667 and its 200 the first 334 and 100, of the
        # points' 667 over 4,166 : 4,167 333. One of Cat's b1 with half of her points; one of Gus's c1.
        assert (await self.at.refund(self.anns["by"]["a"], 1))["amount"] == 6000 - 1500 - 334 - 333
        assert (await self.at.refund(self.cats["by"]["b"], 1))["amount"] == 7000 - 150
        assert (await self.at.refund(self.guss["by"]["c"], 1))["amount"] == 2000
        assert (await self.at.points(self.ann), await self.at.coupons(self.ann)) == (1333, ["used"])
        assert await self.at.points(self.cat) == 150
        self.given -= 234 + 333 + 150 + 1800
        frozen = {"a": 9600 - 3833 - 567, "b": 47_000 - 7000, "c": 13_450 - 3800}
        await self.everything_is_frozen(frozen)

    async def the_rest_is_sent(self) -> None:
        """And brings points; one comes back after all."""
        # What can be sent is sent and received; it brings a point for each yuan of goods that was paid and is not refunded:
        # Ann 38.33 and 38.34, Bob 70, Cat 68.50, Eve 70, Fay 70, Gus 20.
        for person, trade in (
            (self.ann, self.anns),
            (self.bob, self.bobs),
            (self.cat, self.cats),
            (self.eve, self.eves),
            (self.fay, self.fays),
            (self.gus, self.guss),
        ):
            await self.at.market.fulfil(person, trade)
        await self.at.market.drain()
        people = {
            "ann": self.ann,
            "bob": self.bob,
            "cat": self.cat,
            "eve": self.eve,
            "fay": self.fay,
            "gus": self.gus,
        }
        earned = {name: await self.at.points(person) for name, person in people.items()}
        assert earned == {"ann": 1333 + 76, "bob": 70, "cat": 150 + 68, "eve": 70, "fay": 70, "gus": 20}
        assert await membership.growth(self.at.runtime, self.ann.me.account_id) == 176

        # Fay sends hers back after it was completed, and it can be sold again; the freight was spent. What it had brought goes.
        assert (await self.at.refund(self.fays["by"]["b"], restock=True))["amount"] == 7000
        assert (
            await self.at.points(self.fay)
            == await membership.growth(self.at.runtime, self.fay.me.account_id)
            == 0
        )

    async def time_passes(self) -> None:
        """What is not paid and not filled ends."""
        # A day later what was not paid is closed, and Dan's group has failed: he has his money and his points.
        await self.at.market.drain(hours=25)
        assert await self.at.seats(self.dan) == [("refunded", "failed")]
        assert await self.at.seats(self.ida) == [("closed", "failed")]
        order = await ok(self.dan.get(f"/api/shop/orders/{self.dans['by']['b']['id']}"))
        assert (order["status"], order["refunded_amount"]) == ("closed", 7500)
        assert (
            await self.at.points(self.dan),
            await self.at.points(self.hal),
            await self.at.coupons(self.hal),
        ) == (500, 800, ["unused"])
        trades = (await ok(self.hal.get("/api/shop/trades")))["items"]
        assert [trade["status"] for trade in trades] == ["closed", "closed"]
        self.given -= 500

    async def shops_are_paid(self) -> None:
        """And who paid for it in the end."""
        # A week later the shops' money is released and paid out. The fee is 5 % of goods less what shops bear: A 440 of
        # 8,800, half of it given up with half the goods. B 350 for each of Bob, Cat's one, Eve. C 232.5 of 4,650, and half of
        # 380.
        await self.at.market.drain(days=9)
        assert (await ok(self.at.operator.post("/api/platform/payouts", {})))["started"] == 3
        await self.at.market.drain()
        fees = {"a": 220, "b": 1050, "c": 233 + 190}
        # A: 3,833 + 800 of Ann's and 567 of the market's. B: thrice 7,000, of Cat's 150 the market's, and freight four times.
        # C: 4,434 and 816 for Ann, 2,600 and 1,800 for Gus.
        kept = {"a": 3833 + 800 + 567, "b": 25_000, "c": 4434 + 816 + 2600 + 1800}
        for slug in FREIGHT:
            (payout,) = (await ok(self.at.staff[slug].get("/api/merchant/payouts")))["items"]
            assert (payout["status"], payout["amount"]) == ("paid", kept[slug] - fees[slug]), slug
        assert self.given == 567 + 150 + 816 + 1800 == 3333
        assert await self.at.money() == {
            ("market", "subsidy"): 3333,
            ("market", "revenue"): sum(fees.values()),
            ("market", "funds"): sum(fees.values()) - 3333,
        }
        # What buyers paid and did not get back is in the banks and with the market: Ann 9,067, Bob 8,000, Cat 7,850,
        # Eve 8,000, Fay 1,000, Gus 2,600.
        held = self.at.held()
        banks = {slug: held[f"bank {slug}"] for slug in FREIGHT}
        assert banks == {slug: kept[slug] - fees[slug] for slug in FREIGHT}
        assert sum(banks.values()) + held["funds"] == 9067 + 8000 + 7850 + 8000 + 1000 + 2600 == 36_517

    async def all_is_where_it_belongs(self) -> None:
        """Stock, quotas, seats, points and coupons."""
        # Everything that was not sold for good is back where it belongs.
        assert await self.at.stock() == {"a1": 99, "b1": 97, "c1": 99, "c2": 98}
        assert await self.at.counts() == {
            "on hand": 393, "reserved": 0, "coupons used": 1, "flash pieces": 1, "flash limits": 1,
            "group quota": 3, "group seats": 0, "promotion total": 1, "promotion limits": 1,
            # Ann 1,409, Bob 70, Cat 218, Dan 500, Eve 70, Gus 20, Hal 800; growth was 100 of Ann's and Dan's, and what was
            # earned counts in the market and in the shop.
            "points": 3087, "debt": 0, "growth": 200 + 2 * (76 + 70 + 68 + 70 + 20),
        }  # fmt: skip


async def test_a_weekend_to_the_last_fen(festival: Festival) -> None:
    weekend = Weekend(festival)
    await weekend.ann_buys()
    await weekend.groups_are_bought()
    await weekend.some_do_not_pay()
    await weekend.all_is_paid()
    await weekend.some_goes_back_in_part()
    await weekend.the_rest_is_sent()
    await weekend.time_passes()
    await weekend.shops_are_paid()
    await weekend.all_is_where_it_belongs()
    await reports_are_right(festival)


async def reports_are_right(at: Festival) -> None:
    """What each tool brought, less what went back, and cost."""
    # Ann's two for 7,666, of which one for 3,833 went back.
    assert await at.report("nth") == {
        "orders": 1, "buyers": 1, "units": 1, "goods_amount": 7666, "refunded_amount": 3833,
        "market_borne": 0, "merchant_borne": 1500, "return_bp": 3833 * 10_000 // 1500,
    }  # fmt: skip
    # Bob 7,000, Cat 13,700, Dan 6,500, Eve and Fay 7,000; back went 6,850, 6,500 and 7,000.
    assert await at.report("group") == {
        "orders": 5, "buyers": 5, "units": 3, "goods_amount": 41_200, "refunded_amount": 20_350,
        "market_borne": 0, "merchant_borne": 9000, "return_bp": 20_850 * 10_000 // 9000,
    }  # fmt: skip
    assert await at.report("flash") == {
        "orders": 1, "buyers": 1, "units": 1, "goods_amount": 4000, "refunded_amount": 2000,
        "market_borne": 1800, "merchant_borne": 1200, "return_bp": 2000 * 10_000 // 3000,
    }  # fmt: skip
    # The coupon of Ann's: of 700 and 300 went 234 and 100 back.
    (template,) = (await ok(at.operator.get("/api/platform/coupons/templates")))["items"]
    found = template["statistics"]
    assert (found["claimed"], found["used"], found["orders_brought"]) == (2, 1, 2)
    assert found["cost"] == {"market": 466, "merchant": 200}


async def test_when_all_of_it_goes_back_nothing_is_left_anywhere(festival: Festival) -> None:
    at, market = festival, festival.market
    ann = await at.buyer(points=2000, growth=100, coupon=True)
    bob, cat, dan, gus = [await at.buyer(points=points) for points in (0, 300, 500, 0)]
    before = await at.counts()
    trades = [
        await at.buy(ann, {"a1": 2, "c2": 2}, membership={"points": 1000}),
        await at.buy(bob, {"b1": 1}, **at.group()),
    ]
    group = await at.group_of(bob)
    trades.append(await at.buy(cat, {"b1": 2}, **at.group(group), membership={"points": "max"}))
    trades.append(await at.buy(gus, {"c1": 2}, **at.flash()))
    left = await at.buy(dan, {"b1": 1}, **at.group(), membership={"points": 500})
    await ok(dan.post(f"/api/shop/group_buy/groups/{await at.group_of(dan)}/leave"))
    await market.drain()
    assert (await ok(dan.get(f"/api/shop/orders/{left['by']['b']['id']}")))["refunded_amount"] == 7500

    paid = sum(trade["payable"] for trade in trades)
    back = 0
    for trade in trades:
        for order in trade["orders"]:
            if order["lines"][0]["quantity"] > 1:
                back += (await at.refund(order, 1))["amount"]
            back += (await at.refund(order))["amount"]
    assert back == paid
    assert await at.money() == {}
    assert at.held() == {}
    assert await at.counts() == before
    assert await at.stock() == dict.fromkeys(at.goods, 100)
    assert await at.coupons(ann) == ["unused"]
    for activity in at.activity:
        found = await at.report(activity)
        assert (found["units"], found["market_borne"], found["merchant_borne"]) == (0, 0, 0), activity
        assert found["goods_amount"] == found["refunded_amount"]
