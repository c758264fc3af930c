"""Express delivery: each shop asks a flat fee, free from an amount on; parcels need a known carrier."""

from collections.abc import Sequence

import msgspec

from core.api import Basket, ParcelDraft, Permission, Plugin, ShippingOption, Tx, WaybillChange, hookimpl
from plugins.express_delivery import models, routes, rules, service
from plugins.express_delivery.config import ExpressDeliveryConfig
from plugins.express_delivery.remembered import RememberedTerms


class ExpressDeliveryPlugin(Plugin):
    """The manifest, and the three hooks."""

    name = "express_delivery"
    title = "快递配送"
    summary = "每店一口价运费，满额包邮；发货时核对快递公司与运单号。"
    version = "0.1.0"
    Config = ExpressDeliveryConfig
    metadata = models.METADATA
    migrations = "plugins.express_delivery.migrations"
    shop_routes = routes.shop_routes
    merchant_routes = routes.merchant_routes
    permissions = (Permission("express_delivery.manage", "merchant", "设置快递运费", ("clerk",)),)

    def __init__(self, config: msgspec.Struct) -> None:
        super().__init__(config)
        self.remembered = RememberedTerms()

    @hookimpl
    async def shipping_options(self, tx: Tx, basket: Basket) -> Sequence[ShippingOption]:
        """One way to ship for each shop of the basket with something to send; terms may be 5 seconds old."""
        return await service.options(tx, basket, self.remembered)

    @hookimpl
    async def parcel_shipping(self, tx: Tx, parcel: ParcelDraft) -> None:  # noqa: ARG002
        """Refuse an express parcel of an unknown carrier, and a waybill number that cannot be one."""
        rules.check(parcel)

    @hookimpl
    async def parcel_changing(self, tx: Tx, change: WaybillChange) -> None:  # noqa: ARG002
        """Refuse for a parcel on its way what would be refused of a new one."""
        rules.check(change)
