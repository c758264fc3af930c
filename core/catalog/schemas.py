"""What catalog routes take and give. Amounts in fen, weights in grams, volumes in cubic centimetres."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Text255 = Annotated[str, Meta(max_length=255)]
Id = Annotated[str, Meta(max_length=100)]
Url = Annotated[str, Meta(max_length=2048)]
Price = Annotated[int, Meta(ge=0, le=1_000_000_000)]
# The most of one SKU in a cart, and so in one purchase.
MAX_QUANTITY = 9_999
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Status = Literal["draft", "listed", "delisted"]

Title = Annotated[str, Meta(min_length=1, max_length=255)]
Description = Annotated[str, Meta(max_length=100_000)]
Images = Annotated[list[Url], Meta(max_length=20)]
SpecNames = Annotated[list[Text255], Meta(max_length=3)]
Tags = Annotated[list[Text255], Meta(max_length=50)]
CategoryIds = Annotated[list[Id], Meta(max_length=20)]


class SkuIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SKU as sent. `id` (or else equal `specs`) says which existing one is meant; what is None stays as it is, and
    is empty, 0 or true for a new one. `on_hand` of an existing SKU moves its stock by the difference.

    `min_quantity` (1 for a new one) and `max_quantity` bound what one purchase may hold of it; a `max_quantity` of null
    lifts the bound, left out it stays."""

    price: Price
    specs: Annotated[dict[Text255, Text255], Meta(max_length=3)] = {}
    id: Id | None = None
    code: Text255 | None = None
    list_price: Price | None = None
    weight_g: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    volume_cm3: Annotated[int, Meta(ge=0, le=100_000_000)] | None = None
    barcode: Text255 | None = None
    image_url: Url | None = None
    requires_shipping: bool | None = None
    min_quantity: Quantity | None = None
    max_quantity: Quantity | UnsetType | None = UNSET
    on_hand: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


Skus = Annotated[list[SkuIn], Meta(min_length=1, max_length=100)]


class ProductIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new product; a draft unless `status` says otherwise."""

    title: Title
    skus: Skus
    category_id: Id | None = None
    shop_category_ids: CategoryIds = []
    description: Description = ""
    images: Images = []
    spec_names: SpecNames = []
    vendor: Text255 = ""
    product_type: Text255 = ""
    tags: Tags = []
    status: Status = "draft"


class ProductPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays. When `skus` is there, it is the whole list: SKUs that are missing are retired."""

    title: Title | UnsetType = UNSET
    skus: Skus | UnsetType = UNSET
    category_id: Id | UnsetType | None = UNSET
    shop_category_ids: CategoryIds | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    images: Images | UnsetType = UNSET
    spec_names: SpecNames | UnsetType = UNSET
    vendor: Text255 | UnsetType = UNSET
    product_type: Text255 | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET


class SkuOut(Struct, frozen=True):
    """A SKU as its merchant sees it; `available = on_hand - reserved`. One purchase holds `min_quantity` to `max_quantity`
    of it (null: no bound)."""

    id: str
    code: str | None
    specs: dict[str, str]
    price: int
    list_price: int | None
    weight_g: int
    volume_cm3: int
    barcode: str | None
    image_url: str | None
    requires_shipping: bool
    on_hand: int
    reserved: int
    available: int
    min_quantity: int
    max_quantity: int | None


class ProductOut(Struct, frozen=True):
    """A product as its merchant sees it, with its active SKUs."""

    id: str
    handle: str
    title: str
    status: str
    category_id: str | None
    shop_category_ids: list[str]
    description: str
    images: list[str]
    spec_names: list[str]
    vendor: str
    product_type: str
    tags: list[str]
    skus: list[SkuOut]
    created_at: datetime
    updated_at: datetime


class CategoryIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A new category below `parent_id`, or at the top."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    parent_id: Id | None = None
    position: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class CategoryPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """A category's new name or place among its siblings."""

    name: Annotated[str, Meta(min_length=1, max_length=80)] | UnsetType = UNSET
    position: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET


class CategoryOut(Struct, frozen=True):
    """One category by itself."""

    id: str
    name: str
    parent_id: str | None
    position: int


class CategoryNode(Struct, frozen=True):
    """A category with what is below it."""

    id: str
    name: str
    parent_id: str | None
    position: int
    children: list["CategoryNode"]


class CategoryTree(Struct, frozen=True):
    """All categories, from the roots; never more than one page."""

    items: list[CategoryNode]
    next_cursor: str | None = None


class Badge(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a plugin shows on a product; never changes its sort price. `price` in fen, when it promises one."""

    plugin: str
    kind: str
    text: str
    price: int | None = None
    activity_id: str | None = None


class MerchantBrief(Struct, frozen=True):
    """The shop of a product; `distance_m` when the caller said where they are."""

    id: str
    name: str
    distance_m: int | None = None


class ProductCard(Struct, frozen=True):
    """A product in a list; `price` is that of its cheapest SKU."""

    id: str
    title: str
    image_url: str | None
    price: int
    list_price: int | None
    sales: int
    merchant: MerchantBrief
    badges: list[Badge]


class Spec(Struct, frozen=True):
    """Something to choose, with its values in the order of the SKUs."""

    name: str
    values: list[str]


class PublicSku(Struct, frozen=True):
    """A SKU as the buyer sees it. One purchase holds `min_quantity` to `max_quantity` of it (null: no bound)."""

    id: str
    specs: dict[str, str]
    price: int
    list_price: int | None
    image_url: str | None
    available: int
    min_quantity: int
    max_quantity: int | None


class ProductPage(Struct, frozen=True):
    """A product's own page."""

    id: str
    title: str
    image_url: str | None
    price: int
    list_price: int | None
    sales: int
    merchant: MerchantBrief
    badges: list[Badge]
    description: str
    images: list[str]
    specs: list[Spec]
    skus: list[PublicSku]
    shipping_hint: str


class RefusedRow(Struct, frozen=True):
    """Something of a file that was not taken: the line its row begins on (from 1, the header's)."""

    line: int
    code: str
    detail: str


class ImportReport(Struct, frozen=True):
    """How many products and SKUs were taken, and what was not."""

    products: int
    skus: int
    refused: list[RefusedRow]
