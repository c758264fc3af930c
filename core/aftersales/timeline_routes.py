"""The timeline of an order over HTTP."""

from litestar import get

from core.aftersales.timeline import Timeline, timeline
from core.db.tx import Tx
from core.kit.ids import parse_pair
from core.orders import service as orders
from core.types.routing import permission
from core.types.scope import Audience, Principal


@get("/orders/{order_id:str}/timeline")
async def my_timeline(tx: Tx, me: Principal, order_id: str) -> Timeline:
    """What happened with one of the buyer's orders, oldest first."""
    merchant_id, row_id = parse_pair(order_id)
    return await timeline(tx, merchant_id, row_id, me.account_id, Audience.SHOP)


@get("/orders/{order_id:str}/timeline", opt=permission("orders.read"))
async def shop_timeline(tx: Tx, me: Principal, order_id: str) -> Timeline:
    """What happened with one of the shop's orders, oldest first."""
    merchant_id = orders.shop_of(me)
    row_id = orders.own_order(merchant_id, order_id)
    return await timeline(tx, merchant_id, row_id, None, Audience.MERCHANT)


@get("/orders/{order_id:str}/timeline", opt=permission("trades.read"))
async def any_timeline(tx: Tx, order_id: str) -> Timeline:
    """What happened with any order, oldest first."""
    merchant_id, row_id = parse_pair(order_id)
    return await timeline(tx, merchant_id, row_id, None, Audience.PLATFORM)


shop_routes = [my_timeline]
merchant_routes = [shop_timeline]
platform_routes = [any_timeline]
