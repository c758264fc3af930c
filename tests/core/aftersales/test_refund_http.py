"""Refunds over HTTP: from the checkout to the money back, and who may not."""

from typing import Any

import httpx
import pytest

from core.deployment.runtime import Runtime
from core.kit.ids import new_id, parse_pair, ref
from core.types.scope import SYSTEM, Audience
from core.worker.inline import drain
from tests.support.market import Session, a_buyer, add_product, an_operator, open_shop, sign_in
from tests.support.refunds import Bought, Till


class Walk:
    """A shop with one product, a buyer and the market's staff."""

    buyer: Session
    shop: Session
    clerk: Session
    platform: Session
    sku: str

    async def buy(self, quantity: int) -> dict[str, Any]:
        """A paid order of the product."""
        trade = (await self.buyer.checkout((self.sku, quantity))).json()
        paying = await self.buyer.post(f"/api/shop/trades/{trade['id']}/payments", {"provider": "sandbox"})
        paid = await self.buyer.post(paying.json()["client"]["pay_url"])
        assert paid.json() == {"status": "paid", "notified": True}
        (order,) = trade["orders"]
        return dict(order)

    async def fulfil(self, order: dict[str, Any], *, receive: bool = True) -> None:
        """Accepted, shipped and received."""
        base = f"/api/merchant/orders/{order['id']}"
        assert (await self.shop.post(f"{base}/accept")).status_code == 200
        parcel = {"carrier": "sf", "waybill_no": "SF1234567890123"}
        assert (await self.shop.post(f"{base}/parcels", parcel)).status_code == 201
        if receive:
            await self.buyer.post(f"/api/shop/orders/{order['id']}/receive")

    async def balanced(self) -> bool:
        """Whether the books agree."""
        return bool((await self.platform.get("/api/platform/ledger/check")).json()["balanced"])


@pytest.fixture
async def walk(client: httpx.AsyncClient, runtime: Runtime) -> Walk:
    """See `Walk`."""
    made, merchant_id = Walk(), await open_shop(runtime, "tea")
    made.sku = await add_product(runtime, merchant_id)
    made.buyer = Session(client, runtime, await a_buyer(runtime))
    made.shop = Session(client, runtime, await sign_in(runtime, Audience.MERCHANT, merchant_id))
    made.clerk = Session(
        client, runtime, await sign_in(runtime, Audience.MERCHANT, merchant_id, roles=("clerk",))
    )
    made.platform = Session(client, runtime, await an_operator(runtime))
    return made


async def test_from_the_purchase_to_the_money_back(walk: Walk, runtime: Runtime) -> None:
    order = await walk.buy(3)
    await walk.fulfil(order)
    line = order["lines"][0]["id"]
    mine = f"/api/merchant/orders/{order['id']}/refunds"
    answer = await walk.clerk.post(mine, {"lines": [{"line_id": line, "quantity": 1}], "reason": "  坏  果 "})
    assert answer.status_code == 201, answer.text
    refund = answer.json()
    assert refund == {
        "id": refund["id"],
        "number": refund["number"],
        "order_id": order["id"],
        "status": "refunding",
        "amount": 1000,
        "goods_amount": 1000,
        "shipping_amount": 0,
        "deducted_amount": 0,
        "deductions": [],
        "lines": [{"line_id": line, "quantity": 1, "amount": 1000}],
        "reason": "坏 果",
        "origin": "merchant",
        "created_at": refund["created_at"],
        "done_at": None,
    }
    assert parse_pair(refund["id"])[0] == parse_pair(order["id"])[0]
    await drain(runtime, strict=True)
    shown = (await walk.buyer.get(f"/api/shop/orders/{order['id']}")).json()
    assert (shown["refunded_amount"], shown["lines"][0]["refunded_quantity"]) == (1000, 1)
    more = {"shipping_amount": 300, "restock": True, "reason": "rest"}
    second = await walk.platform.post(f"/api/platform/orders/{order['id']}/refunds", more)
    assert (second.status_code, second.json()["amount"], second.json()["origin"]) == (201, 2300, "platform")
    await drain(runtime, strict=True)
    for who, path in ((walk.buyer, "shop"), (walk.shop, "merchant"), (walk.platform, "platform")):
        page = (await who.get(f"/api/{path}/orders/{order['id']}/refunds?limit=1")).json()
        assert [(r["id"], r["status"]) for r in page["items"]] == [(second.json()["id"], "done")]
        following = f"/api/{path}/orders/{order['id']}/refunds?limit=1&cursor={page['next_cursor']}"
        last = (await who.get(following)).json()
        assert ([r["id"] for r in last["items"]], last["next_cursor"]) == ([refund["id"]], None)
    assert await walk.balanced()
    stock = (await walk.shop.get("/api/merchant/stock")).json()["items"][0]
    assert (stock["on_hand"], stock["reserved"]) == (99, 0)


async def test_the_buyer_cancels_what_is_not_accepted_yet(walk: Walk, runtime: Runtime) -> None:
    order = await walk.buy(2)
    answer = await walk.buyer.post(f"/api/shop/orders/{order['id']}/cancel", {"reason": "买错了"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["amount"], answer.json()["origin"], answer.json()["reason"]) == (
        order["payable"],
        "buyer",
        "买错了",
    )
    await drain(runtime, strict=True)
    shown = (await walk.buyer.get(f"/api/shop/orders/{order['id']}")).json()
    assert (shown["status"], shown["refunded_amount"]) == ("closed", order["payable"])
    assert shown["lines"][0]["cancelled_quantity"] == 2
    again = await walk.buyer.post(f"/api/shop/orders/{order['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_status")
    stock = (await walk.shop.get("/api/merchant/stock")).json()["items"][0]
    assert (stock["on_hand"], stock["reserved"]) == (100, 0)
    trace = await walk.platform.get(f"/api/platform/ledger/transfers?reference={order['id']}")
    assert [t["code"] for t in trace.json()["items"]][:1] == ["refund.done"]
    assert await walk.balanced()


async def test_an_accepted_or_unpaid_order_is_not_cancelled(walk: Walk) -> None:
    order = await walk.buy(1)
    await walk.shop.post(f"/api/merchant/orders/{order['id']}/accept")
    answer = await walk.buyer.post(f"/api/shop/orders/{order['id']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_status")
    unpaid = (await walk.buyer.checkout((walk.sku, 1))).json()["orders"][0]
    answer = await walk.buyer.post(f"/api/shop/orders/{unpaid['id']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_status")
    answer = await walk.shop.post(f"/api/merchant/orders/{unpaid['id']}/refunds", {"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_status")


async def test_the_same_key_refunds_once(walk: Walk, runtime: Runtime) -> None:
    order = await walk.buy(3)
    line, path = order["lines"][0]["id"], f"/api/merchant/orders/{order['id']}/refunds"
    body = {"lines": [{"line_id": line, "quantity": 1}], "reason": "one"}
    first, again = [await walk.shop.post(path, body, key="k1") for _ in range(2)]
    assert first.json() == again.json()
    other = await walk.shop.post(path, body | {"reason": "two"}, key="k1")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from refund") == 1


async def test_strangers_find_nothing(walk: Walk, client: httpx.AsyncClient, runtime: Runtime) -> None:
    order = await walk.buy(1)
    stranger = Session(client, runtime, await a_buyer(runtime))
    rival = Session(
        client, runtime, await sign_in(runtime, Audience.MERCHANT, await open_shop(runtime, "rival"))
    )
    shop, nobody = parse_pair(order["id"])[0], ref(new_id(), new_id())
    tries = [
        (stranger, "POST", f"/api/shop/orders/{order['id']}/cancel"),
        (stranger, "GET", f"/api/shop/orders/{order['id']}/refunds"),
        (rival, "POST", f"/api/merchant/orders/{order['id']}/refunds"),
        (rival, "GET", f"/api/merchant/orders/{order['id']}/refunds"),
        (walk.shop, "POST", f"/api/merchant/orders/{ref(shop, new_id())}/refunds"),
        (walk.shop, "GET", f"/api/merchant/orders/{ref(shop, new_id())}/refunds"),
        (walk.platform, "POST", f"/api/platform/orders/{nobody}/refunds"),
        (walk.platform, "GET", f"/api/platform/orders/{nobody}/refunds"),
    ]
    for who, method, path in tries:
        body = {"reason": "x"} if method == "POST" else None
        answer = await who.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    foreign = {"lines": [{"line_id": nobody, "quantity": 1}], "reason": "x"}
    answer = await walk.shop.post(f"/api/merchant/orders/{order['id']}/refunds", foreign)
    assert answer.status_code == 404
    theirs = {"lines": [{"line_id": ref(shop, new_id()), "quantity": 1}], "reason": "x"}
    answer = await walk.shop.post(f"/api/merchant/orders/{order['id']}/refunds", theirs)
    assert answer.status_code == 404


async def test_refunding_needs_its_permission(
    walk: Walk, client: httpx.AsyncClient, runtime: Runtime
) -> None:
    order = await walk.buy(1)
    shop = parse_pair(order["id"])[0]
    finance = Session(client, runtime, await sign_in(runtime, Audience.MERCHANT, shop, roles=("finance",)))
    path = f"/api/merchant/orders/{order['id']}/refunds"
    assert (await finance.post(path, {"reason": "x"})).status_code == 403
    assert (await finance.get(path)).status_code == 200
    marketing = Session(
        client, runtime, await sign_in(runtime, Audience.MERCHANT, shop, roles=("marketing",))
    )
    assert (await marketing.get(path)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": " \x00 "},
        {"reason": "x" * 201},
        {"reason": "x", "lines": []},
        {"reason": "x", "lines": [{"line_id": "L", "quantity": 0}]},
        {"reason": "x", "lines": [{"line_id": "L", "quantity": 10**30}]},
        {"reason": "x", "lines": [{"line_id": "L", "quantity": 1.5}]},
        {"reason": "x", "lines": [{"line_id": "L", "quantity": 1}] * 2},
        {"reason": "x", "shipping_amount": -1},
        {"reason": "x", "shipping_amount": 10**30},
        {"reason": "x", "restock": "yes"},
        {"reason": "x", "amount": 5},
    ],
)
async def test_rubbish_is_answered_with_what_is_wrong(walk: Walk, body: dict[str, Any]) -> None:
    order = await walk.buy(1)
    lines = [x | {"line_id": order["lines"][0]["id"]} for x in body.get("lines", ())]
    answer = await walk.shop.post(
        f"/api/merchant/orders/{order['id']}/refunds", body | ({"lines": lines} if "lines" in body else {})
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"], answer.text


async def test_more_than_is_left_names_the_line(walk: Walk) -> None:
    order = await walk.buy(2)
    line = order["lines"][0]["id"]
    path = f"/api/merchant/orders/{order['id']}/refunds"
    answer = await walk.shop.post(path, {"lines": [{"line_id": line, "quantity": 3}], "reason": "x"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["line_id"], problem["left"]) == (
        409,
        "refund_exceeds",
        line,
        2,
    )
    answer = await walk.shop.post(path, {"shipping_amount": 801, "lines": [], "reason": "x"})
    assert (answer.status_code, answer.json()["code"], answer.json()["shipping_left"]) == (
        409,
        "refund_exceeds",
        800,
    )


async def test_each_order_of_a_trade_goes_back_by_its_own_leg(
    runtime: Runtime, client: httpx.AsyncClient, walk: Walk
) -> None:
    other = await add_product(runtime, await open_shop(runtime, "pots"), price=700)
    trade = (await walk.buyer.checkout((walk.sku, 1), (other, 2))).json()
    paying = await walk.buyer.post(f"/api/shop/trades/{trade['id']}/payments", {"provider": "sandbox"})
    await walk.buyer.post(paying.json()["client"]["pay_url"])
    for order in trade["orders"]:
        answer = await walk.buyer.post(f"/api/shop/orders/{order['id']}/cancel")
        assert answer.status_code == 200
        await drain(runtime, strict=True)
    async with runtime.tx(SYSTEM) as tx:
        legs = await tx.fetch("select amount, refunded_amount from payment_leg order by amount")
        assert [tuple(r) for r in legs] == [(1800, 1800), (2200, 2200)]
    till = Till(runtime, client)
    assert till.theirs("select status from payment where account = :account") == ("refunded",)
    assert await till.balances() == {}
    await till.assert_balanced()
    assert (await till.sell(Bought(1, 5))).payable == 5
