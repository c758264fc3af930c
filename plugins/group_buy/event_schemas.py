"""What goes over the wire about the market's events and what is handed in for review."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from plugins.group_buy.schemas import (
    ActivityOut,
    Id,
    Moment,
    Name,
    NewOnly,
    OpenGroup,
    Pieces,
    PriceIn,
    Shared,
)

Bp = Annotated[int, Meta(ge=0, le=10_000)]
Text = Annotated[str, Meta(max_length=4000)]
Reason = Annotated[str, Meta(min_length=1, max_length=200)]
Ids = Annotated[list[Id], Meta(max_length=500)]
Size = Annotated[int, Meta(ge=2, le=10)]


class EventIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An event of the market. Shops sign up until `sign_up_until`, at the latest when it starts; with groups of one of these
    `sizes`, all of which have `hours` from the leader's payment on. `merchant_ids` are the invited shops and `category_ids`
    the categories (with those below them) of what they may offer; empty: all. `merchant_share_bp` of each discount the shop
    bears, the market the rest. `new_only` and `market_coupons` hold for all activities in it."""

    name: Name
    rules: Text = ""
    sign_up_until: Moment
    starts_at: Moment
    ends_at: Moment
    sizes: Annotated[list[Size], Meta(min_length=1, max_length=9)]
    hours: Annotated[int, Meta(ge=1, le=72)]
    new_only: NewOnly | None = None
    merchant_ids: Ids = []
    category_ids: Ids = []
    merchant_share_bp: Bp = 10_000
    market_coupons: bool = False
    campaign_id: Id | None = None


class EventChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may change of an event before its sign-up is over; what is left out stays."""

    rules: Text | None = None
    sign_up_until: Moment | None = None
    merchant_ids: Ids | None = None


class EntryIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a shop offers in an event: one product. `size` is one of the event's; it may be left out where there is only
    one."""

    product_id: Id
    skus: Annotated[list[PriceIn], Meta(min_length=1, max_length=200)]
    size: Size | None = None
    per_order: Pieces | None = None
    per_account: Pieces | None = None
    show_open: bool = True


class VersionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version of the terms was read."""

    version: Annotated[int, Meta(ge=1, le=1_000_000)]


class ReasonIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class EventShown(msgspec.Struct, frozen=True, kw_only=True):
    """An event as buyers see it. `phase`: `upcoming`, `running`, `over` or `stopped`."""

    id: str
    name: str
    rules: str
    phase: str
    starts_at: datetime
    ends_at: datetime
    sizes: list[int]
    hours: int
    new_only: str | None
    market_coupons: bool


class EventOut(EventShown, frozen=True, kw_only=True):
    """An event as staff see it. `merchant_ids`, the invited shops, is for the market's eyes; `invited` says whether only
    some are."""

    sign_up_until: datetime
    invited: bool
    category_ids: list[str]
    merchant_share_bp: int
    created_at: datetime
    merchant_ids: list[str] | None = None


class EntryOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop handed in, for an event or as an activity of its own. `status`: `waiting`, `approved`, `refused` (with
    `reason`) or `withdrawn`. `activity` has the terms; its id is that of the activity once it is approved."""

    id: str
    merchant_id: str
    event_id: str | None
    title: str
    status: str
    reason: str
    version: int
    applied_at: datetime
    reviewed_at: datetime | None
    activity: ActivityOut


class EventItem(msgspec.Struct, frozen=True):
    """What an event sells: an activity and its product."""

    activity: ActivityOut
    product: Shared


class EventGroup(OpenGroup, frozen=True, kw_only=True):
    """A group of an event that can be joined, of whichever shop."""

    activity_id: str
    merchant_id: str
    product: Shared
