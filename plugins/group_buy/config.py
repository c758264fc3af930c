"""What the operator can set."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`merchants_may_run`: shops begin activities of their own. `max_hours`: the longest that a group may take to fill.
    `virtual_fill_allowed`: shops may have groups succeed that did not fill; look at the law first. `retry_s`: seconds until
    a refund of a failed group that could not be made is tried again; each time twice as long, at most 10 minutes."""

    merchants_may_run: bool = True
    max_hours: Annotated[int, Meta(ge=1, le=72)] = 72
    virtual_fill_allowed: bool = False
    retry_s: Annotated[int, Meta(ge=1, le=600)] = 15
