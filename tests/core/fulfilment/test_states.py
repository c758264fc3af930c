"""Every event of an order in every state: what it makes of it, or the code with which it is refused."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.aftersales import service as aftersales
from core.checkout.close import close_trade
from core.db.tx import Tx
from core.fulfilment import delivery, redemption, service
from core.fulfilment.schemas import WaybillIn
from core.fulfilment.service import OrderTimer
from core.fulfilment.timers import TIMERS
from core.kit.errors import JishiError
from core.kit.ids import new_id
from core.orders import repository as order_rows
from core.types.scope import SYSTEM
from tests.support.handover import EXPRESS, PICKUP, codes_of, parcels_of, ship
from tests.support.placed_orders import Placed, place_order

NO_CODE = "000000000000"

# State: the order's status, how its only parcel left, and how it ended.
STATES = {
    "unpaid": ("unpaid", None, None),
    "paid": ("paid", None, None),
    "accepted": ("accepted", None, None),
    "on its way": ("accepted", EXPRESS, None),
    "delivered": ("accepted", EXPRESS, "deliver"),
    "ready": ("accepted", PICKUP, None),
    "voided": ("accepted", PICKUP, "withdraw"),
    "received": ("accepted", EXPRESS, "receive"),
    "redeemed": ("accepted", PICKUP, "redeem"),
    "closed": ("closed", None, None),
}
STATUS = {
    "on its way": "shipped",
    "delivered": "shipped",
    "ready": "shipped",
    "voided": "completed",
    "received": "completed",
    "redeemed": "completed",
}


class Case(msgspec.Struct, frozen=True):
    """An order in a state, its parcel and its code; ids and codes of nothing when it has none."""

    order: Placed
    parcel: UUID
    code: str


def _timer(case: Case) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(OrderTimer(case.order.merchant_id, case.order.id)))


async def _withdraw(tx: Tx, case: Case) -> None:
    order = case.order
    await order_rows.locked(tx, order.merchant_id, order.id)
    units = [(line.id, line.quantity) for line in order.lines]
    await service.withdraw(tx, order.merchant_id, order.id, units)


async def _refund(tx: Tx, case: Case) -> None:
    await aftersales.decide(
        tx,
        case.order.merchant_id,
        case.order.id,
        None,
        shipping=None,
        restock=False,
        origin="system",
        actor_id=None,
        reason="test",
    )


EVENTS: dict[str, Callable[[Tx, Case], Awaitable[Any]]] = {
    "accept": lambda tx, c: service.accept(tx, c.order.merchant_id, c.order.id, None),
    "ship": lambda tx, c: service.ship(tx, c.order.merchant_id, c.order.id, EXPRESS, None),
    "deliver": lambda tx, c: delivery.deliver(tx, c.order.merchant_id, c.order.id, c.parcel, ""),
    "redeem": lambda tx, c: redemption.redeem(tx, c.order.merchant_id, c.code, None),
    "receive": lambda tx, c: service.receive(tx, c.order.account_id, c.order.merchant_id, c.order.id),
    "timer": lambda tx, c: TIMERS["auto_receive"](tx, _timer(c)),
    "change": lambda tx, c: delivery.change_waybill(
        tx, c.order.merchant_id, c.order.id, c.parcel, WaybillIn(waybill_no="SF000009")
    ),
    "withdraw": _withdraw,
    "close": lambda tx, c: close_trade(tx, c.order.account_id, c.order.trade_id, "test"),
    "refund": _refund,
}

# What happens instead of the rest of its row: the order's next status, or the refusal. All others are quiet.
MOVES = {
    ("accept", "paid"): "accepted",
    ("ship", "accepted"): "shipped",
    ("redeem", "ready"): "completed",
    ("receive", "on its way"): "completed",
    ("receive", "delivered"): "completed",
    ("timer", "on its way"): "completed",
    ("timer", "delivered"): "completed",
    ("withdraw", "ready"): "completed",
    ("close", "unpaid"): "closed",
    ("refund", "paid"): "closed",
    ("refund", "accepted"): "closed",
    ("refund", "ready"): "completed",
}
QUIET = {
    ("deliver", "on its way"), ("deliver", "delivered"), ("deliver", "received"), ("deliver", "redeemed"),
    ("receive", "received"), ("receive", "redeemed"), ("receive", "voided"),
    ("change", "on its way"), ("close", "closed"),
    ("refund", "on its way"), ("refund", "delivered"), ("refund", "received"), ("refund", "redeemed"),
    ("refund", "voided"),
} | {(event, state) for event in ("timer", "withdraw") for state in STATES}  # fmt: skip
REFUSED = {
    ("deliver", "ready"): "not_redeemed",
    ("deliver", "voided"): "code_voided",
    ("redeem", "voided"): "code_voided",
    ("redeem", "redeemed"): "code_used",
    ("receive", "ready"): "not_redeemed",
    ("change", "ready"): "wrong_kind",
    ("change", "voided"): "wrong_kind",
    ("change", "redeemed"): "wrong_kind",
}
# An order that has no parcel, or no code.
NOTHING = {("deliver", "not_found"), ("change", "not_found"), ("redeem", "not_found")}


def expected(event: str, state: str) -> str:
    """`done`, or the code of the refusal."""
    if (event, state) in MOVES or (event, state) in QUIET:
        return "done"
    if (event, state) in REFUSED:
        return REFUSED[event, state]
    kind = STATES[state][1]
    absent = kind is None if event in ("deliver", "change") else kind is not PICKUP
    return "not_found" if (event, "not_found") in NOTHING and absent else "wrong_status"


async def _made(runtime: Any, state: str) -> Case:
    status, parcel, end = STATES[state]
    order = await place_order(runtime, status=status)
    if parcel is None:
        return Case(order, new_id(), NO_CODE)
    parcel_id = await ship(runtime, order, parcel)
    codes = await codes_of(runtime, order)
    case = Case(order, parcel_id, codes[0] if codes else NO_CODE)
    if end is not None:
        async with runtime.tx(SYSTEM) as tx:
            await EVENTS[end](tx, case)
    return case


async def _stock(runtime: Any, case: Case) -> list[tuple[int, int]]:
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select on_hand, reserved from stock where merchant_id = $1 order by sku_id",
            case.order.merchant_id,
        )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("state", STATES)
async def test_every_event_in_this_state_moves_the_order_or_is_refused_or_is_harmless(
    runtime: Any, state: str
) -> None:
    for name, event in EVENTS.items():
        case = await _made(runtime, state)
        before, stock = STATUS.get(state, state), await _stock(runtime, case)
        outcome = "done"
        try:
            async with runtime.tx(SYSTEM) as tx:
                assert await tx.fetchval("select status from orders where id = $1", case.order.id) == before
                await event(tx, case)
        except JishiError as refusal:
            outcome = refusal.code
        assert outcome == expected(name, state), (name, state)
        async with runtime.tx(SYSTEM) as tx:
            after = await tx.fetchval("select status from orders where id = $1", case.order.id)
        assert after == MOVES.get((name, state), before), (name, state)
        if name not in ("ship", "close", "refund"):
            assert await _stock(runtime, case) == stock, (name, state)


@pytest.mark.parametrize("state", STATES)
async def test_every_event_done_twice_is_refused_or_harmless_the_second_time(
    runtime: Any, state: str
) -> None:
    for name, event in EVENTS.items():
        case = await _made(runtime, state)
        if expected(name, state) != "done":
            continue
        async with runtime.tx(SYSTEM) as tx:
            await event(tx, case)
        seen = await _seen(runtime, case)
        outcome = "done"
        try:
            async with runtime.tx(SYSTEM) as tx:
                await event(tx, case)
        except JishiError as refusal:
            outcome = refusal.code
        assert outcome in ("done", "wrong_status", "code_used", "nothing_left"), (name, state)
        assert await _seen(runtime, case) == seen, (name, state)


async def _seen(runtime: Any, case: Case) -> list[Any]:
    parcels = await parcels_of(runtime, case.order)
    async with runtime.tx(SYSTEM) as tx:
        logs = await tx.fetchval("select count(*) from order_log where order_id = $1", case.order.id)
        events = await tx.fetchval("select count(*) from parcel_event where parcel_id = $1", case.parcel)
        refunds = await tx.fetchval("select count(*) from refund where order_id = $1", case.order.id)
    return [
        *[(row["status"], row["quantity"], row["changes"]) for row in parcels],
        logs,
        events,
        refunds,
        await _stock(runtime, case),
    ]
