"""What a member's level makes of the prices on a page; levels and growth are kept for a moment, so that a page in the usual
case asks the database nothing."""

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from core.api import MARKET_ID, Badge, BadgePage, Scope, ShelfProduct, Tx, format_yuan
from plugins.membership import repository
from plugins.membership.rules import MARKET_PRICE, SHOP_PRICE, Level, level_of
from plugins.membership.using import PLUGIN

LEVELS_S = 5.0
GROWTH_S = 30.0
MOST_ISSUERS = 10_000
MOST_VIEWERS = 10_000


class Remembered:
    """The levels of up to `MOST_ISSUERS` shops and of the market, for 5 seconds, and the growth of up to `MOST_VIEWERS`
    accounts, for 30; one per plugin instance. Issuers without levels are remembered as well."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: dict[UUID, tuple[float, Sequence[Level]]] = {}
        self._growth: dict[UUID, tuple[float, Mapping[UUID, int]]] = {}

    async def of(self, tx: Tx, issuers: Sequence[UUID], viewer: UUID) -> dict[UUID, Level]:
        """The viewer's level with each issuer, where there is one; at most one statement, as the viewer."""
        now = self._clock()
        missing = [issuer for issuer in issuers if self._levels.get(issuer, (0.0, ()))[0] <= now]
        known = viewer in self._growth and self._growth[viewer][0] > now
        any_level = any(self._levels[issuer][1] for issuer in issuers if issuer not in missing)
        if missing or (any_level and not known):
            await self._read(tx, missing, None if known else viewer, now)
        growth = self._growth[viewer][1] if viewer in self._growth else {}
        found: dict[UUID, Level] = {}
        for issuer in issuers:
            reached = level_of(self._levels[issuer][1], growth.get(issuer, 0))
            if reached is not None:
                found[issuer] = reached
        return found

    async def _read(self, tx: Tx, missing: Sequence[UUID], viewer: UUID | None, now: float) -> None:
        if viewer is not None:
            await tx.enter(Scope("buyer", account_id=viewer))
        seen = await repository.look(tx, missing, viewer)
        if len(self._levels) + len(missing) > MOST_ISSUERS:
            self._levels = {issuer: kept for issuer, kept in self._levels.items() if kept[0] > now}
        self._levels.update((issuer, (now + LEVELS_S, levels)) for issuer, levels in seen.levels.items())
        if viewer is not None:
            if len(self._growth) >= MOST_VIEWERS:
                self._growth.clear()
            self._growth[viewer] = (now + GROWTH_S, seen.growth)


async def badges(tx: Tx, page: BadgePage, remembered: Remembered) -> list[Badge]:
    """For each product that is cheaper for the viewer, the member's price: the lower of the market's and the shop's. Nobody
    who is not signed in sees any, at no cost."""
    if page.viewer is None:
        return []
    issuers = [MARKET_ID, *dict.fromkeys([product.merchant_id for product in page.products])]
    levels = await remembered.of(tx, issuers, page.viewer)
    if not levels:
        return []
    return [badge for product in page.products if (badge := _badge(product, levels)) is not None]


def _badge(product: ShelfProduct, levels: Mapping[UUID, Level]) -> Badge | None:
    offers = [
        (level.shelf_price(product.product_id, product.price), kind)
        for issuer, kind in ((MARKET_ID, MARKET_PRICE), (product.merchant_id, SHOP_PRICE))
        if (level := levels.get(issuer)) is not None
    ]
    if not offers or min(offers)[0] >= product.price:
        return None
    price, kind = min(offers)
    return Badge(product.product_id, PLUGIN, kind, f"会员价 {format_yuan(price)}", price)
