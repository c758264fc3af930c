"""What the operator can set."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`merchants_may_run`: shops run promotions of their own. `most_per_shop`: how many a shop, or the market, may have
    scheduled or running at once."""

    merchants_may_run: bool = True
    most_per_shop: Annotated[int, Meta(ge=1, le=1_000)] = 100
