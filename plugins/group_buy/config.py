"""What the operator can set."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`merchants_may_run`: shops begin activities of their own. `review`: which of those wait for the market's approval,
    `none` or `all`. `max_hours`: the longest that a group may take to fill. `virtual_fill_allowed`: shops may have groups
    succeed that did not fill; look at the law first. `retry_s`: seconds until a refund of a failed group that could not be
    made is tried again; each time twice as long, at most 10 minutes. `share_page`: the page of the mini-program that shows
    the group of a code."""

    merchants_may_run: bool = True
    review: Literal["none", "all"] = "none"
    max_hours: Annotated[int, Meta(ge=1, le=72)] = 72
    virtual_fill_allowed: bool = False
    retry_s: Annotated[int, Meta(ge=1, le=600)] = 15
    share_page: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=100)] = (
        "pages/group/index"
    )
