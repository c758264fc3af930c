"""Identity over HTTP: shapes, statuses and who may what."""

from typing import Any

import httpx

from core.kit.ids import MARKET_ID, ref
from core.types.scope import Audience
from tests.core.identity.people import PASSWORD, employ, make_account, make_shop, sign_in

HOME = {
    "recipient": "王小明",
    "phone": "13812345678",
    "province": "重庆市",
    "city": "重庆市",
    "district": "渝中区",
    "street": "解放碑 1 号",
    "location": {"lng": 106.577, "lat": 29.557},
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def token(runtime: Any, login: str, audience: Audience = Audience.SHOP) -> dict[str, str]:
    return bearer((await sign_in(runtime, login, audience)).access_token)


async def register(client: httpx.AsyncClient, login: str) -> dict[str, Any]:
    body = {"login": login, "password": PASSWORD, "nickname": "小明"}
    answer = await client.post("/api/auth/accounts", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_from_registration_to_signing_out(client: httpx.AsyncClient) -> None:
    given = await register(client, "buyer1")
    assert set(given) == {"access_token", "expires_in", "refresh_token", "account"}
    account = {
        "id": given["account"]["id"],
        "nickname": "小明",
        "audiences": [{"audience": "shop", "roles": []}],
    }
    assert given["account"] == account
    body = {"provider": "password", "login": "buyer1", "password": PASSWORD, "audience": "shop"}
    answer = await client.post("/api/auth/tokens", json=body)
    assert answer.status_code == 201
    given = answer.json()
    answer = await client.post("/api/auth/refresh", json={"refresh_token": given["refresh_token"]})
    assert answer.status_code == 200
    headers = bearer(answer.json()["access_token"])
    assert (await client.get("/api/shop/me", headers=headers)).json() == account
    assert (await client.delete("/api/auth/tokens", headers=headers)).status_code == 204
    answer = await client.get("/api/shop/me", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    assert (await client.delete("/api/auth/tokens")).status_code == 401


async def test_refusals_have_stable_codes(client: httpx.AsyncClient) -> None:
    await register(client, "buyer1")
    right = {"provider": "password", "login": "buyer1", "password": PASSWORD, "audience": "shop"}
    for change, status, code in [
        ({"password": "wrong-password"}, 401, "wrong_credentials"),
        ({"login": "nobody"}, 401, "wrong_credentials"),
        ({"provider": "nowhere"}, 400, "unknown_provider"),
        ({"audience": "merchant"}, 403, "audience_not_allowed"),
        ({"audience": "platform"}, 403, "audience_not_allowed"),
        ({"audience": "moon"}, 422, "invalid"),
        ({"login": None}, 422, "invalid"),
    ]:
        answer = await client.post("/api/auth/tokens", json=right | change)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    answer = await client.post(
        "/api/auth/accounts", json={"login": "buyer1", "password": PASSWORD, "nickname": "x"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "login_taken")


async def test_a_session_that_ended_keeps_nobody_from_signing_in_again(client: httpx.AsyncClient) -> None:
    headers = bearer((await register(client, "buyer1"))["access_token"])
    await client.delete("/api/auth/tokens", headers=headers)
    body = {"provider": "password", "login": "buyer1", "password": PASSWORD, "audience": "shop"}
    assert (await client.post("/api/auth/tokens", json=body, headers=headers)).status_code == 201


async def test_a_token_opens_the_branch_of_its_audience_only(client: httpx.AsyncClient, runtime: Any) -> None:
    account, shop = await make_account(runtime, "owner"), await make_shop(runtime, "shop")
    await employ(runtime, shop, account, "owner")
    buyer, owner = await token(runtime, "owner"), await token(runtime, "owner", Audience.MERCHANT)
    for path, headers in [
        ("/api/merchant/staff", buyer),
        ("/api/platform/audit", buyer),
        ("/api/shop/me", owner),
        ("/api/platform/staff", owner),
    ]:
        assert (await client.get(path, headers=headers)).status_code == 403, path
    assert (await client.get("/api/shop/me")).status_code == 401
    me = (await client.get("/api/shop/me", headers=buyer)).json()
    assert me["audiences"][1:] == [
        {"audience": "merchant", "roles": ["owner"], "merchant_id": ref(shop), "merchant_name": "Shop shop"}
    ]


async def test_addresses_over_http(client: httpx.AsyncClient) -> None:
    mine, other = [bearer((await register(client, n))["access_token"]) for n in ("buyer1", "buyer2")]
    answer = await client.post("/api/shop/addresses", json=HOME, headers=mine)
    assert answer.status_code == 201
    address = answer.json()
    assert address == HOME | {"id": address["id"], "is_default": True}
    path = f"/api/shop/addresses/{address['id']}"
    assert (await client.put(path, json=HOME, headers=other)).status_code == 404
    assert (await client.delete(path, headers=other)).status_code == 404
    assert (await client.delete("/api/shop/addresses/rubbish", headers=mine)).status_code == 404
    assert (await client.get("/api/shop/addresses", headers=other)).json() == {
        "items": [],
        "next_cursor": None,
    }
    changed = await client.put(path, json=HOME | {"street": "2", "is_default": True}, headers=mine)
    assert (changed.status_code, changed.json()["street"]) == (200, "2")
    assert (await client.get("/api/shop/addresses", headers=mine)).json()["items"] == [changed.json()]
    assert (await client.delete(path, headers=mine)).status_code == 204


async def test_bad_addresses_are_unprocessable(client: httpx.AsyncClient) -> None:
    headers = bearer((await register(client, "buyer1"))["access_token"])
    for change in (
        {"phone": "12"},
        {"recipient": " "},
        {"street": "x" * 201},
        {"location": {"lng": 181, "lat": 0}},
        {"city": None},
    ):
        answer = await client.post("/api/shop/addresses", json=HOME | change, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


async def test_owners_manage_staff_and_clerks_do_not(client: httpx.AsyncClient, runtime: Any) -> None:
    account, shop = await make_account(runtime, "owner"), await make_shop(runtime, "shop")
    await employ(runtime, shop, account, "owner")
    owner = await token(runtime, "owner", Audience.MERCHANT)
    body = {"login": "clerk", "password": PASSWORD, "nickname": "Clerk", "roles": ["clerk"]}
    answer = await client.post("/api/merchant/staff", json=body, headers=owner)
    assert answer.status_code == 201, answer.text
    hired = answer.json()
    clerk = await token(runtime, "clerk", Audience.MERCHANT)
    answer = await client.get("/api/merchant/staff", headers=clerk)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")
    listed = (await client.get("/api/merchant/staff", headers=owner)).json()["items"]
    assert [s["login"] for s in listed] == ["owner", "clerk"]
    path = f"/api/merchant/staff/{hired['account_id']}"
    assert (await client.delete(path, headers=owner)).status_code == 204
    answer = await client.get("/api/merchant/staff", headers=clerk)
    assert answer.status_code in (401, 403)
    assert (await client.delete(path, headers=owner)).status_code == 404


async def test_the_operator_reads_the_audit_log(client: httpx.AsyncClient, runtime: Any) -> None:
    account = await make_account(runtime, "operator")
    await employ(runtime, MARKET_ID, account, "admin")
    operator = await token(runtime, "operator", Audience.PLATFORM)
    body = {"login": "review", "password": PASSWORD, "nickname": "R", "roles": ["reviewer"]}
    assert (await client.post("/api/platform/staff", json=body, headers=operator)).status_code == 201
    answer = await client.get("/api/platform/audit", headers=operator)
    assert answer.status_code == 200
    (entry,) = answer.json()["items"]
    assert entry["actor"] == {"id": ref(account), "login": "operator", "nickname": "Nick operator"}
    reviewer = await token(runtime, "review", Audience.PLATFORM)
    assert (await client.get("/api/platform/audit", headers=reviewer)).status_code == 403
