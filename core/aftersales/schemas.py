"""Refunds inside the process and on the wire. Amounts in fen; ids opaque and times in UTC outside."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from core.kit.ids import ref
from core.types.orders import Deduction

Origin = Literal["buyer", "merchant", "platform", "system"]
Status = Literal["refunding", "done"]

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
_Reason = Annotated[str, msgspec.Meta(max_length=200)]


class RefundedLine(msgspec.Struct, frozen=True):
    """Units of a line that go back, and what the buyer had paid for them."""

    line_id: UUID
    quantity: int
    amount: int


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Units of an order taken back. `amount` = `goods_amount` + `shipping_amount` - `deducted_amount` goes to the buyer;
    deductions below 0 give back what earlier refunds kept back. `status` is `refunding` until it has arrived, then
    `done`."""

    id: UUID
    merchant_id: UUID
    order_id: UUID
    number: str
    status: Status
    amount: int
    goods_amount: int
    shipping_amount: int
    deducted_amount: int
    deductions: tuple[Deduction, ...]
    lines: tuple[RefundedLine, ...]
    reason: str
    origin: Origin
    created_at: datetime
    done_at: datetime | None = None


class RefundLineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many units of a line go back."""

    line_id: _Id
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class RefundIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes back: `lines`, without them everything left; of the freight `shipping_amount` fen. With `restock`, goods
    that had left are back and can be sold again."""

    reason: _Reason
    lines: Annotated[list[RefundLineIn], msgspec.Meta(max_length=500)] | None = None
    shipping_amount: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000_000)] | None = None
    restock: bool = False


class CancelIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the buyer takes the purchase back."""

    reason: _Reason = ""


class RefundLineOut(msgspec.Struct, frozen=True):
    """Units of a line that go back, and what the buyer had paid for them."""

    line_id: str
    quantity: int
    amount: int


class DeductionOut(msgspec.Struct, frozen=True):
    """What was kept back, and for what; below 0, what an earlier refund had kept back is given back."""

    plugin: str
    label: str
    amount: int


class RefundOut(msgspec.Struct, frozen=True, kw_only=True):
    """A refund. The buyer gets `amount` = `goods_amount` + `shipping_amount` - `deducted_amount`; the last is below 0 where
    it gives back what earlier refunds kept back."""

    id: str
    number: str
    order_id: str
    status: Status
    amount: int
    goods_amount: int
    shipping_amount: int
    deducted_amount: int
    deductions: list[DeductionOut]
    lines: list[RefundLineOut]
    reason: str
    origin: Origin
    created_at: datetime
    done_at: datetime | None


def refund_out(refund: Refund) -> RefundOut:
    """The wire form of a refund."""
    merchant_id = refund.merchant_id
    return RefundOut(
        id=ref(merchant_id, refund.id),
        number=refund.number,
        order_id=ref(merchant_id, refund.order_id),
        status=refund.status,
        amount=refund.amount,
        goods_amount=refund.goods_amount,
        shipping_amount=refund.shipping_amount,
        deducted_amount=refund.deducted_amount,
        deductions=[DeductionOut(d.plugin, d.label, d.amount) for d in refund.deductions],
        lines=[RefundLineOut(ref(merchant_id, x.line_id), x.quantity, x.amount) for x in refund.lines],
        reason=refund.reason,
        origin=refund.origin,
        created_at=refund.created_at,
        done_at=refund.done_at,
    )
