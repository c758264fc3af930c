"""What the routes take and give. Amounts in fen, ids opaque, times in UTC."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_IDS = 200
MAX_CHOSEN = 50

Fen = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Bp = Annotated[int, Meta(ge=0, le=10_000)]
Moment = Annotated[datetime, Meta(tz=True)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]


class ScopeIn(msgspec.Struct, frozen=True):
    """Which goods a coupon is meant for; categories include those below them."""

    kind: Literal["all", "products", "categories", "merchants"] = "all"
    ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_IDS)] = ()


class Valid(msgspec.Struct, frozen=True, omit_defaults=True):
    """From and to fixed times, and at most `days` from claiming."""

    from_: Moment | None = msgspec.field(name="from", default=None)
    to: Moment | None = None
    days: Annotated[int, Meta(ge=1, le=3650)] | None = None


class TemplateIn(msgspec.Struct, frozen=True, kw_only=True):
    """A new template. `rate_bp` is what is taken off: 1000 is 10 %."""

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    kind: Literal["amount", "rate"]
    amount: Fen | None = None
    rate_bp: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    cap: Fen | None = None
    threshold: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    scope: ScopeIn = ScopeIn()
    total: Annotated[int, Meta(ge=1, le=100_000_000)]
    per_account: Annotated[int, Meta(ge=1, le=1000)] = 1
    claim: Literal["open", "new_account", "targeted", "gift"] = "open"
    valid: Valid
    merchant_share_bp: Bp | None = None


class ScopeOut(msgspec.Struct, frozen=True):
    """Which goods a coupon is meant for."""

    kind: str
    ids: tuple[str, ...]


class CouponTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a coupon is worth and for what, as the buyer sees it."""

    id: str
    merchant_id: str
    name: str
    kind: str
    amount: int | UnsetType = UNSET
    rate_bp: int | UnsetType = UNSET
    cap: int | UnsetType = UNSET
    threshold: int
    scope: ScopeOut


class Statistics(msgspec.Struct, frozen=True):
    """`issued`: how many there are to claim; `used` and `orders_brought` count from payment on."""

    issued: int
    claimed: int
    used: int
    orders_brought: int


class TemplateOut(CouponTerms, frozen=True, kw_only=True):
    """A template. `left` can still be claimed; `mine` is how many the viewer has claimed; `statistics` are
    for staff."""

    status: str
    claim: str
    total: int
    per_account: int
    left: int
    valid: Valid
    merchant_share_bp: int
    created_at: datetime
    mine: int | UnsetType = UNSET
    statistics: Statistics | UnsetType = UNSET


class CouponOut(msgspec.Struct, frozen=True):
    """A claimed coupon; `status` is unused, used or expired."""

    id: str
    template: CouponTerms
    status: str
    valid_from: datetime
    expires_at: datetime


class Choice(msgspec.Struct, frozen=True):
    """What the buyer chose in `options.coupons`: these coupons and no others, or whatever is best."""

    ids: Annotated[list[Id], Meta(max_length=MAX_CHOSEN)] | Literal["best"] = "best"
