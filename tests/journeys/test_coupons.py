"""Coupons from claiming to the last refund: where every fen and every coupon is after each step."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.kit.ids import ref
from core.testkit.sandbox import sandbox
from core.types.scope import SYSTEM, Audience
from core.worker import inline
from tests.support import market
from tests.support.market import Session

FREIGHT = {"a": 800, "b": 1000, "c": 600}
VALID = {"days": 7}
MARKET = {
    "name": "全场减10", "kind": "amount", "amount": 1000, "threshold": 15000, "merchant_share_bp": 3000,
    "total": 10, "per_account": 1, "valid": VALID,
}  # fmt: skip
FREE = {
    "name": "包邮券", "kind": "free_shipping", "cap": 1500, "threshold": 20000, "total": 10, "per_account": 1,
    "valid": VALID,
}  # fmt: skip
SHOP_A = {
    "name": "店铺减5", "kind": "amount", "amount": 500, "threshold": 9000, "total": 10, "per_account": 1, "valid": VALID,
}  # fmt: skip
SHOP_B = {
    "name": "九折券", "kind": "rate", "rate_bp": 1000, "cap": 800, "total": 10, "per_account": 1, "valid": VALID,
}  # fmt: skip


class Town:
    """Three shops with goods and freight, an operator, and a buyer with a coupon of each kind."""

    def __init__(self, runtime: Any, client: httpx.AsyncClient) -> None:
        self.runtime, self.client = runtime, client
        self.ids: dict[str, UUID] = {}
        self.staff: dict[str, Session] = {}
        self.sku: dict[str, str] = {}
        self.coupon: dict[str, str] = {}

    async def open(self) -> None:
        """Shops, goods, freight, templates, claims."""
        for slug, fee in FREIGHT.items():
            shop = await market.open_shop(self.runtime, f"shop-{slug}")
            me = await market.sign_in(self.runtime, Audience.MERCHANT, shop)
            self.ids[slug], self.staff[slug] = shop, Session(self.client, self.runtime, me)
            terms = {"fee": fee, "free_from": None}
            await ok(self.staff[slug].call("PUT", "/api/merchant/express_delivery/settings", terms))
        for name, price in (("a1", 6000), ("a2", 2000), ("b1", 3333), ("c1", 2500)):
            self.sku[name] = await market.add_product(
                self.runtime, self.ids[name[0]], title=name, price=price
            )
        self.operator = Session(self.client, self.runtime, await market.an_operator(self.runtime))
        self.buyer = Session(self.client, self.runtime, await market.a_buyer(self.runtime))
        issuers = {"market": self.operator, "free": self.operator, "a": self.staff["a"], "b": self.staff["b"]}
        for name, terms in (("market", MARKET), ("free", FREE), ("a", SHOP_A), ("b", SHOP_B)):
            audience = "merchant" if name in FREIGHT else "platform"
            made = await ok(issuers[name].post(f"/api/{audience}/coupons/templates", terms))
            claimed = await ok(self.buyer.post(f"/api/shop/coupons/templates/{made['id']}/claim"))
            self.coupon[name] = claimed["id"]

    @property
    def wanted(self) -> dict[str, Any]:
        """What the buyer buys: 100.00 in shop A, 99.99 in B, 25.00 in C."""
        lines = {"a1": 1, "a2": 2, "b1": 3, "c1": 1}
        return {"lines": [{"sku_id": self.sku[n], "quantity": q} for n, q in lines.items()]}

    async def coupons(self) -> dict[str, str]:
        """Coupon by name -> status."""
        page = await ok(self.buyer.get("/api/shop/coupons"))
        status = {c["id"]: c["status"] for c in page["items"]}
        return {name: status[coupon] for name, coupon in self.coupon.items()}

    async def place(self) -> Any:
        """Quote and check out; the trade."""
        quote = await ok(self.buyer.post("/api/shop/quote", self.wanted))
        body = self.wanted | {"expected_payable": quote["payable"]}
        return await ok(self.buyer.post("/api/shop/checkout", body))

    async def pay(self, trade: Any) -> dict[str, Any]:
        """Pay, and let the effects run; the orders by shop."""
        payment = await ok(
            self.buyer.post(f"/api/shop/trades/{trade['id']}/payments", {"provider": "sandbox"})
        )
        await ok(self.client.post(payment["client"]["pay_url"]))
        await inline.drain(self.runtime, strict=True)
        paid = await ok(self.buyer.get(f"/api/shop/trades/{trade['id']}"))
        assert paid["status"] == "paid"
        slugs = {ref(merchant_id): slug for slug, merchant_id in self.ids.items()}
        return {slugs[order["merchant"]["id"]]: order for order in paid["orders"]}

    async def refund(self, slug: str, order: Any, **wanted: Any) -> Any:
        """The shop refunds; the refund once its money is back."""
        at = f"/api/merchant/orders/{order['id']}/refunds"
        made = await ok(self.staff[slug].post(at, {"reason": "缺货", **wanted}))
        await inline.drain(self.runtime, strict=True)
        page = await ok(self.staff[slug].get(at))
        done = next(r for r in page["items"] if r["id"] == made["id"])
        assert done["status"] == "done"
        return done

    async def statistics(self, name: str) -> Any:
        """Of a template."""
        audience, who = ("merchant", self.staff[name]) if name in FREIGHT else ("platform", self.operator)
        page = await ok(who.get(f"/api/{audience}/coupons/templates"))
        names = {"market": MARKET, "free": FREE, "a": SHOP_A, "b": SHOP_B}
        return next(t for t in page["items"] if t["name"] == names[name]["name"])["statistics"]

    async def money(self) -> dict[tuple[str, str], int]:
        """(owner, account) -> balance, debit less credit, without those at 0."""
        page = await ok(self.operator.get("/api/platform/ledger/accounts?limit=100"))
        slugs = {ref(merchant_id): slug for slug, merchant_id in self.ids.items()}
        return {
            (slugs.get(a["owner"], "market"), a["kind"]): a["balance"] for a in page["items"] if a["balance"]
        }

    async def books(self) -> int:
        """What the payment service still holds of the buyer's money."""
        held = "select sum(l.amount - refunded) from leg l join payment p on p.id = payment_id where p.account = :account"
        (amount,) = sandbox().rows(
            self.runtime.env.settings.sandbox_account, f"{held} and paid_at is not null"
        )[0]
        return int(amount)

    async def in_order(self) -> None:
        """The ledger's invariants hold."""
        found = await ok(self.operator.get("/api/platform/ledger/check"))
        assert found == {"balanced": True, "problems": []}


async def ok(request: Any) -> Any:
    """A successful answer's JSON."""
    answer = await request
    assert answer.status_code < 300, f"{answer.request.url}: {answer.text}"
    return answer.json()


@pytest.fixture
async def town(runtime: Any, client: httpx.AsyncClient) -> Town:
    """The market of this journey."""
    town = Town(runtime, client)
    await town.open()
    return town


def shares(order: Any, plugin: str = "coupons") -> tuple[int, int]:
    """(market, merchant) of what a plugin took off an order."""
    found = [d["bearer"] for d in order["discounts"] if d["plugin"] == plugin]
    return sum(b["market"] for b in found), sum(b["merchant"] for b in found)


def cuts(lines: Iterable[Any]) -> dict[str, list[int]]:
    """Line by title -> what came off it, one after another."""
    return {line["title"]: [a["amount"] for a in line["adjustments"]] for line in lines}


async def test_a_quote_with_four_coupons_adds_up_by_hand(town: Town) -> None:
    quote = await ok(town.buyer.post("/api/shop/quote", town.wanted))
    a, b, c = quote["merchants"]
    # Shop A: 500 over 6,000 : 4,000. Shop B: a tenth of 9,999 is 1,000, capped at 800. The market's 1,000 over
    # 5,700 : 3,800 : 9,199 : 2,500 is 268.9, 179.3, 433.9, 117.9; of it 300 over 269 : 179 : 434 : 118 borne by the shops.
    assert cuts(a["lines"]) == {"a1": [300, 269], "a2": [200, 179]}
    assert cuts(b["lines"]) == {"b1": [800, 434]}
    assert cuts(c["lines"]) == {"c1": [118]}
    of_market = [x["adjustments"][-1]["bearer"] for m in (a, b, c) for x in m["lines"]]
    assert of_market == [
        {"market": 188, "merchant": 81},
        {"market": 125, "merchant": 54},
        {"market": 304, "merchant": 130},
        {"market": 83, "merchant": 35},
    ]
    free = [x for m in (a, b, c) for x in m["shipping_adjustments"]]
    assert sum(x["amount"] for x in free) == 1500
    assert sum(x["bearer"]["merchant"] for x in free) == 0
    assert (quote["goods_amount"], quote["discount_amount"], quote["shipping_amount"]) == (22499, 2300, 900)
    assert quote["payable"] == 21099
    assert {e["outcome"] for e in quote["explain"]} == {"applied"}
    told = (await town.buyer.post("/api/shop/quote/explain?language=zh", town.wanted)).text
    assert "合计：商品 224.99 - 优惠 23.00 + 运费 9.00 = 应付 210.99" in told
    assert "- 2.69  全场减10（平台承担 1.88，商家承担 0.81）" in told


async def test_an_unpaid_trade_gives_every_coupon_back(town: Town) -> None:
    trade = await town.place()
    assert set((await town.coupons()).values()) == {"used"}
    quote = await ok(town.buyer.post("/api/shop/quote", town.wanted))
    assert quote["discount_amount"] == 0
    await ok(town.buyer.post(f"/api/shop/trades/{trade['id']}/close"))
    await inline.drain(town.runtime, strict=True)
    assert set((await town.coupons()).values()) == {"unused"}
    assert (await town.statistics("market"))["used"] == 0
    assert await town.money() == {}
    again = await town.place()
    assert again["payable"] == trade["payable"] == 21099


async def test_part_refunds_full_refunds_and_where_every_fen_and_coupon_is(town: Town) -> None:
    orders = await town.pay(await town.place())
    paid = {slug: order["payable"] for slug, order in orders.items()}
    assert sum(paid.values()) == 21099 == await town.books()
    borne = {slug: shares(order)[0] for slug, order in orders.items()}
    assert sum(borne.values()) == 700 + 1500
    frozen = {(slug, "frozen"): -(paid[slug] + borne[slug]) for slug in orders}
    gateway = {(slug, "gateway"): paid[slug] + borne[slug] for slug in orders}
    market_money = {("market", "subsidy"): 2200, ("market", "funds"): -2200}
    assert await town.money() == {**frozen, **gateway, **market_money}
    cost = (await town.statistics("market"))["cost"]
    assert cost == {"market": 700, "merchant": 300}

    # One of three in shop B goes back: 8,765 paid for the three is 2,921 and twice 2,922. No coupon comes back for it.
    line = orders["b"]["lines"][0]["id"]
    first = await town.refund("b", orders["b"], lines=[{"line_id": line, "quantity": 1}])
    assert first["amount"] == 2921
    assert set((await town.coupons()).values()) == {"used"}
    await town.in_order()
    assert await town.books() == 21099 - 2921

    # All of shop A goes back, freight too: its own coupon comes back, the market's have touched other orders as well.
    whole = await town.refund("a", orders["a"])
    assert whole["amount"] == paid["a"]
    assert await town.coupons() == {"a": "unused", "b": "used", "market": "used", "free": "used"}
    closed = await ok(town.buyer.get(f"/api/shop/orders/{orders['a']['id']}"))
    assert (closed["status"], closed["refunded_amount"]) == ("closed", paid["a"])

    # The rest of shop B, in two portions.
    second = await town.refund("b", orders["b"], lines=[{"line_id": line, "quantity": 1}])
    assert second["amount"] == 2922
    assert (await town.coupons())["b"] == "used"
    last = await town.refund("b", orders["b"])
    assert first["amount"] + second["amount"] + last["amount"] == paid["b"]
    assert await town.coupons() == {"a": "unused", "b": "unused", "market": "used", "free": "used"}

    # The buyer cancels shop C: nothing of the trade is left, so the market's coupons come back too.
    await ok(town.buyer.post(f"/api/shop/orders/{orders['c']['id']}/cancel"))
    await inline.drain(town.runtime, strict=True)
    assert set((await town.coupons()).values()) == {"unused"}
    assert await town.books() == 0
    assert await town.money() == {}
    await town.in_order()
    for name in town.coupon:
        found = await town.statistics(name)
        assert (found["used"], found["orders_brought"], found["cost"]) == (0, 0, {"market": 0, "merchant": 0})
    async with town.runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from stock where reserved <> 0 or on_hand <> 100") == 0
    assert (await town.place())["payable"] == 21099


async def test_a_coupon_that_ended_meanwhile_comes_back_expired(town: Town) -> None:
    orders = await town.pay(await town.place())
    clock = town.runtime.clock
    town.runtime.clock = lambda: clock() + timedelta(days=8)
    town.buyer = Session(town.client, town.runtime, town.buyer.me)
    town.staff["a"] = Session(town.client, town.runtime, town.staff["a"].me)
    await town.refund("a", orders["a"])
    assert await town.coupons() == {"a": "expired", "b": "used", "market": "used", "free": "used"}


async def test_coupons_come_back_although_the_plugin_was_switched_off(town: Town) -> None:
    orders = await town.pay(await town.place())
    await ok(town.operator.post("/api/platform/plugins/coupons/disable", {"mode": "now"}))
    for slug, order in orders.items():
        await town.refund(slug, order)
    gone = await town.buyer.get("/api/shop/coupons")
    assert gone.status_code == 404
    plain = await ok(town.buyer.post("/api/shop/quote", town.wanted))
    assert (plain["discount_amount"], plain["shipping_amount"]) == (0, 2400)
    await ok(town.operator.post("/api/platform/plugins/coupons/enable"))
    assert set((await town.coupons()).values()) == {"unused"}
    assert await town.money() == {}


async def test_what_was_sold_is_released_with_the_refunded_part_left_out(town: Town) -> None:
    orders = await town.pay(await town.place())
    order, shop = orders["b"], town.staff["b"]
    line = order["lines"][0]["id"]
    await town.refund("b", order, lines=[{"line_id": line, "quantity": 1}])
    await ok(shop.post(f"/api/merchant/orders/{order['id']}/accept"))
    parcel = {"carrier": "sf", "waybill_no": "SF1234567890123"}
    shipped = await ok(shop.post(f"/api/merchant/orders/{order['id']}/parcels", parcel))
    assert [p["lines"] for p in shipped["parcels"]] == [[{"line_id": line, "quantity": 2}]]
    await ok(town.buyer.post(f"/api/shop/orders/{order['id']}/receive"))
    await inline.drain(town.runtime, strict=True, until=town.runtime.clock() + timedelta(minutes=1))
    for other in ("a", "c"):
        await town.refund(other, orders[other])
    money = await town.money()
    left = order["payable"] - 2921
    # Of the market coupon's 434 on three units the first had 145, of which the shop had borne 44.
    async with town.runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow("select * from orders where number = $1", order["number"])
    kept = row["market_borne"] - row["refunded_market"]
    assert row["refunded_market"] == 101
    commission = row["commission"] - row["refunded_commission"]
    assert money[("b", "payable")] == -(left + kept - commission)
    assert money.get(("market", "revenue"), 0) == -commission
    assert money[("market", "subsidy")] == kept
    assert {key for key in money if key[0] != "b"} <= {
        ("market", "subsidy"), ("market", "funds"), ("market", "revenue")
    }  # fmt: skip
    assert (await town.coupons())["b"] == "used"
    await town.in_order()
