"""Express delivery over HTTP: a shop's terms, and the carriers."""

from litestar import get, put

from core.api import PUBLIC, Principal, Tx, permission
from plugins.express_delivery import rules, service
from plugins.express_delivery.schemas import CarrierOut, Carriers, SettingsIn, SettingsOut

MANAGE = permission("express_delivery.manage")


@get("/settings", opt=MANAGE)
async def read_terms(tx: Tx, me: Principal) -> SettingsOut:
    """What the shop asks for a delivery."""
    return await service.settings(tx, me)


@put("/settings", opt=MANAGE)
async def save_terms(tx: Tx, me: Principal, data: SettingsIn) -> SettingsOut:
    """Set what the shop asks for a delivery."""
    return await service.save(tx, me, data)


@get("/carriers", opt=PUBLIC)
async def list_carriers() -> Carriers:
    """The carriers that a parcel may name."""
    return Carriers([CarrierOut(c.code, c.name) for c in rules.CARRIERS])


shop_routes = [list_carriers]
merchant_routes = [read_terms, save_terms, list_carriers]
