"""Coupons: manifest and hooks. What a coupon takes off is in `rules.py`, everything else in `service.py`."""

from collections.abc import Sequence

from core.api import (
    Basket,
    Closing,
    OrderEvent,
    Permission,
    Phase,
    Placement,
    Plugin,
    PriceRule,
    RuleKind,
    Tx,
    hookimpl,
)
from plugins.coupons import routes, service
from plugins.coupons.config import Config
from plugins.coupons.models import METADATA
from plugins.coupons.rules import MARKET, SHOP


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
    rule_kinds = (
        RuleKind(SHOP, Phase.SHOP_COUPON, "店铺优惠券", per_shop=1),
        RuleKind(MARKET, Phase.MARKET_COUPON, "平台优惠券", per_trade=1),
    )

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """One rule for each coupon that the buyer holds or named; one statement."""
        return await service.rules(tx, basket)

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> None:
        """Mark the applied coupons used."""
        await service.use(tx, placement)

    @hookimpl
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Give coupons back."""
        await service.give_back(tx, closing)

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None:
        """Count the order for its templates."""
        await service.count(tx, event)
