"""Settings of the market; each shop may set fees of its own."""

from typing import Annotated

import msgspec

MAX_FEE = 100_000
MAX_FREE_FROM = 100_000_000


class ExpressDeliveryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for shops that set nothing themselves; amounts in fen."""

    # What a shop asks for a delivery.
    default_fee: Annotated[int, msgspec.Meta(ge=0, le=MAX_FEE)] = 800
    # From this amount of goods on, after discounts, delivery is free; null: never.
    default_free_from: Annotated[int, msgspec.Meta(ge=0, le=MAX_FREE_FROM)] | None = 9900
    # What the buyer is told about the time it takes.
    promise: Annotated[str, msgspec.Meta(max_length=60)] = "付款后48小时内发货"
