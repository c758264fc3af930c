"""What the operator can set."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`merchants_may_issue`: shops make coupons of their own. `max_total`: how many one template may hand
    out. `new_account_days`: how long an account counts as new. `remind_days`: how long before its end a buyer
    is told of an unused coupon."""

    merchants_may_issue: bool = True
    max_total: Annotated[int, Meta(ge=1, le=100_000_000)] = 10_000_000
    new_account_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    remind_days: Annotated[int, Meta(ge=1, le=30)] = 3
