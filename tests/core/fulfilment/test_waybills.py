"""Another waybill for a parcel on its way; which places plan what; goods that replace others."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core import hookspecs
from core.fulfilment import delivery, service
from core.fulfilment.schemas import ParcelIn, WaybillIn
from core.kit.errors import Conflict, Invalid, JishiError, NotFound
from core.kit.ids import new_id, ref
from core.orders import planning
from core.types.orders import PlanLine, PlannedPart, Planning
from core.types.scope import SYSTEM, Audience
from tests.support.handover import EXPRESS, PICKUP, accept, codes_of, parcels_of, ship
from tests.support.placed_orders import Placed, bearer, place_order
from tests.support.refunds import hook

Planner = Callable[[Any, Planning], Awaitable[Sequence[PlannedPart]]]


async def sent(runtime: Any) -> tuple[Placed, UUID]:
    order = await place_order(runtime, status="accepted")
    return order, await ship(runtime, order, EXPRESS)


async def change(runtime: Any, order: Placed, parcel: UUID, data: WaybillIn, later: float = 0) -> str:
    """What came of asking for another waybill, `later` seconds after now."""
    try:
        async with runtime.tx(SYSTEM) as tx:
            tx.now += timedelta(seconds=later)
            await delivery.change_waybill(tx, order.merchant_id, order.id, parcel, data)
    except Invalid as refusal:
        return ",".join(error.code for error in refusal.extra["errors"])
    except JishiError as refusal:
        return refusal.code
    return "done"


async def test_parcel_changing_is_asked_and_the_parcels_way_tells_both_numbers(
    runtime: Any, client: Any
) -> None:
    order, parcel = await sent(runtime)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    at = f"/api/merchant/orders/{order.ref}/parcels/{ref(order.merchant_id, parcel)}"
    for body, status, code in (
        ({"carrier": "pigeon"}, 422, "unknown_carrier"),
        ({"waybill_no": "1"}, 422, "bad_waybill"),
        ({"waybill_no": " "}, 422, "required"),
        ({"waybill_no": "x" * 65}, 422, "invalid"),
    ):
        answer = await client.patch(at, json=body, headers=shop)
        problem = answer.json()
        assert answer.status_code == status
        assert code in [problem["code"], *(e["code"] for e in problem.get("errors", []))], problem
    done = await client.patch(at, json={"carrier": "YTO", "waybill_no": " YT7654321 "}, headers=shop)
    [shown] = done.json()["parcels"]
    assert (done.status_code, shown["carrier"], shown["waybill_no"]) == (200, "yto", "YT7654321")
    assert shown["events"][-1]["status"] == "changed"
    assert shown["events"][-1]["text"] == "运单由 sf SF1234567890123 改为 yto YT7654321"
    stranger = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    assert (await client.patch(at, json={"carrier": "sf"}, headers=stranger)).status_code == 404
    other, _ = await sent(runtime)
    foreign = f"/api/merchant/orders/{order.ref}/parcels/{ref(other.merchant_id, parcel)}"
    assert (await client.patch(foreign, json={"carrier": "sf"}, headers=shop)).status_code == 404


async def test_a_waybill_is_changed_three_times_at_most_and_the_same_again_does_not_count(
    runtime: Any,
) -> None:
    order, parcel = await sent(runtime)
    for number in ("SF000001", "SF000001", "SF000002", "SF000002", "SF000003", "SF000003"):
        assert await change(runtime, order, parcel, WaybillIn(waybill_no=number)) == "done"
    assert await change(runtime, order, parcel, WaybillIn(waybill_no="SF000004")) == "too_many_changes"
    [row] = await parcels_of(runtime, order)
    assert (row["waybill_no"], row["changes"]) == ("SF000003", 3)


async def test_a_waybill_is_changed_in_time_or_not_at_all(runtime: Any) -> None:
    order, parcel = await sent(runtime)
    seconds = runtime.env.settings.waybill_changes
    other = WaybillIn(waybill_no="SF000001")
    assert await change(runtime, order, parcel, other, seconds + 5) == "too_late"
    assert await change(runtime, order, parcel, other, seconds - 60) == "done"


async def test_a_rider_needs_no_number_and_what_is_fetched_has_none(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    parcel = await ship(runtime, order, ParcelIn(kind="instant"))
    assert await change(runtime, order, parcel, WaybillIn(carrier="rider 7")) == "done"
    picked = await place_order(runtime, status="accepted")
    parcel = await ship(runtime, picked, PICKUP)
    assert await change(runtime, picked, parcel, WaybillIn(carrier="rider 7")) == "wrong_kind"


# Planning.


def answers(*parts: tuple[int, int, str], seen: list[Planning] | None = None) -> Planner:
    """A plugin that answers (place of the line among those asked for, quantity, place)."""

    async def plan(_: Any, planning: Planning) -> list[PlannedPart]:
        if seen is not None:
            seen.append(planning)
        return [PlannedPart(planning.lines[line].line_id, quantity, place) for line, quantity, place in parts]

    return plan


async def test_parcel_planning_asks_each_plugin_for_what_others_left(runtime: Any, client: Any) -> None:
    order, seen = await place_order(runtime, lines=((3, 500), (1, 3000))), list[Planning]()
    hook(
        runtime,
        hookspecs.parcel_planning,
        ("b", answers((0, 1, "north"), (1, 1, "north"), seen=seen)),
        ("a", answers((0, 2, "south"), seen=seen)),
        ("c", answers(seen=seen)),
    )
    await accept(runtime, order)
    assert [[line.quantity for line in planning.lines] for planning in seen] == [[3, 1], [1, 1]]
    assert {(p.stage, p.province, p.aftersale_id) for p in seen} == {("final", "重庆市", None)}
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    at = f"/api/merchant/orders/{order.ref}/plan"
    plan = (await client.get(at, headers=shop)).json()["items"]
    assert [(p["plugin"], p["place"], p["quantity"], p["stage"]) for p in plan] == [
        ("a", "south", 2, "final"),
        ("b", "north", 1, "final"),
        ("b", "north", 1, "final"),
    ]
    stranger = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    assert (await client.get(at, headers=stranger)).status_code == 404


@pytest.mark.parametrize("parts", [((0, 3, "x"),), ((0, 1, "x"), (0, 2, "x")), ((0, 0, "x"),), ((0, 1, ""),)])
async def test_an_answer_that_cannot_be_names_the_plugin_and_accepts_nothing(
    runtime: Any, parts: tuple[tuple[int, int, str], ...]
) -> None:
    order = await place_order(runtime)
    hook(runtime, hookspecs.parcel_planning, ("warehouse", answers(*parts)))
    with pytest.raises(Conflict, match="warehouse") as refusal:
        await accept(runtime, order)
    assert (refusal.value.code, refusal.value.extra["plugin"]) == ("bad_plan", "warehouse")
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select status from orders where id = $1", order.id) == "paid"


async def test_a_line_that_was_not_asked_for_is_refused() -> None:
    line = PlanLine(new_id(), new_id(), new_id(), 1, requires_shipping=True)
    with pytest.raises(Conflict, match="not asked for"):
        planning.subtract("warehouse", [line], [PlannedPart(new_id(), 1, "x")])


async def test_without_a_plugin_that_plans_nothing_is_read_or_written(runtime: Any) -> None:
    async with runtime.tx(SYSTEM) as tx:
        await planning.plan(tx, lambda: pytest.fail("nobody asks"))
        assert tx.statements == 0


async def test_plans_of_many_orders_are_kept_in_one_statement(runtime: Any) -> None:
    first, second = await place_order(runtime), await place_order(runtime)
    hook(runtime, hookspecs.parcel_planning, ("warehouse", answers((0, 1, "north"))))
    async with runtime.tx(SYSTEM) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        await planning.plan(tx, lambda: [_provisional(first), _provisional(second)])
        assert tx.statements == before + 1
        assert await tx.fetchval("select count(*) from parcel_plan where stage = 'provisional'") == 2


def _provisional(order: Placed) -> Planning:
    lines = tuple(PlanLine(x.id, new_id(), x.sku_id, x.quantity, requires_shipping=True) for x in order.lines)
    return Planning("provisional", order.merchant_id, order.id, order.account_id, lines, "", "", "")


# Replacements.


async def replace(runtime: Any, order: Placed, case: UUID, parcel: ParcelIn, *units: tuple[int, int]) -> UUID:
    """A replacement of (place of the line, quantity) leaves."""
    lines = [(order.lines[place].id, quantity) for place, quantity in units]
    async with runtime.tx(SYSTEM) as tx:
        return await service.ship_replacement(tx, order.merchant_id, order.id, case, lines, parcel, None)


async def test_a_replacement_leaves_what_is_not_reserved_and_the_order_as_it_is(runtime: Any) -> None:
    order, _ = await sent(runtime)
    case, seen = new_id(), list[Planning]()
    hook(runtime, hookspecs.parcel_planning, ("warehouse", answers((0, 1, "north"), seen=seen)))
    await replace(runtime, order, case, EXPRESS, (0, 2))
    [planned] = seen
    assert (planned.stage, planned.aftersale_id) == ("final", case)
    assert [(line.line_id, line.quantity) for line in planned.lines] == [(order.lines[0].id, 2)]
    original, replacement = await parcels_of(runtime, order)
    assert (original["aftersale_id"], replacement["aftersale_id"]) == (None, case)
    async with runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow(
            "select l.shipped_quantity, s.on_hand, s.reserved from order_line l join stock s using (merchant_id, sku_id)"
            " where l.id = $1",
            order.lines[0].id,
        )
        assert tuple(row) == (2, 5, 0)
        moves = await tx.fetch(
            "select on_hand_delta, reserved_delta, reason from stock_move order by id desc limit 1"
        )
        assert [tuple(move) for move in moves] == [(-2, 0, "replaced")]
        await service.receive(tx, order.account_id, order.merchant_id, order.id)
    assert [row["status"] for row in await parcels_of(runtime, order)] == ["delivered", "shipped"]


async def test_a_replacement_is_refused_when_only_reserved_goods_are_there(runtime: Any) -> None:
    order, _ = await sent(runtime)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update stock set reserved = 6 where sku_id = $1", order.lines[0].sku_id)
    with pytest.raises(Conflict) as refusal:
        await replace(runtime, order, new_id(), EXPRESS, (0, 2), (1, 1))
    assert refusal.value.code == "out_of_stock"
    assert refusal.value.extra["skus"] == [ref(order.merchant_id, order.lines[0].sku_id)]
    assert len(await parcels_of(runtime, order)) == 1
    await replace(runtime, order, new_id(), EXPRESS, (0, 1))


async def test_what_cannot_be_a_replacement_is_refused(runtime: Any) -> None:
    order, _ = await sent(runtime)
    for units in ((), ((0, 1), (0, 1)), ((0, 0),)):
        with pytest.raises(Invalid):
            await replace(runtime, order, new_id(), EXPRESS, *units)
    other, _ = await sent(runtime)
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(NotFound):
            await service.ship_replacement(
                tx, order.merchant_id, order.id, new_id(), [(other.lines[0].id, 1)], EXPRESS, None
            )


async def test_a_replacement_that_is_fetched_has_a_code_which_no_refund_withdraws(runtime: Any) -> None:
    order, _ = await sent(runtime)
    await replace(runtime, order, new_id(), PICKUP, (0, 1))
    async with runtime.tx(SYSTEM) as tx:
        taken = await service.withdraw(tx, order.merchant_id, order.id, [(order.lines[0].id, 1)])
        assert taken == {}
        await service.receive(tx, order.account_id, order.merchant_id, order.id)
    assert len(await codes_of(runtime, order)) == 1
