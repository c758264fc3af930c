"""One trade of three shops and all that can come after it, to the last fen: a partial shipment and an exchange in the first, a
return in the second and a refund after its payout, a refusal with arbitration in the third."""

from typing import Any

import msgspec
import pytest

from core.command import money
from core.kit.ids import ref
from core.kit.settings import Settings
from core.testkit.database import Database
from core.testkit.market import Market, Person, Shop
from core.testkit.sandbox import sandbox
from core.types.scope import SYSTEM

PARCEL = {"carrier": "sf", "waybill_no": "SF1234567890123"}
BACK = {
    "recipient": "退货组", "phone": "13900000000", "province": "重庆市", "city": "重庆市", "district": "南岸区",
    "street": "弹子石 8 号",
}  # fmt: skip
COUPON = {
    "name": "全场减10", "kind": "amount", "amount": 1000, "threshold": 15000, "merchant_share_bp": 3000,
    "total": 10, "per_account": 1, "valid": {"days": 7},
}  # fmt: skip
FREIGHT = {"shop-a": 800, "shop-b": 1000, "shop-c": 600}


async def ok(request: Any) -> Any:
    """A successful answer's JSON."""
    answer = await request
    assert answer.status_code < 300, f"{answer.request.url}: {answer.text}"
    return answer.json() if answer.content else None


class Town:
    """Three shops, an operator, and a buyer who has bought from all of them with a coupon of the market's."""

    def __init__(self, market: Market) -> None:
        self.market, self.runtime = market, market.runtime
        self.shops: dict[str, Shop] = {}
        self.staff: dict[str, Person] = {}
        self.orders: dict[str, Any] = {}

    async def open(self) -> "Town":
        """Shops, freight and goods: 100.00 of A, 99.99 of B, 50.00 of C."""
        self.operator, self.buyer = await self.market.operator(), await self.market.buyer()
        made = await ok(self.operator.post("/api/platform/coupons/templates", COUPON))
        await ok(self.buyer.post(f"/api/shop/coupons/templates/{made['id']}/claim"))
        goods = []
        for slug, fee in FREIGHT.items():
            shop = self.shops[slug[-1]] = await self.market.merchant(slug)
            staff = self.staff[slug[-1]] = await self.market.staff(shop)
            await ok(staff.put("/api/merchant/express_delivery/settings", {"fee": fee, "free_from": None}))
        for title, price, quantity in (("a1", 6000, 1), ("a2", 2000, 2), ("b1", 3333, 3), ("c1", 2500, 2)):
            article = await self.market.product(self.shops[title[0]], title=title, price=price)
            goods.append((article, quantity))
        self.goods = {article.ref: article for article, _ in goods}
        trade = await self.market.purchase(self.buyer, goods)
        slugs = {shop.ref: slug for slug, shop in self.shops.items()}
        self.orders = {slugs[order["merchant"]["id"]]: order for order in trade["orders"]}
        self.trade = trade
        await self.market.drain()
        return self

    def line(self, title: str) -> Any:
        """An order line as it was bought."""
        return next(x for x in self.orders[title[0]]["lines"] if x["title"] == title)

    async def shop(self, slug: str, path: str, body: Any = None) -> Any:
        """A POST of the shop's staff about its order."""
        return await ok(self.staff[slug].post(f"/api/merchant/orders/{self.orders[slug]['id']}/{path}", body))

    async def receive(self, slug: str) -> None:
        """The buyer confirms receipt."""
        await ok(self.buyer.post(f"/api/shop/orders/{self.orders[slug]['id']}/receive"))

    async def case(self, title: str, kind: str, quantity: int) -> str:
        """The buyer opens a case; the answer is where it is, for any audience."""
        body = {
            "kind": kind,
            "lines": [{"line_id": self.line(title)["id"], "quantity": quantity}],
            "reason": "坏了",
        }
        made = await ok(self.buyer.post(f"/api/shop/orders/{self.orders[title[0]]['id']}/aftersales", body))
        assert made["status"] == "applied"
        return f"aftersales/{made['id']}"

    async def there(self, person: Person, path: str, body: Any = None) -> str:
        """A POST to a case by the audience of `person`; its status afterwards."""
        answer = await ok(person.post(f"/api/{person.me.audience.value}/{path}", body))
        return str(answer["status"])

    async def sent_back(self, case: str, slug: str, **received: Any) -> str:
        """Agreed to, sent back, received."""
        assert await self.there(self.staff[slug], f"{case}/agree", {"return_address": BACK}) == "agreed"
        assert (
            await self.there(self.buyer, f"{case}/return-parcel", {"carrier": "sf", "waybill_no": "SF99"})
            == "sent"
        )
        return await self.there(self.staff[slug], f"{case}/receive", received)

    async def order(self, slug: str) -> Any:
        """The order as it stands."""
        return await ok(self.buyer.get(f"/api/shop/orders/{self.orders[slug]['id']}"))

    async def on_hand(self, title: str) -> int:
        """Stock of an article."""
        sku = next(a.sku_id for a in self.goods.values() if a.ref == self.line(title)["sku_id"])
        async with self.runtime.tx(SYSTEM) as tx:
            return int(await tx.fetchval("select on_hand from stock where sku_id = $1", sku))

    async def balance(self, slug: str, kind: str) -> int:
        """What stands on an account, by the side it grows on."""
        page = await ok(self.operator.get("/api/platform/ledger/accounts?limit=100"))
        owner = self.shops[slug].id if slug in self.shops else None
        found = [
            a["balance"] for a in page["items"]
            if a["kind"] == kind and (owner is None or a["owner"] == ref(owner))
        ]  # fmt: skip
        return abs(sum(found))

    async def agrees(self) -> None:
        """The ledger is in order, and the payment service holds for each shop what its gateway account says."""
        assert await ok(self.operator.get("/api/platform/ledger/check")) == {"balanced": True, "problems": []}
        account = self.runtime.env.settings.sandbox_account
        books = sandbox().rows(account, "select name, amount from balance where account = :account")
        for slug, shop in self.shops.items():
            held = [
                amount
                for name, amount in books
                if name.endswith(str(shop.id)) and not name.startswith("bank")
            ]
            assert await self.balance(slug, "gateway") == sum(held), slug


@pytest.fixture
def settings(database: Database) -> Settings:
    """A week to come back with something."""
    return msgspec.structs.replace(database.settings(), aftersales_window=7 * 86400)


@pytest.fixture
async def town(market: Market) -> Town:
    """The trade, paid."""
    return await Town(market).open()


async def test_every_fen_is_told_through_all_that_comes_after(town: Town) -> None:
    market = town.market
    # The market's coupon: 1,000 over goods of 10,000 : 9,999 : 5,000, of which it bears 700.
    assert town.trade["payable"] == 24_999 - 1_000 + 2_400
    await town.agrees()

    # Shop A ships in two parcels: not shipped before the second.
    await town.shop("a", "accept")
    part = await town.shop(
        "a", "parcels", PARCEL | {"lines": [{"line_id": town.line("a1")["id"], "quantity": 1}]}
    )
    assert part["status"] == "accepted"
    assert (await town.shop("a", "parcels", PARCEL | {"waybill_no": "SF1234567890124"}))[
        "status"
    ] == "shipped"
    for slug in "bc":
        await town.shop(slug, "accept")
        await town.shop(slug, "parcels", PARCEL)
    for slug in "abc":
        await town.receive(slug)

    # An exchange in A: one of two comes back broken, another one leaves; no money moves.
    exchange = await town.case("a2", "exchange", 1)
    assert await town.sent_back(exchange, "a", restock=False) == "received"
    assert (
        await town.there(town.staff["a"], f"{exchange}/reship", PARCEL | {"waybill_no": "SF1234567890125"})
        == "reshipped"
    )
    assert await town.there(town.buyer, f"{exchange}/confirm") == "done"
    assert await town.on_hand("a2") == 100 - 2 - 1

    # A return in B: one of three comes back and can be sold again.
    returned = await town.case("b1", "return_refund", 1)
    assert await town.sent_back(returned, "b", restock=True) == "refunding"
    await market.drain()
    assert (await ok(town.buyer.get(f"/api/shop/{returned}")))["status"] == "done"
    b1 = town.line("b1")["payable"]
    first = b1 // 3
    assert (await town.order("b"))["refunded_amount"] == first
    assert await town.on_hand("b1") == 100 - 3 + 1

    # A refusal in C: the market gives the buyer 10.00 of the 23.00 paid for one; the goods stay.
    refused = await town.case("c1", "refund_only", 1)
    assert await town.there(town.staff["c"], f"{refused}/refuse", {"reason": "没有问题"}) == "refused"
    assert await town.there(town.buyer, f"{refused}/arbitrate", {"reason": "有裂缝"}) == "arbitration"
    decided = {"outcome": "refund", "amount": 1000, "reason": "各担一半"}
    assert await town.there(town.operator, f"{refused}/decide", decided) == "refunding"
    await market.drain()
    assert (await ok(town.buyer.get(f"/api/shop/{refused}")))["status"] == "done"
    assert (await town.order("c"))["refunded_amount"] == 1000
    await town.agrees()

    # The windows end, the money is released and paid out: nothing of it is left with the service.
    await market.drain(days=9)
    assert (await ok(town.operator.post("/api/platform/payouts", {})))["started"] == 3
    await market.drain()
    assert await market_of(town, "payable") == 0
    # A: 10,400 paid, 280 of the market's, less 5 % of 9,880. B: of 10,599 and 280 the returned unit took 3,199 and 94; 5 % of
    # 9,879 is 493, of which 163 was given up with it. C: 5,400 and 140 less 1,000 and 70, and the fee of one unit of two.
    expected = {
        "a": 10_400 + 280 - 494,
        "b": 10_599 + 280 - 3_199 - 94 - 330,
        "c": 5_400 + 140 - 1_000 - 70 - 124,
    }
    for slug, amount in expected.items():
        assert await town.balance(slug, "gateway") == 0, slug
        (payout,) = (await ok(town.staff[slug].get("/api/merchant/payouts")))["items"]
        assert (payout["status"], payout["amount"]) == ("paid", amount), slug
    await town.agrees()

    # After that, the rest of B goes back: the shop owes what it was paid for it, and the market has advanced it.
    back = await ok(
        town.operator.post(
            f"/api/platform/orders/{town.orders['b']['id']}/refunds", {"reason": "召回", "restock": False}
        )
    )
    assert back["goods_amount"] == b1 - first
    await market.drain()
    debt = await town.balance("b", "debt")
    # 6,400 for the buyer and 186 of the coupon for the market, which gives up its last 330 of the fee.
    assert debt == 6_400 + 186 - 330
    assert await town.balance("b", "payable") == 0
    await town.agrees()

    # What B sells next pays that back before the shop gets any.
    article = next(a for a in town.goods.values() if a.ref == town.line("b1")["sku_id"])
    again = await market.purchase(await market.buyer(), [(article, 4)])
    await fulfilled(town, again)
    await market.drain(days=30)
    await ok(town.operator.post("/api/platform/payouts", {"merchant_id": town.shops["b"].ref}))
    await market.drain()
    assert await town.balance("b", "debt") == 0
    last = (await ok(town.staff["b"].get("/api/merchant/payouts")))["items"][0]
    assert (last["status"], last["netted"]) == ("paid", debt)
    await town.agrees()

    # And every fen is told.
    for slug in "abc":
        told = await money.trace(town.runtime, town.orders[slug]["number"])
        assert "pay.buyer" in told
        assert "stands" in told
    assert await market_of(town, "gateway") == 0


async def market_of(town: Town, kind: str) -> int:
    """The sum of an account over all shops."""
    return sum([await town.balance(slug, kind) for slug in town.shops])


async def fulfilled(town: Town, trade: Any) -> None:
    """Accepted and shipped; it is received and released by itself."""
    order = trade["orders"][0]
    at = f"/api/merchant/orders/{order['id']}"
    await ok(town.staff["b"].post(f"{at}/accept"))
    await ok(town.staff["b"].post(f"{at}/parcels", PARCEL | {"waybill_no": "SF1234567890126"}))
