"""What the operator can set."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`merchants_may_run`: shops have flash sales of their own. `pay_within`: how many seconds a trade with a flash price
    waits for its payment. `refund_returns_quota`: pieces refunded while the sale runs are sold again at its price.
    `admitted_per_piece`: how many buyers are let in for each piece that is left. `token_seconds`: how long a request token
    holds. `preview_hours`: how long before its start products show that a sale is coming."""

    merchants_may_run: bool = True
    pay_within: Annotated[int, Meta(ge=30, le=86_400)] = 300
    refund_returns_quota: bool = True
    admitted_per_piece: Annotated[int, Meta(ge=1, le=1000)] = 3
    token_seconds: Annotated[int, Meta(ge=10, le=3600)] = 120
    preview_hours: Annotated[int, Meta(ge=0, le=168)] = 24
