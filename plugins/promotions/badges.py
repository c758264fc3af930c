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
_MOST_PRODUCTS = 10_000


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


class _Shown(NamedTuple):
    """The badges of a product, made of these signs of its shop and of the market; good until one of them begins or ends."""

    own: tuple[Sign, ...]
    of_market: tuple[Sign, ...]
    until: datetime
    badges: Sequence[Badge]


class RememberedSigns:
    """The promotions of shops and of the market that products show, and what products show of them; up to 5 seconds old."""

    def __init__(self) -> None:
        self.kept: Remembered[UUID, tuple[Sign, ...]] = Remembered()
        self._shown: dict[UUID, _Shown] = {}

    def on(
        self, product: ShelfProduct, own: tuple[Sign, ...], of_market: tuple[Sign, ...], now: datetime
    ) -> Sequence[Badge]:
        """What the product shows of these: the newest of each kind, its shop's before the market's."""
        shown = self._shown.get(product.product_id)
        if shown is None or shown.own is not own or shown.of_market is not of_market or now >= shown.until:
            if len(self._shown) >= _MOST_PRODUCTS:
                self._shown.clear()
            found = _newest(product, (*own, *of_market), now)
            shown = _Shown(own, of_market, _next_change((*own, *of_market), now), found)
            self._shown[product.product_id] = shown
        return shown.badges

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
    of_market = signs.get(MARKET_ID, ())
    found: list[Badge] = []
    for product in page.products:
        own = signs.get(product.merchant_id, ()) if product.merchant_id != MARKET_ID else ()
        found += remembered.on(product, own, of_market, tx.now)
    return found


def _newest(product: ShelfProduct, signs: Iterable[Sign], now: datetime) -> list[Badge]:
    kinds: set[str] = set()
    found: list[Badge] = []
    for made in signs:
        badge = made.on(product, now) if made.kind not in kinds else None
        if badge is not None:
            kinds.add(made.kind)
            found.append(badge)
    return found


def _next_change(signs: Iterable[Sign], now: datetime) -> datetime:
    """When the next of them begins or ends."""
    moments = [at for made in signs for at in (made.running.starts_at, made.running.ends_at)]
    return min([at for at in moments if at > now], default=now + _SOON)
