"""Fulfilment over HTTP: the shop accepts and ships, the buyer confirms receipt."""

from litestar import post

from core.db.tx import Tx
from core.fulfilment import service
from core.fulfilment.schemas import ParcelIn
from core.kit.ids import parse_pair
from core.orders import service as orders
from core.orders.repository import OrderFilter
from core.orders.schemas import OrderOut
from core.types.routing import SYSTEM, permission
from core.types.scope import Audience, Principal


@post("/orders/{order_id:str}/accept", opt=permission("orders.write"), status_code=200)
async def accept_order(tx: Tx, me: Principal, order_id: str) -> OrderOut:
    """Take a paid order on."""
    merchant_id = orders.shop_of(me)
    await service.accept(tx, merchant_id, orders.own_order(merchant_id, order_id), me.account_id)
    return await orders.shop_order(tx, merchant_id, order_id)


@post("/orders/{order_id:str}/parcels", opt=permission("orders.write"))
async def ship_parcel(tx: Tx, me: Principal, order_id: str, data: ParcelIn) -> OrderOut:
    """Ship a parcel of an accepted order; without `lines`, all that is left. The answer is the order."""
    merchant_id = orders.shop_of(me)
    await service.ship(tx, merchant_id, orders.own_order(merchant_id, order_id), data, me.account_id)
    return await orders.shop_order(tx, merchant_id, order_id)


@post("/orders/{order_id:str}/receive", opt=SYSTEM, status_code=200)
async def receive_order(tx: Tx, me: Principal, order_id: str) -> OrderOut:
    """Confirm receipt of a shipped order; confirming again gives the same answer."""
    merchant_id, row_id = parse_pair(order_id)
    await service.receive(tx, me.account_id, merchant_id, row_id)
    which = OrderFilter(merchant_id=merchant_id, order_id=row_id, account_id=me.account_id)
    return await orders.order(tx, which, Audience.SHOP)


shop_routes = [receive_order]
merchant_routes = [accept_order, ship_parcel]
