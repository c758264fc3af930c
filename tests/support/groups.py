"""A group-buy of a shop, and people who fill its groups by the real flow."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import httpx

from core.api import Plugin, Tx, hookimpl
from core.kit.ids import new_id, parse_pair, ref
from core.testkit.market import Article, Market, Person, Shop
from core.types.scope import SYSTEM
from plugins.group_buy.happened import GroupEnded

PRICE = 10_000
GROUP_PRICE = 7_000


class Ear(Plugin):
    """Hears the plugin's events."""

    name = "ear"
    title = "Ear"
    summary = "Hears of groups."
    requires = ("group_buy",)
    heard: ClassVar[list[tuple[str, str, int]]] = []

    @hookimpl
    async def group_succeeded(self, tx: Tx, event: GroupEnded) -> None:
        """Note it."""
        self.heard.append(("succeeded", ref(event.merchant_id, event.group_id), len(event.orders)))

    @hookimpl
    async def group_failed(self, tx: Tx, event: GroupEnded) -> None:
        """Note it."""
        self.heard.append(("failed", ref(event.merchant_id, event.group_id), len(event.orders)))


class Scene:
    """A shop with one product (100 yuan) in a group-buy at 70 yuan."""

    def __init__(self, market: Market, shop: Shop, article: Article, activity: str) -> None:
        self.market, self.shop, self.article, self.activity = market, shop, article, activity

    @property
    def runtime(self) -> Any:
        """The process's runtime."""
        return self.market.runtime

    def options(self, group: str | None = None) -> dict[str, Any]:
        """What a buyer sends to open a group, or to join one."""
        chosen = {"activity_id": self.activity} | ({"group_id": group} if group else {})
        return {"group_buy": chosen}

    async def quote(self, person: Person, group: str | None = None, units: int = 1) -> dict[str, Any]:
        """The price for somebody."""
        answer = await person.quote((self.article.ref, units), options=self.options(group))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def why_not(self, person: Person, group: str | None = None, units: int = 1) -> str:
        """The code of the refusal; empty when the group price applies."""
        explain = (await self.quote(person, group, units))["explain"]
        (mine,) = [e for e in explain if e["plugin"] == "group_buy"]
        assert mine["outcome"] in ("applied", "refused"), mine
        return str(mine["code"]) if mine["outcome"] == "refused" else ""

    async def try_to_place(
        self, person: Person, group: str | None = None, units: int = 1, price: int = GROUP_PRICE
    ) -> httpx.Response:
        """Check out at the group price, whatever a quote would say."""
        body = {
            "lines": [{"sku_id": self.article.ref, "quantity": units}],
            "options": self.options(group),
            "expected_payable": price * units,
        }
        return await person.post("/api/shop/checkout", body)

    async def place(
        self, person: Person, group: str | None = None, units: int = 1, price: int = GROUP_PRICE
    ) -> str:
        """An unpaid trade with a seat; its id."""
        answer = await self.try_to_place(person, group, units, price)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def open(
        self, *more: Person, person: Person | None = None, units: int = 1, price: int = GROUP_PRICE
    ) -> str:
        """A running group, paid by its leader and by these members; its id."""
        leader = person or await self.market.buyer()
        await self.pay(leader, await self.place(leader, units=units, price=price))
        group = await self.group_of(leader)
        for member in more:
            await self.join(member, group)
        return group

    async def join(self, person: Person, group: str) -> str:
        """Join and pay; the trade's id."""
        trade = await self.place(person, group)
        await self.pay(person, trade)
        return trade

    async def pay(self, person: Person, trade: str) -> dict[str, Any]:
        """Pay a trade."""
        return await self.market.pay(person, trade)

    async def group_of(self, person: Person) -> str:
        """The group of somebody's newest seat."""
        return str((await self.mine(person))[0]["group_id"])

    async def mine(self, person: Person) -> list[dict[str, Any]]:
        """Somebody's seats, newest first."""
        answer = await person.get("/api/shop/group_buy/mine")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def row(self, group: str) -> dict[str, Any]:
        """The group's row."""
        return (await self.rows("select * from group_buy_group where id = $1", parse_pair(group)[1]))[0]

    async def status(self, group: str) -> str:
        """The group's status."""
        return str((await self.row(group))["status"])

    async def seats(self, group: str) -> list[str]:
        """Statuses of the group's seats, oldest first."""
        sql = "select status from group_buy_seat where group_id = $1 order by id"
        return [row["status"] for row in await self.rows(sql, parse_pair(group)[1])]

    async def sold(self) -> int:
        """Pieces taken off the quota."""
        sql = "select sold from group_buy_price where sku_id = $1"
        return int((await self.rows(sql, self.article.sku_id))[0]["sold"])

    async def reserved(self) -> int:
        """Pieces reserved in stock."""
        sql = "select reserved from stock where sku_id = $1"
        return int((await self.rows(sql, self.article.sku_id))[0]["reserved"])

    async def order(self, person: Person, trade: str) -> dict[str, Any]:
        """A trade's one order as its buyer sees it."""
        (order,) = (await person.get(f"/api/shop/trades/{trade}")).json()["orders"]
        found: dict[str, Any] = order
        return found

    async def holds(self) -> set[UUID]:
        """Orders that are on hold."""
        return {row["order_id"] for row in await self.rows("select order_id from order_hold")}

    async def rows(self, sql: str, *args: Any) -> Sequence[dict[str, Any]]:
        """Rows as the system sees them."""
        async with self.runtime.tx(SYSTEM) as tx:
            return [dict(row) for row in await tx.fetch(sql, *args)]

    async def balanced(self) -> None:
        """The books agree, and the group's counts are those of its seats."""
        operator = await self.market.operator()
        check = (await operator.get("/api/platform/ledger/check")).json()
        assert check == {"balanced": True, "problems": []}
        sql = (
            "select g.id, g.status, g.taken, g.paid, count(s.number) as seated,"
            " count(*) filter (where s.status = 'paid') as paid_seats, count(*) filter (where s.live) as live"
            " from group_buy_group g join group_buy_seat s on s.group_id = g.id"
            " group by g.id, g.status, g.taken, g.paid"
        )
        for row in await self.rows(sql):
            if row["status"] in ("opening", "running", "closed"):
                assert (row["taken"], row["paid"]) == (row["seated"], row["paid_seats"]), row
                assert row["live"] == row["seated"], row
            else:
                assert row["live"] == 0, row


async def scene(market: Market, *, on_hand: int = 100, article: Article | None = None, **more: Any) -> Scene:
    """A shop with a group-buy of two that takes 24 hours, for 7 days; `more` changes its terms."""
    shop = await market.merchant("shop-" + new_id().hex[-8:])
    article = article or await market.product(shop, price=PRICE, on_hand=on_hand)
    answer = await begin(market, shop, article, **more)
    assert answer.status_code == 201, answer.text
    return Scene(market, shop, article, answer.json()["id"])


async def begin(market: Market, shop: Shop, article: Article, **more: Any) -> httpx.Response:
    """Begin a group-buy as the shop's staff."""
    return await (await market.staff(shop)).post(
        "/api/merchant/group_buy/activities", terms(market, article, **more)
    )


def terms(market: Market, article: Article, **more: Any) -> dict[str, Any]:
    """The request to begin one."""
    now: datetime = market.runtime.clock()
    sku = {"sku_id": article.ref, "price": GROUP_PRICE, "quota": 50}
    sku |= {name: more.pop(name) for name in ("price", "leader_price", "quota") if name in more}
    body = {
        "product_id": article.product,
        "name": "两人团",
        "skus": [sku],
        "size": 2,
        "hours": 24,
        "starts_at": (now - timedelta(minutes=1)).isoformat(),
        "ends_at": (now + timedelta(days=7)).isoformat(),
    }
    return body | more
