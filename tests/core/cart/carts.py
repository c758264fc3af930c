"""Carts as rows, and plugins beside them, for the tests of the cart."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from core import hookspecs
from core.api import Basket, FlatFee, Plugin, PriceRule, ShippingOption, Tx, hookimpl
from core.cart import service
from core.cart.schemas import CartLineIn, CartLineOut, CartOut
from core.kit.ids import new_id
from core.plugin import Snapshot
from core.types import scope as scopes
from core.types.scope import SYSTEM

_PUT = """
insert into cart_line (account_id, merchant_id, sku_id, quantity, selected, price_seen, source, added_at)
values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)
"""


class Asked(Plugin):
    """Notes the baskets it is asked about; ships from everywhere but `refuses`, for 500 fen."""

    name = "asked"
    title = summary = "asked"

    def __init__(self, refuses: Sequence[UUID] = ()) -> None:
        super().__init__()
        self.refuses, self.baskets = refuses, list[Basket]()

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        self.baskets.append(basket)
        return ()

    @hookimpl
    async def shipping_options(self, tx: Tx, basket: Basket) -> Sequence[ShippingOption]:
        shops = {line.merchant_id for line in basket.lines} - set(self.refuses)
        return [ShippingOption(shop, "asked:x", "express", "x", FlatFee(500)) for shop in shops]


def only(runtime: Any, *plugins: Plugin) -> None:
    """From now on these plugins are on, beside core's own."""
    together = [*plugins, *runtime.always]
    runtime.snapshot = Snapshot(runtime.snapshot.generation + 1, together, together, hookspecs)


async def put(runtime: Any, account_id: UUID, sku: str, quantity: int = 1, **more: Any) -> CartOut:
    """Put a line into the cart."""
    async with runtime.tx(scopes.buyer(account_id)) as tx:
        return await service.put(tx, account_id, sku, CartLineIn(quantity, **more))


async def show(runtime: Any, account_id: UUID) -> CartOut:
    """The cart."""
    async with runtime.tx(scopes.buyer(account_id)) as tx:
        return await service.show(tx, account_id)


def lines(cart: CartOut) -> dict[str, CartLineOut]:
    """The cart's lines by SKU."""
    return {line.sku_id: line for shop in cart.shops for line in shop.lines}


async def hold(runtime: Any, account_id: UUID, plugin: str, until: Any = None) -> None:
    """Note that the account holds something of a plugin."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("insert into holding values ($1, $2, $3)", account_id, plugin, until)


async def fill(runtime: Any, account_id: UUID, count: int, *, begin: Any, step: Any) -> list[UUID]:
    """Lines of SKUs that are nowhere on sale, added at `begin`, `begin + step` and so on; the SKUs."""
    skus, shop = [new_id() for _ in range(count)], new_id()
    async with runtime.tx(SYSTEM) as tx:
        for n, sku in enumerate(skus):
            await tx.execute(_PUT, account_id, shop, sku, 1, True, 1, None, begin + n * step)
    return skus


async def rows(runtime: Any, account_id: UUID) -> Mapping[UUID, Any]:
    """What is stored of the cart, by SKU."""
    async with runtime.tx(SYSTEM) as tx:
        found = await tx.fetch(
            "select *, source::text as source_text from cart_line where account_id = $1", account_id
        )
    return {row["sku_id"]: row for row in found}


def source_of(row: Any) -> Any:
    """A stored line's source."""
    return msgspec.json.decode(row["source_text"]) if row["source_text"] else None
