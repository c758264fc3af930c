"""Activities of the calendar, as plugins open them and as everybody reads them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Phase = Literal["upcoming", "running", "over", "stopped"]


class ActivityDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An activity to be put into the calendar. `merchant_id` is whose it is, the market's id for the market's own; `skus`
    are (merchant id, SKU id), of any merchant for the market's own. Of the `exclusive` ones a SKU has only one at a time.
    `id` is given for what was drafted under it."""

    merchant_id: UUID
    plugin: str
    kind: str
    name: str
    starts_at: datetime
    ends_at: datetime
    skus: tuple[tuple[UUID, UUID], ...] = ()
    exclusive: bool = False
    campaign_id: UUID | None = None
    created_by: UUID | None = None
    id: UUID | None = None


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """An activity of the calendar; `phase` is how it stands at the time of reading."""

    id: UUID
    merchant_id: UUID
    plugin: str
    kind: str
    name: str
    starts_at: datetime
    ends_at: datetime
    exclusive: bool
    phase: Phase
    campaign_id: UUID | None = None
    campaign: str | None = None
    skus: int = 0
    stopped_at: datetime | None = None


class ActivityReport(msgspec.Struct, frozen=True):
    """What an activity brought: paid orders whose lines or freight it discounted, their buyers, the units and goods of those
    lines, and what its discounts cost by bearer, less what refunds took back. Fen. `return_bp`: goods kept per discount
    given, in basis points; null when nothing was given."""

    orders: int
    buyers: int
    units: int
    goods_amount: int
    refunded_amount: int
    market_borne: int
    merchant_borne: int
    return_bp: int | None
