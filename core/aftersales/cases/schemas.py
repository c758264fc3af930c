"""Cases inside the process and on the wire. Amounts in fen; ids opaque and times in UTC outside."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from core.aftersales.cases.machine import Kind, Party, Status
from core.fulfilment.schemas import ParcelIn
from core.identity.schemas import AddressInput
from core.orders.address import Address

Fault = Literal["none", "buyer", "merchant"]

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Amount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000_000)]
_Image = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class CaseLineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many units of a line it is about."""

    line_id: _Id
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class ApplyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the buyer asks for: `refund_only` (the goods stay), `return_refund` or `exchange`. Images are https addresses or
    begin with /media/."""

    kind: Kind
    lines: Annotated[list[CaseLineIn], msgspec.Meta(min_length=1, max_length=500)]
    reason: _Reason
    images: Annotated[list[_Image], msgspec.Meta(max_length=9)] = []


class ReturnParcelIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parcel in which the buyer sends goods back."""

    carrier: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    waybill_no: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ArbitrateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the market should decide."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class AgreeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """The shop agrees. `return_address` is where goods are sent back to, without it the one last used; of the freight
    `shipping_amount` fen go back, which says that it is the shop's fault. `as` "refund" turns an exchange into a return
    with refund."""

    return_address: AddressInput | None = None
    shipping_amount: _Amount = 0
    as_: Literal["refund"] | None = None


class RefuseIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the shop refuses: what is asked for, or what came back."""

    reason: _Reason


class ReceivedLineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the units of a line that came back can be sold again."""

    line_id: _Id
    restock: bool


class ReceiveIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The goods came back: those of `lines` are on hand again or not, as said there, the others as `restock` says. With
    `accepted` false the shop refuses what came back, and says why."""

    restock: bool = False
    lines: Annotated[list[ReceivedLineIn], msgspec.Meta(max_length=500)] = []
    accepted: bool = True
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class DecideIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the market decides: `refund`, of which `amount` is what goes back for the goods (without it all that was paid for
    them) and `shipping_amount` the freight; or `reject`."""

    outcome: Literal["refund", "reject"]
    reason: _Reason
    amount: _Amount | None = None
    shipping_amount: _Amount = 0


# The replacement of an exchange; its lines are those of the case, so none are named.
ReshipIn = ParcelIn


class CaseLineOut(msgspec.Struct, frozen=True):
    """Units of an order line that the case is about."""

    line_id: str
    quantity: int
    title: str
    specs: list[str]
    image_url: str | None
    unit_price: int


class EstimateOut(msgspec.Struct, frozen=True):
    """What would go back if the case were agreed to now, before anything that has to be kept back."""

    goods: int
    shipping: int


class CaseMerchant(msgspec.Struct, frozen=True):
    """Whose order it is; the name as it was at placement."""

    id: str
    name: str


class ReturnParcelOut(msgspec.Struct, frozen=True):
    """The parcel in which goods were sent back."""

    carrier: str
    waybill_no: str


class CaseRefundOut(msgspec.Struct, frozen=True):
    """The refund that settles the case; the buyer gets `amount`."""

    id: str
    number: str
    status: str
    amount: int


class CaseParcelOut(msgspec.Struct, frozen=True):
    """A parcel with replacements."""

    id: str
    kind: str
    carrier: str
    waybill_no: str
    status: str


class CaseStepOut(msgspec.Struct, frozen=True):
    """A step of the case and who took it."""

    at: datetime
    party: Party
    event: str
    old_status: str
    new_status: str
    note: str


class CaseOut(msgspec.Struct, frozen=True, kw_only=True):
    """A case. `deadline` is when silence decides; `estimate` is there until a refund is decided; `log` is left out of
    lists."""

    id: str
    number: str
    order_id: str
    order_number: str
    merchant: CaseMerchant
    kind: Kind
    status: Status
    fault: Fault
    reason: str
    images: list[str]
    lines: list[CaseLineOut]
    shipping_amount: int
    estimate: EstimateOut | None
    refusal: str
    return_address: Address | None
    return_parcel: ReturnParcelOut | None
    refund: CaseRefundOut | None
    parcels: list[CaseParcelOut]
    deadline: datetime | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    log: list[CaseStepOut] | UnsetType = UNSET


class CaseTimer(msgspec.Struct, frozen=True):
    """The case that a timer is about."""

    merchant_id: UUID
    aftersale_id: UUID
