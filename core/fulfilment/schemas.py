"""What clients send to fulfilment."""

from typing import Annotated, Literal

import msgspec

LineId = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class ParcelLineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many units of a line go into the parcel."""

    line_id: LineId
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class ParcelIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parcel that leaves now; without `lines`, all that is left of the order.

    `carrier` and `waybill_no` are needed for kind express.
    """

    carrier: Annotated[str, msgspec.Meta(max_length=40)] = ""
    waybill_no: Annotated[str, msgspec.Meta(max_length=64)] = ""
    lines: Annotated[list[ParcelLineIn], msgspec.Meta(min_length=1, max_length=500)] | None = None
    kind: Literal["express", "pickup", "service"] = "express"
