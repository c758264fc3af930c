"""What the cart and the quote take and give. Amounts in fen, ids opaque."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.catalog.schemas import MAX_QUANTITY
from core.types.pricing import Problem, Quote

MAX_QUOTE_LINES = 100
MAX_CART_LINES = 200

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=200)]
Source = Annotated[dict[Name, Text], Meta(max_length=10)]
Options = Annotated[dict[Name, Any], Meta(max_length=50)]


class WantedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many of a SKU; `options` are for plugins, `source` is what brought the buyer to it (without it, that of the cart's
    line)."""

    sku_id: Id
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
    options: Options = {}
    source: Source | None = None


class QuoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to price: these lines, or without `lines` the selected lines of the cart.

    `shipping` is an option key per merchant id; `options` what the buyer chose, per plugin.
    """

    lines: Annotated[list[WantedLine], Meta(min_length=1, max_length=MAX_QUOTE_LINES)] | None = None
    address_id: Id | None = None
    shipping: Annotated[dict[Id, Name], Meta(max_length=MAX_CART_LINES)] = {}
    options: Options = {}


class CartLineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of a SKU are in the cart; 0 removes it. What is left out stays as it is."""

    quantity: Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
    selected: bool | None = None
    source: Source | None = None


class SelectIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Select or deselect these SKUs, or without `sku_ids` all of the cart."""

    selected: bool
    sku_ids: Annotated[list[Id], Meta(max_length=MAX_CART_LINES)] | None = None


class CartMerchant(msgspec.Struct, frozen=True):
    """Whose lines they are."""

    id: str
    name: str


class CartLineOut(msgspec.Struct, frozen=True):
    """One line of the cart. `problem` says why it cannot be bought as it stands, and then it does not count in the quote;
    `price_seen` is there when the price changed since the line was added, `min_quantity` and `max_quantity` when one
    purchase must hold more than one of it, or not more than so many."""

    sku_id: str
    product_id: str
    title: str
    specs: tuple[str, ...]
    quantity: int
    selected: bool
    price: int
    image_url: str | None
    available: int
    min_quantity: int | UnsetType = UNSET
    max_quantity: int | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET
    price_seen: int | UnsetType = UNSET


class CartShop(msgspec.Struct, frozen=True):
    """One shop's part of the cart. `problem` says what is wrong with the shop as a whole: it is closed, or does not deliver
    to the address."""

    merchant: CartMerchant
    lines: list[CartLineOut]
    problem: Problem | UnsetType = UNSET


class CartOut(msgspec.Struct, frozen=True):
    """The cart; `quote` prices the selected lines that can be bought."""

    shops: list[CartShop]
    quote: Quote
