"""What lists and pages of products carry besides the products."""

from uuid import UUID

import msgspec


class ShelfProduct(msgspec.Struct, frozen=True):
    """One product of a page, as far as badges need to know. `price` is the lowest of its SKUs, in fen."""

    merchant_id: UUID
    product_id: UUID
    price: int
    category_path: tuple[UUID, ...] = ()
    shop_category_ids: tuple[UUID, ...] = ()


class BadgePage(msgspec.Struct, frozen=True):
    """The products of one page, each once, and who looks (None: not signed in)."""

    products: tuple[ShelfProduct, ...]
    viewer: UUID | None = None


class Badge(msgspec.Struct, frozen=True, gc=False):
    """Something shown on a product. `kind` is the plugin's own word for it, `price` in fen when it promises one."""

    product_id: UUID
    plugin: str
    kind: str
    text: str
    price: int | None = None
    activity_id: str | None = None
