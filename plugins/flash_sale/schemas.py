"""What the routes take and give. Amounts in fen, ids opaque, times in UTC."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_SLOTS = 48
MAX_ITEMS = 200

Fen = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Bp = Annotated[int, Meta(ge=0, le=10_000)]
Pieces = Annotated[int, Meta(ge=1, le=10_000_000)]
Limit = Annotated[int, Meta(ge=1, le=9_999)]
Moment = Annotated[datetime, Meta(tz=True)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Ids = Annotated[tuple[Id, ...], Meta(max_length=500)]
Name = Annotated[str, Meta(min_length=1, max_length=40)]
Text = Annotated[str, Meta(max_length=4000)]
Reason = Annotated[str, Meta(min_length=1, max_length=200)]


class SlotIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A time in which an event sells."""

    starts_at: Moment
    ends_at: Moment


class OfferIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A SKU at a flash price: `quantity` pieces, of which one order may have `per_order` and one account `per_account`."""

    sku_id: Id
    price: Fen
    quantity: Pieces
    per_order: Limit = 1
    per_account: Limit = 1


class MarketEventIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An event of the market. Shops sign up until `sign_up_until`, at the latest when the first slot starts. `merchant_ids`
    are the invited shops and `category_ids` the categories (with those below them) of what they may offer; empty: all.
    `merchant_share_bp` of each discount the shop bears, the market the rest. `market_coupons`: they go with the price.
    `token_required`: buyers need a request token of the admission."""

    name: Name
    rules: Text = ""
    sign_up_until: Moment
    slots: Annotated[tuple[SlotIn, ...], Meta(min_length=1, max_length=MAX_SLOTS)]
    merchant_ids: Ids = ()
    category_ids: Ids = ()
    merchant_share_bp: Bp = 10_000
    market_coupons: bool = False
    token_required: bool = True


class ShopEventIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An event of a shop: the same offers in each of its slots, at the shop's cost."""

    name: Name
    rules: Text = ""
    slots: Annotated[tuple[SlotIn, ...], Meta(min_length=1, max_length=MAX_SLOTS)]
    offers: Annotated[tuple[OfferIn, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    market_coupons: bool = False
    token_required: bool = False


class EventChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may change of a market's event before its sign-up is over; what is left out stays."""

    name: Name | None = None
    rules: Text | None = None
    sign_up_until: Moment | None = None
    merchant_ids: Ids | None = None


class ReasonIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class StopIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the market stops a sale; staff see the reason."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class AdmissionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For which SKU of the activity."""

    sku_id: Id


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`options.flash_sale`: buy at the price of this activity; `token` is the admission's."""

    activity_id: Id
    token: Annotated[str, Meta(max_length=200)] | None = None


class SlotOut(msgspec.Struct, frozen=True):
    """A slot; its id is that of the calendar's activity. `phase`: `upcoming`, `running`, `over`, `stopped`.
    `stop_reason`: why the market stopped it, empty where nobody said."""

    id: str
    starts_at: datetime
    ends_at: datetime
    phase: str
    stop_reason: str


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `merchant_ids`, the invited shops, is for the market's eyes; `invited` says whether only some are."""

    id: str
    merchant_id: str
    name: str
    rules: str
    slots: list[SlotOut]
    sign_up_until: datetime | None
    invited: bool
    category_ids: list[str]
    merchant_share_bp: int
    market_coupons: bool
    token_required: bool
    created_at: datetime
    merchant_ids: list[str] | None = None


class EntryOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop offers for a slot of the market's. `status`: `applied`, `passed`, `refused` (with `reason`) or
    `withdrawn`."""

    id: str
    merchant_id: str
    event_id: str
    activity_id: str
    sku_id: str
    title: str
    price: int
    quantity: int
    per_order: int
    per_account: int
    status: str
    reason: str
    applied_at: datetime
    reviewed_at: datetime | None


class SoldOut(msgspec.Struct, frozen=True, kw_only=True):
    """An item as its seller sees it: `sold` counts pieces of trades that were placed and not given up."""

    sku_id: str
    title: str
    price: int
    quantity: int
    per_order: int
    per_account: int
    sold: int


class ItemOut(msgspec.Struct, frozen=True, kw_only=True):
    """An item as buyers see it: `price` in the sale instead of `normal_price`. `sold_percent` is roughly how much is
    gone, in tens; `sold_out` may change again while others do not pay."""

    sku_id: str
    product_id: str
    merchant_id: str
    title: str
    specs: list[str]
    image_url: str | None
    price: int
    normal_price: int
    per_order: int
    per_account: int
    sold_percent: int
    sold_out: bool


class SaleOut(msgspec.Struct, frozen=True, kw_only=True):
    """A slot with what it sells, as buyers see it. `activity_id` goes into `options.flash_sale`."""

    activity_id: str
    merchant_id: str
    name: str
    rules: str
    starts_at: datetime
    ends_at: datetime
    phase: str
    token_required: bool
    items: list[ItemOut]


class TicketOut(msgspec.Struct, frozen=True):
    """A request token: `options.flash_sale.token`, good for one purchase of this account until `expires_at`."""

    token: str
    expires_at: datetime
