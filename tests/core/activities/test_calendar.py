"""The calendar of activities: one exclusive activity for a SKU at a time, whoever runs it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core.activities import service
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.ids import MARKET_ID, new_id, parse_pair, ref
from core.testkit.market import Market
from core.types.activities import ActivityDraft
from core.types.scope import SYSTEM, merchant

HOUR = timedelta(hours=1)


class Shop:
    """A shop with two SKUs and ways to put activities on them."""

    def __init__(self, market: Market) -> None:
        self.market, self.runtime = market, market.runtime

    async def open(self) -> "Shop":
        """Make it."""
        self.shop = await self.market.merchant("tea-house")
        self.tea = await self.market.product(self.shop, title="Tea")
        self.cup = await self.market.product(self.shop, title="Cup")
        return self

    def draft(
        self, name: str, *, start: float = 0, end: float = 1, owner: UUID | None = None, **more: Any
    ) -> Any:
        """An exclusive activity on the tea from `start` to `end` hours from now."""
        now = self.runtime.clock()
        fields: dict[str, Any] = {
            "merchant_id": owner or self.shop.id, "plugin": "group_buy", "kind": "group", "name": name,
            "starts_at": now + start * HOUR, "ends_at": now + end * HOUR,
            "skus": ((self.shop.id, self.tea.sku_id),), "exclusive": True,
        }  # fmt: skip
        return ActivityDraft(**(fields | more))

    async def schedule(self, name: str, **more: Any) -> UUID:
        """Put one into the calendar, in the system scope."""
        async with self.runtime.tx(SYSTEM) as tx:
            return await service.schedule(tx, self.draft(name, **more))


@pytest.fixture
async def shop(market: Market) -> Shop:
    """The shop."""
    return await Shop(market).open()


async def test_two_exclusive_activities_on_one_sku_at_one_time_are_refused_with_both_names(
    shop: Shop,
) -> None:
    await shop.schedule("Group tea", end=2)
    with pytest.raises(Conflict) as refused:
        await shop.schedule("Flash tea", start=1, end=3, plugin="flash_sale")
    assert refused.value.code == "activity_overlap"
    assert "Group tea" in refused.value.detail
    assert "Flash tea" in refused.value.detail
    (clash,) = refused.value.extra["clashes"]
    assert (clash["activity"], clash["other"], clash["plugin"]) == ("Flash tea", "Group tea", "group_buy")
    assert clash["sku_id"] == ref(shop.shop.id, shop.tea.sku_id)


async def test_one_after_another_on_another_sku_or_not_exclusive_goes_well(shop: Shop) -> None:
    await shop.schedule("first", end=1)
    await shop.schedule("second", start=1, end=2)
    await shop.schedule("cup", skus=((shop.shop.id, shop.cup.sku_id),))
    await shop.schedule("full reduction", exclusive=False)


async def test_a_shop_learns_the_name_of_the_markets_activity_that_is_in_its_way(shop: Shop) -> None:
    await shop.schedule("Festival", owner=MARKET_ID, plugin="flash_sale")
    with pytest.raises(Conflict) as refused:
        async with shop.runtime.tx(merchant(shop.shop.id)) as tx:
            await service.schedule(tx, shop.draft("Group tea"))
    assert "Festival" in refused.value.detail


async def test_stopping_frees_the_skus_and_what_has_not_begun_leaves_no_trace_of_time(shop: Shop) -> None:
    running, upcoming = await shop.schedule("now"), await shop.schedule("later", start=2, end=3)
    async with shop.runtime.tx(SYSTEM) as tx:
        assert await service.stop(tx, shop.shop.id, running)
        assert await service.stop(tx, shop.shop.id, upcoming)
        assert not await service.stop(tx, shop.shop.id, running)
    again = await shop.schedule("instead", end=4)
    async with shop.runtime.tx(SYSTEM) as tx:
        phases = [(await service.one(tx, shop.shop.id, a)).phase for a in (running, upcoming, again)]
    assert phases == ["stopped", "stopped", "running"]


async def test_moving_an_activity_into_another_is_refused_and_moves_nothing(shop: Shop) -> None:
    await shop.schedule("first", end=1)
    second = await shop.schedule("second", start=1, end=2)
    now = shop.runtime.clock()
    with pytest.raises(Conflict, match="first"):
        async with shop.runtime.tx(SYSTEM) as tx:
            await service.reschedule(tx, shop.shop.id, second, now + HOUR / 2, now + 2 * HOUR)
    async with shop.runtime.tx(SYSTEM) as tx:
        await service.reschedule(tx, shop.shop.id, second, now + 2 * HOUR, now + 3 * HOUR, "moved")
        found = await service.one(tx, shop.shop.id, second)
    assert (found.name, found.phase, found.skus) == ("moved", "upcoming", 1)


async def test_bad_drafts_are_refused_with_what_to_do(shop: Shop) -> None:
    for more, error in (
        ({"start": 2, "end": 1}, Invalid),
        ({"start": -2, "end": -1}, Invalid),
        ({"skus": ((shop.shop.id, new_id()),)}, NotFound),
        ({"campaign_id": new_id()}, NotFound),
    ):
        with pytest.raises(error):
            await shop.schedule("bad", **more)
    async with shop.runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from activity") == 0


async def test_of_ten_at_once_one_gets_the_sku(shop: Shop) -> None:
    async def attempt(n: int) -> str:
        try:
            await shop.schedule(f"number {n}")
        except Conflict as error:
            return error.code
        return "scheduled"

    done = await asyncio.gather(*(attempt(n) for n in range(10)))
    assert sorted(done) == ["activity_overlap"] * 9 + ["scheduled"]


async def test_shop_and_market_read_the_calendar_and_keep_campaigns(shop: Shop) -> None:
    staff, operator = await shop.market.staff(shop.shop), await shop.market.operator()
    now = shop.runtime.clock()
    period = {"starts_at": now.isoformat(), "ends_at": (now + 48 * HOUR).isoformat()}
    made = await staff.post("/api/merchant/campaigns", {"name": " Spring  tea ", **period})
    assert (made.status_code, made.json()["name"]) == (201, "Spring tea")
    campaign = made.json()["id"]
    backwards = {"name": "x", "starts_at": period["ends_at"], "ends_at": period["starts_at"]}
    assert (await staff.post("/api/merchant/campaigns", backwards)).status_code == 422
    await shop.schedule("tea", campaign_id=parse_pair(campaign)[1])
    await shop.schedule("market's", owner=MARKET_ID, start=5, end=6)
    mine = (await staff.get("/api/merchant/activities")).json()["items"]
    assert [(a["name"], a["campaign"], a["phase"]) for a in mine] == [("tea", "Spring tea", "running")]
    whole = (await operator.get("/api/platform/activities?limit=1")).json()
    rest = (await operator.get(f"/api/platform/activities?cursor={whole['next_cursor']}")).json()
    assert [a["name"] for a in whole["items"] + rest["items"]] == ["tea", "market's"]
    used = await staff.call("DELETE", f"/api/merchant/campaigns/{campaign}")
    assert (used.status_code, used.json()["code"]) == (409, "in_use")
    stranger = await shop.market.staff(await shop.market.merchant("other"))
    assert (await stranger.get(f"/api/merchant/activities/{mine[0]['id']}")).status_code == 404
    assert (await stranger.call("DELETE", f"/api/merchant/campaigns/{campaign}")).status_code == 404
