"""What the routes take and give. Amounts in fen, ids opaque, times in UTC."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_IDS = 200
MAX_CHOSEN = 50
MAX_CODES = 10_000
MAX_GRANTS = 1000

Fen = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Bp = Annotated[int, Meta(ge=0, le=10_000)]
Moment = Annotated[datetime, Meta(tz=True)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=60)]
Cause = Annotated[str, Meta(min_length=1, max_length=60)]


class ScopeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which goods a coupon is meant for; categories include those below them. The market's coupons may name merchants, a
    shop's only what is its own."""

    kind: Literal["all", "products", "categories", "shop_categories", "merchants"] = "all"
    ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_IDS)] = ()


class Valid(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When a claimed coupon can be used: from `delay_days` after claiming, and not before `from`; for `days` from then, and
    not after `to`."""

    from_: Moment | None = msgspec.field(name="from", default=None)
    to: Moment | None = None
    days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    delay_days: Annotated[int, Meta(ge=0, le=3650)] = 0


class Gift(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which orders bring the coupon as a gift: those whose goods of these products, or of any, were paid with `min_paid` fen
    or more, after discounts and without freight."""

    min_paid: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    product_ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_IDS)] = ()


# What is stored is read leniently: during a rolling update a newer process may have written fields that this one lacks.
class GiftIn(Gift, frozen=True, forbid_unknown_fields=True):
    """Which orders bring the coupon as a gift, as a request says it."""


class TemplateIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new template. `rate_bp` is what is taken off: 1000 is 10 %. `cap` bounds what a rate or free shipping takes off.

    `claim` is how buyers come by it: `open` (anybody claims), `new_account` (accounts that are new and have not paid an
    order yet), `targeted` (handed to chosen accounts), `gift` (comes with orders, or through other tools), `code`.
    """

    name: Name
    kind: Literal["amount", "rate", "free_shipping"]
    amount: Fen | None = None
    rate_bp: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    cap: Fen | None = None
    threshold: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    scope: ScopeIn = ScopeIn()
    total: Annotated[int, Meta(ge=1, le=100_000_000)]
    per_account: Annotated[int, Meta(ge=1, le=1000)] = 1
    claim: Literal["open", "new_account", "targeted", "gift", "code"] = "open"
    claim_from: Moment | None = None
    claim_to: Moment | None = None
    valid: Valid
    gift: GiftIn | None = None
    merchant_share_bp: Bp | None = None


class TemplatePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may change of a template; `total` can only be raised. Claimed coupons stay as they are."""

    name: Name | UnsetType = UNSET
    claim_from: Moment | UnsetType | None = UNSET
    claim_to: Moment | UnsetType | None = UNSET
    total: Annotated[int, Meta(ge=1, le=100_000_000)] | UnsetType = UNSET
    per_account: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET


class VoidIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why coupons that people hold are voided; they see it."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class CodesIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Codes to make: `count` random ones, or the one that is spelt out in `code`. Each works `uses` times over all accounts,
    once for one account."""

    count: Annotated[int, Meta(ge=1, le=MAX_CODES)] | None = None
    code: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    uses: Annotated[int, Meta(ge=1, le=100_000_000)] = 1


class CodesMade(msgspec.Struct, frozen=True):
    """The codes that were made."""

    codes: list[str]
    uses: int


class CodeOut(msgspec.Struct, frozen=True):
    """A code and how often it was used."""

    code: str
    uses: int
    used: int
    created_at: datetime


class Redeem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody typed in; case, blanks and hyphens do not matter."""

    code: Annotated[str, Meta(min_length=1, max_length=100)]


class AccountsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the market hands a coupon to. The same `cause` gives each of them one and no more, however often it is sent."""

    cause: Cause
    accounts: Annotated[tuple[Id, ...], Meta(max_length=MAX_GRANTS)] = ()
    logins: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MAX_GRANTS)] = ()


class OrdersIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Orders of the shop whose buyers it hands a coupon to. The same `cause` gives each buyer one and no more."""

    cause: Cause
    order_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MAX_GRANTS)]


class NotGranted(msgspec.Struct, frozen=True):
    """Who got none, by the place in the request (`accounts` first, then `logins`), and why."""

    index: int
    code: str
    detail: str


class GrantsOut(msgspec.Struct, frozen=True):
    """`granted`: how many accounts hold the coupon for this cause now, those included that had it before."""

    granted: int
    refused: list[NotGranted]


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


class Cost(msgspec.Struct, frozen=True):
    """What used coupons took off paid orders, by who bore it, less what refunds took back. Fen."""

    market: int
    merchant: int


class Statistics(msgspec.Struct, frozen=True):
    """`issued`: how many there are to hand out, `claimed`: how many were; `used`, `orders_brought` and `cost` count from
    payment on. A coupon that runs out counts as expired within a minute."""

    issued: int
    claimed: int
    used: int
    expired: int
    voided: int
    orders_brought: int
    cost: Cost


class TemplateOut(CouponTerms, frozen=True, kw_only=True):
    """A template. `left` can still be handed out; `mine` is how many the viewer has got; `claimable` whether the viewer can
    claim one now, and `reason` why not; `statistics` are for staff."""

    status: str
    claim: str
    claim_from: datetime | UnsetType = UNSET
    claim_to: datetime | UnsetType = UNSET
    total: int
    per_account: int
    left: int
    valid: Valid
    gift: Gift | UnsetType = UNSET
    merchant_share_bp: int
    created_at: datetime
    mine: int | UnsetType = UNSET
    claimable: bool | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    statistics: Statistics | UnsetType = UNSET


class CouponOut(msgspec.Struct, frozen=True):
    """A claimed coupon; `status` is unused, used, expired or void, `origin` how the buyer came by it, `reason` why it is
    void."""

    id: str
    template: CouponTerms
    status: str
    valid_from: datetime
    expires_at: datetime
    claimed_at: datetime
    origin: str
    used_at: datetime | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Holder(msgspec.Struct, frozen=True):
    """Whose coupon it is, for the market's staff."""

    id: str
    login: str


class HandedOut(msgspec.Struct, frozen=True):
    """A claimed coupon for its issuer; a shop does not learn whose it is."""

    id: str
    status: str
    origin: str
    claimed_at: datetime
    valid_from: datetime
    expires_at: datetime
    used_at: datetime | UnsetType = UNSET
    account: Holder | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the buyer chose in `options.coupons`: these coupons and no others, or whatever is best."""

    ids: Annotated[list[Id], Meta(max_length=MAX_CHOSEN)] | Literal["best"] = "best"
