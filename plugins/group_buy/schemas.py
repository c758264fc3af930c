"""What goes over the wire. Amounts in fen, times in UTC, ids opaque."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Id = Annotated[str, Meta(min_length=1, max_length=60)]
Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1, max_length=60)]
Fen = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Pieces = Annotated[int, Meta(ge=1, le=1_000_000)]
NewOnly = Literal["market", "shop"]


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the buyer chose in `options.group_buy`: to open a group of an activity, or to join one."""

    activity_id: Id
    group_id: Id | None = None


class PriceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of one SKU in a group; `leader_price` is for who opens it. `quota`: how many pieces are sold so."""

    sku_id: Id
    price: Fen
    quota: Pieces
    leader_price: Fen | None = None


class ActivityIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An activity about one product. Groups of `size` have `hours` from the leader's payment on. `new_only`: members must
    never have paid an order in the market or in the shop. `show_open`: groups that can be joined are listed.
    `virtual_fill`: at the end of its time a group succeeds even if it is not full. `market_coupons`: coupons of the market
    may be used too."""

    product_id: Id
    name: Name
    skus: Annotated[list[PriceIn], Meta(min_length=1, max_length=200)]
    size: Annotated[int, Meta(ge=2, le=10)]
    hours: Annotated[int, Meta(ge=1, le=72)]
    starts_at: Moment
    ends_at: Moment
    per_order: Pieces | None = None
    per_account: Pieces | None = None
    new_only: NewOnly | None = None
    show_open: bool = True
    virtual_fill: bool = False
    market_coupons: bool = False
    campaign_id: Id | None = None


class QuotaIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another quota of one SKU; not below what is sold."""

    sku_id: Id
    quota: Pieces


class ActivityPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays. An activity is only ever made longer."""

    name: Name | None = None
    ends_at: Moment | None = None
    quotas: Annotated[list[QuotaIn], Meta(max_length=200)] = []


class PriceOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """The price of one SKU in a group; `left` of the quota. `sold` is for staff."""

    sku_id: str
    price: int
    left: int
    leader_price: int | None = None
    quota: int | UnsetType = UNSET
    sold: int | UnsetType = UNSET


class ActivityOut(msgspec.Struct, frozen=True, kw_only=True):
    """An activity. `phase`: `upcoming`, `running`, `over` or `stopped`; of one that has to be approved first `waiting`,
    `refused` or `withdrawn`, which only staff see. `event_id`: the market's event that it is part of, of whose discounts the
    shop bears `merchant_share_bp`. `groups`: how many it has by status, for staff."""

    id: str
    merchant_id: str
    product_id: str
    name: str
    phase: str
    size: int
    hours: int
    starts_at: datetime
    ends_at: datetime
    per_order: int | None
    per_account: int | None
    new_only: str | None
    show_open: bool
    market_coupons: bool
    prices: list[PriceOut]
    event_id: str | None = None
    merchant_share_bp: int | UnsetType = UNSET
    virtual_fill: bool | UnsetType = UNSET
    groups: dict[str, int] | UnsetType = UNSET


class Member(msgspec.Struct, frozen=True):
    """Somebody in a group: the first character of the nickname, and whether they lead."""

    nickname: str
    leader: bool


class OpenGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group that can be joined."""

    id: str
    code: str
    leader: str
    size: int
    left: int
    expires_at: datetime


class Shared(msgspec.Struct, frozen=True):
    """The product that a group is about."""

    id: str
    title: str
    image_url: str | None


class ShareOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a mini-program needs to share a group: `title`, `path` and `image_url` of the card, `page` and `scene` of the
    mini-program's code."""

    title: str
    path: str
    image_url: str | None
    page: str
    scene: str


class GroupOut(msgspec.Struct, frozen=True, kw_only=True):
    """A group as everybody sees it who has its code. `placeholders` seats are filled by nobody. `joinable` for the viewer,
    and if not the `reason`, also in Chinese."""

    id: str
    code: str
    activity_id: str
    merchant_id: str
    status: str
    size: int
    left: int
    placeholders: int
    expires_at: datetime | None
    product: Shared
    prices: list[PriceOut]
    share: ShareOut
    members: list[Member]
    joinable: bool
    reason: str | None = None
    detail: str | None = None
    detail_zh: str | None = None


class SeatOut(msgspec.Struct, frozen=True, kw_only=True):
    """A seat of the buyer's own. `status`: `held`, `paid`, `closed`, `expired`, `refused`, `leaving` or `refunded`."""

    group_id: str
    code: str
    activity_id: str
    order_id: str
    status: str
    leader: bool
    units: int
    price: int
    group_status: str
    size: int
    left: int
    expires_at: datetime | None
    created_at: datetime


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """A group for the staff."""

    id: str
    code: str
    status: str
    size: int
    taken: int
    paid: int
    placeholders: int
    created_at: datetime
    opened_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
