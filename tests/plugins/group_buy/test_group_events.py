"""Events of the market: who signs up for them until when, and how buyers meet shops' groups in them."""

from datetime import timedelta
from typing import Any

import pytest

from core.kit.ids import new_id, ref
from core.testkit import TestClock
from core.testkit.market import Market
from core.types.scope import SYSTEM
from tests.plugins.group_buy.market_events import (
    DEADLINE,
    MERCHANT,
    PLATFORM,
    SHOP,
    approve,
    begin_event,
    event_terms,
    good,
    offer,
    refused,
    sign_up,
    start,
    taken_in,
)
from tests.support.groups import GROUP_PRICE, PRICE, begin


async def test_an_event_goes_from_sign_up_to_full_groups_of_several_shops(
    market: Market, clock: TestClock
) -> None:
    event = await begin_event(market)
    one, two = await taken_in(market, event, slug="one"), await taken_in(market, event, slug="two")
    assert await one.why_not(await market.buyer()) == "not_started"
    start(clock)
    listed = (await market.client.get(f"{SHOP}/events")).json()
    shown = (await market.client.get(f"{SHOP}/events/{event['id']}")).json()
    assert listed == [shown]
    assert (shown["name"], shown["phase"], shown["hours"], "merchant_share_bp" in shown) == (
        "百店拼团", "running", 24, False,
    )  # fmt: skip
    sold = (await market.client.get(f"{SHOP}/events/{event['id']}/activities")).json()["items"]
    assert [x["activity"]["id"] for x in sold] == [one.activity, two.activity]
    assert [(x["product"]["title"], x["activity"]["event_id"]) for x in sold] == [("Tea", event["id"])] * 2
    assert not {"merchant_share_bp", "groups"} & sold[0]["activity"].keys()
    groups = [await one.open(), await two.open()]
    page = (await market.client.get(f"{SHOP}/events/{event['id']}/groups?limit=1")).json()
    rest = (
        await market.client.get(f"{SHOP}/events/{event['id']}/groups?cursor={page['next_cursor']}")
    ).json()
    found = page["items"] + rest["items"]
    assert [g["id"] for g in found] == groups
    assert [(g["merchant_id"], g["left"], g["leader"]) for g in found] == [
        (one.shop.ref, 1, "t**"),
        (two.shop.ref, 1, "t**"),
    ]
    await one.join(await market.buyer(), groups[0])
    await market.drain()
    assert [await one.status(g) for g in groups] == ["succeeded", "running"]
    operator = await market.operator()
    staff_view = await good(await operator.get(f"{PLATFORM}/events/{event['id']}/activities"))
    assert [x["activity"]["groups"] for x in staff_view["items"]] == [{"succeeded": 1}, {"running": 1}]
    (entry,) = (await good(await operator.get("/api/platform/activities")))["items"]
    assert (entry["id"], entry["exclusive"], entry["skus"]) == (event["id"], True, 2)
    report = await good(await operator.get(f"/api/platform/activities/{event['id']}/report"))
    assert (report["orders"], report["market_borne"], report["merchant_borne"]) == (3, 6_300, 2_700)
    owner = await market.staff(one.shop)
    mine = await good(await owner.get(f"/api/merchant/activities/{event['id']}/report"))
    assert (mine["orders"], mine["market_borne"], mine["merchant_borne"]) == (2, 4_200, 1_800)
    await one.balanced()


async def test_shops_see_events_that_admit_them_and_nothing_of_each_others_offers(market: Market) -> None:
    shop, other = await market.merchant("shop"), await market.merchant("other")
    article, theirs = await market.product(shop, price=PRICE), await market.product(other, price=PRICE)
    event = await begin_event(market, merchant_ids=[shop.ref])
    staff, stranger = await market.staff(shop, "marketing"), await market.staff(other)
    (seen,) = (await good(await staff.get(f"{MERCHANT}/market_events")))["items"]
    assert (seen["id"], seen["invited"], seen["merchant_ids"], seen["rules"]) == (
        event["id"], True, None, "每店一品",
    )  # fmt: skip
    assert (await good(await stranger.get(f"{MERCHANT}/market_events")))["items"] == []
    assert await refused(await sign_up(market, event, theirs)) == (403, "not_invited")
    entry = await good(await sign_up(market, event, article))
    assert (await good(await stranger.get(f"{MERCHANT}/entries")))["items"] == []
    for answer in (
        await stranger.put(f"{MERCHANT}/entries/{entry['id']}", offer(theirs)),
        await stranger.post(f"{MERCHANT}/entries/{entry['id']}/withdraw"),
        await stranger.get(f"{MERCHANT}/activities/{entry['activity']['id']}"),
        await market.client.get(f"{SHOP}/activities/{entry['activity']['id']}"),
        await market.client.get(f"{SHOP}/events/{ref(new_id())}"),
    ):
        assert answer.status_code == 404, answer.text
    clerk, buyer = await market.staff(shop, "clerk"), await market.buyer()
    path = f"{MERCHANT}/market_events/{event['id']}/entries"
    assert (await clerk.post(path, offer(article))).status_code == 403
    assert (await buyer.get(f"{PLATFORM}/entries")).status_code in (401, 403)
    assert (await staff.post(f"{PLATFORM}/entries/{entry['id']}/approve", {"version": 1})).status_code in (
        401, 403,
    )  # fmt: skip


async def test_what_waits_is_for_nobody_to_buy_or_see(market: Market, clock: TestClock) -> None:
    event = await begin_event(market)
    shop = await market.merchant("shop")
    article = await market.product(shop, price=PRICE)
    entry = await good(await sign_up(market, event, article))
    start(clock)
    activity = entry["activity"]["id"]
    options = {"group_buy": {"activity_id": activity}}
    quote = (await (await market.buyer()).quote((article.ref, 1), options=options)).json()
    assert (quote["payable"], quote["explain"][0]["code"]) == (PRICE, "unknown_activity")
    assert (await market.client.get(f"{SHOP}/events/{event['id']}/activities")).json()["items"] == []
    assert (await market.client.get(f"{SHOP}/activities?product_id={article.product}")).json() == []


async def test_an_event_decides_sizes_hours_new_customers_and_coupons(
    market: Market, clock: TestClock
) -> None:
    event = await begin_event(market, sizes=[5, 3, 3], hours=6, new_only="shop", market_coupons=True)
    assert event["sizes"] == [3, 5]
    shop = await market.merchant("shop")
    article = await market.product(shop, price=PRICE)
    for size in (None, 2):
        answer = await sign_up(market, event, article, **({} if size is None else {"size": size}))
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "size")
    at = await taken_in(market, event, slug="other", size=5)
    staff = await market.staff(at.shop)
    made = await good(await staff.get(f"{MERCHANT}/activities/{at.activity}"))
    names = ("size", "hours", "new_only", "market_coupons", "merchant_share_bp", "phase", "event_id")
    assert [made[name] for name in names] == [5, 6, "shop", True, 3_000, "upcoming", event["id"]]
    start(clock)
    group = await at.open()
    old = await market.buyer()
    await market.purchase(old, [(at.article, 1)])
    assert await at.why_not(old, group) == "not_new"


async def test_events_choose_categories(market: Market) -> None:
    operator = await market.operator()
    category = (await good(await operator.post("/api/platform/categories", {"name": "茶"})))["id"]
    event = await begin_event(market, category_ids=[category])
    article = await market.product(await market.merchant("shop"), price=PRICE)
    assert await refused(await sign_up(market, event, article)) == (409, "wrong_category")
    async with market.runtime.tx(SYSTEM) as tx:
        await tx.execute("update listing set category_path = array(select id from category)")
    await good(await sign_up(market, event, article))


async def test_after_the_deadline_nothing_changes_but_reviewing_goes_on(
    market: Market, clock: TestClock
) -> None:
    event = await begin_event(market)
    shop = await market.merchant("shop")
    article, second = await market.product(shop, price=PRICE), await market.product(shop, price=PRICE)
    entry = await good(await sign_up(market, event, article))
    clock.advance(seconds=int(DEADLINE.total_seconds()))
    staff, operator = await market.staff(shop), await market.operator()
    path = f"{MERCHANT}/entries/{entry['id']}"
    for answer in (
        await sign_up(market, event, second),
        await staff.put(path, offer(article, price=1)),
        await staff.post(f"{path}/withdraw"),
        await operator.call("PATCH", f"{PLATFORM}/events/{event['id']}", {"rules": "other"}),
    ):
        assert await refused(answer) == (409, "sign_up_over")
    passed = await good(await approve(market, entry))
    activity = passed["activity"]["id"]
    for answer in (
        await staff.call("PATCH", f"{MERCHANT}/activities/{activity}", {"name": "x"}),
        await staff.call(
            "PATCH", f"{MERCHANT}/activities/{activity}", {"quotas": [{"sku_id": article.ref, "quota": 1}]}
        ),
        await staff.post(f"{MERCHANT}/activities/{activity}/stop"),
    ):
        assert await refused(answer) == (409, "market_event")


async def test_what_was_approved_is_withdrawn_while_the_sign_up_is_open(
    market: Market, clock: TestClock
) -> None:
    event = await begin_event(market)
    at = await taken_in(market, event)
    staff = await market.staff(at.shop)
    (entry,) = (await good(await staff.get(f"{MERCHANT}/entries?event_id={event['id']}")))["items"]
    assert await refused(await sign_up(market, event, at.article)) == (409, "already_signed_up")
    put = await staff.put(f"{MERCHANT}/entries/{entry['id']}", offer(at.article))
    assert await refused(put) == (409, "wrong_status")
    gone = await good(await staff.post(f"{MERCHANT}/entries/{entry['id']}/withdraw"))
    assert gone["status"] == "withdrawn"
    # Its SKU is free for others, or for another offer in the event.
    again = await good(await sign_up(market, event, at.article, price=6_000))
    await good(await approve(market, again))
    start(clock)
    assert await at.why_not(await market.buyer()) == "activity_over"
    (sold,) = (await market.client.get(f"{SHOP}/events/{event['id']}/activities")).json()["items"]
    assert sold["activity"]["prices"][0]["price"] == 6_000


async def test_a_stopped_event_begins_nothing_and_lets_groups_end(market: Market, clock: TestClock) -> None:
    event = await begin_event(market)
    one, two = await taken_in(market, event, slug="one"), await taken_in(market, event, slug="two")
    late = await market.merchant("late")
    waiting = await good(await sign_up(market, event, await market.product(late, price=PRICE)))
    start(clock)
    group = await one.open()
    operator = await market.operator()
    stopped = await good(await operator.post(f"{PLATFORM}/events/{event['id']}/stop"))
    assert stopped["phase"] == "stopped"
    again = await operator.post(f"{PLATFORM}/events/{event['id']}/stop")
    assert await refused(again) == (409, "event_over")
    for at in (one, two):
        assert await at.why_not(await market.buyer()) == "activity_over"
    assert await refused(await approve(market, waiting)) == (409, "event_over")
    assert (await market.client.get(f"{SHOP}/events")).json() == []
    (open_one,) = (await market.client.get(f"{SHOP}/events/{event['id']}/groups")).json()["items"]
    assert open_one["id"] == group
    await one.join(await market.buyer(), group)
    assert await one.status(group) == "succeeded"
    # Its SKUs are free for others.
    soon = (market.runtime.clock() + timedelta(minutes=1)).isoformat()
    assert (await begin(market, two.shop, two.article, starts_at=soon)).status_code == 201


async def test_the_market_stops_one_activity_of_an_event(market: Market, clock: TestClock) -> None:
    event = await begin_event(market)
    one, two = await taken_in(market, event, slug="one"), await taken_in(market, event, slug="two")
    start(clock)
    operator = await market.operator()
    path = f"{PLATFORM}/activities/{one.activity}/stop"
    assert (await good(await operator.post(path)))["phase"] == "stopped"
    assert await refused(await operator.post(path)) == (409, "activity_over")
    assert await one.why_not(await market.buyer()) == "activity_over"
    assert await two.why_not(await market.buyer()) == ""
    assert (await begin(market, one.shop, one.article)).status_code == 201


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"hours": 73}, None),
        ({"sizes": []}, None),
        ({"sizes": [11]}, None),
        ({"merchant_share_bp": 10_001}, None),
        ({"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"}, "ends_at"),
        ({"ends_at": "2100-01-02T00:00:00Z"}, "ends_at"),
        ({"sign_up_until": "2020-01-01T00:00:00Z"}, "sign_up_until"),
        ({"sign_up_until": "2100-01-01T00:00:00Z"}, "sign_up_until"),
        ({"campaign_id": "nonsense"}, "campaign_id"),
    ],
)
async def test_what_cannot_be_an_event_is_told_by_its_field(
    market: Market, more: dict[str, Any], field: str | None
) -> None:
    operator = await market.operator()
    answer = await operator.post(f"{PLATFORM}/events", event_terms(market, **more))
    assert answer.status_code == 422 if field else answer.status_code in (400, 422), answer.text
    if field:
        assert field in [e["field"] for e in answer.json()["errors"]]


async def test_an_event_is_changed_while_its_sign_up_is_open(market: Market) -> None:
    shop = await market.merchant("shop")
    event = await begin_event(market)
    operator, path = await market.operator(), f"{PLATFORM}/events/{event['id']}"
    sooner = (market.runtime.clock() + timedelta(minutes=5)).isoformat()
    body = {"rules": "新规则", "merchant_ids": [shop.ref], "sign_up_until": sooner}
    changed = await good(await operator.call("PATCH", path, body))
    assert (changed["rules"], changed["merchant_ids"], changed["invited"]) == ("新规则", [shop.ref], True)
    late = await operator.call("PATCH", path, {"sign_up_until": event["ends_at"]})
    assert late.json()["errors"][0]["field"] == "sign_up_until"
    nobody = await operator.call("PATCH", path, {"merchant_ids": [ref(new_id())]})
    assert nobody.status_code == 404
    other = await market.merchant("other")
    article = await market.product(shop, price=PRICE)
    entry = await good(await sign_up(market, event, article))
    changed = await good(await operator.call("PATCH", path, {"merchant_ids": [other.ref]}))
    # Who is invited no longer may still withdraw.
    staff = await market.staff(shop)
    put = await staff.put(f"{MERCHANT}/entries/{entry['id']}", offer(article))
    assert await refused(put) == (403, "not_invited")
    assert (await staff.post(f"{MERCHANT}/entries/{entry['id']}/withdraw")).status_code == 200
    assert (await good(await operator.get(f"{PLATFORM}/events")))["items"] == [changed]


async def test_an_event_is_in_a_campaign_of_the_market(market: Market) -> None:
    operator = await market.operator()
    now = market.runtime.clock()
    body = {"name": "双十一", "starts_at": now.isoformat(), "ends_at": (now + timedelta(days=9)).isoformat()}
    campaign = await good(await operator.post("/api/platform/campaigns", body))
    event = await begin_event(market, campaign_id=campaign["id"])
    (entry,) = (await good(await operator.get("/api/platform/activities")))["items"]
    assert (entry["id"], entry["campaign"]) == (event["id"], "双十一")


async def test_badges_show_what_is_in_an_event(market: Market, clock: TestClock) -> None:
    at = await taken_in(market, await begin_event(market))
    start(clock)
    (item,) = (await market.client.get(f"/api/shop/products?merchant_id={at.shop.ref}")).json()["items"]
    (badge,) = [b for b in item["badges"] if b["plugin"] == "group_buy"]
    assert (badge["activity_id"], badge["price"]) == (at.activity, GROUP_PRICE)
