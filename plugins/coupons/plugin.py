"""Coupons: manifest and hooks. What a coupon takes off is in `rules.py`, what becomes of it in a purchase in `using.py`,
how it comes to the buyer in `claiming.py` and `granting.py`."""

from collections.abc import Mapping, Sequence

import msgspec

from core.api import (
    Badge,
    BadgePage,
    Basket,
    BenefitProvider,
    Closing,
    Deduction,
    Demo,
    OrderEvent,
    Permission,
    Phase,
    Placement,
    Plugin,
    PriceRule,
    RefundDraft,
    Refunded,
    RefundEvent,
    RuleKind,
    Tx,
    hookimpl,
)
from plugins.coupons import badges, demo, granting, happened, reminding, routes, usage, using
from plugins.coupons.badges import RememberedOffers
from plugins.coupons.benefits import CouponBenefits
from plugins.coupons.config import Config
from plugins.coupons.models import METADATA
from plugins.coupons.rules import MARKET, MARKET_SHIPPING, SHOP, SHOP_SHIPPING


class CouponsPlugin(Plugin):
    """Coupons that shops and the market issue, buyers claim and placing uses up."""

    name = "coupons"
    title = "优惠券"
    summary = "市场与商家发放优惠券，顾客领取后在结算时使用。"
    Config = Config
    metadata = METADATA
    migrations = "plugins.coupons.migrations"
    shop_routes = routes.shop_routes
    merchant_routes = routes.merchant_routes
    platform_routes = routes.platform_routes
    permissions = (
        Permission(routes.MANAGE, "merchant", "Issue and stop the shop's coupons", ("marketing",)),
        Permission(routes.MANAGE, "platform", "Issue and stop the market's coupons"),
    )
    events = {"coupon_granted": happened.coupon_granted, "coupon_expiring": happened.coupon_expiring}
    timers = {**reminding.TIMERS, **using.TIMERS}
    cycles = reminding.CYCLES
    rule_kinds = (
        RuleKind(SHOP, Phase.SHOP_COUPON, "店铺优惠券", per_shop=1),
        RuleKind(MARKET, Phase.MARKET_COUPON, "平台优惠券", per_trade=1),
        # The shop's goes first, as with goods: what it takes off is not left for the market's.
        RuleKind(SHOP_SHIPPING, Phase.SHIPPING_DISCOUNT, "店铺包邮券", priority=1, per_shop=1),
        RuleKind(MARKET_SHIPPING, Phase.SHIPPING_DISCOUNT, "平台包邮券", per_trade=1),
    )

    def __init__(self, config: msgspec.Struct | None = None) -> None:
        super().__init__(config)
        self.remembered = RememberedOffers()

    def benefits(self) -> Mapping[str, BenefitProvider]:
        """Coupons of templates with claim gift."""
        return {self.name: CouponBenefits()}

    async def open_business(self, tx: Tx) -> Mapping[str, int]:
        """Coupons used in orders that may still be closed or refunded: their money is not released."""
        return {"used coupons": await usage.undecided(tx)}

    async def demo(self, tx: Tx, market: Demo) -> None:
        """Coupons to claim."""
        await demo.fill(tx, market)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """One rule for each coupon that the buyer holds or named; one statement, none for who holds and names none."""
        return await using.rules(tx, basket)

    @hookimpl
    async def product_badges(self, tx: Tx, page: BadgePage) -> Sequence[Badge]:
        """The best coupons to claim for each product; up to 5 seconds old."""
        return await badges.badges(tx, page, self.remembered)

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> None:
        """Mark the applied coupons used."""
        await using.use(tx, placement)

    @hookimpl
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Give coupons back."""
        await using.close(tx, closing)

    @hookimpl(every_order=True)
    async def refund_requesting(self, tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
        """Take back the coupons that came with what is refunded; keep back the worth of used ones."""
        return await granting.take_back(tx, refund)

    @hookimpl
    async def refund_settling(self, tx: Tx, refunded: Refunded) -> None:
        """Give back the coupons of what is wholly refunded."""
        await using.settle(tx, refunded)

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None:
        """Give the coupons that come with the order, and count it for the templates whose coupons it used."""
        # The rows of what the order used come first, then all templates at once, as everywhere in this plugin: an order
        # brings the very coupons that another one used.
        used = await using.paid(tx, event)
        await granting.give_gifts(tx, event, used)
        if used:
            await using.count(tx, event)

    @hookimpl
    async def refund_done(self, tx: Tx, event: RefundEvent) -> None:
        """Take the refund off what its templates brought and cost."""
        await using.refunded(tx, event)
