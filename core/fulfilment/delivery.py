"""Parcels on their way: what is heard of them, their arrival, and another waybill."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import parcels, repository
from core.fulfilment.schemas import PlanOut, PlanPartOut, WaybillIn
from core.kit.errors import Conflict, NotFound
from core.kit.ids import ref
from core.orders import service as orders
from core.types.events import ParcelEvent
from core.types.orders import WaybillChange

# How often the waybill of one parcel may be changed.
MOST_CHANGES = 3
_MOST_TEXT = 200
_DELIVERED_TEXT = "已送达"


async def parcel_event(tx: Tx, merchant_id: UUID, parcel_id: UUID, status_text: str, at: datetime) -> None:
    """A carrier's news of a parcel, for whoever looks at it; the same news again changes nothing. `at` has a time zone;
    of `status_text` the first 200 characters are kept. In the merchant's or the system scope. Raises `NotFound`."""
    await _parcel(tx, merchant_id, parcel_id)
    if text := parcels.plain(status_text)[:_MOST_TEXT]:
        await repository.news(tx, merchant_id, parcel_id, at, text)


async def parcel_delivered(tx: Tx, merchant_id: UUID, parcel_id: UUID, at: datetime, text: str = "") -> None:
    """A parcel has arrived; again changes nothing. The buyer still confirms the order, or it is received by itself. `at`
    has a time zone. In the merchant's or the system scope.

    Raises `NotFound`; `Conflict` (`not_redeemed`) for one that is handed over by its code only, `code_voided`.
    """
    parcel = await _parcel(tx, merchant_id, parcel_id)
    if parcel["status"] == "ready":
        raise Conflict("This parcel is handed over by its code only.", code="not_redeemed")
    if parcel["status"] == "voided":
        raise Conflict("What was in this parcel has been refunded.", code="code_voided")
    shown = parcels.plain(text)[:_MOST_TEXT] or _DELIVERED_TEXT
    if await repository.deliver(tx, merchant_id, parcel_id, at, shown):
        event = ParcelEvent(merchant_id, parcel["order_id"], parcel_id, parcel["account_id"])
        tx.emit(hookspecs.parcel_delivered, event)


async def deliver(tx: Tx, merchant_id: UUID, order_id: UUID, parcel_id: UUID, text: str) -> None:
    """The shop says that a parcel of the order has arrived. Raises as `parcel_delivered`."""
    await _of_order(tx, merchant_id, order_id, parcel_id)
    await parcel_delivered(tx, merchant_id, parcel_id, tx.now, text)


async def change_waybill(tx: Tx, merchant_id: UUID, order_id: UUID, parcel_id: UUID, data: WaybillIn) -> None:
    """Give a parcel on its way another carrier or number; what it has already changes nothing and is not counted.

    Raises `NotFound`; `Conflict`: `wrong_kind` for one without a waybill, `wrong_status` for one that has arrived,
    `too_late` after settings.waybill_changes seconds, `too_many_changes` after three; `Invalid` and whatever a plugin
    refuses.
    """
    parcel = await _of_order(tx, merchant_id, order_id, parcel_id)
    _check_changeable(parcel)
    carrier = parcel["carrier"] if data.carrier is None else parcels.plain(data.carrier).lower()
    waybill_no = parcel["waybill_no"] if data.waybill_no is None else parcels.plain(data.waybill_no)
    if (carrier, waybill_no) == (parcel["carrier"], parcel["waybill_no"]):
        return
    parcels.check_waybill(parcel["kind"], carrier, waybill_no)
    _check_limits(tx, parcel)
    change = WaybillChange(
        merchant_id,
        order_id,
        parcel_id,
        parcel["account_id"],
        parcel["kind"],
        carrier,
        waybill_no,
        parcel["carrier"],
        parcel["waybill_no"],
    )
    for _, changing in tx.hooks.of(hookspecs.parcel_changing):
        await changing(tx, change)
    old, new = _named(parcel["carrier"], parcel["waybill_no"]), _named(carrier, waybill_no)
    await repository.reroute(tx, merchant_id, parcel_id, carrier, waybill_no, f"运单由 {old} 改为 {new}")


async def plans(tx: Tx, merchant_id: UUID, order_id: UUID) -> PlanOut:
    """Which places ship which units of the order. Raises `NotFound`."""
    if not await orders.buyers_of(tx, merchant_id, [order_id]):
        raise NotFound("No such order.")
    return PlanOut(
        [
            PlanPartOut(
                ref(merchant_id, row["line_id"]),
                row["quantity"],
                row["plugin"],
                row["place"],
                row["stage"],
                ref(merchant_id, row["aftersale_id"]) if row["aftersale_id"] else None,
                row["created_at"],
            )
            for row in await repository.plans(tx, merchant_id, order_id)
        ]
    )


def _named(carrier: str, waybill_no: str) -> str:
    return f"{carrier} {waybill_no}".strip() or "无"


def _check_changeable(parcel: asyncpg.Record) -> None:
    if parcel["kind"] in parcels.CODED:
        raise Conflict("A parcel that is handed over by its code has no waybill.", code="wrong_kind")
    if parcel["status"] != "shipped":
        raise Conflict(
            "The parcel has arrived; its waybill stays as it is.",
            code="wrong_status",
            parcel_status=parcel["status"],
        )


def _check_limits(tx: Tx, parcel: asyncpg.Record) -> None:
    seconds = tx.env.settings.waybill_changes
    if tx.now > parcel["shipped_at"] + timedelta(seconds=seconds):
        raise Conflict(
            f"A waybill can be changed within {seconds} seconds of shipping only.", code="too_late"
        )
    if parcel["changes"] >= MOST_CHANGES:
        raise Conflict(f"This waybill was changed {MOST_CHANGES} times already.", code="too_many_changes")


async def _parcel(tx: Tx, merchant_id: UUID, parcel_id: UUID) -> asyncpg.Record:
    row = await repository.parcel(tx, merchant_id, parcel_id)
    if row is None:
        raise NotFound("No such parcel.")
    return row


async def _of_order(tx: Tx, merchant_id: UUID, order_id: UUID, parcel_id: UUID) -> asyncpg.Record:
    row = await _parcel(tx, merchant_id, parcel_id)
    if row["order_id"] != order_id:
        raise NotFound("No such parcel.")
    return row
