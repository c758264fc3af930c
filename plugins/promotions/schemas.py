"""What the routes take and give. Amounts in fen, ids opaque, times in UTC."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from plugins.promotions.terms import Id, Kind, Terms

Moment = Annotated[datetime, Meta(tz=True)]
Status = Literal["draft", "scheduled", "running", "over", "stopped"]


class PromotionIn(Terms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A promotion to be drafted, or what a draft or one that has not begun becomes."""

    starts_at: Moment
    ends_at: Moment
    campaign_id: Id | None = None


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A later end."""

    ends_at: Moment


class PromotionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion. `claimed` counts what is used of `total`; it is 0 where there is none."""

    id: str
    merchant_id: str
    status: Status
    terms: Terms
    starts_at: datetime
    ends_at: datetime
    stopped_at: datetime | None
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
