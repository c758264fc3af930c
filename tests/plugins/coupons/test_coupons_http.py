"""The routes of coupons: who may issue what, what is refused, and whose coupons are seen."""

from typing import Any

import httpx
import pytest

from core.kit.ids import MARKET_ID, new_id, ref
from core.types.scope import Audience
from tests.support.coupon_goods import Goods
from tests.support.coupons import account, claim, issue
from tests.support.placed_orders import bearer, place_order

SHOP, MERCHANT, PLATFORM = (f"/api/{a}/coupons" for a in ("shop", "merchant", "platform"))
GOOD: dict[str, Any] = {"name": "满 100 减 5", "kind": "amount", "amount": 500, "threshold": 10_000, "total": 10,
                        "per_account": 1, "claim": "open", "valid": {"days": 7}}  # fmt: skip


async def operator(runtime: Any) -> dict[str, str]:
    return await bearer(runtime, Audience.PLATFORM, merchant_id=MARKET_ID, roles=("admin",))


async def test_a_coupon_goes_from_issue_to_claim(runtime: Any, client: httpx.AsyncClient) -> None:
    staff, account_id = await operator(runtime), new_id()
    buyer = await bearer(runtime, Audience.SHOP, account_id)
    answer = await client.post(
        f"{PLATFORM}/templates", json=GOOD | {"merchant_share_bp": 3000}, headers=staff
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["statistics"] == {
        "issued": 10, "claimed": 0, "used": 0, "expired": 0, "voided": 0, "orders_brought": 0,
        "cost": {"market": 0, "merchant": 0},
    }  # fmt: skip
    assert (made["merchant_share_bp"], made["valid"], made["scope"]) == (
        3000,
        {"days": 7},
        {"kind": "all", "ids": []},
    )
    offered = (await client.get(f"{SHOP}/templates")).json()["items"]
    assert [t["id"] for t in offered] == [made["id"]]
    assert "statistics" not in offered[0]
    answer = await client.post(f"{SHOP}/templates/{made['id']}/claim", headers=buyer)
    assert answer.status_code == 201, answer.text
    coupon = answer.json()
    assert (coupon["status"], coupon["template"]["id"], coupon["template"]["amount"]) == (
        "unused",
        made["id"],
        500,
    )
    mine = (await client.get(SHOP, headers=buyer)).json()["items"]
    assert mine == [coupon]
    assert (await client.get(f"{SHOP}/templates", headers=buyer)).json()["items"][0]["mine"] == 1
    again = await client.post(f"{SHOP}/templates/{made['id']}/claim", headers=buyer)
    assert (again.status_code, again.json()["code"]) == (409, "claim_limit")


async def test_a_shop_sees_and_stops_its_own_templates_only(runtime: Any, client: httpx.AsyncClient) -> None:
    one, two = new_id(), new_id()
    template = await issue(runtime, one)
    for merchant_id, status in ((two, 404), (one, 200)):
        staff = await bearer(runtime, Audience.MERCHANT, merchant_id=merchant_id)
        seen = (await client.get(f"{MERCHANT}/templates", headers=staff)).json()["items"]
        assert len(seen) == (merchant_id == one)
        answer = await client.post(f"{MERCHANT}/templates/{template}/close", headers=staff)
        assert answer.status_code == status
    assert (await client.get(f"{SHOP}/templates?merchant_id={ref(one)}")).json()["items"] == []


async def test_templates_of_one_shop_can_be_listed(runtime: Any, client: httpx.AsyncClient) -> None:
    one = new_id()
    template = await issue(runtime, one)
    await issue(runtime)
    found = (await client.get(f"{SHOP}/templates", params={"merchant_id": ref(one)})).json()["items"]
    assert [t["id"] for t in found] == [template]
    page = (await client.get(f"{SHOP}/templates", params={"limit": 1})).json()
    rest = (await client.get(f"{SHOP}/templates", params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert [t["id"] for t in rest["items"]] == [template]
    assert rest["next_cursor"] is None


async def test_a_buyers_coupons_are_nobody_elses_and_filter_by_status(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    account_id = new_id()
    await claim(runtime, account_id, await issue(runtime))
    mine, other = await bearer(runtime, Audience.SHOP, account_id), await bearer(runtime, Audience.SHOP)
    for status, count in (("unused", 1), ("used,expired", 0), ("unused,used,expired", 1)):
        found = (await client.get(SHOP, params={"status": status}, headers=mine)).json()["items"]
        assert len(found) == count
    assert (await client.get(SHOP, headers=other)).json()["items"] == []
    assert (await client.get(SHOP, params={"status": "lost"}, headers=mine)).status_code == 422
    assert (await client.get(SHOP)).status_code == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": None}, "amount"),
        ({"cap": 5}, "cap"),
        ({"kind": "free_shipping"}, "amount"),
        ({"kind": "rate", "amount": None}, "rate_bp"),
        ({"kind": "rate", "rate_bp": 1000}, "amount"),
        ({"valid": {}}, "valid"),
        ({"valid": {"to": "2020-01-01T00:00:00Z"}}, "valid.to"),
        ({"valid": {"days": 7, "from": "9999-12-31T23:59:59Z"}}, "valid.from"),
        ({"valid": {"to": "2030-01-01T00:00:00Z", "delay_days": 3650}}, "valid.to"),
        ({"claim_from": "2030-01-02T00:00:00Z", "claim_to": "2030-01-01T00:00:00Z"}, "claim_to"),
        ({"claim_to": "2020-01-01T00:00:00Z"}, "claim_to"),
        ({"gift": {"min_paid": 1}}, "gift"),
        ({"claim": "gift", "gift": {"product_ids": [ref(new_id(), new_id())]}}, "gift.product_ids[0]"),
        ({"scope": {"kind": "shop_categories", "ids": [ref(new_id(), new_id())]}}, "scope.ids[0]"),
        ({"scope": {"kind": "all", "ids": [ref(MARKET_ID)]}}, "scope.ids"),
        ({"scope": {"kind": "products", "ids": []}}, "scope.ids"),
        ({"scope": {"kind": "products", "ids": [ref(new_id(), new_id())]}}, "scope.ids[0]"),
        ({"scope": {"kind": "categories", "ids": ["nonsense"]}}, "scope.ids[0]"),
        ({"scope": {"kind": "merchants", "ids": [ref(MARKET_ID)]}}, "scope.kind"),
        ({"merchant_share_bp": 5000}, "merchant_share_bp"),
        ({"total": 20_000_000}, "total"),
    ],
)
async def test_a_template_that_cannot_work_is_refused_by_field(
    runtime: Any, client: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    staff = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    answer = await client.post(f"{MERCHANT}/templates", json=GOOD | change, headers=staff)
    assert answer.status_code == 422, answer.text
    assert field in [e["field"] for e in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"treshold": 1}, "treshold"),
        ({"scope": {"kinds": "all"}}, "kinds"),
        ({"valid": {"days": 1, "day": 1}}, "day"),
        ({"claim": "gift", "gift": {"min": 1}}, "min"),
    ],
)
async def test_a_misspelt_field_is_refused_by_name_however_deep(
    runtime: Any, client: httpx.AsyncClient, more: dict[str, Any], named: str
) -> None:
    answer = await client.post(f"{PLATFORM}/templates", json=GOOD | more, headers=await operator(runtime))
    assert answer.status_code == 422
    assert f"`{named}`" in answer.text


async def test_issuing_needs_the_permission(runtime: Any, client: httpx.AsyncClient) -> None:
    for roles, status in ((("clerk",), 403), (("marketing",), 201), (("owner",), 201)):
        staff = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id(), roles=roles)
        answer = await client.post(f"{MERCHANT}/templates", json=GOOD, headers=staff)
        assert answer.status_code == status, answer.text


async def test_every_step_of_the_staff_stands_under_a_route(runtime: Any, client: httpx.AsyncClient) -> None:
    shop, buyer = new_id(), await account(runtime, login="wang@example.com")
    order = await place_order(runtime, merchant_id=shop, account_id=buyer)
    grants = {PLATFORM: {"logins": ["wang@example.com"]}, MERCHANT: {"order_ids": [order.ref, ref(new_id())]}}
    for root, headers in (
        (PLATFORM, await operator(runtime)),
        (MERCHANT, await bearer(runtime, Audience.MERCHANT, merchant_id=shop)),
    ):
        made = (
            await client.post(f"{root}/templates", json=GOOD | {"claim": "targeted"}, headers=headers)
        ).json()
        path = f"{root}/templates/{made['id']}"
        answer = await client.post(f"{path}/grants", json={"cause": "x"} | grants[root], headers=headers)
        assert (answer.status_code, answer.json()["granted"]) == (200, 1), answer.text
        assert [r["code"] for r in answer.json()["refused"]] == ["unknown_order"] * (root == MERCHANT)
        answer = await client.patch(
            path, json={"name": "改名", "total": 20, "claim_to": None}, headers=headers
        )
        assert (answer.status_code, answer.json()["name"], answer.json()["total"]) == (200, "改名", 20)
        found = (await client.get(f"{path}/coupons", headers=headers)).json()["items"]
        assert [c["status"] for c in found] == ["unused"]
        assert ("account" in found[0]) == (root == PLATFORM)
        assert "wang@example.com" not in str(found)
        if root == MERCHANT:
            assert ref(buyer) not in str(found)
        answer = await client.post(f"{path}/void", json={"reason": "Wrong price"}, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (200, "void")
        one = (await client.get(path, headers=headers)).json()
        assert (one["statistics"]["claimed"], one["statistics"]["voided"]) == (1, 1)
    mine = await bearer(runtime, Audience.SHOP, buyer)
    items = (await client.get(SHOP, params={"status": "void"}, headers=mine)).json()["items"]
    assert [(c["status"], c["reason"], c["origin"]) for c in items] == [
        ("void", "Wrong price", "targeted")
    ] * 2


async def test_codes_are_made_listed_exported_and_redeemed(runtime: Any, client: httpx.AsyncClient) -> None:
    headers, buyer = await operator(runtime), await bearer(runtime, Audience.SHOP)
    made = (await client.post(f"{PLATFORM}/templates", json=GOOD | {"claim": "code"}, headers=headers)).json()
    path = f"{PLATFORM}/templates/{made['id']}/codes"
    answer = await client.post(path, json={"count": 2, "uses": 3}, headers=headers)
    assert answer.status_code == 201, answer.text
    codes = answer.json()["codes"]
    assert (
        await client.post(path, json={"code": "SPRING26", "uses": 1000}, headers=headers)
    ).status_code == 201
    listed = (await client.get(path, headers=headers)).json()["items"]
    assert {(c["code"], c["uses"], c["used"]) for c in listed} == {
        (codes[0], 3, 0),
        (codes[1], 3, 0),
        ("SPRING26", 1000, 0),
    }
    exported = await client.get(f"{path}/export", headers=headers)
    assert exported.headers["content-type"].startswith("text/csv")
    assert exported.content.decode("utf-8-sig").splitlines()[0] == "code,uses,used"
    answer = await client.post(f"{SHOP}/redeem", json={"code": "spring 26"}, headers=buyer)
    assert (answer.status_code, answer.json()["template"]["id"]) == (201, made["id"]), answer.text
    answer = await client.post(f"{SHOP}/redeem", json={"code": "SPRING26"}, headers=buyer)
    assert (answer.status_code, answer.json()["code"]) == (409, "code_already_used")
    assert (await client.post(f"{SHOP}/redeem", json={"code": "SPRING26"})).status_code == 401


async def test_staff_of_another_shop_reaches_no_template(runtime: Any, client: httpx.AsyncClient) -> None:
    template = await issue(runtime, new_id(), claim="code")
    for root, headers in (
        (MERCHANT, await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())),
        (PLATFORM, await operator(runtime)),
    ):
        path = f"{root}/templates/{template}"
        tries = [
            client.get(path, headers=headers),
            client.patch(path, json={"total": 1000}, headers=headers),
            client.post(f"{path}/void", json={"reason": "x"}, headers=headers),
            client.get(f"{path}/coupons", headers=headers),
            client.get(f"{path}/codes", headers=headers),
            client.post(f"{path}/codes", json={"count": 1}, headers=headers),
            client.get(f"{path}/codes/export", headers=headers),
        ]
        assert [(await answer).status_code for answer in tries] == [404] * len(tries)


async def test_what_is_offered_for_a_product_says_whether_it_can_be_claimed(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    goods = await Goods().make(runtime)
    template = await issue(runtime, goods.one)
    buyer = await bearer(runtime, Audience.SHOP)
    for claimable in (True, False):
        (found,) = (
            await client.get(f"{SHOP}/templates", params={"product_id": goods.product}, headers=buyer)
        ).json()["items"]
        assert (found["id"], found["claimable"], found.get("reason")) == (
            template, claimable, None if claimable else "claim_limit",
        )  # fmt: skip
        await client.post(f"{SHOP}/templates/{template}/claim", headers=buyer)
    missing = await client.get(f"{SHOP}/templates", params={"product_id": ref(goods.one, new_id())})
    assert missing.status_code == 404


async def test_coupons_that_end_soon_can_be_asked_for(runtime: Any, client: httpx.AsyncClient) -> None:
    account_id = new_id()
    buyer = await bearer(runtime, Audience.SHOP, account_id)
    soon = await claim(runtime, account_id, await issue(runtime, valid={"days": 1}))
    await claim(runtime, account_id, await issue(runtime, valid={"days": 30}))
    found = (await client.get(SHOP, params={"expiring": "true", "status": "unused"}, headers=buyer)).json()[
        "items"
    ]
    assert [c["id"] for c in found] == [soon]
