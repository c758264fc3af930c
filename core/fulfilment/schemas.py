"""What clients send to fulfilment, and get of it."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

LineId = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class ParcelLineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many units of a line go into the parcel."""

    line_id: LineId
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class ParcelIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parcel that leaves now; without `lines`, all that is left of the order.

    `carrier` and `waybill_no` are needed for kind express. One of kind pickup or service is handed over to whoever has its
    code, which the buyer sees. `place` is where it leaves from, a key that a plugin knows.
    """

    carrier: Annotated[str, msgspec.Meta(max_length=40)] = ""
    waybill_no: Annotated[str, msgspec.Meta(max_length=64)] = ""
    lines: Annotated[list[ParcelLineIn], msgspec.Meta(min_length=1, max_length=500)] | None = None
    kind: Literal["express", "pickup", "service", "instant"] = "express"
    place: Annotated[str, msgspec.Meta(max_length=64)] = ""


class WaybillIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another carrier or waybill number for a parcel that is on its way; what is left out stays."""

    carrier: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    waybill_no: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class DeliverIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the buyer is told about the delivery, for instance who took the parcel in."""

    text: Annotated[str, msgspec.Meta(max_length=200)] = ""


class RedeemIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The twelve digits that a buyer shows; spaces and hyphens between them do not count. `dry_run` only shows what the
    code is for."""

    code: Annotated[str, msgspec.Meta(pattern="^[0-9](?:[ -]?[0-9]){11}$", max_length=24)]
    dry_run: bool = False


class RedeemedLine(msgspec.Struct, frozen=True):
    """Units of an order line that a code is for."""

    line_id: str
    title: str
    specs: list[str]
    image_url: str | None
    quantity: int


class RedemptionOut(msgspec.Struct, frozen=True):
    """What was handed over for a code, or with `dry_run` would be: `redeemed_at` is null then."""

    parcel_id: str
    order_id: str
    order_number: str
    order_status: str
    kind: str
    lines: list[RedeemedLine]
    redeemed_at: datetime | None


class PlanPartOut(msgspec.Struct, frozen=True):
    """`quantity` units of a line leave from `place` of `plugin`: guessed at placement (`stage` provisional), settled when
    the order is accepted or, with `aftersale_id`, when goods are replaced (final)."""

    line_id: str
    quantity: int
    plugin: str
    place: str
    stage: str
    aftersale_id: str | None
    created_at: datetime


class PlanOut(msgspec.Struct, frozen=True):
    """Which places ship which units of an order; what is in none ships from the shop itself."""

    items: list[PlanPartOut]
