"""What a promotion is, as it is written down and shown; fixed once it has begun. Amounts in fen, ids as clients know
them."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

MAX_IDS = 200
MAX_ITEMS = 500
MAX_TIERS = 10
MAX_GIFTS = 10
ALL_BP = 10_000

Fen = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Bp = Annotated[int, Meta(ge=1, le=10_000)]
Few = Annotated[int, Meta(ge=1, le=1_000)]
Many = Annotated[int, Meta(ge=1, le=100_000_000)]

Kind = Literal["limited", "nth", "bundle", "gift", "reduction", "free_shipping"]
LIMITED: Final = "limited"
NTH: Final = "nth"
BUNDLE: Final = "bundle"
GIFT: Final = "gift"
REDUCTION: Final = "reduction"
FREE_SHIPPING: Final = "free_shipping"


class Scope(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which goods take part; categories include those below them. Merchants are for the market to name."""

    kind: Literal["all", "products", "categories", "shop_categories", "merchants"] = "all"
    ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_IDS)] = ()


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """A SKU of a limited-time discount, with one of `price`, `amount` off and `rate_bp` off (1000 = 10 %); or of a bundle,
    with how many of it make one set."""

    sku_id: Id
    price: Fen | None = None
    amount: Fen | None = None
    rate_bp: Bp | None = None
    quantity: Few = 1


class Gift(msgspec.Struct, frozen=True, omit_defaults=True):
    """So many of a SKU for nothing, out of its own stock. `value` is what one counts for when goods go back and it does not;
    by default what it costs when it is given."""

    sku_id: Id
    quantity: Few = 1
    value: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None


class Tier(msgspec.Struct, frozen=True, omit_defaults=True):
    """What there is from so much on, fen or pieces: `minus` fen off, or `rate_bp` of the goods off; free freight;
    gifts. `cap` is the most that a rate, or free shipping, takes off."""

    from_: Annotated[int, Meta(ge=0, le=1_000_000_000)] = msgspec.field(name="from")
    minus: Fen | None = None
    rate_bp: Bp | None = None
    cap: Fen | None = None
    free_freight: bool = False
    gifts: Annotated[tuple[Gift, ...], Meta(max_length=MAX_GIFTS)] = ()


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All kinds in one; which fields a kind takes is in `checks.py`.

    `nth` and `rate_bp`: each N-th piece of the `pool` (one SKU, one product, or all goods of the activity) is that much
    cheaper; 5000 is half. `by`: tiers count fen or pieces; `each`: the one tier counts for every so much. `per_order` bounds
    the pieces, sets or times of one order, `per_account` those of one account and `total` of all, over the whole activity.
    `on_refund`: what becomes of a gift that has left and that the kept goods no longer earn: its value is deducted, it has
    to be returned with them, or the buyer keeps it, also where it is still to be sent. `merchant_share_bp`: what the shops
    bear of a promotion of the market.
    """

    kind: Kind
    name: Annotated[str, Meta(min_length=1, max_length=60)]
    scope: Scope = Scope()
    items: Annotated[tuple[Item, ...], Meta(max_length=MAX_ITEMS)] = ()
    price: Fen | None = None
    nth: Annotated[int, Meta(ge=2, le=100)] = 2
    rate_bp: Bp | None = None
    pool: Literal["sku", "product", "activity"] = "activity"
    by: Literal["amount", "count"] = "amount"
    tiers: Annotated[tuple[Tier, ...], Meta(max_length=MAX_TIERS)] = ()
    each: bool = False
    per_order: Many | None = None
    per_account: Many | None = None
    total: Many | None = None
    on_refund: Literal["deduct", "return", "keep"] = "deduct"
    merchant_share_bp: Annotated[int, Meta(ge=0, le=10_000)] | None = None

    @property
    def limited(self) -> bool:
        """Whether using it must be counted."""
        return self.per_account is not None or self.total is not None

    @property
    def gifts(self) -> tuple[Gift, ...]:
        """All gifts of all tiers."""
        return tuple([gift for tier in self.tiers for gift in tier.gifts])
