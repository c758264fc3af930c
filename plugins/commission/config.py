"""Settings of the commission."""

from typing import Annotated

import msgspec


class CommissionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rate_bp` is in basis points: 500 is 5 %, at most 30 %."""

    rate_bp: Annotated[
        int, msgspec.Meta(ge=0, le=3000, title="Rate", description="Basis points; 500 is 5 %.")
    ] = 500
