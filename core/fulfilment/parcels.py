"""Parcels are made: of what a shop ships, of services when an order is accepted, of goods that replace others."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import repository
from core.fulfilment.repository import Leaving
from core.fulfilment.rules import OpenLine
from core.fulfilment.schemas import ParcelIn
from core.kit.errors import FieldError, Invalid
from core.kit.ids import new_id
from core.kit.text import clean
from core.orders import planning
from core.types.events import ParcelEvent
from core.types.orders import ParcelDraft, PlanLine, Planning

# These are handed over to whoever has the code.
CODED = frozenset({"pickup", "service"})

_TEXT = {
    "express": "商家已发货",
    "instant": "商家已安排配送",
    "pickup": "商品可自提",
    "service": "服务可使用",
}
_REPLACED_TEXT = "商家已寄出换货商品"


def draft(
    row: asyncpg.Record,
    parcel: ParcelIn,
    lines: Sequence[tuple[UUID, int]],
    aftersale_id: UUID | None = None,
) -> ParcelDraft:
    """The parcel that a shop describes, of the order `row`. Raises `Invalid` for express without carrier or number."""
    made = ParcelDraft(
        id=new_id(),
        merchant_id=row["merchant_id"],
        order_id=row["id"],
        account_id=row["account_id"],
        kind=parcel.kind,
        carrier=plain(parcel.carrier).lower(),
        waybill_no=plain(parcel.waybill_no),
        lines=tuple(lines),
        place=plain(parcel.place),
        aftersale_id=aftersale_id,
    )
    check_waybill(made.kind, made.carrier, made.waybill_no)
    return made


def plain(text: str) -> str:
    """Without control characters and outer spaces."""
    return " ".join(clean(text).split())


def check_waybill(kind: str, carrier: str, waybill_no: str) -> None:
    """Raises `Invalid` (`required`) for a parcel by express without carrier or number."""
    if kind != "express":
        return
    given = {"carrier": carrier, "waybill_no": waybill_no}
    missing = [
        FieldError(name, "required", "Say who carries the parcel under which number.")
        for name, value in given.items()
        if not value
    ]
    if missing:
        raise Invalid("A parcel by express needs a carrier and a waybill number.", *missing)


async def leave(tx: Tx, drafts: Sequence[ParcelDraft]) -> None:
    """Parcels of one order, alike but for their content, leave if no plugin refuses. The stock is the caller's."""
    first = drafts[0]
    for one in drafts:
        for _, shipping in tx.hooks.of(hookspecs.parcel_shipping):
            await shipping(tx, one)
    coded = first.kind in CODED
    text = _REPLACED_TEXT if first.aftersale_id and not coded else _TEXT[first.kind]
    await repository.add_parcels(tx, Leaving(drafts, text, coded, first.aftersale_id))
    for one in drafts:
        tx.emit(hookspecs.parcel_shipped, ParcelEvent(one.merchant_id, one.order_id, one.id, one.account_id))


async def plan(
    tx: Tx,
    row: asyncpg.Record,
    lines: Sequence[tuple[OpenLine, int]],
    aftersale_id: UUID | None = None,
) -> None:
    """Have places found for units of the order `row`, finally. Raises `Conflict` (`bad_plan`)."""

    def wanted() -> list[Planning]:
        return [
            Planning(
                "final",
                row["merchant_id"],
                row["id"],
                row["account_id"],
                tuple(
                    PlanLine(line.id, line.product_id, line.sku_id, quantity, line.requires_shipping)
                    for line, quantity in lines
                ),
                row["province"],
                row["city"],
                row["district"],
                aftersale_id,
            )
        ]

    await planning.plan(tx, wanted)
