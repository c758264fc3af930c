"""What waits for the market's review, for its events and where it reviews shops' own activities."""

from typing import Any

import httpx
import pytest

from core.kit.ids import new_id, ref
from core.testkit import Plugins, TestClock
from core.testkit.market import Article, Market, Shop
from core.types.scope import SYSTEM
from plugins.group_buy.review import MOVES, Status, Step, after
from tests.plugins.group_buy.conftest import plugins
from tests.plugins.group_buy.market_events import (
    DEADLINE,
    MERCHANT,
    PLATFORM,
    SHOP,
    approve,
    begin_event,
    good,
    offer,
    refused,
    sign_up,
)
from tests.support.groups import PRICE, Scene, begin, terms


@pytest.fixture
def jishi_plugins() -> Plugins:
    """The market reviews shops' activities."""
    return plugins({"review": "all"})


class Handed:
    """A shop's activity that waits."""

    def __init__(self, market: Market, shop: Shop, article: Article, activity: dict[str, Any]) -> None:
        self.market, self.shop, self.article, self.activity = market, shop, article, activity

    async def entry(self) -> dict[str, Any]:
        """As the market sees it."""
        operator = await self.market.operator()
        items = (await good(await operator.get(f"{PLATFORM}/entries")))["items"]
        found: dict[str, Any] = next(x for x in items if x["activity"]["id"] == self.activity["id"])
        return found

    async def refuse(self, reason: str = "价格偏高") -> httpx.Response:
        """The market refuses."""
        path = f"{PLATFORM}/entries/{(await self.entry())['id']}/refuse"
        return await (await self.market.operator()).post(path, {"reason": reason})

    async def again(self, **more: Any) -> httpx.Response:
        """The shop hands it in again."""
        staff = await self.market.staff(self.shop, "marketing")
        path = f"{MERCHANT}/activities/{self.activity['id']}"
        return await staff.put(path, terms(self.market, self.article, **more))


async def handed_in(market: Market, **more: Any) -> Handed:
    """A new shop's group-buy."""
    shop = await market.merchant("shop-" + new_id().hex[-8:])
    article = await market.product(shop, price=PRICE)
    return Handed(market, shop, article, await good(await begin(market, shop, article, **more)))


@pytest.mark.parametrize("of_event", [True, False])
def test_the_machine_of_reviews(of_event: bool) -> None:
    possible = {
        (status, step): after(status, step, of_event=of_event)
        for status in Status
        for step in Step
        if after(status, step, of_event=of_event) is not None
    }
    if of_event:
        assert possible == MOVES
    else:
        assert possible == {move: to for move, to in MOVES.items() if move[0] is not Status.APPROVED}
    assert not [step for status, step in possible if status is Status.WITHDRAWN]
    assert {to for (_, step), to in possible.items() if step is Step.HAND_IN} == {Status.WAITING}


async def test_an_activity_waits_until_the_market_approves_it(market: Market) -> None:
    at = await handed_in(market, leader_price=6_000)
    assert (at.activity["phase"], at.activity["prices"][0]["leader_price"]) == ("waiting", 6_000)
    scene = Scene(market, at.shop, at.article, at.activity["id"])
    assert await scene.why_not(await market.buyer()) == "unknown_activity"
    assert (await market.client.get(f"{SHOP}/activities/{at.activity['id']}")).status_code == 404
    staff = await market.staff(at.shop, "marketing")
    seen = await good(await staff.get(f"{MERCHANT}/activities/{at.activity['id']}"))
    assert seen == at.activity
    entry = await at.entry()
    assert (entry["status"], entry["title"], entry["event_id"], entry["version"]) == (
        "waiting",
        "Tea",
        None,
        1,
    )
    passed = await good(await approve(market, entry))
    assert (passed["status"], passed["reviewed_at"] is not None) == ("approved", True)
    running = await good(await staff.get(f"{MERCHANT}/activities/{at.activity['id']}"))
    assert (running["phase"], running["merchant_share_bp"]) == ("running", 10_000)
    group = await scene.open(price=6_000)
    await scene.join(await market.buyer(), group)
    assert await scene.status(group) == "succeeded"
    owner = await market.staff(at.shop)
    report = await good(await owner.get(f"/api/merchant/activities/{at.activity['id']}/report"))
    assert (report["orders"], report["market_borne"], report["merchant_borne"]) == (2, 0, 7_000)


async def test_a_refusal_has_a_reason_and_may_be_answered(market: Market) -> None:
    at = await handed_in(market)
    refusal = await good(await at.refuse())
    assert (refusal["status"], refusal["reason"]) == ("refused", "价格偏高")
    assert await refused(await at.refuse()) == (409, "wrong_status")
    assert await refused(await approve(market, refusal)) == (409, "wrong_status")
    changed = await good(await at.again(price=6_500, name="再来"))
    assert (changed["phase"], changed["name"], changed["prices"][0]["price"]) == ("waiting", "再来", 6_500)
    entry = await at.entry()
    assert (entry["reason"], entry["version"], entry["reviewed_at"]) == ("", 2, None)
    await good(await approve(market, entry))
    assert await refused(await at.again()) == (409, "wrong_status")
    operator = await market.operator()
    for status, found in (("approved", 1), ("waiting", 0)):
        assert len((await good(await operator.get(f"{PLATFORM}/entries?status={status}")))["items"]) == found
    assert (await operator.get(f"{PLATFORM}/entries?status=x")).status_code == 422


async def test_what_is_approved_is_what_was_read(market: Market) -> None:
    at = await handed_in(market)
    entry = await at.entry()
    await good(await at.again(price=1))
    assert await refused(await approve(market, entry)) == (409, "changed_meanwhile")
    await good(await approve(market, await at.entry()))


async def test_a_shop_withdraws_what_waits_and_stops_what_runs(market: Market) -> None:
    at, other = await handed_in(market), await handed_in(market)
    staff = await market.staff(at.shop)
    path = f"{MERCHANT}/entries/{(await at.entry())['id']}/withdraw"
    assert (await (await market.staff(other.shop)).post(path)).status_code == 404
    assert (await good(await staff.post(path)))["status"] == "withdrawn"
    assert await refused(await staff.post(path)) == (409, "wrong_status")
    assert await refused(await at.again()) == (409, "wrong_status")
    await good(await approve(market, await other.entry()))
    theirs = await market.staff(other.shop)
    withdrawn = await theirs.post(f"{MERCHANT}/entries/{(await other.entry())['id']}/withdraw")
    assert await refused(withdrawn) == (409, "wrong_status")
    stopped = await theirs.post(f"{MERCHANT}/activities/{other.activity['id']}/stop")
    assert (await good(stopped))["phase"] == "stopped"


async def test_a_clash_in_the_calendar_is_told_by_both_names_at_once_and_at_approval(market: Market) -> None:
    at = await handed_in(market, name="甲团")
    # What waits keeps no room: another one may wait beside it.
    second = await good(await begin(market, at.shop, at.article, name="乙团"))
    assert second["phase"] == "waiting"
    await good(await approve(market, await at.entry()))
    entry = await Handed(market, at.shop, at.article, second).entry()
    event = await begin_event(market)
    for answer in (
        await approve(market, entry),
        await begin(market, at.shop, at.article, name="乙团"),
        await sign_up(market, event, at.article),
    ):
        assert await refused(answer) == (409, "activity_overlap")
        detail = answer.json()["detail"]
        assert "甲团" in detail
        assert "乙团" in detail or "百店拼团" in detail
    assert (await Handed(market, at.shop, at.article, second).entry())["status"] == "waiting"


async def test_an_event_and_the_shops_own_cannot_both_have_a_sku(market: Market, clock: TestClock) -> None:
    event = await begin_event(market)
    at = await handed_in(market)
    entry = await good(await sign_up(market, event, at.article))
    await good(await approve(market, await at.entry()))
    answer = await approve(market, entry)
    assert await refused(answer) == (409, "activity_overlap")
    assert {"百店拼团", "两人团"} <= set(answer.json()["detail"].replace("“", "”").split("”"))


async def test_terms_that_have_become_impossible_are_told_to_who_approves(
    market: Market, clock: TestClock
) -> None:
    at = await handed_in(market)
    async with market.runtime.tx(SYSTEM) as tx:
        await tx.execute("update listing_sku set price = 6999")
    answer = await approve(market, await at.entry())
    assert await refused(answer) == (409, "terms_outdated")
    assert [e["field"] for e in answer.json()["errors"]] == ["skus[0].price"]
    async with market.runtime.tx(SYSTEM) as tx:
        await tx.execute("update listing_sku set price = $1", PRICE)
    clock.advance(days=8)
    answer = await approve(market, await at.entry())
    assert await refused(answer) == (409, "terms_outdated")
    assert [e["field"] for e in answer.json()["errors"]] == ["ends_at"]


async def test_a_reviewed_activity_changes_nothing_but_its_quotas(market: Market) -> None:
    at = await handed_in(market)
    await good(await approve(market, await at.entry()))
    staff, path = await market.staff(at.shop), f"{MERCHANT}/activities/{at.activity['id']}"
    assert await refused(await staff.call("PATCH", path, {"name": "没审过"})) == (409, "reviewed")
    assert await refused(await staff.call("PATCH", path, {"ends_at": "2100-01-01T00:00:00Z"})) == (
        409, "reviewed",
    )  # fmt: skip
    quotas = {"quotas": [{"sku_id": at.article.ref, "quota": 7}]}
    assert (await good(await staff.call("PATCH", path, quotas)))["prices"][0]["quota"] == 7


async def test_only_the_own_kind_is_handed_in_again_by_each_route(market: Market) -> None:
    at, event = await handed_in(market), await begin_event(market)
    article = await market.product(at.shop, price=PRICE)
    entry = await good(await sign_up(market, event, article))
    staff = await market.staff(at.shop)
    own = f"{MERCHANT}/entries/{(await at.entry())['id']}"
    assert (await staff.put(own, offer(at.article))).status_code == 404
    path = f"{MERCHANT}/activities/{entry['activity']['id']}"
    assert (await staff.put(path, terms(market, article))).status_code == 404
    changed = await good(await staff.put(f"{MERCHANT}/entries/{entry['id']}", offer(article, price=5_000)))
    assert (changed["version"], changed["activity"]["prices"][0]["price"]) == (2, 5_000)
    another = await good(await sign_up(market, event, at.article))
    twice = await staff.put(f"{MERCHANT}/entries/{another['id']}", offer(article))
    assert await refused(twice) == (409, "already_signed_up")


class TestWithoutReview:
    """Where the market reviews nothing but its events."""

    @pytest.fixture
    def jishi_plugins(self) -> Plugins:
        """Shops have none of their own."""
        return plugins({"merchants_may_run": False})

    async def test_shops_that_may_run_none_take_part_in_events(
        self, market: Market, clock: TestClock
    ) -> None:
        shop = await market.merchant("shop")
        article = await market.product(shop, price=PRICE)
        assert await refused(await begin(market, shop, article)) == (403, "not_running")
        entry = await good(await sign_up(market, await begin_event(market), article))
        clock.advance(seconds=int(DEADLINE.total_seconds()))
        assert (await good(await approve(market, entry)))["status"] == "approved"
        staff = await market.staff(shop)
        unknown = f"{MERCHANT}/market_events/{ref(new_id())}/entries"
        assert (await staff.post(unknown, offer(article))).status_code == 404
