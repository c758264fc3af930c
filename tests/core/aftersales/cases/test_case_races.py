"""Two events at once: one comes first, the other finds what it left."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from core.aftersales.cases import moving, service, timers
from core.aftersales.cases.repository import one
from core.aftersales.cases.schemas import AgreeIn, CaseTimer
from core.aftersales.cases.service import Actor
from core.kit.errors import Conflict
from core.kit.ids import parse_pair
from core.orders import repository as order_rows
from core.types.scope import SYSTEM
from tests.support.cases import ADDRESS, PARCEL, Desk


async def outcomes(*answers: Awaitable[Any]) -> list[str]:
    """The status of each answer, or the code of its refusal."""
    found = [answer.json() for answer in await asyncio.gather(*answers)]
    return [x.get("code") or x["status"] for x in found]


async def fire(desk: Desk, case: str) -> None:
    """The case's timer."""
    due = msgspec.Raw(msgspec.json.encode(CaseTimer(*parse_pair(case))))
    async with desk.market.runtime.tx(SYSTEM) as tx:
        await timers.aftersale_due(tx, due)


async def count(desk: Desk, sql: str) -> Any:
    """A number from the database."""
    async with desk.market.runtime.tx(SYSTEM) as tx:
        return await tx.fetchval(sql)


async def test_two_agrees_refund_once(desk: Desk) -> None:
    order = await desk.buy()
    case = await desk.case(order, "refund_only", 2)
    assert await outcomes(*[desk.tries("merchant", case, "agree") for _ in range(5)]) == ["refunding"] * 5
    assert await count(desk, "select count(*) from refund") == 1
    assert len((await desk.sees("shop", case))["log"]) == 3
    await desk.market.drain()
    assert (await desk.order(order))["refunded_amount"] == 2000
    assert await desk.balanced()


async def test_without_the_lock_the_old_status_stops_the_second(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the lock taken out, both find the case applied; the update refuses one of them."""
    case = await desk.case(await desk.buy(), "refund_only")
    both, seen_by = asyncio.Event(), Counter[Any]()

    async def unlocked(tx: Any, merchant_id: Any, order_id: Any) -> Any:
        sql = "select * from orders where merchant_id = $1 and id = $2"
        return await tx.fetchrow(sql, merchant_id, order_id)

    async def look(*args: Any) -> Any:
        seen = await one(*args)
        seen_by[asyncio.current_task()] += 1
        if seen_by.total() == 4:
            both.set()
        if seen_by[asyncio.current_task()] == 2:
            await asyncio.wait_for(both.wait(), 10)
        return seen

    monkeypatch.setattr(order_rows, "locked", unlocked)
    monkeypatch.setattr(service.repository, "one", look)

    async def agree() -> str:
        try:
            async with desk.market.runtime.tx(SYSTEM) as tx:
                opened = await service.opened(tx, *parse_pair(case))
                await service.agree(tx, opened, Actor("merchant"), AgreeIn())
        except Conflict as refusal:
            return refusal.code
        return "done"

    assert sorted(await asyncio.gather(agree(), agree())) == ["done", "wrong_status"]
    assert await count(desk, "select count(*) from refund") == 1


@pytest.mark.parametrize("_", range(4))
async def test_agreeing_and_cancelling_at_once_end_in_one_of_both(desk: Desk, _: int) -> None:
    order = await desk.buy()
    case = await desk.case(order, "refund_only")
    found = await outcomes(desk.tries("shop", case, "cancel"), desk.tries("merchant", case, "agree"))
    assert found in (["cancelled", "wrong_status"], ["wrong_status", "refunding"])
    await desk.market.drain()
    refunded = (await desk.order(order))["refunded_amount"]
    assert refunded == (0 if found[0] == "cancelled" else 1000)


@pytest.mark.parametrize("_", range(4))
async def test_staff_and_a_case_never_take_the_same_units(desk: Desk, _: int) -> None:
    order = await desk.buy(2)
    path = f"/api/merchant/orders/{order['id']}/refunds"
    lines = [{"line_id": order["lines"][0]["id"], "quantity": 2}]
    found = await outcomes(
        desk.apply(order, "refund_only", 1), desk.staff.post(path, {"lines": lines, "reason": "x"})
    )
    assert found in (["applied", "in_case"], ["refund_exceeds", "refunding"])


async def test_two_cases_never_are_about_the_same_unit(desk: Desk) -> None:
    order = await desk.buy(3)
    found = await outcomes(*[desk.apply(order, "refund_only", 2) for _ in range(4)])
    assert sorted(found) == ["applied", "in_case", "in_case", "in_case"]


@pytest.mark.parametrize("_", range(4))
async def test_a_parcel_is_sent_or_the_time_was_over(desk: Desk, _: int) -> None:
    order = await desk.buy()
    case = await desk.case(order, "return_refund")
    await desk.does("merchant", case, "agree", {"return_address": ADDRESS})
    desk.market.runtime.clock.advance(days=7, seconds=1)  # type: ignore[attr-defined]
    answer, _none = await asyncio.gather(desk.tries("shop", case, "return-parcel", PARCEL), fire(desk, case))
    status = (await desk.sees("shop", case))["status"]
    assert (answer.status_code, status) in ((200, "sent"), (409, "cancelled"))


async def test_silence_and_an_answer_at_once_refund_once(desk: Desk) -> None:
    order = await desk.buy()
    case = await desk.case(order, "refund_only")
    desk.market.runtime.clock.advance(days=2, seconds=1)  # type: ignore[attr-defined]
    answer, *_ = await asyncio.gather(
        desk.tries("merchant", case, "agree"), fire(desk, case), fire(desk, case)
    )
    assert answer.status_code == 200
    await desk.market.drain()
    assert (await desk.order(order))["refunded_amount"] == 1000
    assert await count(desk, "select count(*) from refund") == 1


async def test_a_replacement_leaves_once(desk: Desk) -> None:
    _, case = await desk.sent("exchange")
    await desk.does("merchant", case, "receive")
    found = await outcomes(*[desk.tries("merchant", case, "reship", PARCEL) for _ in range(4)])
    assert found == ["reshipped"] * 4
    assert await count(desk, "select count(*) from parcel where aftersale_id is not null") == 1


@pytest.mark.parametrize("_", range(3))
async def test_converting_and_reshipping_at_once_end_in_one_of_both(desk: Desk, _: int) -> None:
    order, case = await desk.sent("exchange")
    await desk.does("merchant", case, "receive")
    found = await outcomes(
        desk.tries("merchant", case, "reship", PARCEL), desk.tries("merchant", case, "convert")
    )
    assert found in (
        ["reshipped", "wrong_status"],
        ["wrong_kind", "refunding"],
        ["wrong_status", "refunding"],
    )
    await desk.market.drain()
    assert (await desk.order(order))["refunded_amount"] == (0 if found[0] == "reshipped" else 1000)


@pytest.mark.parametrize("_", range(3))
async def test_a_case_and_the_release_never_cross(desk: Desk, _: int) -> None:
    order = await desk.buy()
    desk.market.runtime.clock.advance(days=6, hours=23, minutes=59)  # type: ignore[attr-defined]
    answer, _none = await asyncio.gather(
        desk.apply(order, "refund_only"), desk.market.drain(minutes=2, strict=False)
    )
    released = await desk.released(order)
    assert released == (answer.status_code == 409)


async def test_a_step_is_refused_when_the_status_was_another(desk: Desk) -> None:
    case = await desk.case(await desk.buy(), "refund_only")
    async with desk.market.runtime.tx(SYSTEM) as tx:
        opened = await service.opened(tx, *parse_pair(case))
        await service.cancel(tx, opened, Actor("buyer"))
        with pytest.raises(Conflict) as caught:
            await moving.move(tx, *opened, Actor("merchant").deed(service.Event.REFUSE))
    assert caught.value.code == "wrong_status"
