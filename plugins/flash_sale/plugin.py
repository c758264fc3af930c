"""Flash sales: manifest and hooks. What a flash price is is in `rules.py`, what becomes of it in a purchase in `buying.py`,
how events come about in `events.py` and `entries.py`, who is let in in `admission.py`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from core.api import (
    Badge,
    BadgePage,
    Basket,
    Closing,
    Demo,
    Permission,
    Placement,
    Plugin,
    PriceRule,
    Refunded,
    Tx,
    hookimpl,
)
from plugins.flash_sale import badges, buying, demo, routes, rules, usage
from plugins.flash_sale.admission import Gate
from plugins.flash_sale.badges import RememberedSales
from plugins.flash_sale.config import Config
from plugins.flash_sale.models import METADATA


class FlashSalePlugin(Plugin):
    """Few pieces at a low price for a short time, by the market across shops or by a shop."""

    name = "flash_sale"
    title = "限时秒杀"
    summary = "市场按时段举办秒杀活动、商家报名参加，商家也可自办，限时限量限购。"
    Config = Config
    metadata = METADATA
    migrations = "plugins.flash_sale.migrations"
    shop_routes = routes.shop_routes
    merchant_routes = routes.merchant_routes
    platform_routes = routes.platform_routes
    permissions = (
        Permission(routes.MANAGE, "merchant", "Run flash sales and sign up for the market's", ("marketing",)),
        Permission(
            routes.MANAGE, "platform", "Run the market's flash sales, review sign-ups and stop any sale"
        ),
    )
    rule_kinds = rules.KINDS
    rule_pairs = rules.PAIRS

    def __init__(self, config: msgspec.Struct | None = None) -> None:
        super().__init__(config)
        self.gate = Gate()
        self.remembered: RememberedSales = RememberedSales()

    async def open_business(self, tx: Tx) -> Mapping[str, int]:
        """Trades with a flash price that may still be closed or refunded."""
        return {"flash purchases": await usage.undecided(tx)}

    async def demo(self, tx: Tx, market: Demo) -> None:
        """A shop's sale, one across shops, and one that takes sign-ups."""
        await demo.fill(tx, market)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """The flash price that the buyer asks for; one statement, none for who asks for none."""
        return await buying.rules(tx, basket)

    @hookimpl
    async def product_badges(self, tx: Tx, page: BadgePage) -> Sequence[Badge]:
        """The sale of each product that runs or is coming; up to 5 seconds old."""
        return await badges.badges(tx, page, self.remembered)

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> datetime | None:
        """Take the pieces from the sale and from the account's limit; say by when they have to be paid."""
        return await buying.claim(tx, placement)

    @hookimpl
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Give the pieces back."""
        await buying.close(tx, closing)

    @hookimpl
    async def refund_settling(self, tx: Tx, refunded: Refunded) -> None:
        """Give refunded pieces back while their sale runs."""
        await buying.settle(tx, refunded)
