"""An order from paid to released, and every step at the wrong time."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from core.db.tx import Tx
from core.fulfilment import release, service
from core.fulfilment.release import Outcome
from core.fulfilment.schemas import ParcelIn, ParcelLineIn
from core.fulfilment.service import OrderTimer
from core.fulfilment.timers import HELD_RETRY, TIMERS
from core.kit.errors import Conflict, Invalid, JishiError, NotFound
from core.kit.ids import MARKET_ID, new_id, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM, Audience
from tests.support.placed_orders import Placed, bearer, hold_order, place_order

STATUSES = ("unpaid", "paid", "accepted", "shipped", "completed", "closed")
PARCEL = ParcelIn("sf", "SF1234567890123")


async def run_timer(runtime: Any, name: str, order: Placed) -> None:
    """Have a timer called once, as the worker does."""
    async with runtime.tx(SYSTEM) as tx:
        await TIMERS[name](tx, msgspec.Raw(msgspec.json.encode(OrderTimer(order.merchant_id, order.id))))


async def timers_of(runtime: Any, order: Placed) -> list[tuple[str, datetime]]:
    """(event, due) of the timers that were set for the order, in the order in which they were."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select o.event, d.due_at from outbox o join delivery d on d.event_id = o.id"
            " where o.payload->>'order_id' = $1 and o.event like 'timer:%' order by o.id",
            str(order.id),
        )
    return [(row["event"], row["due_at"]) for row in rows]


async def status_of(runtime: Any, order: Placed) -> str:
    async with runtime.tx(SYSTEM) as tx:
        found: str = await tx.fetchval("select status from orders where id = $1", order.id)
    return found


async def stock_of(runtime: Any, order: Placed) -> list[tuple[int, int]]:
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select on_hand, reserved from stock where merchant_id = $1 order by sku_id", order.merchant_id
        )
    return [(row["on_hand"], row["reserved"]) for row in rows]


async def test_an_order_goes_from_paid_to_released_over_http(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    buyer = await bearer(runtime, Audience.SHOP, order.account_id)
    at = f"/api/merchant/orders/{order.ref}"

    accepted = await client.post(f"{at}/accept", headers=shop)
    assert (accepted.status_code, accepted.json()["status"]) == (200, "accepted")

    first = {
        "carrier": "SF",
        "waybill_no": " SF1234567890123 ",
        "lines": [{"line_id": ref(order.merchant_id, order.lines[0].id), "quantity": 1}],
    }
    part = await client.post(f"{at}/parcels", json=first, headers=shop)
    assert (part.status_code, part.json()["status"]) == (201, "accepted")
    assert await stock_of(runtime, order) == [(8, 1), (8, 1)]

    rest = await client.post(
        f"{at}/parcels", json={"carrier": "yto", "waybill_no": "YT1234567890123"}, headers=shop
    )
    assert (rest.status_code, rest.json()["status"]) == (201, "shipped")
    assert await stock_of(runtime, order) == [(7, 0), (7, 0)]
    parcels = rest.json()["parcels"]
    assert [(p["carrier"], p["waybill_no"], p["status"]) for p in parcels] == [
        ("sf", "SF1234567890123", "shipped"),
        ("yto", "YT1234567890123", "shipped"),
    ]
    assert [[line["quantity"] for line in p["lines"]] for p in parcels] == [[1], [1, 1]]

    done = await client.post(f"/api/shop/orders/{order.ref}/receive", headers=buyer)
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    assert [[e["status"] for e in p["events"]] for p in done.json()["parcels"]] == [
        ["shipped", "delivered"]
    ] * 2
    again = await client.post(f"/api/shop/orders/{order.ref}/receive", headers=buyer)
    assert (again.status_code, again.json()) == (200, done.json())

    events = [name for name, _ in await timers_of(runtime, order)]
    assert events == ["timer:auto_receive", "timer:release"]
    await run_timer(runtime, "release", order)
    assert (await client.get(at, headers=shop)).json()["released_at"] is not None


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("step", ["accept", "ship", "receive", "auto_receive", "release"])
async def test_every_step_in_every_status_moves_or_is_refused(runtime: Any, status: str, step: str) -> None:
    moves = {
        ("accept", "paid"): "accepted",
        ("ship", "accepted"): "shipped",
        ("receive", "shipped"): "completed",
        ("auto_receive", "shipped"): "completed",
    }
    quiet = {("receive", "completed")} | {(s, any_) for s in ("auto_receive", "release") for any_ in STATUSES}
    order = await place_order(runtime, status=status)
    outcome = "done"
    try:
        async with runtime.tx(SYSTEM) as tx:
            await _step(tx, step, order)
    except JishiError as refusal:
        outcome = refusal.code
    moved = (step, status) in moves
    assert outcome == ("done" if moved or (step, status) in quiet else "wrong_status")
    assert await status_of(runtime, order) == moves.get((step, status), status)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from order_log where order_id = $1", order.id) == int(moved)
        released = await tx.fetchval("select released_at is not null from orders where id = $1", order.id)
    assert released is ((step, status) == ("release", "completed"))


async def _step(tx: Tx, step: str, order: Placed) -> None:
    if step == "accept":
        await service.accept(tx, order.merchant_id, order.id, None)
    elif step == "ship":
        await service.ship(tx, order.merchant_id, order.id, PARCEL, None)
    elif step == "receive":
        await service.receive(tx, order.account_id, order.merchant_id, order.id)
    else:
        await TIMERS[step](tx, msgspec.Raw(msgspec.json.encode(OrderTimer(order.merchant_id, order.id))))


async def test_a_paid_order_must_be_accepted_before_it_ships(runtime: Any) -> None:
    order = await place_order(runtime)
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(Conflict, match="accept it first"):
            await service.ship(tx, order.merchant_id, order.id, PARCEL, None)


@pytest.mark.parametrize(("status", "step"), [("paid", "accept"), ("accepted", "ship")])
async def test_a_held_order_neither_is_accepted_nor_ships(runtime: Any, status: str, step: str) -> None:
    order = await place_order(runtime, status=status)
    await hold_order(runtime, order, "拼团未满")
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(Conflict, match="拼团未满") as refusal:
            await _step(tx, step, order)
    assert refusal.value.code == "on_hold"
    assert refusal.value.extra["holds"] == [{"plugin": "group_buy", "reason": "拼团未满"}]
    assert await status_of(runtime, order) == status


async def test_a_refused_parcel_leaves_no_trace(runtime: Any, client: Any) -> None:
    order = await place_order(runtime, status="accepted")
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    at, line = f"/api/merchant/orders/{order.ref}/parcels", ref(order.merchant_id, order.lines[0].id)
    good = {"carrier": "sf", "waybill_no": "SF1234567890123"}
    before = await stock_of(runtime, order)
    for body, status, code in (
        ({}, 422, "required"),
        ({"carrier": "pigeon", "waybill_no": "SF1234567890123"}, 422, "unknown_carrier"),
        ({"carrier": "sf", "waybill_no": "1"}, 422, "bad_waybill"),
        (good | {"lines": [{"line_id": line, "quantity": 3}]}, 422, "more_than_left"),
        (good | {"lines": [{"line_id": line, "quantity": 0}]}, 422, "invalid"),
        (good | {"lines": []}, 422, "invalid"),
        (good | {"lines": [{"line_id": ref(order.merchant_id, new_id()), "quantity": 1}]}, 404, "not_found"),
        (good | {"lines": [{"line_id": ref(new_id(), order.lines[0].id), "quantity": 1}]}, 404, "not_found"),
    ):
        answer = await client.post(at, json=body, headers=shop)
        problem = answer.json()
        codes = [problem["code"], *(e["code"] for e in problem.get("errors", []))]
        assert (answer.status_code, code in codes) == (status, True), (body, problem)
    assert await stock_of(runtime, order) == before
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from parcel") == 0


async def test_a_line_that_has_left_is_a_conflict_while_another_has_not(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    line = ParcelLineIn(ref(order.merchant_id, order.lines[0].id), 2)
    whole = msgspec.structs.replace(PARCEL, lines=[line])
    async with runtime.tx(SYSTEM) as tx:
        await service.ship(tx, order.merchant_id, order.id, whole, None)
        with pytest.raises(Conflict) as refusal:
            await service.ship(tx, order.merchant_id, order.id, whole, None)
    assert refusal.value.code == "nothing_left"
    assert await status_of(runtime, order) == "accepted"


async def test_pickup_and_service_parcels_need_no_carrier(runtime: Any) -> None:
    for kind in ("pickup", "service"):
        order = await place_order(runtime, status="accepted")
        async with runtime.tx(scopes.merchant(order.merchant_id)) as tx:
            await service.ship(
                tx, order.merchant_id, order.id, msgspec.convert({"kind": kind}, ParcelIn), None
            )
        assert await status_of(runtime, order) == "shipped"


async def test_strangers_neither_ship_nor_receive(runtime: Any, client: Any) -> None:
    order = await place_order(runtime, status="shipped")
    other_shop = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    stranger = await bearer(runtime, Audience.SHOP)
    for path, who in (
        (f"/api/merchant/orders/{order.ref}/accept", other_shop),
        (f"/api/merchant/orders/{order.ref}/parcels", other_shop),
        (f"/api/shop/orders/{order.ref}/receive", stranger),
    ):
        answer = await client.post(path, json={"carrier": "sf", "waybill_no": "SF123456"}, headers=who)
        assert answer.status_code == 404, path
    assert await status_of(runtime, order) == "shipped"


async def test_the_timer_to_receive_is_due_after_the_set_time(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    async with runtime.tx(scopes.merchant(order.merchant_id)) as tx:
        await service.ship(tx, order.merchant_id, order.id, PARCEL, None)
        due = tx.now + timedelta(seconds=runtime.env.settings.auto_receive)
    assert await timers_of(runtime, order) == [("timer:auto_receive", due)]
    await run_timer(runtime, "auto_receive", order)
    await run_timer(runtime, "auto_receive", order)
    assert await status_of(runtime, order) == "completed"
    assert [name for name, _ in await timers_of(runtime, order)] == ["timer:auto_receive", "timer:release"]


async def test_release_posts_commission_and_payable_once(runtime: Any) -> None:
    order = await place_order(runtime, status="completed", market_borne=300, commission=200)
    for _ in range(2):
        await run_timer(runtime, "release", order)
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select code, credit_owner, credit_kind, amount from ledger_transfer order by code"
        )
        assert await release.release(tx, order.merchant_id, order.id) is Outcome.NOT_DUE
    assert [tuple(row) for row in rows] == [
        ("release.commission", MARKET_ID, "revenue", 200),
        ("release.payable", order.merchant_id, "payable", 3800),
    ]


async def test_a_held_order_is_not_released_but_looked_at_again(runtime: Any) -> None:
    order = await place_order(runtime, status="completed")
    await hold_order(runtime, order)
    await run_timer(runtime, "release", order)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select released_at from orders where id = $1", order.id) is None
        assert await tx.fetchval("select count(*) from ledger_transfer") == 0
        await tx.execute("delete from order_hold")
        now = tx.now
    [(event, due)] = await timers_of(runtime, order)
    assert event == "timer:release"
    assert timedelta() < due - now <= HELD_RETRY
    await run_timer(runtime, "release", order)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select released_at from orders where id = $1", order.id) is not None


async def test_an_unknown_order_is_not_found(runtime: Any) -> None:
    async with runtime.tx(SYSTEM) as tx:
        for call in (
            service.accept(tx, new_id(), new_id(), None),
            service.ship(tx, new_id(), new_id(), PARCEL, None),
            service.receive(tx, new_id(), new_id(), new_id()),
            release.release(tx, new_id(), new_id()),
        ):
            with pytest.raises(NotFound):
                await call


async def test_a_parcel_by_express_needs_carrier_and_number_whatever_plugins_are_on(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(Invalid) as refusal:
            await service.ship(tx, order.merchant_id, order.id, ParcelIn(" ", ""), None)
    assert [e.field for e in refusal.value.extra["errors"]] == ["carrier", "waybill_no"]
