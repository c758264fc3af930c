"""Goods that coupons are meant for."""

from typing import Any
from uuid import UUID

from core.kit.ids import new_id, parse_pair, ref
from core.types.scope import SYSTEM
from tests.support.market import add_product, open_shop


class Goods:
    """What scopes can name: two shops, a category of the market with a product of the first shop, and a category of that shop."""

    one: UUID
    two: UUID

    async def make(self, runtime: Any) -> "Goods":
        """Write it all."""
        self.one, self.two = await open_shop(runtime, "one"), await open_shop(runtime, "two")
        sku = await add_product(runtime, self.one)
        self.category, self.shop_category = new_id(), new_id()
        async with runtime.tx(SYSTEM) as tx:
            product = await tx.fetchval("select product_id from sku where id = $1", parse_pair(sku)[1])
            await tx.execute(
                "insert into category (id, name, path, created_at) values ($1, '茶', array[$1::uuid], $2)",
                self.category,
                tx.now,
            )
            await tx.execute(
                "insert into shop_category (merchant_id, id, name, created_at) values ($1, $2, '新品', $3)",
                self.one,
                self.shop_category,
                tx.now,
            )
            await tx.execute(
                "update listing set category_path = $1, shop_category_ids = $2 where product_id = $3",
                [self.category],
                [self.shop_category],
                product,
            )
        self.product = ref(self.one, product)
        return self

    def scope(self, kind: str) -> dict[str, Any]:
        """The scope of this kind that means the product."""
        ids = {
            "products": self.product,
            "categories": ref(self.category),
            "shop_categories": ref(self.one, self.shop_category),
            "merchants": ref(self.one),
        }
        return {"kind": kind, "ids": [ids[kind]]}
