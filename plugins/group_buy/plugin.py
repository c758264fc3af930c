"""Group-buying: manifest and hooks. What a group price takes off is in `rules.py`, the life of a group in `machine.py`, what
becomes of it in a purchase in `buying.py`, how it ends in `endings.py`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from core.api import (
    Badge,
    BadgePage,
    Basket,
    Closing,
    Deduction,
    Demo,
    Paying,
    PayingAnswer,
    Permission,
    Placement,
    Plugin,
    PriceRule,
    RefundDraft,
    Refunded,
    Tx,
    hookimpl,
)
from plugins.group_buy import buying, demo, endings, happened, routes, seats
from plugins.group_buy.badges import Badges
from plugins.group_buy.config import Config
from plugins.group_buy.models import METADATA
from plugins.group_buy.rules import KINDS, PAIRS


class GroupBuyPlugin(Plugin):
    """A low price for those who fill a group in time; everybody else gets the money back."""

    name = "group_buy"
    title = "拼团"
    summary = "顾客开团或参团，人满成团后按拼团价发货，未满自动退款。"
    Config = Config
    metadata = METADATA
    migrations = "plugins.group_buy.migrations"
    shop_routes = routes.shop_routes
    merchant_routes = routes.merchant_routes
    platform_routes = routes.platform_routes
    permissions = (
        Permission(
            routes.MANAGE, "merchant", "Run group-buys and sign up for the market's events", ("marketing",)
        ),
        Permission(
            routes.MANAGE, "platform", "Run the market's group-buy events, review and stop group-buys"
        ),
    )
    events = {"group_succeeded": happened.group_succeeded, "group_failed": happened.group_failed}
    timers = endings.TIMERS
    rule_kinds = KINDS
    rule_pairs = PAIRS

    def __init__(self, config: msgspec.Struct | None = None) -> None:
        super().__init__(config)
        self.badges = Badges()

    async def open_business(self, tx: Tx) -> Mapping[str, int]:
        """Groups that are being filled or refunded."""
        return {"running groups": await seats.running(tx)}

    async def demo(self, tx: Tx, market: Demo) -> None:
        """A product for groups of two."""
        await demo.fill(tx, market)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """The group price of the one line; one statement, none for who asks for no group."""
        return await buying.rules(tx, basket)

    @hookimpl
    async def product_badges(self, tx: Tx, page: BadgePage) -> Sequence[Badge]:
        """The lowest group price of each product; up to 5 seconds old."""
        return await self.badges.of(tx, page)

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> datetime | None:
        """Take a seat; a member has to pay before the group's time is over."""
        return await buying.take(tx, placement)

    @hookimpl
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Free the seat."""
        await buying.close(tx, closing)

    @hookimpl
    async def order_paying(self, tx: Tx, paying: Paying) -> PayingAnswer | None:
        """Count the seat as paid and hold the order until the group is full."""
        return await buying.pay(tx, paying)

    @hookimpl
    async def refund_requesting(self, tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
        """Refuse while the group is being filled; leaving is another way."""
        return await endings.guard_refund(tx, refund)

    @hookimpl
    async def refund_settling(self, tx: Tx, refunded: Refunded) -> None:
        """Give the units back to the quota."""
        await buying.settle(tx, refunded)
