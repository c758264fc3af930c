"""What the routes take and give. Amounts in fen, ids opaque, times in UTC."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_PRICES = 1000
MAX_SALES = 20
MAX_MONTHS = 36

Fen = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Bp = Annotated[int, Meta(ge=0, le=10_000)]
Growth = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Change = Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=20)]
Perks = Annotated[str, Meta(max_length=500)]


class SkuPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one piece of a SKU costs a member."""

    sku_id: Id
    price: Fen


class Sale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A SKU each piece of which brings so many months of a level."""

    sku_id: Id
    months: Annotated[int, Meta(ge=1, le=MAX_MONTHS)]


class LevelIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new level. `growth` is what it takes; one that is gained by `purchase` takes none, it is `sold_by` SKUs.
    `discount_bp` is what is taken off: 1000 is 10 %; a SKU in `prices` costs that instead. Of a level of the market, shops
    bear `merchant_share_bp` on their own goods."""

    name: Name
    growth: Growth | None = None
    gained_by: Literal["growth", "purchase"] = "growth"
    sold_by: Annotated[tuple[Sale, ...], Meta(max_length=MAX_SALES)] = ()
    discount_bp: Bp = 0
    merchant_share_bp: Bp | None = None
    prices: Annotated[tuple[SkuPrice, ...], Meta(max_length=MAX_PRICES)] = ()
    perks: Perks = ""


class LevelPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a level; `prices` and `sold_by` are replaced as a whole, each. How it is gained stays."""

    name: Name | UnsetType = UNSET
    growth: Growth | UnsetType = UNSET
    discount_bp: Bp | UnsetType = UNSET
    merchant_share_bp: Bp | UnsetType = UNSET
    prices: Annotated[tuple[SkuPrice, ...], Meta(max_length=MAX_PRICES)] | UnsetType = UNSET
    perks: Perks | UnsetType = UNSET
    sold_by: Annotated[tuple[Sale, ...], Meta(max_length=MAX_SALES)] | UnsetType = UNSET


class SaleOut(msgspec.Struct, frozen=True):
    """What sells a level at present."""

    sku_id: str
    product_id: str
    months: int


class LevelOut(msgspec.Struct, frozen=True, kw_only=True):
    """A level; `growth` is null where it is bought. Staff also see who bears it and the prices of single SKUs."""

    id: str
    merchant_id: str
    name: str
    gained_by: str
    growth: int | None
    discount_bp: int
    perks: str
    sold_by: list[SaleOut]
    merchant_share_bp: int | UnsetType = UNSET
    prices: list[SkuPrice] | UnsetType = UNSET


class Ending(msgspec.Struct, frozen=True):
    """Points that end at `expires_at`."""

    expires_at: datetime
    points: int


class Holding(msgspec.Struct, frozen=True):
    """A bought level, and until when it holds."""

    level: LevelOut
    until: datetime


class Standing(msgspec.Struct, frozen=True):
    """Where somebody stands in the market or a shop: the level that the growth reaches, the next one, and those that are
    bought. Of all that hold, the lowest price counts on each line."""

    merchant_id: str
    growth: int
    level: LevelOut | None
    next: LevelOut | None
    bought: list[Holding]
    levels: list[LevelOut]


class Mine(msgspec.Struct, frozen=True):
    """A buyer's membership. `points` can be spent, each worth `fen_per_point`; `debt` are points that the next ones pay
    first."""

    points: int
    debt: int
    fen_per_point: int
    expiring: list[Ending]
    market: Standing
    shops: list[Standing]


class EntryOut(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal; of the unit `level` the amount is months, and `expires_at` until when the level held then.
    `reference` names the order, or what else it was for; `by` the staff, for the market's."""

    id: str
    at: datetime
    unit: str
    merchant_id: str
    amount: int
    kind: str
    reference: str
    note: str
    expires_at: datetime | UnsetType = UNSET
    level_id: str | UnsetType = UNSET
    by: str | UnsetType = UNSET


class MemberLevel(msgspec.Struct, frozen=True):
    """A bought level by its name, and until when it holds."""

    name: str
    until: datetime


class MemberOut(msgspec.Struct, frozen=True, kw_only=True):
    """A member, by the first letter of the name; `level` is what the growth reaches. Only the market's staff see the account
    and its points."""

    id: str
    name: str
    growth: int
    level: str | None
    bought: list[MemberLevel]
    joined_at: datetime
    account_id: str | UnsetType = UNSET
    points: int | UnsetType = UNSET
    debt: int | UnsetType = UNSET


class GrowthIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Growth given or taken by a shop's staff, and why."""

    growth: Change
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class AdjustIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points and growth given or taken by the market's staff, and why; the member sees the reason."""

    points: Change = 0
    growth: Change = 0
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
