"""Silence: whoever does not answer in time has agreed, given up or received."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from core import hookspecs
from core.aftersales.cases import timers
from core.aftersales.cases.schemas import CaseTimer
from core.kit.ids import parse_pair
from core.types.events import AftersaleEvent
from core.types.scope import SYSTEM
from tests.support.cases import ADDRESS, PARCEL, Desk
from tests.support.refunds import hook


async def wait(desk: Desk, **span: Any) -> None:
    """Let time pass for good, and run what falls due."""
    await desk.market.drain(**span)
    desk.market.runtime.clock.advance(**span)  # type: ignore[attr-defined]


async def test_a_shop_that_does_not_answer_has_agreed(desk: Desk) -> None:
    case = await desk.case(await desk.buy(), "refund_only", 2)
    await wait(desk, days=1, hours=23)
    assert (await desk.sees("shop", case))["status"] == "applied"
    await wait(desk, hours=2)
    found = await desk.sees("shop", case)
    assert (found["status"], found["refund"]["amount"]) == ("done", 2000)
    assert [x["party"] for x in found["log"]] == ["buyer", "system", "system", "system"]
    assert await desk.refused("merchant", case, "refuse", {"reason": "too late"}) == "wrong_status"


async def test_a_shop_that_has_answered_is_not_taken_for_silent(desk: Desk) -> None:
    case = await desk.case(await desk.buy(), "return_refund")
    await desk.does("merchant", case, "agree", {"return_address": ADDRESS})
    await wait(desk, days=3)
    assert (await desk.sees("shop", case))["status"] == "agreed"


async def test_a_buyer_who_sends_nothing_gives_the_case_up(desk: Desk) -> None:
    order = await desk.buy()
    case = await desk.case(order, "return_refund")
    await wait(desk, days=1)
    await desk.does("merchant", case, "agree", {"return_address": ADDRESS})
    await wait(desk, days=6, hours=23)
    assert not await desk.released(order)
    await wait(desk, hours=2)
    assert (await desk.sees("shop", case))["status"] == "cancelled"
    assert await desk.refused("shop", case, "return-parcel", PARCEL) == "wrong_status"
    # The release had waited for the case alone.
    await desk.market.drain()
    assert await desk.released(order)
    assert await desk.balanced()


async def test_silence_takes_the_address_last_used(desk: Desk) -> None:
    order = await desk.buy()
    first = await desk.case(order, "return_refund")
    await desk.does("merchant", first, "agree", {"return_address": ADDRESS})
    second = await desk.case(order, "return_refund")
    await wait(desk, days=3)
    found = await desk.sees("shop", second)
    assert (found["status"], found["return_address"]["street"]) == ("agreed", ADDRESS["street"])


async def test_without_any_address_the_market_decides_in_the_end(desk: Desk) -> None:
    order = await desk.buy()
    first, second = [await desk.case(order, "return_refund") for _ in range(2)]
    await wait(desk, days=3)
    found = await desk.sees("shop", first)
    assert (found["status"], found["return_address"]) == ("agreed", None)
    given = await desk.does("merchant", first, "agree", {"return_address": ADDRESS})
    assert given["return_address"]["street"] == ADDRESS["street"]
    assert given["deadline"] > found["deadline"]
    await wait(desk, days=6, hours=12)
    assert [(await desk.sees("shop", case))["status"] for case in (first, second)] == [
        "agreed",
        "arbitration",
    ]
    await wait(desk, days=2)
    assert (await desk.sees("shop", first))["status"] == "cancelled"
    assert not await desk.released(order)
    await desk.does("platform", second, "decide", {"outcome": "refund", "reason": "the shop is silent"})
    await desk.market.drain()
    assert await desk.released(order)


async def test_a_shop_that_does_not_look_at_a_parcel_has_received_it(desk: Desk) -> None:
    order, case = await desk.sent()
    await wait(desk, days=10, hours=1)
    found = await desk.sees("shop", case)
    assert (found["status"], found["log"][3]["event"], found["log"][3]["party"]) == (
        "done",
        "receive",
        "system",
    )
    assert await desk.stock() == (97, 0)
    assert (await desk.order(order))["refunded_amount"] == 1000


async def test_a_shop_that_does_not_replace_pays_back(desk: Desk) -> None:
    _, case = await desk.sent("exchange")
    await wait(desk, days=10, hours=1)
    assert (await desk.sees("shop", case))["status"] == "received"
    await wait(desk, days=10, hours=1)
    found = await desk.sees("shop", case)
    assert (found["status"], found["kind"]) == ("done", "return_refund")


async def test_a_replacement_is_confirmed_by_itself(desk: Desk) -> None:
    order, case = await desk.sent("exchange")
    await desk.does("merchant", case, "receive")
    await desk.does("merchant", case, "reship", PARCEL)
    waits = desk.market.runtime.env.settings.auto_receive
    await wait(desk, seconds=waits - 60)
    assert (await desk.sees("shop", case))["status"] == "reshipped"
    await wait(desk, seconds=120)
    assert (await desk.sees("shop", case))["status"] == "done"
    await desk.market.drain(days=2)
    assert await desk.released(order)


async def test_a_refusal_stands_unless_the_market_is_asked_in_time(desk: Desk) -> None:
    order = await desk.buy()
    case = await desk.case(order, "refund_only")
    await desk.does("merchant", case, "refuse", {"reason": "no"})
    await wait(desk, days=1, hours=23)
    assert (await desk.sees("shop", case))["status"] == "refused"
    await wait(desk, hours=2)
    assert (await desk.sees("shop", case))["status"] == "closed"
    assert await desk.refused("shop", case, "arbitrate") == "wrong_status"


async def test_an_exchange_nobody_can_serve_is_agreed_as_a_refund(desk: Desk) -> None:
    case = await desk.case(await desk.buy(2), "exchange", 2)
    gone = {"sku_id": desk.tea.ref, "delta": -98, "reason": "sold elsewhere"}
    await desk.staff.post("/api/merchant/stock/moves", gone)
    await wait(desk, days=3)
    found = await desk.sees("shop", case)
    assert (found["status"], found["kind"]) == ("agreed", "return_refund")


async def test_silence_waits_while_something_holds_the_order(desk: Desk) -> None:
    order = await desk.buy()
    case = await desk.case(order, "refund_only")
    async with desk.market.runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)"
            " values ($1, $2, 'group_buy', $3, 'the group is running', $4)",
            *parse_pair(order["id"]),
            desk.buyer.me.account_id,
            tx.now,
        )
    await wait(desk, days=3)
    assert (await desk.sees("shop", case))["status"] == "applied"
    async with desk.market.runtime.tx(SYSTEM) as tx:
        await tx.execute("delete from order_hold")
    await wait(desk, hours=2)
    assert (await desk.sees("shop", case))["status"] == "done"


@pytest.mark.parametrize("days", [0, 9])
async def test_money_waits_for_an_open_case(desk: Desk, days: int) -> None:
    order = await desk.buy()
    case = await desk.case(order, "refund_only")
    await desk.does("merchant", case, "refuse", {"reason": "no"})
    await desk.does("shop", case, "arbitrate")
    await wait(desk, days=8 + days)
    assert not await desk.released(order)
    await desk.does("platform", case, "decide", {"outcome": "reject", "reason": "no fault"})
    await desk.market.drain()
    assert await desk.released(order)
    assert await desk.balanced()


async def test_a_timer_that_comes_early_late_or_twice_does_no_harm(desk: Desk) -> None:
    case = await desk.case(await desk.buy(), "refund_only")
    merchant_id, case_id = parse_pair(case)

    async def fire(merchant_id: UUID = merchant_id) -> None:
        due = msgspec.Raw(msgspec.json.encode(CaseTimer(merchant_id, case_id)))
        async with desk.market.runtime.tx(SYSTEM) as tx:
            await timers.aftersale_due(tx, due)

    await fire()
    assert (await desk.sees("shop", case))["status"] == "applied"
    desk.market.runtime.clock.advance(days=3)  # type: ignore[attr-defined]
    await fire()
    await fire()
    found = await desk.sees("shop", case)
    assert (found["status"], len(found["log"])) == ("refunding", 3)
    assert (await desk.order({"id": found["order_id"]}))["lines"][0]["refunded_quantity"] == 1


async def test_aftersale_changed_tells_each_step(desk: Desk) -> None:
    told: list[AftersaleEvent] = []

    async def hears(tx: Any, event: AftersaleEvent) -> None:
        told.append(event)

    hook(desk.market.runtime, hookspecs.aftersale_changed, ("core", hears))
    case = await desk.case(await desk.buy(), "refund_only")
    await desk.does("merchant", case, "agree")
    async with desk.market.runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select payload::text from outbox where event = 'aftersale_changed' order by id"
        )
    found = [msgspec.json.decode(row["payload"], type=AftersaleEvent) for row in rows]
    assert [(x.old_status, x.new_status) for x in found] == [
        ("", "applied"),
        ("applied", "agreed"),
        ("agreed", "refunding"),
    ]
    assert {x.aftersale_id for x in found} == {parse_pair(case)[1]}


def test_no_wait_is_shorter_than_the_retry() -> None:
    assert timedelta(0) < timers.RETRY <= timedelta(hours=1)
