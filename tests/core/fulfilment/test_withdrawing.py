"""Refunds of what waits to be fetched: its codes are void, and what nobody fetched is still with the shop."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.aftersales import service as aftersales
from core.fulfilment import service
from core.fulfilment.schemas import ParcelLineIn
from core.kit.ids import new_id, ref
from core.types.scope import SYSTEM
from tests.support.handover import (
    EXPRESS,
    PICKUP,
    accept,
    codes_of,
    order_of,
    parcels_of,
    ready_for_pickup,
    redeem,
    refusal_of,
    serviced,
    ship,
    virtual,
)
from tests.support.placed_orders import Placed, place_order


async def withdraw(runtime: Any, order: Placed, *units: tuple[int, int]) -> dict[int, int]:
    """Withdraw (place of the line, quantity); how many of which line that took."""
    places = {line.id: place for place, line in enumerate(order.lines)}
    async with runtime.tx(SYSTEM) as tx:
        await tx.fetchval("select 1 from orders where id = $1 for update", order.id)
        taken = await service.withdraw(
            tx, order.merchant_id, order.id, [(order.lines[place].id, n) for place, n in units]
        )
    return {places[line]: quantity for line, quantity in taken.items()}


async def test_what_is_left_refunded_completes_an_order_whose_codes_are_all_used(runtime: Any) -> None:
    order = await place_order(runtime)
    await virtual(runtime, order, 0)
    await accept(runtime, order)
    for code in await codes_of(runtime, order):
        assert (await redeem(runtime, order, code)).order_status == "accepted"
    async with runtime.tx(SYSTEM) as tx:
        await service.all_shipped(tx, order.merchant_id, order.id, None, "the rest refunded")
    assert (await order_of(runtime, order))["status"] == "completed"


async def test_withdrawing_takes_the_newest_codes_first_and_never_used_ones(runtime: Any) -> None:
    order = await serviced(runtime, (3, 500), (30, 100))
    first, second, third, many = await codes_of(runtime, order)
    await redeem(runtime, order, first)
    assert await withdraw(runtime, order, (0, 1), (1, 10)) == {0: 1, 1: 10}
    assert [(row["status"], row["quantity"]) for row in await parcels_of(runtime, order)] == [
        ("delivered", 1),
        ("ready", 1),
        ("voided", 1),
        ("ready", 20),
    ]
    assert await refusal_of(runtime, order, third) == "code_voided"
    assert await withdraw(runtime, order, (0, 5)) == {0: 1}, "one was used, two are refunded"
    assert await refusal_of(runtime, order, second) == "code_voided"
    assert (await redeem(runtime, order, many)).order_status == "completed"
    assert await withdraw(runtime, order, (0, 1), (1, 1)) == {}


async def test_withdrawing_the_last_code_completes_the_order(runtime: Any) -> None:
    order = await serviced(runtime, (2, 500))
    first, _ = await codes_of(runtime, order)
    await redeem(runtime, order, first)
    await withdraw(runtime, order, (0, 1))
    assert (await order_of(runtime, order))["status"] == "completed"


async def test_withdrawing_part_of_a_parcel_of_several_lines_leaves_the_others(runtime: Any) -> None:
    order = await ready_for_pickup(runtime)
    assert await withdraw(runtime, order, (1, 1)) == {1: 1}
    [parcel] = await parcels_of(runtime, order)
    assert (parcel["status"], parcel["quantity"]) == ("ready", 2)
    assert await withdraw(runtime, order, (0, 1)) == {0: 1}
    assert await withdraw(runtime, order, (0, 1)) == {0: 1}
    [parcel] = await parcels_of(runtime, order)
    assert parcel["status"] == "voided"


async def test_withdrawing_leaves_parcels_on_their_way_alone(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    await ship(runtime, order, EXPRESS)
    assert await withdraw(runtime, order, (0, 2), (1, 1)) == {}
    assert (await order_of(runtime, order))["status"] == "shipped"


@pytest.mark.parametrize(("status", "units", "outcome"), [
    ("applied", 1, "redeemed"), ("applied", 2, "refund_pending"), ("arbitration", 2, "refund_pending"),
    ("refused", 2, "redeemed"), ("done", 2, "redeemed"),
])  # fmt: skip
async def test_units_that_the_buyer_wants_refunded_are_not_handed_over(
    runtime: Any, status: str, units: int, outcome: str
) -> None:
    order = await serviced(runtime, (2, 500))
    case = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into aftersale (merchant_id, id, order_id, trade_id, account_id, number, kind, status, reason, created_at,"
            " updated_at, closed_at) values ($1, $2, $3, $4, $5, 'A1', 'refund_only', $6, 'x', $7, $7,"
            " case when $6 = 'done' then $7::timestamptz end)",
            order.merchant_id, case, order.id, order.trade_id, order.account_id, status, tx.now,
        )  # fmt: skip
        await tx.execute(
            "insert into aftersale_line (merchant_id, aftersale_id, line_id, account_id, quantity) values ($1, $2, $3, $4, $5)",
            order.merchant_id, case, order.lines[0].id, order.account_id, units,
        )  # fmt: skip
    code, _ = await codes_of(runtime, order)
    if outcome == "redeemed":
        await redeem(runtime, order, code)
    else:
        assert await refusal_of(runtime, order, code) == outcome


async def test_goods_that_came_back_leave_codes_for_what_the_buyer_keeps(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted", lines=((3, 500),))
    line = ref(order.merchant_id, order.lines[0].id)
    await ship(runtime, order, msgspec.structs.replace(EXPRESS, lines=[ParcelLineIn(line, 1)]))
    await ship(runtime, order, PICKUP)

    async def refunded(count: int) -> dict[UUID, int]:
        async with runtime.tx(SYSTEM) as tx:
            await tx.execute(
                "update order_line set refunded_quantity = $2 where id = $1", order.lines[0].id, count
            )
            units = [(order.lines[0].id, 1)]
            return await service.withdraw(tx, order.merchant_id, order.id, units, [order.lines[0].id])

    assert await refunded(1) == {}, "the unit that came by express went back"
    assert await refunded(2) == {order.lines[0].id: 1}
    assert [(row["status"], row["quantity"]) for row in await parcels_of(runtime, order)] == [
        ("shipped", 1),
        ("ready", 1),
    ]


@pytest.mark.parametrize("restock", [False, True])
async def test_a_refund_voids_codes_and_what_nobody_fetched_is_on_hand_again(
    runtime: Any, restock: bool
) -> None:
    order = await ready_for_pickup(runtime)
    [code] = await codes_of(runtime, order)
    async with runtime.tx(SYSTEM) as tx:
        await aftersales.decide(
            tx, order.merchant_id, order.id, None, shipping=None, restock=restock, origin="system", actor_id=None, reason="x"
        )  # fmt: skip
        stock = await tx.fetch(
            "select on_hand, reserved from stock where merchant_id = $1 order by sku_id", order.merchant_id
        )
    assert [tuple(row) for row in stock] == [(9, 0), (8, 0)]
    assert await refusal_of(runtime, order, code) == "code_voided"
    assert (await order_of(runtime, order))["status"] == "completed"
