"""What clients of express delivery send and get. Amounts in fen."""

from typing import Annotated

import msgspec

from plugins.express_delivery.config import MAX_FEE, MAX_FREE_FROM


class SettingsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shop's own terms: `fee` for a delivery, free from `free_from` of goods on (null: never)."""

    fee: Annotated[int, msgspec.Meta(ge=0, le=MAX_FEE)]
    free_from: Annotated[int, msgspec.Meta(ge=0, le=MAX_FREE_FROM)] | None


class SettingsOut(msgspec.Struct, frozen=True):
    """The terms that hold for a shop; `own` is false while they are the market's."""

    fee: int
    free_from: int | None
    promise: str
    own: bool


class CarrierOut(msgspec.Struct, frozen=True):
    """A carrier: `code` is what a parcel names."""

    code: str
    name: str


class Carriers(msgspec.Struct, frozen=True):
    """All carriers that a parcel may name."""

    items: list[CarrierOut]
