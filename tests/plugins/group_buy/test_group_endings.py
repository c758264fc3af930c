"""Groups that do not fill, are left, or are paid for too late."""

import json
from typing import Any
from uuid import UUID

import pytest

from core.api import (
    Paying,
    PayingAnswer,
    RefundDiscount,
    RefundDraft,
    Refunded,
    RefundLine,
    hookspecs,
    new_id,
)
from core.kit.errors import Conflict
from core.kit.ids import parse_pair
from core.testkit import TestClock
from core.testkit.market import Market
from core.types.scope import SYSTEM
from plugins.group_buy import buying, endings
from tests.support.coupons import claim, issue
from tests.support.groups import Scene, scene

Heard = list[tuple[str, str, int]]


async def run(at: Scene, timer: Any, group: str, *, early: bool = False) -> None:
    """A timer of the group, by itself."""
    merchant_id, group_id = parse_pair(group)
    async with at.runtime.tx(SYSTEM) as tx:
        if not early:
            tx.now = await tx.fetchval("select expires_at from group_buy_group where id = $1", group_id)
        await timer(tx, json.dumps({"merchant_id": str(merchant_id), "group_id": str(group_id)}).encode())


async def test_a_group_that_does_not_fill_is_refunded_by_itself(market: Market, heard: Heard) -> None:
    at = await scene(market, size=3, market_coupons=True)
    leader, member = await market.buyer(), await market.buyer()
    coupon = await claim(market.runtime, member.me.account_id, await issue(market.runtime, amount=500))
    first = await at.place(leader)
    await at.pay(leader, first)
    group = await at.group_of(leader)
    placed = await member.checkout((at.article.ref, 1), options=at.options(group))
    second = placed.json()["id"]
    assert (await at.pay(member, second))["payable"] == 6_500
    await market.drain(hours=25)
    assert heard == [("failed", group, 2)]
    assert (await at.status(group), await at.seats(group)) == ("failed", ["refunded", "refunded"])
    for person, trade, paid in ((leader, first, 7_000), (member, second, 6_500)):
        order = await at.order(person, trade)
        assert (order["status"], order["refunded_amount"], order["holds"]) == ("closed", paid, [])
    assert await at.sold() == await at.reserved() == 0
    held = (await member.get("/api/shop/coupons?status=unused")).json()["items"]
    assert len(held) == 1, coupon
    await at.balanced()


async def test_it_is_failed_only_when_all_refunds_are_decided(
    market: Market, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await scene(market, size=3)
    member = await market.buyer()
    group = await at.open(member)
    stuck = parse_pair((await at.mine(member))[0]["order_id"])[1]
    asked: list[UUID] = []
    real = endings.refund_order

    async def refuse(tx: Any, merchant_id: UUID, order_id: UUID, *args: Any, **more: Any) -> Any:
        asked.append(order_id)
        if order_id == stuck and asked.count(stuck) < 3:
            raise Conflict("Not now.", code="plugin_quarantined")
        return await real(tx, merchant_id, order_id, *args, **more)

    monkeypatch.setattr(endings, "refund_order", refuse)
    await run(at, endings.expire, group)
    assert (await at.status(group), await at.seats(group)) == ("failing", ["leaving", "leaving"])
    await market.drain()
    assert (await at.status(group), await at.seats(group)) == ("failing", ["refunded", "leaving"])
    assert heard == []
    await market.drain(minutes=5)
    assert await at.status(group) == "failed"
    assert (asked.count(stuck), len(asked)) == (3, 4)
    assert heard == [("failed", group, 2)]
    await at.balanced()


async def test_refunds_of_a_failed_group_are_made_once_however_often_they_are_asked_for(
    market: Market,
) -> None:
    at = await scene(market)
    leader = await market.buyer()
    group = await at.open(person=leader)
    await run(at, endings.expire, group)
    merchant_id, order_id = parse_pair((await at.mine(leader))[0]["order_id"])
    due = json.dumps({"merchant_id": str(merchant_id), "order_id": str(order_id)}).encode()
    for _ in range(3):
        async with at.runtime.tx(SYSTEM) as tx:
            await endings.refund(tx, due)  # type: ignore[arg-type]
        await run(at, endings.expire, group)
        await market.drain()
    assert len(await at.rows("select id from refund")) == 1
    assert await at.status(group) == "failed"
    await at.balanced()


async def test_a_group_may_be_filled_up_and_shows_no_invented_people(
    market: Market, clock: TestClock, heard: Heard
) -> None:
    at = await scene(market, size=5, virtual_fill=True)
    leader, member, late = [await market.buyer() for _ in range(3)]
    group = await at.open(member, person=leader)
    clock.advance(hours=23, minutes=50)
    await at.place(late, group)
    clock.advance(minutes=11)
    await run(at, endings.expire, group)
    await market.drain()
    assert heard == [("succeeded", group, 2)]
    row = await at.row(group)
    assert (row["status"], row["paid"], row["placeholders"]) == ("succeeded", 2, 3)
    assert await at.seats(group) == ["paid", "paid", "closed"]
    assert await at.holds() == set()
    page = (await market.client.get(f"/api/shop/group_buy/groups/{row['code']}")).json()
    assert (page["placeholders"], len(page["members"]), page["left"]) == (3, 2, 0)
    await at.balanced()


async def test_the_timer_does_nothing_before_its_time(market: Market) -> None:
    at = await scene(market)
    group = await at.open()
    await run(at, endings.expire, group, early=True)
    assert await at.status(group) == "running"
    await market.drain(hours=25)
    assert await at.status(group) == "failed"


async def test_a_leader_who_leaves_hands_the_lead_to_who_paid_next(market: Market) -> None:
    at = await scene(market, size=4)
    leader, second, third = [await market.buyer() for _ in range(3)]
    group = await at.open(second, third, person=leader)
    answer = await leader.post(f"/api/shop/group_buy/groups/{group}/leave")
    assert (answer.status_code, answer.json()["status"], answer.json()["leader"]) == (200, "leaving", False)
    await market.drain()
    assert await at.seats(group) == ["refunded", "paid", "paid"]
    assert [(await at.mine(p))[0]["leader"] for p in (leader, second, third)] == [False, True, False]
    row = await at.row(group)
    assert (row["status"], row["taken"], row["paid"]) == ("running", 2, 2)
    again = await leader.post(f"/api/shop/group_buy/groups/{group}/leave")
    assert again.status_code == 404
    assert await at.sold() == await at.reserved() == 2
    await at.join(leader, group)
    await at.join(await market.buyer(), group)
    assert await at.status(group) == "succeeded"
    await market.drain()
    await at.balanced()


async def test_the_last_one_who_leaves_closes_the_group(market: Market, heard: Heard) -> None:
    at = await scene(market)
    leader, waiting = await market.buyer(), await market.buyer()
    group = await at.open(person=leader)
    trade = await at.place(waiting, group)
    refused = await waiting.post(f"/api/shop/group_buy/groups/{group}/leave")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_paid")
    assert (await leader.post(f"/api/shop/group_buy/groups/{group}/leave")).status_code == 200
    assert (await at.status(group), await at.seats(group)) == ("closed", ["leaving", "expired"])
    await at.pay(waiting, trade)
    await market.drain(hours=25)
    assert (await at.status(group), await at.seats(group)) == ("closed", ["refunded", "refused"])
    assert [(await at.order(p, t))["status"] for p, t in ((waiting, trade),)] == ["closed"]
    assert await at.sold() == await at.reserved() == 0
    assert heard == []
    await at.balanced()


async def test_nobody_leaves_a_group_that_is_over_or_of_others(market: Market) -> None:
    at = await scene(market)
    leader, member = await market.buyer(), await market.buyer()
    group = await at.open(person=leader)
    stranger = await member.post(f"/api/shop/group_buy/groups/{group}/leave")
    assert stranger.status_code == 404
    await at.join(member, group)
    over = await leader.post(f"/api/shop/group_buy/groups/{group}/leave")
    assert (over.status_code, over.json()["code"]) == (409, "group_over")


@pytest.mark.parametrize("failed_first", [False, True])
async def test_what_is_paid_after_the_groups_time_is_refunded(
    market: Market, clock: TestClock, *, failed_first: bool
) -> None:
    """Whether the group's timer came before the payment or has not run yet."""
    at = await scene(market)
    member = await market.buyer()
    group = await at.open()
    clock.advance(hours=23, minutes=55)
    trade = await at.place(member, group)
    payment = await member.post(f"/api/shop/trades/{trade}/payments", {"provider": "sandbox"})
    clock.advance(minutes=6)
    if failed_first:
        await run(at, endings.expire, group)
        assert await at.seats(group) == ["leaving", "expired"]
    assert (await market.client.post(payment.json()["client"]["pay_url"])).status_code == 200
    assert (await at.seats(group))[1] == "refused"
    await market.drain()
    order = await at.order(member, trade)
    assert (order["status"], order["refunded_amount"], order["holds"]) == ("closed", 7_000, [])
    assert (await at.status(group), await at.seats(group)) == ("failed", ["refunded", "refused"])
    assert await at.sold() == await at.reserved() == 0
    await at.balanced()


async def test_a_late_payment_of_a_closed_trade_finds_the_seat_free(market: Market, clock: TestClock) -> None:
    at = await scene(market)
    member, other = await market.buyer(), await market.buyer()
    group = await at.open()
    trade = await at.place(member, group)
    payment = await member.post(f"/api/shop/trades/{trade}/payments", {"provider": "sandbox"})
    clock.advance(hours=1)
    assert (await member.post(f"/api/shop/trades/{trade}/close")).status_code == 200
    await market.client.post(payment.json()["client"]["pay_url"])
    await market.drain()
    assert await at.seats(group) == ["paid", "closed"]
    await at.join(other, group)
    await market.drain()
    assert await at.status(group) == "succeeded"
    paid = await at.rows("select status, count(*) as n from payment group by status")
    assert {row["status"]: row["n"] for row in paid} == {"paid": 2, "refunded": 1}
    assert await at.sold() == await at.reserved() == 2
    await at.balanced()


async def test_order_paying_that_is_asked_again_counts_a_payment_once(market: Market) -> None:
    at = await scene(market, size=3)
    leader = await market.buyer()
    group = await at.open(person=leader)
    merchant_id, order_id = parse_pair((await at.mine(leader))[0]["order_id"])
    async with at.runtime.tx(SYSTEM) as tx:
        hook = dict(tx.hooks.of(hookspecs.order_paying))["group_buy"]
        again = await hook(tx, Paying(merchant_id, order_id, new_id(), leader.me.account_id, tx.now))
    row = await at.row(group)
    assert again == PayingAnswer("hold", buying.WAITING, row["expires_at"])
    assert (row["paid"], row["taken"]) == (1, 1)


async def test_refund_settling_gives_the_quota_its_units_back_once(market: Market) -> None:
    at = await scene(market)
    leader = await market.buyer()
    group = await at.open(person=leader, units=3)
    await at.join(await market.buyer(), group)
    await market.drain()
    seat = (await at.mine(leader))[0]
    merchant_id, order_id = parse_pair(seat["order_id"])
    line = (await leader.get(f"/api/shop/orders/{seat['order_id']}")).json()["lines"][0]["id"]
    operator = await market.operator()
    path = f"/api/platform/orders/{seat['order_id']}/refunds"
    part = await operator.post(path, {"reason": "x", "lines": [{"line_id": line, "quantity": 2}]})
    assert part.status_code < 300, part.text
    await market.drain()
    assert await at.sold() == 2
    assert (await operator.post(path, {"reason": "x"})).status_code < 300
    await market.drain()
    assert await at.sold() == 1
    discount = RefundDiscount("group_buy", "x", 0, 3000)
    draft = RefundDraft(new_id(), merchant_id, order_id, new_id(), leader.me.account_id, (
        RefundLine(new_id(), new_id(), new_id(), 3, 1, (discount,)),), 0, 0, True, "")  # fmt: skip
    async with at.runtime.tx(SYSTEM) as tx:
        await dict(tx.hooks.of(hookspecs.refund_settling))["group_buy"](tx, Refunded(draft, 1))
    assert await at.sold() == 1


async def test_open_business_counts_groups_that_are_not_over(market: Market) -> None:
    at = await scene(market)
    leader = await market.buyer()
    await at.place(leader)
    plugin = at.runtime.snapshot.installed["group_buy"]
    async with at.runtime.tx(SYSTEM) as tx:
        assert await plugin.open_business(tx) == {"running groups": 1}
    group = await at.open()
    await at.join(await market.buyer(), group)
    async with at.runtime.tx(SYSTEM) as tx:
        assert await plugin.open_business(tx) == {"running groups": 1}
