"""The market's commission: a flat share of each order's goods."""

from typing import cast

from core.api import CommissionProvider, Permission, Plugin
from plugins.commission.config import CommissionConfig
from plugins.commission.routes import platform_routes
from plugins.commission.rules import FlatRate


class CommissionPlugin(Plugin):
    """Reckons the commission at placement; core freezes it on the order and takes it at release."""

    name = "commission"
    title = "平台佣金"
    summary = "按统一比例对商品金额收取平台佣金，下单时锁定。"
    Config = CommissionConfig
    permissions = (Permission("commission.manage", "platform", "查看佣金试算", roles=("finance",)),)
    platform_routes = platform_routes

    def commission_provider(self) -> CommissionProvider:
        """The flat rate as configured."""
        return FlatRate(cast("CommissionConfig", self.config).rate_bp)
