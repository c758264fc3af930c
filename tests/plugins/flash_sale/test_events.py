"""Events of the market and of shops: signing up, reviewing, what locks when."""

from typing import Any

import pytest

from core.kit.ids import new_id, ref
from core.testkit import Market, Plugins, TestClock
from core.types.scope import SYSTEM
from tests.support.flash_sales import (
    choice,
    good,
    goods,
    installed,
    market_event,
    market_sale,
    offer,
    shop_sale,
    signed_up,
    slot,
)

BASE = "/api/merchant/flash_sale"
PLATFORM = "/api/platform/flash_sale"


async def test_a_market_event_goes_from_sign_up_to_sale(market: Market, clock: TestClock) -> None:
    _, [article] = await goods(market)
    event = await market_event(market)
    staff, operator = await market.staff(article.merchant_id), await market.operator()
    seen = await good(await staff.get(f"{BASE}/market_events"))
    assert [e["id"] for e in seen["items"]] == [event["id"]]
    assert (seen["items"][0]["merchant_ids"], seen["items"][0]["rules"]) == (None, "每人一件")
    entry = await signed_up(market, event, article)
    waiting = await good(await operator.get(f"{PLATFORM}/entries?status=applied&event_id={event['id']}"))
    assert [e["id"] for e in waiting["items"]] == [entry]
    passed = await good(await operator.post(f"{PLATFORM}/entries/{entry}/pass"))
    assert passed["status"] == "passed"
    activity = event["slots"][0]["id"]
    calendar = (await good(await operator.get("/api/platform/activities")))["items"]
    assert [(a["id"], a["plugin"], a["skus"], a["phase"]) for a in calendar] == [
        (activity, "flash_sale", 1, "upcoming")
    ]
    clock.advance(minutes=61)
    await market.purchase(await market.buyer(), [(article, 1)], options=choice(activity))
    items = await good(await staff.get(f"{BASE}/activities/{activity}/items"))
    assert [(i["sku_id"], i["sold"], i["quantity"]) for i in items] == [(article.ref, 1, 10)]
    report = await good(await operator.get(f"/api/platform/activities/{activity}/report"))
    assert (report["orders"], report["units"], report["merchant_borne"]) == (1, 1, 2000)


async def test_a_refusal_has_a_reason_and_may_be_answered(market: Market) -> None:
    _, [article] = await goods(market)
    event = await market_event(market)
    operator = await market.operator()
    entry = await signed_up(market, event, article)
    refused = await good(await operator.post(f"{PLATFORM}/entries/{entry}/refuse", {"reason": "价格偏高"}))
    assert (refused["status"], refused["reason"]) == ("refused", "价格偏高")
    assert (await operator.post(f"{PLATFORM}/entries/{entry}/pass")).json()["code"] == "wrong_status"
    assert await signed_up(market, event, article, price=500) == entry
    staff = await market.staff(article.merchant_id)
    mine = (await good(await staff.get(f"{BASE}/entries")))["items"]
    assert [(e["status"], e["reason"], e["price"]) for e in mine] == [("applied", "", 500)]


async def test_nothing_changes_after_the_deadline(market: Market, clock: TestClock) -> None:
    _, [article, other] = await goods(market, 2)
    event = await market_event(market)
    entry = await signed_up(market, event, article)
    clock.advance(minutes=31)
    staff, operator = await market.staff(article.merchant_id), await market.operator()
    path = f"{BASE}/activities/{event['slots'][0]['id']}/entries"
    for answer in (
        await staff.post(path, offer(article, price=1)),
        await staff.post(path, offer(other)),
        await staff.post(f"{BASE}/entries/{entry}/withdraw"),
        await operator.call("PATCH", f"{PLATFORM}/events/{event['id']}", {"rules": "other"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "sign_up_over")
    # The market goes on reviewing.
    await good(await operator.post(f"{PLATFORM}/entries/{entry}/pass"))


async def test_what_passed_is_withdrawn_before_the_deadline_only(market: Market) -> None:
    _, [article] = await goods(market)
    event = await market_event(market)
    entry = await signed_up(market, event, article)
    staff, operator = await market.staff(article.merchant_id), await market.operator()
    await good(await operator.post(f"{PLATFORM}/entries/{entry}/pass"))
    path = f"{BASE}/activities/{event['slots'][0]['id']}/entries"
    assert (await staff.post(path, offer(article))).json()["code"] == "already_passed"
    assert (await good(await staff.post(f"{BASE}/entries/{entry}/withdraw")))["status"] == "withdrawn"
    # Its SKU is free for others at that time.
    await shop_sale(market, article, starts=50, ends=130)


async def test_a_sku_is_in_one_sale_at_a_time_and_both_are_named(market: Market) -> None:
    _, [article] = await goods(market)
    event = await market_event(market)
    entry = await signed_up(market, event, article)
    await shop_sale(market, article, starts=90, ends=180)
    answer = await (await market.operator()).post(f"{PLATFORM}/entries/{entry}/pass")
    assert (answer.status_code, answer.json()["code"]) == (409, "activity_overlap")
    assert "整点秒杀" in answer.json()["detail"]
    assert "店铺秒杀" in answer.json()["detail"]


async def test_events_choose_shops_and_categories(market: Market) -> None:
    shop, [article] = await goods(market)
    stranger = await market.merchant("stranger")
    theirs = await market.product(stranger, price=3000)
    event = await market_event(market, merchant_ids=[shop.ref])
    assert event["merchant_ids"] == [shop.ref]
    await signed_up(market, event, article)
    staff = await market.staff(stranger)
    assert (await good(await staff.get(f"{BASE}/market_events")))["items"] == []
    path = f"{BASE}/activities/{event['slots'][0]['id']}/entries"
    assert (await staff.post(path, offer(theirs))).json()["code"] == "not_invited"
    operator = await market.operator()
    category = (await good(await operator.post("/api/platform/categories", {"name": "茶"})))["id"]
    event = await market_event(market, category_ids=[category], starts=200, ends=220)
    path = f"{BASE}/activities/{event['slots'][0]['id']}/entries"
    assert (await staff.post(path, offer(theirs))).json()["code"] == "wrong_category"
    async with market.runtime.tx(SYSTEM) as tx:
        await tx.execute("update listing_sku set category_path = array(select id from category)")
    await signed_up(market, event, theirs)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"price": 3000}, "price"),
        ({"per_order": 2}, "per_order"),
    ],
)
async def test_offers_must_make_sense(market: Market, change: dict[str, Any], field: str) -> None:
    _, [article] = await goods(market)
    event = await market_event(market)
    staff = await market.staff(article.merchant_id)
    path = f"{BASE}/activities/{event['slots'][0]['id']}/entries"
    answer = await staff.post(path, offer(article, **change))
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("slots", "field"),
    [
        ([(10, 5)], "slots[0].ends_at"),
        ([(-10, -5)], "slots[0].ends_at"),
        ([(0, 10), (5, 15)], "slots"),
        ([(0, 60 * 24 * 400)], "slots[0].ends_at"),
        ([(-60 * 24 * 400, 10)], "slots[0].starts_at"),
    ],
)
async def test_slots_must_make_sense(market: Market, slots: list[tuple[int, int]], field: str) -> None:
    _, [article] = await goods(market)
    staff = await market.staff(article.merchant_id)
    now = market.runtime.clock()
    body = {"name": "x", "slots": [slot(now, *s) for s in slots], "offers": [offer(article)]}
    answer = await staff.post(f"{BASE}/events", body)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]


async def test_a_slot_at_the_edge_of_time_is_refused(market: Market) -> None:
    _, [article] = await goods(market)
    staff = await market.staff(article.merchant_id)
    eternal = {"starts_at": "0001-01-01T00:00:00+14:00", "ends_at": "9999-12-31T23:59:59-12:00"}
    for times in (eternal, slot(market.runtime.clock()) | {"starts_at": eternal["starts_at"]}):
        answer = await staff.post(
            f"{BASE}/events", {"name": "x", "slots": [times], "offers": [offer(article)]}
        )
        assert answer.status_code == 422, answer.text


async def test_a_shop_offers_only_its_own(market: Market) -> None:
    _, [article] = await goods(market)
    staff = await market.staff(await market.merchant("other"))
    body = {"name": "x", "slots": [slot(market.runtime.clock())], "offers": [offer(article)]}
    assert (await staff.post(f"{BASE}/events", body)).status_code == 404
    activity = await shop_sale(market, article)
    assert (await staff.get(f"{BASE}/activities/{activity}/items")).status_code == 404
    assert (await staff.post(f"{BASE}/activities/{activity}/stop")).status_code == 404
    twice = {**body, "offers": [offer(article)] * 2}
    mine = await market.staff(article.merchant_id)
    assert (await mine.post(f"{BASE}/events", twice)).json()["errors"][0]["code"] == "twice"


async def test_a_market_event_is_changed_while_its_sign_up_is_open(market: Market) -> None:
    shop, _ = await goods(market)
    event = await market_event(market)
    operator = await market.operator()
    path = f"{PLATFORM}/events/{event['id']}"
    changed = await good(await operator.call("PATCH", path, {"name": "新名", "merchant_ids": [shop.ref]}))
    assert (changed["name"], changed["rules"], changed["invited"]) == ("新名", "每人一件", True)
    late = (await operator.call("PATCH", path, {"sign_up_until": event["slots"][0]["ends_at"]})).json()
    assert late["errors"][0]["field"] == "sign_up_until"
    nobody = await operator.call("PATCH", path, {"merchant_ids": [ref(new_id())]})
    assert nobody.status_code == 404


async def test_the_market_stops_its_sale(market: Market, clock: TestClock) -> None:
    _, [article] = await goods(market)
    activity = await market_sale(market, article)
    clock.advance(minutes=61)
    operator = await market.operator()
    stopped = await good(await operator.post(f"{PLATFORM}/activities/{activity}/stop"))
    assert stopped["phase"] == "stopped"
    assert (await good(await operator.get("/api/platform/activities")))["items"][0]["phase"] == "stopped"
    # Its SKU is free for others.
    await shop_sale(market, article, starts=1)


async def test_the_market_stops_a_shops_own_sale_and_tells_it_why(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article)
    operator, staff = await market.operator(), await market.staff(article.merchant_id)
    path = f"{PLATFORM}/activities/{activity}/stop"
    for body in (None, {"reason": " "}):
        mute = await operator.post(path, body)
        assert (mute.status_code, mute.json()["errors"][0]["field"]) == (422, "reason")
    assert (await staff.post(path, {"reason": "x"})).status_code == 403
    stopped = await good(await operator.post(path, {"reason": "价格虚标"}))
    assert stopped["phase"] == "stopped"
    assert "价格虚标" not in str(stopped)
    [event] = (await good(await staff.get(f"{BASE}/events")))["items"]
    assert (event["slots"][0]["phase"], event["slots"][0]["stop_reason"]) == ("stopped", "价格虚标")
    assert (await operator.post(path, {"reason": "x"})).json()["code"] == "flash_over"
    assert (await operator.post(f"{PLATFORM}/activities/{ref(new_id())}/stop")).status_code == 404
    audit = (await good(await operator.get("/api/platform/audit")))["items"]
    assert any("stop" in line["action"] for line in audit)


class TestMarketOnly:
    """Where shops have no sales of their own."""

    @pytest.fixture
    def jishi_plugins(self) -> Plugins:
        """Not allowed."""
        return installed(merchants_may_run=False)

    async def test_shops_may_be_kept_from_running_sales(self, market: Market) -> None:
        _, [article] = await goods(market)
        staff = await market.staff(article.merchant_id)
        body = {"name": "x", "slots": [slot(market.runtime.clock())], "offers": [offer(article)]}
        answer = await staff.post(f"{BASE}/events", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_running")
