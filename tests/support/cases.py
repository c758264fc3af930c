"""A shop, its buyer and the market's staff, for tests of cases."""

from collections.abc import Mapping
from typing import Any

import httpx

from core.kit.ids import new_id, parse_pair
from core.testkit import Market, Person
from core.testkit.market import Article, Shop
from core.types.scope import SYSTEM

ADDRESS = {
    "recipient": "南山果园售后",
    "phone": "13912345678",
    "province": "重庆市",
    "city": "重庆市",
    "district": "南岸区",
    "street": "南山路 8 号",
}
PARCEL = {"carrier": "sf", "waybill_no": "SF1234567890123"}
Json = dict[str, Any]


class Desk:
    """Where cases are opened, answered and decided. Tea costs 1,000 fen a piece, freight is 800 fen an order."""

    def __init__(self, market: Market) -> None:
        self.market = market

    shop: Shop
    tea: Article
    buyer: Person
    staff: Person
    operator: Person

    async def set_up(self) -> None:
        """The people and the goods."""
        self.shop = await self.market.merchant("tea")
        self.tea = await self.market.product(self.shop)
        self.buyer, self.staff = await self.market.buyer(), await self.market.staff(self.shop)
        self.operator = await self.market.operator()

    async def buy(self, quantity: int = 3, status: str = "completed") -> Json:
        """An order of tea that has come to `status`: paid, accepted, shipped or completed."""
        trade = await self.market.purchase(self.buyer, [(self.tea, quantity)])
        order: Json = trade["orders"][0]
        steps = ["paid", "accepted", "shipped", "completed"]
        base = f"/api/merchant/orders/{order['id']}"
        for step in steps[1 : steps.index(status) + 1]:
            match step:
                case "accepted":
                    answer = await self.staff.post(f"{base}/accept")
                case "shipped":
                    waybill = f"SF{new_id().hex[-12:]}"
                    answer = await self.staff.post(f"{base}/parcels", PARCEL | {"waybill_no": waybill})
                case _:
                    answer = await self.buyer.post(f"/api/shop/orders/{order['id']}/receive")
            assert answer.status_code < 300, answer.text
        return order

    async def apply(self, order: Json, kind: str, quantity: int = 1, **more: Any) -> httpx.Response:
        """Ask for units of the order's first line."""
        lines = [{"line_id": order["lines"][0]["id"], "quantity": quantity}]
        body = {"kind": kind, "lines": lines, "reason": "坏了", **more}
        return await self.buyer.post(f"/api/shop/orders/{order['id']}/aftersales", body)

    async def case(self, order: Json, kind: str, quantity: int = 1, **more: Any) -> str:
        """The id of a new case."""
        answer = await self.apply(order, kind, quantity, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def does(self, who: str, case: str, step: str, body: Mapping[str, Any] | None = None) -> Json:
        """A step that succeeds: `who` is shop (the buyer), merchant or platform. The case afterwards."""
        answer = await self.tries(who, case, step, body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def tries(
        self, who: str, case: str, step: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """A step."""
        return await self._person(who).post(f"/api/{who}/aftersales/{case}/{step}", body)

    async def refused(self, who: str, case: str, step: str, body: Mapping[str, Any] | None = None) -> str:
        """The code with which a step is refused."""
        answer = await self.tries(who, case, step, body)
        assert answer.status_code == 409, answer.text
        return str(answer.json()["code"])

    async def sees(self, who: str, case: str) -> Json:
        """The case as somebody sees it."""
        answer = await self._person(who).get(f"/api/{who}/aftersales/{case}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def sent(self, kind: str = "return_refund", quantity: int = 1) -> tuple[Json, str]:
        """A completed order, and a case about it whose goods are on their way back."""
        order = await self.buy()
        case = await self.case(order, kind, quantity)
        await self.does("merchant", case, "agree", {"return_address": ADDRESS})
        await self.does("shop", case, "return-parcel", PARCEL)
        return order, case

    def _person(self, who: str) -> Person:
        return {"shop": self.buyer, "merchant": self.staff, "platform": self.operator}[who]

    async def order(self, order: Json) -> Json:
        """The order as its buyer sees it."""
        return dict((await self.buyer.get(f"/api/shop/orders/{order['id']}")).json())

    async def stock(self) -> tuple[int, int]:
        """Tea on hand and reserved."""
        row = (await self.staff.get("/api/merchant/stock")).json()["items"][0]
        return row["on_hand"], row["reserved"]

    async def released(self, order: Json) -> bool:
        """Whether the order's money is released."""
        async with self.market.runtime.tx(SYSTEM) as tx:
            at = await tx.fetchval(
                "select released_at from orders where merchant_id = $1 and id = $2", *parse_pair(order["id"])
            )
        return at is not None

    async def balanced(self) -> bool:
        """Whether the books agree."""
        found = (await self.operator.get("/api/platform/ledger/check")).json()
        return bool(found["balanced"]) or print(found) is not None
