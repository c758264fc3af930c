from typing import Any

import httpx
import pytest

from core.demo import seed as demo
from core.deployment.runtime import Runtime
from core.kit.ids import MARKET_ID, ref


async def sign_in(client: httpx.AsyncClient, login: str, audience: str) -> dict[str, str]:
    body = {"provider": "password", "login": login, "password": demo.PASSWORD, "audience": audience}
    answer = await client.post("/api/auth/tokens", json=body)
    assert answer.status_code in (200, 201), answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def ask(client: httpx.AsyncClient, method: str, path: str, status: int = 200, /, **more: Any) -> Any:
    answer = await client.request(method, f"/api{path}", **more)
    assert answer.status_code == status, answer.text
    return answer.json() if "json" in answer.headers.get("content-type", "") else answer.content


async def test_a_shop_applies_opens_and_sells(runtime: Runtime, client: httpx.AsyncClient) -> None:
    await demo._operator(runtime.tx)
    operator = await sign_in(client, demo.OPERATOR, "platform")
    application = {
        "name": "新店",
        "slug": "new-shop",
        "location": {"lng": 106.55, "lat": 29.56},
        "owner": {"login": "new-owner", "password": demo.PASSWORD},
    }
    made = await ask(client, "POST", "/platform/merchants", 201, json=application, headers=operator)
    assert made["status"] == "applied"
    taken = await ask(client, "POST", "/platform/merchants", 409, json=application, headers=operator)
    assert taken["code"] in ("slug_taken", "login_taken")
    bad = await ask(client, "POST", "/platform/merchants", 422, json={"slug": "A"}, headers=operator)
    assert bad["errors"]
    at_merchant = f"/platform/merchants/{made['id']}"
    await ask(client, "POST", f"{at_merchant}/reopen", 409, headers=operator)
    assert (await ask(client, "POST", f"{at_merchant}/approve", headers=operator))["status"] == "open"
    root = await ask(client, "POST", "/platform/categories", 201, json={"name": "茶"}, headers=operator)

    owner = await sign_in(client, "new-owner", "merchant")
    product = {
        "title": "明前绿茶",
        "category_id": root["id"],
        "spec_names": ["重量"],
        "images": ["https://example.com/tea.jpg"],
        "skus": [{"code": "A", "specs": {"重量": "50g"}, "price": 9900, "weight_g": 50, "on_hand": 7}],
    }
    tea = await ask(client, "POST", "/merchant/products", 201, json=product, headers=owner)
    assert tea["status"] == "draft"
    assert (await ask(client, "GET", "/shop/products"))["items"] == []
    await ask(client, "POST", f"/merchant/products/{tea['id']}/list", headers=owner)
    card = (await ask(client, "GET", "/shop/products", params={"q": "绿茶", "near": "106.55,29.56"}))[
        "items"
    ][0]
    assert (card["id"], card["price"], card["merchant"]["distance_m"]) == (tea["id"], 9900, 0)
    page = await ask(client, "GET", f"/shop/products/{tea['id']}")
    assert (page["skus"][0]["specs"], page["skus"][0]["available"]) == ({"重量": "50g"}, 7)

    change = {"title": "雨前绿茶", "skus": [{**product["skus"][0], "price": 8800}]}  # type: ignore[dict-item]
    after = await ask(client, "PATCH", f"/merchant/products/{tea['id']}", json=change, headers=owner)
    assert (after["title"], after["skus"][0]["id"]) == ("雨前绿茶", tea["skus"][0]["id"])
    move = {"sku_id": tea["skus"][0]["id"], "delta": -8, "reason": "x"}
    assert (await ask(client, "POST", "/merchant/stock/moves", 409, json=move, headers=owner))[
        "code"
    ] == "out_of_stock"
    moved = await ask(client, "POST", "/merchant/stock/moves", json=move | {"delta": -2}, headers=owner)
    assert (await ask(client, "GET", "/merchant/stock", headers=owner))["items"] == [moved]
    assert (await ask(client, "PATCH", "/merchant/shop", json={"about": "好"}, headers=owner))[
        "about"
    ] == "好"
    assert (await ask(client, "GET", f"/shop/merchants/{made['id']}"))["about"] == "好"
    assert (await ask(client, "GET", "/shop/categories"))["items"][0]["name"] == "茶"

    await ask(client, "POST", f"{at_merchant}/suspend", json={"reason": "x"}, headers=operator)
    await ask(client, "GET", f"/shop/products/{tea['id']}", 404)
    await ask(client, "POST", f"{at_merchant}/suspend", 409, headers=operator)


async def test_a_file_goes_in_and_out(runtime: Runtime, client: httpx.AsyncClient) -> None:
    shop = demo.load().merchants[1]
    await demo._shop(shop)(runtime.tx)
    owner = await sign_in(client, shop.slug, "merchant")
    data = (demo.FOLDER / shop.products).read_bytes()
    exported = await client.get("/api/merchant/products/export", headers=owner)
    assert exported.content == data
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    files = {"file": ("products.csv", data, "text/csv")}
    report = await ask(client, "POST", "/merchant/products/import", headers=owner, files=files)
    assert report["products"] > 0
    assert report["refused"] == []
    empty = {"file": ("products.csv", b"", "text/csv")}
    refused = await ask(client, "POST", "/merchant/products/import", 422, headers=owner, files=empty)
    assert refused["code"] == "empty"
    await ask(client, "POST", "/merchant/products/import", 400, headers=owner, data={"x": "y"})
    other = {"other": ("products.csv", data, "text/csv")}
    await ask(client, "POST", "/merchant/products/import", 422, headers=owner, files=other)


async def test_twenty_megabytes_is_the_most(runtime: Runtime, client: httpx.AsyncClient) -> None:
    shop = demo.load().merchants[1]
    await demo._shop(shop)(runtime.tx)
    owner = await sign_in(client, shop.slug, "merchant")
    files = {"file": ("products.csv", b"a" * (20 * 1024 * 1024 + 1), "text/csv")}
    refused = await ask(client, "POST", "/merchant/products/import", 413, headers=owner, files=files)
    assert refused["code"] == "too_large"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/shop/products/{ref(MARKET_ID, MARKET_ID)}", 404),
        ("/shop/products/nonsense", 404),
        (f"/shop/merchants/{ref(MARKET_ID)}", 404),
        ("/shop/products?min_price=99999999999999999999", 422),
        ("/shop/products?limit=0", 422),
        ("/shop/products?sort=distance", 422),
        ("/shop/products?q=%00", 200),
        ("/shop/products?cursor=%F0%9F%98%80", 422),
        ("/shop/merchants?near=1,2,3", 422),
        ("/shop/merchants?cursor=x", 422),
        ("/merchant/products", 401),
        ("/platform/merchants", 401),
    ],
)
async def test_a_bad_request_is_never_a_failure_of_ours(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    await ask(client, "GET", path, status)
