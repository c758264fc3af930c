"""Articles on sale as rows of the public copy, for tests that only read it. Amounts in fen."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from core.kit.ids import new_id, ref
from core.types.scope import SYSTEM

_ON_SALE = """
insert into listing_sku (merchant_id, sku_id, product_id, title, specs, price, category_path, shop_category_ids,
  weight_g, volume_cm3, requires_shipping, merchant_name, live, unavailable)
values ($1, $2, $3, $4, $5, $6, $7, '{}', 500, 0, $8, $9, $10, $11)
"""


class Article(msgspec.Struct, frozen=True):
    """One SKU on sale."""

    merchant_id: UUID
    sku_id: UUID
    product_id: UUID
    price: int

    @property
    def ref(self) -> str:
        """Its opaque id."""
        return ref(self.merchant_id, self.sku_id)


async def put_on_sale(
    runtime: Any,
    *,
    merchant_id: UUID | None = None,
    price: int = 1000,
    stock: int = 100,
    title: str = "青花碗",
    shop: str = "荣昌陶",
    category_path: Sequence[UUID] = (),
    requires_shipping: bool = True,
    unavailable: str | None = None,
) -> Article:
    """A SKU with its stock."""
    article = Article(merchant_id or new_id(), new_id(), new_id(), price)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            _ON_SALE,
            article.merchant_id,
            article.sku_id,
            article.product_id,
            title,
            ["白"],
            price,
            list(category_path),
            requires_shipping,
            shop,
            unavailable is None,
            unavailable,
        )
        await tx.execute(
            "insert into stock (merchant_id, sku_id, on_hand) values ($1, $2, $3)",
            article.merchant_id,
            article.sku_id,
            stock,
        )
    return article


async def change(runtime: Any, article: Article, **columns: Any) -> None:
    """Change columns of an article's public copy."""
    async with runtime.tx(SYSTEM) as tx:
        for name, value in columns.items():
            await tx.execute(
                f"update listing_sku set {name} = $3 where merchant_id = $1 and sku_id = $2",
                article.merchant_id,
                article.sku_id,
                value,
            )
