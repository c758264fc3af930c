"""Group-buying switched off, or quarantined, while groups run: what was begun comes to its end, nothing new begins."""

from typing import Any

import pytest

from core.plugin import discover
from core.testkit import Plugins, TestClock
from core.testkit.market import Market, Person
from tests.plugins.group_buy.conftest import NEEDED
from tests.support.groups import GROUP_PRICE, PRICE, Scene, scene


@pytest.fixture
def jishi_plugins() -> Plugins:
    """Without one that requires group-buying, so that it can be switched off."""
    classes = discover()
    return Plugins(also=tuple([classes[name] for name in NEEDED]), only=True)


async def _operate(market: Market, what: str, **body: Any) -> Any:
    answer = await (await market.operator()).post(f"/api/platform/plugins/group_buy/{what}", body or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _holds(at: Scene) -> list[tuple[str, str]]:
    return [(row["plugin"], row["cause"]) for row in await at.rows("select plugin, cause from order_hold")]


async def _nothing_left(at: Scene) -> None:
    assert await at.sold() == await at.reserved() == 0
    assert await at.holds() == set()
    await at.balanced()


async def _assert_refunded(at: Scene, person: Person, trade: str) -> None:
    order = await at.order(person, trade)
    assert (order["status"], order["refunded_amount"], order["holds"]) == ("closed", GROUP_PRICE, [])


async def test_switched_off_a_seat_that_is_taken_still_fills_its_group(market: Market) -> None:
    at = await scene(market)
    leader, member = await market.buyer(), await market.buyer()
    first = await at.place(leader)
    await at.pay(leader, first)
    group = await at.group_of(leader)
    second = await at.place(member, group)
    assert (await _operate(market, "disable"))["open"]["running groups"] == 1
    await at.pay(member, second)
    await market.drain()
    assert (await at.status(group), await at.seats(group)) == ("succeeded", ["paid", "paid"])
    assert await at.holds() == set()
    for person, trade in ((leader, first), (member, second)):
        await market.fulfil(person, {"orders": [await at.order(person, trade)]})
    await at.balanced()


async def test_switched_off_a_group_that_does_not_fill_is_refunded_and_frees_its_seats(
    market: Market,
) -> None:
    at = await scene(market, size=3)
    leader, member, slow = await market.buyer(), await market.buyer(), await market.buyer()
    first = await at.place(leader)
    await at.pay(leader, first)
    group = await at.group_of(leader)
    second = await at.join(member, group)
    third = await at.place(slow, group)
    await _operate(market, "disable")
    assert (await slow.post(f"/api/shop/trades/{third}/close")).status_code < 300
    assert await at.seats(group) == ["paid", "paid", "closed"]
    assert await at.sold() == 2
    await market.drain(hours=25)
    assert (await at.status(group), await at.seats(group)) == ("failed", ["refunded", "refunded", "closed"])
    await _assert_refunded(at, leader, first)
    await _assert_refunded(at, member, second)
    await _nothing_left(at)
    found = (await (await market.operator()).get("/api/platform/plugins")).json()["items"]
    (mine,) = [plugin for plugin in found if plugin["name"] == "group_buy"]
    assert (mine["winding_down"], "running groups" in mine["open"]) == (True, False)


async def test_switched_off_no_group_is_opened_or_joined(market: Market) -> None:
    at = await scene(market)
    leader, other = await market.buyer(), await market.buyer()
    group = await at.open(person=leader)
    await _operate(market, "disable")
    for wanted in (None, group):
        assert (await at.quote(other, wanted))["payable"] == PRICE
        refused = await at.try_to_place(other, wanted)
        assert (refused.status_code, refused.json()["code"]) == (409, "price_changed")
    assert (await other.get("/api/shop/group_buy/mine")).status_code == 404
    # At the usual price it is a purchase like any other.
    placed = await other.checkout((at.article.ref, 1), options=at.options(group))
    trade = (await at.pay(other, placed.json()["id"]))["id"]
    assert (await at.order(other, trade))["holds"] == []
    assert (await at.status(group), await at.seats(group)) == ("running", ["paid"])
    await _operate(market, "enable")
    await at.join(await market.buyer(), group)
    assert await at.status(group) == "succeeded"


async def test_switched_off_a_buyer_cancels_instead_of_leaving(market: Market) -> None:
    """Leaving is a route of the plugin, so it is not there; nobody who could fill the group can join it either."""
    at = await scene(market, size=3)
    leader, member = await market.buyer(), await market.buyer()
    first = await at.place(leader)
    await at.pay(leader, first)
    group = await at.group_of(leader)
    await at.join(member, group)
    await _operate(market, "disable")
    order = (await at.order(leader, first))["id"]
    answer = await leader.post(f"/api/shop/orders/{order}/cancel", {"reason": "x"})
    assert answer.status_code == 200, answer.text
    await market.drain()
    assert (await at.status(group), await at.seats(group)) == ("running", ["refunded", "paid"])
    assert await at.sold() == await at.reserved() == 1
    await _assert_refunded(at, leader, first)
    await market.drain(hours=25)
    assert (await at.status(group), await at.seats(group)) == ("failed", ["refunded", "refunded"])
    await _nothing_left(at)


async def test_quarantined_it_holds_its_own_orders_and_answers_once_it_is_back(market: Market) -> None:
    at = await scene(market)
    leader, member, other = await market.buyer(), await market.buyer(), await market.buyer()
    first = await at.place(leader)
    await at.pay(leader, first)
    group = await at.group_of(leader)
    second = await at.place(member, group)
    plain = (await other.checkout((at.article.ref, 1))).json()["id"]
    await _operate(market, "quarantine", reason="broken")
    await at.pay(member, second)
    await at.pay(other, plain)
    assert sorted(await _holds(at)) == [("group_buy", "paying"), ("group_buy", "plugin")]
    assert (await at.order(other, plain))["holds"] == []
    refunds = []
    for person, trade in ((other, plain), (member, second)):
        order = (await at.order(person, trade))["id"]
        refunds.append(await person.post(f"/api/shop/orders/{order}/cancel", {"reason": "x"}))
    assert [answer.status_code for answer in refunds] == [200, 409]
    assert refunds[1].json()["code"] == "plugin_quarantined"
    assert await at.status(group) == "running"
    await _operate(market, "release")
    await market.drain(minutes=11)
    assert (await at.status(group), await at.seats(group)) == ("succeeded", ["paid", "paid"])
    assert await at.holds() == set()
    for person, trade in ((leader, first), (member, second)):
        assert (await at.order(person, trade))["status"] == "paid"
    await at.balanced()


async def test_quarantined_beyond_its_time_a_group_fails_once_the_plugin_is_back(
    market: Market, clock: TestClock
) -> None:
    at = await scene(market, size=3)
    leader, member, slow = await market.buyer(), await market.buyer(), await market.buyer()
    first = await at.place(leader)
    await at.pay(leader, first)
    group = await at.group_of(leader)
    second, third = await at.place(member, group), await at.place(slow, group)
    await _operate(market, "quarantine", reason="broken")
    await at.pay(member, second)
    assert (await slow.post(f"/api/shop/trades/{third}/close")).status_code < 300
    assert await at.seats(group) == ["paid", "held", "held"], "it learns of that later"
    clock.advance(hours=25)
    await market.drain(strict=False)
    assert await at.status(group) == "running"
    assert len(await at.holds()) == 2
    await _operate(market, "release")
    await market.drain(minutes=11)
    assert await at.status(group) == "failed"
    assert sorted(await at.seats(group)) == ["closed", "refunded", "refused"]
    await _assert_refunded(at, leader, first)
    await _assert_refunded(at, member, second)
    await _nothing_left(at)
