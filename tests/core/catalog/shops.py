"""Makes shops and products for the tests of the catalog and its neighbours."""

from typing import Any
from uuid import UUID

from core.catalog import products
from core.catalog.schemas import ProductIn, ProductOut, SkuIn
from core.deployment.runtime import Runtime
from core.identity import accounts
from core.kit.geo import Point
from core.kit.ids import parse_pair, parse_ref
from core.merchants import service
from core.merchants.schemas import MerchantIn, OwnerIn
from core.types.scope import SYSTEM, merchant


async def open_shop(
    runtime: Runtime, slug: str = "shop-a", place: Point | None = None, *, approve: bool = True
) -> UUID:
    """A shop, open unless `approve` is off."""
    async with runtime.tx(SYSTEM) as tx:
        made = await service.apply(tx, MerchantIn(slug.title(), slug, OwnerIn(slug, "long-enough"), place))
        key = parse_ref(made.id)
        if approve:
            await service.approve(tx, key)
        assert await tx.fetchval("select count(*) from staff where merchant_id = $1", key) == 1
    assert accounts.normal_login(slug) == slug
    return key


async def add_product(runtime: Runtime, shop: UUID, title: str = "茶", **fields: Any) -> ProductOut:
    """A listed product of one SKU at 10 yuan with 5 pieces, unless said otherwise."""
    given = {"skus": [SkuIn(price=1000, on_hand=5)], "status": "listed"} | fields
    async with runtime.tx(merchant(shop)) as tx:
        return await products.create(tx, shop, ProductIn(title=title, **given))


def row_id(text: str) -> UUID:
    """The row's part of an opaque id."""
    return parse_pair(text)[1]
