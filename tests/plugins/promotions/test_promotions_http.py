"""Promotions as staff run them and buyers meet them, over HTTP."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core.testkit import Market, TestClock
from plugins.promotions.terms import Gift, Terms
from tests.support.promotions import Fair

HALF = {"kind": "nth", "rate_bp": 5000}
REDUCTION = {"kind": "reduction", "tiers": [{"from": 10_000, "minus": 1000}]}


async def payable(person: Any, *lines: tuple[Any, int]) -> int:
    answer = await person.quote(*[(article.ref, n) for article, n in lines])
    assert answer.status_code == 200, answer.text
    total: int = answer.json()["payable"]
    return total


async def test_a_draft_holds_for_nobody_a_published_one_from_its_start_to_its_end(
    fair: Fair, market: Market, clock: TestClock
) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    buyer = await market.buyer()
    draft = await fair.draft(shop, **HALF, starts_in=timedelta(hours=1), ends_in=timedelta(hours=2))
    assert draft.status_code == 201, draft.text
    promotion = draft.json()["id"]
    assert draft.json()["status"] == "draft"
    assert await payable(buyer, (tea, 2)) == 2000
    assert (await fair.act(shop, promotion, "publish")).json()["status"] == "scheduled"
    assert await payable(buyer, (tea, 2)) == 2000
    clock.advance(hours=1)
    assert await payable(buyer, (tea, 2)) == 1500
    staff = await fair.staff(shop)
    assert (await staff.get(f"{fair.at(shop)}/{promotion}")).json()["status"] == "running"
    clock.advance(hours=1)
    assert await payable(buyer, (tea, 2)) == 2000
    assert (await staff.get(f"{fair.at(shop)}?status=over")).json()["items"][0]["id"] == promotion


async def test_it_changes_before_the_start_only_then_it_is_extended_or_stopped(
    fair: Fair, market: Market, clock: TestClock
) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    buyer = await market.buyer()
    promotion = await fair.run(shop, **HALF, starts_in=timedelta(hours=1), ends_in=timedelta(hours=2))
    staff, now = await fair.staff(shop), clock()
    body = {
        "name": "第二件八折", "kind": "nth", "rate_bp": 2000,
        "starts_at": (now + timedelta(minutes=30)).isoformat(), "ends_at": (now + timedelta(hours=2)).isoformat(),
    }  # fmt: skip
    changed = await staff.put(f"{fair.at(shop)}/{promotion}", body)
    assert changed.status_code == 200, changed.text
    assert (await staff.put(f"{fair.at(shop)}/{promotion}", body | {"kind": "gift"})).status_code == 422
    clock.advance(minutes=31)
    assert await payable(buyer, (tea, 2)) == 1800
    late = await staff.put(f"{fair.at(shop)}/{promotion}", body)
    assert (late.status_code, late.json()["code"]) == (409, "already_begun")
    sooner = await fair.act(shop, promotion, "extend", {"ends_at": body["starts_at"]})
    assert sooner.status_code == 422
    later = {"ends_at": (now + timedelta(hours=3)).isoformat()}
    assert (await fair.act(shop, promotion, "extend", later)).status_code == 200
    clock.advance(hours=2)
    assert await payable(buyer, (tea, 2)) == 1800
    assert (await fair.act(shop, promotion, "stop")).json()["status"] == "stopped"
    assert await payable(buyer, (tea, 2)) == 2000
    again = await fair.act(shop, promotion, "stop")
    assert (again.status_code, again.json()["code"]) == (409, "not_running")


async def test_a_draft_can_be_deleted_and_nothing_else(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    staff = await fair.staff(shop)
    draft = (await fair.draft(shop, **HALF)).json()["id"]
    assert (await staff.call("DELETE", f"{fair.at(shop)}/{draft}")).status_code == 204
    published = await fair.run(shop, **HALF)
    assert (await staff.call("DELETE", f"{fair.at(shop)}/{published}")).json()["code"] == "not_a_draft"
    assert (await staff.get(f"{fair.at(shop)}/{draft}")).status_code == 404


async def test_one_full_reduction_of_a_shop_at_a_time_refused_with_both_names(
    fair: Fair, market: Market
) -> None:
    shop, other = await market.merchant("shop-a"), await market.merchant("shop-b")
    first = await fair.run(shop, **REDUCTION, name="国庆满减")
    draft = (await fair.draft(shop, **REDUCTION, name="周末满减")).json()["id"]
    refused = await fair.act(shop, draft, "publish")
    assert (refused.status_code, refused.json()["code"]) == (409, "activity_overlap")
    assert refused.json()["clashes"] == [{"activity": "周末满减", "other": "国庆满减"}]
    assert "国庆满减" in refused.json()["detail"]
    assert "周末满减" in refused.json()["detail"]
    later = await fair.run(
        shop, **REDUCTION, name="后", starts_in=timedelta(days=1), ends_in=timedelta(days=2)
    )
    overlap = {"ends_at": (market.runtime.clock() + timedelta(days=1, hours=1)).isoformat()}
    assert (await fair.act(shop, first, "extend", overlap)).json()["code"] == "activity_overlap"
    await fair.act(shop, later, "stop")
    assert (await fair.act(shop, first, "extend", overlap)).status_code == 200
    await fair.run(other, **REDUCTION)
    await fair.run(None, **REDUCTION)
    await fair.act(shop, first, "stop")
    assert (await fair.act(shop, draft, "publish")).status_code == 200


async def test_a_sku_has_one_limited_time_price_at_a_time_refused_with_both_names(
    fair: Fair, market: Market
) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    await fair.run(shop, kind="limited", name="店内限时", items=[{"sku_id": tea.ref, "price": 800}])
    draft = await fair.draft(
        None, kind="limited", name="平台限时", items=[{"sku_id": tea.ref, "rate_bp": 500}]
    )
    refused = await fair.act(None, draft.json()["id"], "publish")
    assert (refused.status_code, refused.json()["code"]) == (409, "activity_overlap")
    assert refused.json()["clashes"][0]["other"] == "店内限时"
    assert refused.json()["clashes"][0]["activity"] == "平台限时"


async def test_what_the_market_runs_is_borne_as_said_and_reported_by_bearer(
    fair: Fair, market: Market
) -> None:
    one, two = await market.merchant("shop-a"), await market.merchant("shop-b")
    tea, cup = await market.product(one, price=8000), await market.product(two, price=4000)
    promotion = await fair.run(
        None, kind="reduction", merchant_share_bp=2500, tiers=[{"from": 10_000, "minus": 1200}]
    )
    buyer = await market.buyer()
    trade = await fair.bought(buyer, (tea, 1), (cup, 1))
    assert trade["payable"] == 10_800
    borne = {d["amount"]: d["bearer"] for o in trade["orders"] for d in o["discounts"]}
    assert borne == {800: {"market": 600, "merchant": 200}, 400: {"market": 300, "merchant": 100}}
    report = (await (await fair.staff(None)).get(f"{fair.at(None)}/{promotion}/report")).json()
    assert (report["orders"], report["market_borne"], report["merchant_borne"]) == (2, 900, 300)
    assert trade["orders"][0]["discounts"][0]["activity_id"]


async def test_a_shop_cannot_see_or_run_anothers(fair: Fair, market: Market) -> None:
    shop, other = await market.merchant("shop-a"), await market.merchant("shop-b")
    promotion = await fair.run(shop, **HALF)
    for step in ("stop", "publish"):
        assert (await fair.act(other, promotion, step)).status_code == 404
    assert (await (await fair.staff(other)).get(f"{fair.at(other)}/{promotion}")).status_code == 404
    assert (await (await fair.staff(None)).get(f"{fair.at(None)}/{promotion}")).status_code == 404
    tea = await market.product(shop)
    foreign = await fair.draft(other, kind="limited", items=[{"sku_id": tea.ref, "price": 1}])
    assert foreign.json()["errors"][0]["code"] == "unknown"


async def test_the_market_stops_a_shops_promotion_and_tells_it_why(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    promotion = await fair.run(shop, **HALF)
    operator, staff, buyer = await fair.staff(None), await fair.staff(shop), await market.buyer()
    [listed] = (await operator.get(f"{fair.at(None)}?merchant_id={shop.ref}&status=running")).json()["items"]
    assert (listed["id"], listed["stop_reason"]) == (promotion, "")
    assert await payable(buyer, (tea, 2)) == 1500
    for body in (None, {"reason": " "}):
        mute = await fair.act(None, promotion, "stop", body)
        assert (mute.status_code, mute.json()["errors"][0]["field"]) == (422, "reason")
    assert (await fair.act(None, promotion, "stop", {"reason": "虚构原价"})).json()["status"] == "stopped"
    assert await payable(buyer, (tea, 2)) == 2000
    told = (await staff.get(f"{fair.at(shop)}/{promotion}")).json()
    assert (told["status"], told["stop_reason"]) == ("stopped", "虚构原价")
    assert (await fair.act(None, promotion, "stop", {"reason": "x"})).json()["code"] == "not_running"
    own = await fair.run(None, **HALF)
    assert (await fair.act(None, own, "stop")).json()["stop_reason"] == ""
    audit = (await operator.get("/api/platform/audit")).json()["items"]
    assert any("stop" in line["action"] for line in audit)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"kind": "nth"}, "rate_bp"),
        ({"kind": "nth", "rate_bp": 5000, "price": 5}, "price"),
        ({"kind": "nth", "rate_bp": 5000, "scope": {"kind": "products"}}, "scope.ids"),
        ({"kind": "nth", "rate_bp": 5000, "scope": {"kind": "products", "ids": ["nonsense"]}}, "scope.ids[0]"),
        ({"kind": "nth", "rate_bp": 5000, "scope": {"kind": "merchants", "ids": ["x"]}}, "scope.kind"),
        ({"kind": "nth", "rate_bp": 5000, "merchant_share_bp": 5}, "merchant_share_bp"),
        ({"kind": "limited"}, "items"),
        ({"kind": "limited", "items": [{"sku_id": "x"}]}, "items[0]"),
        ({"kind": "limited", "items": [{"sku_id": "x", "price": 5}]}, "items[0].sku_id"),
        ({"kind": "bundle", "price": 5, "items": [{"sku_id": "x"}]}, "items"),
        ({"kind": "bundle", "items": [{"sku_id": "x", "quantity": 2}]}, "price"),
        ({"kind": "reduction"}, "tiers"),
        ({"kind": "reduction", "tiers": [{"from": 5}]}, "tiers[0]"),
        ({"kind": "reduction", "tiers": [{"from": 5, "minus": 6}]}, "tiers[0].minus"),
        ({"kind": "reduction", "tiers": [{"from": 5, "minus": 1}, {"from": 5, "minus": 2}]}, "tiers[1].from"),
        ({"kind": "reduction", "tiers": [{"from": 0, "minus": 1}]}, "tiers[0].from"),
        ({"kind": "reduction", "each": True, "tiers": [{"from": 5, "minus": 1}, {"from": 6, "minus": 2}]}, "tiers"),
        ({"kind": "gift", "tiers": [{"from": 5}]}, "tiers[0].gifts"),
        ({"kind": "gift", "tiers": [{"from": 5, "gifts": [{"sku_id": "x"}]}]}, "tiers[0].gifts[0].sku_id"),
        ({"kind": "free_shipping", "tiers": [{"from": 5, "minus": 1}]}, "tiers[0].minus"),
        ({**HALF, "ends_in": timedelta(days=-1)}, "ends_at"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_field_by_field(
    fair: Fair, market: Market, terms: dict[str, Any], field: str
) -> None:
    answer = await fair.draft(await market.merchant(), **terms)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_a_limited_time_price_is_below_what_the_goods_cost(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    tea = await market.product(shop, price=1000)
    answer = await fair.draft(shop, kind="limited", items=[{"sku_id": tea.ref, "price": 1000}])
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "items[0]")


async def test_what_runs_is_public(fair: Fair, market: Market) -> None:
    shop = await market.merchant()
    await fair.run(shop, **HALF)
    await fair.run(shop, **REDUCTION, starts_in=timedelta(hours=1))
    await fair.run(None, kind="free_shipping", tiers=[{"from": 5900}])
    found = await market.client.get(f"/api/shop/promotions?merchant_id={shop.ref}")
    assert [offered["text"] for offered in found.json()] == ["第二件半价"]
    found = await market.client.get("/api/shop/promotions")
    assert [offered["text"] for offered in found.json()] == ["满59包邮"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (HALF | {"scoped": {}}, "scoped"),
        (HALF | {"scope": {"kind": "all", "id": []}}, "id"),
        ({"kind": "limited", "items": [{"sku_id": "x", "prize": 1}]}, "prize"),
        ({"kind": "reduction", "tiers": [{"from": 1, "minsu": 1}]}, "minsu"),
        ({"kind": "gift", "tiers": [{"from": 1, "gifts": [{"sku_id": "x", "amount": 1}]}]}, "amount"),
    ],
)
async def test_a_misspelt_field_is_refused_by_name_however_deep(
    fair: Fair, market: Market, more: dict[str, Any], named: str
) -> None:
    answer = await fair.draft(await market.merchant(), **more)
    assert answer.status_code == 422
    assert f"`{named}`" in answer.text


def test_stored_terms_of_a_newer_process_are_read() -> None:
    stored = b'{"kind":"gift","name":"x","newer":1,"scope":{"newer":1},"tiers":[{"from":2,"newer":1,"gifts":[{"sku_id":"a","newer":1}]}]}'
    assert msgspec.json.decode(stored, type=Terms).gifts == (Gift("a"),)
