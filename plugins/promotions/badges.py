"""What products show of the promotions that run; kept for a moment, so that a page in the usual case asks the database
nothing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from core.api import MARKET_ID, Badge, BadgePage, BasketLine, Remembered, ShelfProduct, Tx, ref
from plugins.promotions import repository
from plugins.promotions.limited import target
from plugins.promotions.offers import running_of
from plugins.promotions.rules import PLUGIN, Running, kind_of
from plugins.promotions.shown import text
from plugins.promotions.terms import LIMITED

# As long as what is read is kept, and what begins in that time with it.
_SOON = timedelta(seconds=5)


class _Sku(msgspec.Struct, frozen=True):
    merchant_id: UUID
    sku_id: UUID
    product_id: UUID
    price: int


class Sign(NamedTuple):
    """A promotion and what it says; `prices` are what products cost with it where it names SKUs, None for no price."""

    running: Running
    kind: str
    text: str
    prices: Mapping[UUID, int | None]

    def on(self, product: ShelfProduct, now: datetime) -> Badge | None:
        """Its badge on a product, if it takes part now."""
        running = self.running
        if not running.on(now):
            return None
        if running.items:
            if product.product_id not in self.prices:
                return None
        elif not running.takes(_line(product)):
            return None
        price = self.prices.get(product.product_id)
        return Badge(product.product_id, PLUGIN, self.kind, self.text, price, ref(running.id))


class RememberedSigns:
    """The promotions of shops and of the market that products show; up to 5 seconds old."""

    def __init__(self) -> None:
        self.kept: Remembered[UUID, tuple[Sign, ...]] = Remembered()

    async def of(self, tx: Tx, merchants: Iterable[UUID]) -> Mapping[UUID, tuple[Sign, ...]]:
        """The signs of each; one statement for all that are not remembered, else none."""

        async def read(missing: Sequence[UUID]) -> Mapping[UUID, tuple[Sign, ...]]:
            found: dict[UUID, list[Sign]] = {}
            for row in await repository.shown(tx, missing, tx.now + _SOON):
                named = msgspec.json.decode(row["named"], type=list[_Sku]) if row["named"] else []
                found.setdefault(row["merchant_id"], []).append(sign(running_of(row), named))
            return {merchant: tuple(signs) for merchant, signs in found.items()}

        return await self.kept.of(merchants, read)


def sign(running: Running, named: Iterable[_Sku]) -> Sign:
    """What a promotion shows; the lowest price where it has one for several SKUs of a product."""
    prices: dict[UUID, int | None] = {}
    for sku in named:
        item = running.items.get(ref(sku.merchant_id, sku.sku_id))
        if item is None:
            continue
        if running.terms.kind != LIMITED:
            prices[sku.product_id] = None
            continue
        price, before = target(item, sku.price), prices.get(sku.product_id)
        if price < sku.price:
            prices[sku.product_id] = price if before is None else min(before, price)
    kind = kind_of(running.terms, of_market=running.of_market)
    return Sign(running, kind, text(running.terms), prices)


def _line(product: ShelfProduct) -> BasketLine:
    return BasketLine(
        "",
        product.merchant_id,
        product.product_id,
        product.product_id,
        1,
        product.price,
        category_path=product.category_path,
        shop_category_ids=product.shop_category_ids,
    )


async def badges(tx: Tx, page: BadgePage, remembered: RememberedSigns) -> list[Badge]:
    """For each product what it takes part in, of its shop and of the market: the newest of each kind."""
    signs = await remembered.of(tx, {MARKET_ID, *[product.merchant_id for product in page.products]})
    found: list[Badge] = []
    for product in page.products:
        kinds: set[str] = set()
        for owner in dict.fromkeys((product.merchant_id, MARKET_ID)):
            for made in signs.get(owner, ()):
                badge = made.on(product, tx.now) if made.kind not in kinds else None
                if badge is not None:
                    kinds.add(made.kind)
                    found.append(badge)
    return found
