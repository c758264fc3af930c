"""From an order that is paid to one whose money is released: accept, ship, receive, release."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import repository, rules
from core.fulfilment.schemas import ParcelIn
from core.inventory import service as inventory
from core.kit.errors import FieldError, Invalid, NotFound
from core.kit.ids import new_id, parse_pair
from core.orders import service as orders
from core.types.events import ParcelEvent
from core.types.orders import ParcelDraft

_SHIPPED_TEXT = {"express": "商家已发货", "pickup": "商品可自提", "service": "服务可使用"}
_DELIVERED_TEXT = "买家已确认收货"


class OrderTimer(msgspec.Struct, frozen=True):
    """The order that a timer is about."""

    merchant_id: UUID
    order_id: UUID


async def accept(tx: Tx, merchant_id: UUID, order_id: UUID, actor_id: UUID | None) -> None:
    """The merchant takes a paid order on.

    Raises `NotFound`, `Conflict`: `on_hold` while something holds it, `wrong_status` unless it is paid.
    """
    # The lock keeps a hold from slipping in between the look at the holds and the move.
    await orders.locked(tx, merchant_id, order_id)
    await orders.refuse_held(tx, merchant_id, order_id)
    row = await orders.transition(
        tx,
        merchant_id,
        order_id,
        ("paid",),
        "accepted",
        actor_id=actor_id,
        reason="accepted",
        stamp="accepted_at",
    )
    tx.emit(hookspecs.order_accepted, orders.event_of(row))


async def ship(tx: Tx, merchant_id: UUID, order_id: UUID, parcel: ParcelIn, actor_id: UUID | None) -> UUID:
    """A parcel leaves: its units leave the stock, and with the last of them the order is shipped.

    The answer is the parcel's id. Raises `NotFound`; `Conflict`: `wrong_status` unless the order is accepted,
    `on_hold`, `nothing_left`; `Invalid` for more units than are left and whatever a plugin refuses.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    _check_shippable(row)
    await orders.refuse_held(tx, merchant_id, order_id)
    lines = await repository.open_lines(tx, merchant_id, order_id)
    packed = rules.pack(lines, _wanted(merchant_id, parcel))
    draft = ParcelDraft(
        id=new_id(),
        merchant_id=merchant_id,
        order_id=order_id,
        account_id=row["account_id"],
        kind=parcel.kind,
        carrier=parcel.carrier.strip().lower(),
        waybill_no=parcel.waybill_no.strip(),
        lines=tuple((line.id, quantity) for line, quantity in packed),
    )
    _check_express(draft)
    for _, shipping in tx.hooks.of(hookspecs.parcel_shipping):
        await shipping(tx, draft)
    await repository.add_parcel(tx, draft, _SHIPPED_TEXT[draft.kind])
    await inventory.ship(tx, merchant_id, [(line.sku_id, quantity) for line, quantity in packed], draft.id)
    if sum(quantity for _, quantity in packed) == sum(line.left for line in lines):
        await all_shipped(tx, merchant_id, order_id, actor_id)
    tx.emit(hookspecs.parcel_shipped, ParcelEvent(merchant_id, order_id, draft.id, draft.account_id))
    return draft.id


def _check_shippable(row: asyncpg.Record) -> None:
    status: str = row["status"]
    if status == "paid":
        raise orders.wrong_status(status, "The order is paid; accept it first.")
    if status != "accepted":
        raise orders.wrong_status(status, f"The order is {status}; only an accepted order can be shipped.")


def _wanted(merchant_id: UUID, parcel: ParcelIn) -> Sequence[tuple[UUID, int]] | None:
    if parcel.lines is None:
        return None
    wanted = [(*parse_pair(line.line_id), line.quantity) for line in parcel.lines]
    if any(owner != merchant_id for owner, _, _ in wanted):
        raise NotFound("This order has no such line.")
    return [(line_id, quantity) for _, line_id, quantity in wanted]


def _check_express(draft: ParcelDraft) -> None:
    if draft.kind != "express":
        return
    given = {"carrier": draft.carrier, "waybill_no": draft.waybill_no}
    missing = [
        FieldError(name, "required", "Say who carries the parcel under which number.")
        for name, value in given.items()
        if not value
    ]
    if missing:
        raise Invalid("A parcel by express needs a carrier and a waybill number.", *missing)


async def all_shipped(
    tx: Tx, merchant_id: UUID, order_id: UUID, actor_id: UUID | None, reason: str = "all shipped"
) -> None:
    """Nothing of an accepted order is left to ship, be it that the last parcel left or that the rest was refunded: it is
    shipped, and is received by itself after a while. Raises `NotFound`, `Conflict` (`wrong_status`)."""
    await orders.transition(
        tx,
        merchant_id,
        order_id,
        ("accepted",),
        "shipped",
        actor_id=actor_id,
        reason=reason,
        stamp="shipped_at",
    )
    due = tx.now + timedelta(seconds=tx.env.settings.auto_receive)
    tx.schedule("core", "auto_receive", OrderTimer(merchant_id, order_id), due)


async def receive(tx: Tx, account_id: UUID, merchant_id: UUID, order_id: UUID) -> None:
    """The buyer confirms receipt of a shipped order. Once it is completed, again changes nothing.

    For the system scope. Raises `NotFound`, also for somebody else's order; `Conflict` (`wrong_status`).
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if row["account_id"] != account_id:
        raise NotFound("No such order.")
    if row["status"] != "completed":
        await complete(tx, merchant_id, order_id, account_id, "received")


async def complete(tx: Tx, merchant_id: UUID, order_id: UUID, actor_id: UUID | None, reason: str) -> None:
    """The buyer has everything: parcels are delivered and the after-sales window starts.

    For the system scope. Raises `NotFound`, `Conflict` (`wrong_status`) unless the order is shipped.
    """
    row = await orders.transition(
        tx,
        merchant_id,
        order_id,
        ("shipped",),
        "completed",
        actor_id=actor_id,
        reason=reason,
        stamp="completed_at",
    )
    await repository.deliver_parcels(tx, merchant_id, order_id, _DELIVERED_TEXT)
    tx.emit(hookspecs.order_completed, orders.event_of(row))
    due = tx.now + timedelta(seconds=tx.env.settings.aftersales_window)
    tx.schedule("core", "release", OrderTimer(merchant_id, order_id), due)
