"""What a member's levels make of the prices on a page. Levels and what viewers have are kept for a moment, so that a page in
the usual case asks the database nothing."""

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from core.api import MARKET_ID, Badge, BadgePage, Scope, ShelfProduct, Tx, format_yuan
from plugins.membership import repository
from plugins.membership.repository import NOTHING, Look
from plugins.membership.rules import MARKET_PRICE, SHOP_PRICE, Level, levels_of
from plugins.membership.using import PLUGIN

LEVELS_S = 5.0
OWNED_S = 30.0
MOST_ISSUERS = 10_000
MOST_VIEWERS = 10_000


class Remembered:
    """The levels of up to `MOST_ISSUERS` shops and of the market, for 5 seconds, and growth and bought levels of up to
    `MOST_VIEWERS` accounts, for 30; one per plugin instance. Issuers without levels are remembered as well."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: dict[UUID, tuple[float, Sequence[Level]]] = {}
        self._owned: dict[UUID, tuple[float, Look]] = {}

    async def of(self, tx: Tx, issuers: Sequence[UUID], viewer: UUID) -> dict[UUID, list[Level]]:
        """The viewer's levels with each issuer, where there are any; at most one statement, as the viewer."""
        now = self._clock()
        missing = [issuer for issuer in issuers if self._levels.get(issuer, (0.0, ()))[0] <= now]
        known = viewer in self._owned and self._owned[viewer][0] > now
        any_level = any(self._levels[issuer][1] for issuer in issuers if issuer not in missing)
        if missing or (any_level and not known):
            await self._read(tx, missing, None if known else viewer, now)
        owned = self._owned[viewer][1] if viewer in self._owned else NOTHING
        found: dict[UUID, list[Level]] = {}
        for issuer in issuers:
            held = levels_of(self._levels[issuer][1], owned.growth.get(issuer, 0), owned.bought)
            if held:
                found[issuer] = held
        return found

    async def _read(self, tx: Tx, missing: Sequence[UUID], viewer: UUID | None, now: float) -> None:
        if viewer is not None:
            await tx.enter(Scope("buyer", account_id=viewer))
        seen = await repository.look(tx, missing, viewer)
        if len(self._levels) + len(missing) > MOST_ISSUERS:
            self._levels = {issuer: kept for issuer, kept in self._levels.items() if kept[0] > now}
        self._levels.update((issuer, (now + LEVELS_S, levels)) for issuer, levels in seen.levels.items())
        if viewer is not None:
            if len(self._owned) >= MOST_VIEWERS:
                self._owned.clear()
            self._owned[viewer] = (now + OWNED_S, seen._replace(levels={}))


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


def _badge(product: ShelfProduct, levels: Mapping[UUID, Sequence[Level]]) -> Badge | None:
    offers = [
        (level.shelf_price(product.product_id, product.price), kind)
        for issuer, kind in ((MARKET_ID, MARKET_PRICE), (product.merchant_id, SHOP_PRICE))
        for level in levels.get(issuer, ())
    ]
    if not offers or min(offers)[0] >= product.price:
        return None
    price, kind = min(offers)
    return Badge(product.product_id, PLUGIN, kind, f"会员价 {format_yuan(price)}", price)
