"""What the routes take and give. Amounts in fen, ids opaque, times in UTC."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from plugins.promotions.terms import (
    MAX_GIFTS,
    MAX_ITEMS,
    MAX_TIERS,
    Gift,
    Id,
    Item,
    Kind,
    Scope,
    Terms,
    Tier,
)

Moment = Annotated[datetime, Meta(tz=True)]
Status = Literal["draft", "scheduled", "running", "over", "stopped"]


# Stored terms are read leniently: during a rolling update a newer process may have written fields that this one lacks.
class ScopeIn(Scope, frozen=True, forbid_unknown_fields=True):
    """Which goods take part, as a request says it."""


class ItemIn(Item, frozen=True, forbid_unknown_fields=True):
    """A SKU of a limited-time discount or a bundle, as a request says it."""


class GiftIn(Gift, frozen=True, forbid_unknown_fields=True):
    """A gift as a request says it."""


class TierIn(Tier, frozen=True, forbid_unknown_fields=True):
    """A tier as a request says it."""

    gifts: Annotated[tuple[GiftIn, ...], Meta(max_length=MAX_GIFTS)] = ()


class PromotionIn(Terms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A promotion to be drafted, or what a draft or one that has not begun becomes."""

    scope: ScopeIn = ScopeIn()
    items: Annotated[tuple[ItemIn, ...], Meta(max_length=MAX_ITEMS)] = ()
    tiers: Annotated[tuple[TierIn, ...], Meta(max_length=MAX_TIERS)] = ()
    starts_at: Moment
    ends_at: Moment
    campaign_id: Id | None = None


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A later end."""

    ends_at: Moment


class StopIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the market stops it; a shop's staff see the reason."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class PromotionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion. `claimed` counts what is used of `total`; it is 0 where there is none. `stop_reason`: why the market
    stopped it, empty where nobody said."""

    id: str
    merchant_id: str
    status: Status
    terms: Terms
    starts_at: datetime
    ends_at: datetime
    stopped_at: datetime | None
    stop_reason: str
    campaign_id: str | None
    claimed: int
    created_at: datetime


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion that runs, for buyers: `text` in a few characters, and its terms."""

    id: str
    merchant_id: str
    kind: Kind
    text: str
    terms: Terms
    starts_at: datetime
    ends_at: datetime
