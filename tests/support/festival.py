"""A festival in one market: tools of the market and of three shops, and people who buy with them by the real flow."""

from datetime import timedelta
from typing import Any

from core.kit.ids import parse_pair, ref
from core.testkit import Market, TestClock
from core.testkit.market import Article, Person, Shop
from core.testkit.sandbox import sandbox
from core.types.scope import SYSTEM
from tests.support import membership
from tests.support.flash_sales import choice, market_sale
from tests.support.groups import terms
from tests.support.promotions import Fair

Json = dict[str, Any]
FREIGHT = {"a": 800, "b": 1000, "c": 600}
PRICES = {"a1": 6000, "b1": 10_000, "c1": 5000, "c2": 2500}
COUPON = {
    "name": "全场减10", "kind": "amount", "amount": 1000, "threshold": 10_000, "merchant_share_bp": 3000,
    "total": 10, "per_account": 1, "valid": {"days": 7},
}  # fmt: skip
FLASH = {"merchant_share_bp": 4000}
# Activities of shops stand in the calendar of the shop, those of the market in its own.
ACTIVITIES = {"nth": "a", "group": "b", "flash": None}

_COUNTS = {
    "on hand": "select sum(on_hand) from stock",
    "reserved": "select sum(reserved) from stock",
    "coupons used": "select count(*) from coupons_coupon where status = 'used'",
    "flash pieces": "select sum(sold) from flash_sale_item",
    "flash limits": "select sum(taken) from flash_sale_taking",
    "group quota": "select sum(sold) from group_buy_price",
    "group seats": "select count(*) from group_buy_seat where live",
    "promotion total": "select sum(claimed) from promotions_promotion",
    "promotion limits": "select sum(used) from promotions_account",
    "points": "select sum(points) from membership_account",
    "debt": "select sum(debt) from membership_account",
    "growth": "select sum(growth) from membership_member",
}


async def ok(request: Any) -> Any:
    """A successful answer's JSON."""
    answer = await request
    assert answer.status_code < 300, f"{answer.request.url}: {answer.text}"
    return answer.json() if answer.content else None


class Festival:
    """Shop A halves every second a1, B sells b1 in groups of two at 70 yuan, the market sells c1 of C for 20 yuan instead of 50
    in a flash sale, of which shops bear 40 %, and gives its members 10 %, half of it borne by the shops, points worth a fen,
    and a coupon of 10 yuan from 100 on, of which shops bear 30 %."""

    def __init__(self, market: Market, clock: TestClock) -> None:
        self.market, self.clock, self.runtime = market, clock, market.runtime
        self.shops: dict[str, Shop] = {}
        self.goods: dict[str, Article] = {}
        self.staff: dict[str, Person] = {}
        self.activity: dict[str, str] = {}

    async def open(self) -> "Festival":
        """Everything runs when this returns; the flash sale for an hour."""
        self.operator = await self.market.operator()
        for slug, fee in FREIGHT.items():
            shop = self.shops[slug] = await self.market.merchant(f"shop-{slug}")
            self.staff[slug] = await self.market.staff(shop)
            fees = {"fee": fee, "free_from": None}
            await ok(self.staff[slug].put("/api/merchant/express_delivery/settings", fees))
        for title, price in PRICES.items():
            self.goods[title] = await self.market.product(self.shops[title[0]], title=title, price=price)
        self.coupon = (await ok(self.operator.post("/api/platform/coupons/templates", COUPON)))["id"]
        level = {"name": "金卡", "growth": 100, "discount_bp": 1000, "merchant_share_bp": 5000}
        await ok(self.operator.post("/api/platform/membership/levels", level))
        self.activity["nth"] = await self._second_half_price()
        groups = terms(self.market, self.goods["b1"], quota=10, per_order=2)
        self.activity["group"] = (
            await ok(self.staff["b"].post("/api/merchant/group_buy/activities", groups))
        )["id"]
        flash = {"quantity": 5, "per_order": 2, "per_account": 2, "price": 2000}
        self.activity["flash"] = await market_sale(self.market, self.goods["c1"], event=FLASH, **flash)
        self.clock.advance(minutes=61)
        return self

    async def _second_half_price(self) -> str:
        scope = {"kind": "products", "ids": [self.goods["a1"].product]}
        found = await Fair(self.market).run(
            self.shops["a"], name="第二件半价", kind="nth", nth=2, rate_bp=5000, scope=scope,
            per_account=5, total=20, ends_in=timedelta(days=3),
        )  # fmt: skip
        return ref(parse_pair(found)[1])

    async def buyer(self, *, points: int = 0, growth: int = 0, coupon: bool = False) -> Person:
        """Somebody with points, growth and a coupon of the market."""
        person = await self.market.buyer()
        if points or growth:
            at = f"/api/platform/membership/accounts/{ref(person.me.account_id)}/adjustments/festival"
            given = {"points": points, "growth": growth, "reason": "活动"}
            await ok(self.operator.put(at, given))
        if coupon:
            await ok(person.post(f"/api/shop/coupons/templates/{self.coupon}/claim"))
        return person

    async def place(self, person: Person, wanted: dict[str, int], **options: Any) -> Json:
        """Check out; the unpaid trade."""
        lines = [(self.goods[title].ref, n) for title, n in wanted.items()]
        placed: Json = await ok(person.checkout(*lines, options=options))
        return placed

    async def buy(self, person: Person, wanted: dict[str, int], **options: Any) -> Json:
        """Check out and pay; the trade, with its orders by shop under `by`."""
        trade = await self.market.pay(person, (await self.place(person, wanted, **options))["id"])
        await self.market.drain()
        slugs = {shop.ref: slug for slug, shop in self.shops.items()}
        return trade | {"by": {slugs[order["merchant"]["id"]]: order for order in trade["orders"]}}

    def flash(self) -> Json:
        """The option of who buys in the flash sale."""
        return choice(self.activity["flash"])

    def group(self, group: str | None = None) -> Json:
        """The option of who opens a group, or joins one."""
        chosen = {"activity_id": self.activity["group"]} | ({"group_id": group} if group else {})
        return {"group_buy": chosen}

    async def seats(self, person: Person) -> list[tuple[str, str]]:
        """(status of the seat, status of its group), newest first."""
        page = await ok(person.get("/api/shop/group_buy/mine"))
        return [(seat["status"], seat["group_status"]) for seat in page["items"]]

    async def group_of(self, person: Person) -> str:
        """The group of somebody's newest seat."""
        found: str = (await ok(person.get("/api/shop/group_buy/mine")))["items"][0]["group_id"]
        return found

    async def refund(self, order: Json, quantity: int | None = None, line: int = 0, **more: Any) -> Json:
        """The market refunds some of a line, or all that is left of the order; the refund once its money is back."""
        body: Json = {"reason": "缺货"} | more
        if quantity is not None:
            body |= {"lines": [{"line_id": order["lines"][line]["id"], "quantity": quantity}]}
        at = f"/api/platform/orders/{order['id']}/refunds"
        made: Json = await ok(self.operator.post(at, body))
        await self.market.drain()
        return made

    async def report(self, activity: str) -> Json:
        """What an activity brought and cost, as its owner reads it."""
        slug = ACTIVITIES[activity]
        owner = self.operator if slug is None else self.staff[slug]
        at = f"/api/{owner.me.audience.value}/activities/{self.activity[activity]}/report"
        found: Json = await ok(owner.get(at))
        return found

    async def money(self) -> dict[tuple[str, str], int]:
        """(owner, account) -> balance by the side it grows on, without those at 0; the books are in order, and the payment
        service holds for each shop what its gateway account says."""
        assert await ok(self.operator.get("/api/platform/ledger/check")) == {"balanced": True, "problems": []}
        page = await ok(self.operator.get("/api/platform/ledger/accounts?limit=100"))
        slugs = {shop.ref: slug for slug, shop in self.shops.items()}
        on_debit = {"gateway", "debt", "funds", "subsidy"}
        found = {
            (slugs.get(a["owner"], "market"), a["kind"]): a["balance"] * (1 if a["kind"] in on_debit else -1)
            for a in page["items"]
            if a["balance"]
        }
        # Debits and credits are one sum.
        assert sum(n if kind in on_debit else -n for (_, kind), n in found.items()) == 0
        held = self.held()
        for slug in self.shops:
            assert found.get((slug, "gateway"), 0) == held.get(slug, 0), slug
        assert found.get(("market", "funds"), 0) == held.get("funds", 0)
        return found

    def held(self) -> dict[str, int]:
        """What the payment service says: `funds`, by shop what it holds, and as `bank a` what it sent to shop A's bank."""
        account = self.runtime.env.settings.sandbox_account
        found: dict[str, int] = {}
        for name, amount in sandbox().rows(
            account, "select name, amount from balance where account = :account"
        ):
            slug = next((s for s, shop in self.shops.items() if name.endswith(str(shop.id))), None)
            key = name if slug is None else f"bank {slug}" if name.startswith("bank") else slug
            found[key] = found.get(key, 0) + int(amount)
        return {key: amount for key, amount in found.items() if amount}

    async def counts(self) -> dict[str, int]:
        """What all tools and the stock have given out, summed; points and growth agree with their journals."""
        await membership.balanced(self.runtime)
        async with self.runtime.tx(SYSTEM) as tx:
            return {name: int(await tx.fetchval(sql) or 0) for name, sql in _COUNTS.items()}

    async def stock(self) -> dict[str, int]:
        """Title -> on hand; nothing is reserved."""
        found = {}
        async with self.runtime.tx(SYSTEM) as tx:
            for title, article in self.goods.items():
                sql = "select on_hand, reserved from stock where sku_id = $1"
                row = await tx.fetchrow(sql, article.sku_id)
                assert row is not None
                assert row["reserved"] == 0, title
                found[title] = row["on_hand"]
        return found

    async def coupons(self, person: Person) -> list[str]:
        """Statuses of somebody's coupons."""
        return [c["status"] for c in (await ok(person.get("/api/shop/coupons")))["items"]]

    async def points(self, person: Person) -> int:
        """What somebody can spend; nobody here has debt."""
        points, debt = await membership.balance(self.runtime, person.me.account_id)
        assert debt == 0
        return points
