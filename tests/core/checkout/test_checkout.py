"""Placing and closing over HTTP, on a real database."""

from datetime import timedelta

import httpx
import pytest

from core.deployment.runtime import Runtime
from core.kit.ids import parse_pair
from core.types.scope import SYSTEM
from core.worker.inline import drain
from tests.support.market import Session, a_buyer, add_product, an_operator, open_shop


async def _stock(runtime: Runtime, sku: str) -> tuple[int, int]:
    async with runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow(
            "select on_hand, reserved from stock where merchant_id = $1 and sku_id = $2", *parse_pair(sku)
        )
    assert row is not None
    return row["on_hand"], row["reserved"]


@pytest.fixture
async def shopper(client: httpx.AsyncClient, runtime: Runtime) -> Session:
    return Session(client, runtime, await a_buyer(runtime))


async def test_a_trade_holds_one_order_for_each_merchant(shopper: Session, runtime: Runtime) -> None:
    shops = [await open_shop(runtime, f"shop-{n}") for n in range(3)]
    skus = [await add_product(runtime, m, price=1000 + n) for n, m in enumerate(shops)]
    answer = await shopper.checkout(*((sku, 2) for sku in skus))
    assert answer.status_code == 201, answer.text
    trade = answer.json()
    assert [o["goods_amount"] for o in trade["orders"]] == [2000, 2002, 2004]
    assert trade["payable"] == sum(o["payable"] for o in trade["orders"])
    assert [await _stock(runtime, sku) for sku in skus] == [(100, 2)] * 3
    again = await shopper.get(f"/api/shop/trades/{trade['id']}")
    assert again.json() == trade


async def test_ten_statements_at_most_whatever_the_number_of_lines(
    shopper: Session, runtime: Runtime
) -> None:
    from core.web import metrics

    shops = [await open_shop(runtime, f"shop-{n}") for n in range(5)]
    skus = [await add_product(runtime, m, title=f"Tea {k}") for m in shops for k in range(4)]
    counts = []
    for lines in (skus[:1], skus):
        before = _statements(metrics, "/checkout")
        assert (await shopper.checkout(*((sku, 1) for sku in lines))).status_code == 201
        counts.append(_statements(metrics, "/checkout") - before)
    assert counts[0] == counts[1] <= 10


def _statements(metrics: object, route: str) -> int:
    from prometheus_client import REGISTRY

    return int(
        sum(
            s.value
            for m in REGISTRY.collect()
            if m.name == "jishi_statements"
            for s in m.samples
            if s.name.endswith("_total") and s.labels["route"].endswith(route)
        )
    )


async def test_the_same_key_places_once(shopper: Session, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    body = {"lines": [{"sku_id": sku, "quantity": 1}], "expected_payable": 1800}
    first = await shopper.post("/api/shop/checkout", body, key="k1")
    again = await shopper.post("/api/shop/checkout", body, key="k1")
    other = await shopper.post("/api/shop/checkout", body | {"expected_payable": 1}, key="k1")
    assert first.status_code == again.status_code == 201, first.text
    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    assert await _stock(runtime, sku) == (100, 1)


async def test_a_kept_answer_shows_nobody_the_address(shopper: Session, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    assert "13812345678" in (await shopper.checkout((sku, 1), key="k1")).text
    async with runtime.tx(SYSTEM) as tx:
        kept = await tx.fetchval("select response from idempotency")
        rows = await tx.fetch("select address, shipping::text, remark from orders")
    assert kept is not None
    assert all(
        b"13812345678" not in bytes(part if isinstance(part, bytes) else str(part).encode())
        for part in (kept, *rows[0].values())
    )


async def test_a_long_answer_is_replayed_as_it_was(shopper: Session, runtime: Runtime) -> None:
    shops = [await open_shop(runtime, f"shop-{n}") for n in range(6)]
    lines = [(await add_product(runtime, m), 1) for m in shops]
    first = await shopper.checkout(*lines, key="k1")
    assert first.headers["content-encoding"] == "gzip"
    again = await shopper.checkout(*lines, key="k1")
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json() == again.json()


async def test_without_a_key_nothing_is_placed(shopper: Session, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    headers = {k: v for k, v in shopper.headers.items() if k == "Authorization"}
    answer = await shopper.client.post(
        "/api/shop/checkout",
        headers=headers,
        json={"lines": [{"sku_id": sku, "quantity": 1}], "expected_payable": 1},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")


async def test_a_moved_price_is_refused_with_the_new_quote_and_uses_up_no_key(
    shopper: Session, runtime: Runtime
) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    body = {"lines": [{"sku_id": sku, "quantity": 1}], "expected_payable": 1}
    refused = await shopper.post("/api/shop/checkout", body, key="k1")
    assert (refused.status_code, refused.json()["code"]) == (409, "price_changed")
    payable = refused.json()["quote"]["payable"]
    assert (
        await shopper.post("/api/shop/checkout", body | {"expected_payable": payable}, key="k1")
    ).status_code == 201


async def test_too_little_stock_is_refused_with_the_skus_and_nothing_is_held(
    shopper: Session, runtime: Runtime
) -> None:
    merchant = await open_shop(runtime, "shop")
    plenty, scarce = (
        await add_product(runtime, merchant),
        await add_product(runtime, merchant, title="Cup", on_hand=1),
    )
    body = {
        "lines": [{"sku_id": plenty, "quantity": 1}, {"sku_id": scarce, "quantity": 2}],
        "expected_payable": 1,
    }
    answer = await shopper.post("/api/shop/checkout", body)
    assert (answer.status_code, answer.json()["code"], answer.json()["skus"]) == (
        409,
        "out_of_stock",
        [scarce],
    )
    assert await _stock(runtime, plenty) == (100, 0)


async def test_goods_that_travel_need_an_address(client: httpx.AsyncClient, runtime: Runtime) -> None:
    from core.types.scope import Audience
    from tests.support.market import sign_in

    shopper = Session(client, runtime, await sign_in(runtime, Audience.SHOP))
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    answer = await shopper.checkout((sku, 1))
    assert answer.status_code == 409
    assert [p["code"] for p in answer.json()["problems"]] == ["address_required"]


async def test_an_unpaid_trade_closes_by_itself_and_gives_everything_back(
    shopper: Session, runtime: Runtime
) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    trade = (await shopper.checkout((sku, 3))).json()
    now = runtime.clock()
    await drain(runtime, until=now + timedelta(seconds=runtime.env.settings.unpaid_ttl + 1))
    closed = (await shopper.get(f"/api/shop/trades/{trade['id']}")).json()
    assert (closed["status"], closed["orders"][0]["status"]) == ("closed", "closed")
    assert await _stock(runtime, sku) == (100, 0)
    await drain(runtime, until=now + timedelta(days=2))
    assert await _stock(runtime, sku) == (100, 0)


async def test_a_buyer_closes_an_unpaid_trade_once(shopper: Session, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    trade = (await shopper.checkout((sku, 3))).json()
    for _ in range(2):
        answer = await shopper.post(f"/api/shop/trades/{trade['id']}/close")
        assert (answer.status_code, answer.json()["status"]) == (200, "closed")
    assert await _stock(runtime, sku) == (100, 0)


async def test_somebody_elses_trade_is_not_there(
    client: httpx.AsyncClient, shopper: Session, runtime: Runtime
) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    trade = (await shopper.checkout((sku, 1))).json()
    stranger = Session(client, runtime, await a_buyer(runtime))
    order = trade["orders"][0]["id"]
    for method, path in (
        ("GET", f"/api/shop/trades/{trade['id']}"),
        ("POST", f"/api/shop/trades/{trade['id']}/close"),
        ("GET", f"/api/shop/orders/{order}"),
        ("POST", f"/api/shop/orders/{order}/receive"),
        ("POST", f"/api/shop/trades/{trade['id']}/payments"),
    ):
        answer = await stranger.call(
            method, path, {"provider": "sandbox"} if path.endswith("payments") else None
        )
        assert answer.status_code == 404, (path, answer.text)


async def test_unpaid_trades_are_capped(
    client: httpx.AsyncClient, shopper: Session, runtime: Runtime
) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"), on_hand=1000)
    cap = runtime.env.settings.unpaid_trades_per_account
    for _ in range(cap):
        assert (await shopper.checkout((sku, 1))).status_code == 201
    answer = await shopper.checkout((sku, 1))
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_unpaid")


async def test_what_was_bought_leaves_the_cart(shopper: Session, runtime: Runtime) -> None:
    merchant = await open_shop(runtime, "shop")
    bought, kept = await add_product(runtime, merchant), await add_product(runtime, merchant, title="Cup")
    await shopper.call("PUT", f"/api/shop/cart/lines/{bought}", {"quantity": 1, "selected": True})
    cart = (
        await shopper.call("PUT", f"/api/shop/cart/lines/{kept}", {"quantity": 1, "selected": False})
    ).json()
    answer = await shopper.post("/api/shop/checkout", {"expected_payable": cart["quote"]["payable"]})
    assert answer.status_code == 201, answer.text
    left = (await shopper.get("/api/shop/cart")).json()
    assert [line["sku_id"] for shop in left["shops"] for line in shop["lines"]] == [kept]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"expected_payable": -1},
        {"expected_payable": "1"},
        {"expected_payable": 1, "lines": [{"sku_id": "x", "quantity": 1}]},
        {"expected_payable": 1, "lines": [{"sku_id": "x" * 500, "quantity": 1}]},
        {"expected_payable": 1, "lines": [{"sku_id": "\x00", "quantity": 1}]},
        {"expected_payable": 1, "lines": [{"sku_id": "x", "quantity": 10**30}]},
        {"expected_payable": 1, "address_id": "nobody's"},
        {"expected_payable": 1, "remarks": {"x": "y" * 5000}},
        {"expected_payable": 1, "options": {"coupons": 7}},
        {"expected_payable": 1, "options": {"coupons": {"ids": ["\x00", 3]}}},
        {"expected_payable": 1, "shipping": {"x": 1}},
    ],
)
async def test_rubbish_is_refused_with_a_reason(shopper: Session, runtime: Runtime, body: object) -> None:
    answer = await shopper.call("POST", "/api/shop/checkout", body)
    assert answer.status_code in (400, 404, 409, 422), answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "detail"} <= set(problem)


async def test_a_coupon_comes_back_even_when_its_plugin_was_switched_off_meanwhile(
    client: httpx.AsyncClient, shopper: Session, runtime: Runtime
) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    template = (
        await operator.post(
            "/api/platform/coupons/templates",
            {
                "name": "券",
                "kind": "amount",
                "amount": 300,
                "threshold": 0,
                "scope": {"kind": "all", "ids": []},
                "total": 1,
                "per_account": 1,
                "claim": "open",
                "valid": {"days": 1},
            },
        )
    ).json()
    claimed = await shopper.post(f"/api/shop/coupons/templates/{template['id']}/claim")
    assert claimed.status_code == 201, claimed.text
    trade = (await shopper.checkout((sku, 1))).json()
    assert trade["discount_amount"] == 300
    assert await _used(runtime) == 1
    assert (await operator.post("/api/platform/plugins/coupons/disable", {})).status_code == 200
    assert (await shopper.checkout((sku, 1))).json()["discount_amount"] == 0
    assert (await shopper.post(f"/api/shop/trades/{trade['id']}/close")).status_code == 200
    assert await _used(runtime) == 0


async def _used(runtime: Runtime) -> int:
    async with runtime.tx(SYSTEM) as tx:
        count: int = await tx.fetchval("select count(*) from coupons_coupon where status = 'used'")
    return count


async def test_core_alone_sells_without_any_plugin(
    client: httpx.AsyncClient, shopper: Session, runtime: Runtime
) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    for name in ("coupons", "express_delivery", "commission"):
        assert (await operator.post(f"/api/platform/plugins/{name}/disable", {})).status_code == 200
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    trade = (await shopper.checkout((sku, 2))).json()
    assert (trade["payable"], trade["shipping_amount"]) == (2000, 0)
    payment = (await shopper.post(f"/api/shop/trades/{trade['id']}/payments", {"provider": "sandbox"})).json()
    assert (await shopper.post(payment["client"]["pay_url"])).json()["status"] == "paid"
    assert (await shopper.get(f"/api/shop/trades/{trade['id']}")).json()["status"] == "paid"
