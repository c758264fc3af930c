"""Goods are picked up and services are used: the buyer shows a code, the shop redeems it, once."""

from uuid import UUID

import asyncpg
import msgspec

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import repository, service
from core.fulfilment.schemas import RedeemedLine, RedemptionOut
from core.kit.errors import Conflict, NotFound
from core.kit.ids import ref
from core.orders import service as orders
from core.types.events import ParcelEvent

_TEXT = {"pickup": "已自提", "service": "已核销"}


class _Line(msgspec.Struct, frozen=True):
    id: UUID
    title: str
    specs: list[str]
    image_url: str | None
    quantity: int


_lines = msgspec.json.Decoder(list[_Line])


async def redeem(
    tx: Tx, merchant_id: UUID, code: str, actor_id: UUID | None, *, dry_run: bool = False
) -> RedemptionOut:
    """Hand over what a code is for; with `dry_run` only say what that is. With its last code, a shipped order of which
    nothing is on its way is completed. For the system scope.

    Raises `NotFound`, also for another shop's code; `Conflict`: `code_used` (with `used_at`), `code_voided` after a refund,
    `on_hold`, `refund_pending` while the buyer wants the money back for what the code is for.
    """
    found = await repository.by_code(tx, merchant_id, code)
    if found is None:
        raise NotFound("There is no such code.")
    # Refunds and other codes of the order wait from here on; what was read before may be older than the lock.
    await orders.locked(tx, merchant_id, found["order_id"])
    parcel = await repository.by_code(tx, merchant_id, code)
    assert parcel is not None, "parcels stay"
    await _check(tx, merchant_id, parcel)
    if dry_run:
        return _out(merchant_id, parcel)
    handed = await repository.redeem(tx, merchant_id, parcel["id"], actor_id, _TEXT[parcel["kind"]])
    assert handed, "the order is locked and the parcel was ready"
    event = ParcelEvent(merchant_id, parcel["order_id"], parcel["id"], parcel["account_id"])
    tx.emit(hookspecs.parcel_delivered, event)
    if parcel["aftersale_id"] is None:
        await service.handed_over(tx, merchant_id, parcel["order_id"], actor_id)
    done = await repository.by_code(tx, merchant_id, code)
    assert done is not None, "parcels stay"
    return _out(merchant_id, done)


async def _check(tx: Tx, merchant_id: UUID, parcel: asyncpg.Record) -> None:
    if parcel["status"] == "delivered":
        at = parcel["delivered_at"]
        raise Conflict(f"This code was used at {at:%Y-%m-%d %H:%M} UTC.", code="code_used", used_at=at)
    if parcel["status"] == "voided":
        raise Conflict("What this code was for has been refunded.", code="code_voided")
    await orders.refuse_held(tx, merchant_id, parcel["order_id"])
    if parcel["aftersale_id"] is None and await repository.claimed(tx, merchant_id, parcel["id"]):
        raise Conflict(
            "The buyer has asked for the money back; decide that first, or have the buyer take it back.",
            code="refund_pending",
        )


def _out(merchant_id: UUID, parcel: asyncpg.Record) -> RedemptionOut:
    return RedemptionOut(
        parcel_id=ref(merchant_id, parcel["id"]),
        order_id=ref(merchant_id, parcel["order_id"]),
        order_number=parcel["number"],
        order_status=parcel["order_status"],
        kind=parcel["kind"],
        lines=[
            RedeemedLine(ref(merchant_id, line.id), line.title, line.specs, line.image_url, line.quantity)
            for line in _lines.decode(parcel["lines"])
        ],
        redeemed_at=parcel["delivered_at"],
    )
