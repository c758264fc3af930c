"""Promotions: manifest and hooks. What each kind takes off is in `rules.py` and the modules it names, what is used of
limits in `using.py`, what becomes of gifts in `gifts.py`, how promotions are run in `running.py`."""

from collections.abc import Mapping, Sequence

import msgspec

from core.api import (
    Badge,
    BadgePage,
    Basket,
    Closing,
    Deduction,
    Demo,
    KeptRules,
    Permission,
    Placement,
    Plugin,
    PriceRule,
    RefundDraft,
    Refunded,
    Tx,
    hookimpl,
)
from plugins.promotions import badges, demo, gifts, offers, routes, rules, usage, using
from plugins.promotions.badges import RememberedSigns
from plugins.promotions.config import Config
from plugins.promotions.models import METADATA
from plugins.promotions.rules import Running


class PromotionsPlugin(Plugin):
    """Promotions that shops, or the market across shops, run for a time."""

    name = "promotions"
    title = "促销"
    summary = "限时折扣、第二件半价、套装、买赠、满减与包邮，由商家或平台发起。"
    Config = Config
    metadata = METADATA
    migrations = "plugins.promotions.migrations"
    shop_routes = routes.shop_routes
    merchant_routes = routes.merchant_routes
    platform_routes = routes.platform_routes
    permissions = (
        Permission(routes.MANAGE, "merchant", "Run the shop's promotions", ("marketing",)),
        Permission(routes.MANAGE, "platform", "Run promotions across shops, and stop those of shops"),
    )
    rule_kinds = rules.KINDS
    rule_pairs = rules.PAIRS

    def __init__(self, config: msgspec.Struct | None = None) -> None:
        super().__init__(config)
        self.kept: KeptRules[Running] = KeptRules(self.name)
        self.remembered = RememberedSigns()

    async def open_business(self, tx: Tx) -> Mapping[str, int]:
        """Limits and gifts of orders that may still be closed or refunded: their money is not released."""
        return {"used promotions": await usage.undecided(tx)}

    async def demo(self, tx: Tx, market: Demo) -> None:
        """A promotion of each of four shops."""
        await demo.fill(tx, market)

    @hookimpl
    async def product_badges(self, tx: Tx, page: BadgePage) -> Sequence[Badge]:
        """What each product takes part in; up to 5 seconds old."""
        return await badges.badges(tx, page, self.remembered)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """Rules of what runs for these goods; no statement for what is unchanged and not counted, else one."""
        return await offers.rules(tx, basket, self.kept)

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> None:
        """Claim what is counted, note gifts."""
        await using.use(tx, placement)

    @hookimpl
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Give back what the orders used."""
        await using.close(tx, closing)

    @hookimpl
    async def refund_requesting(self, tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
        """Keep back the value of gifts that the goods that stay no longer earn, or have them returned."""
        return await gifts.keep_back(tx, refund)

    @hookimpl
    async def refund_settling(self, tx: Tx, refunded: Refunded) -> None:
        """Give back what a wholly refunded order used."""
        await using.settle(tx, refunded)
