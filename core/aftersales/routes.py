"""Refunds over HTTP: given by the shop or the market, seen by the buyer, who may cancel what is not accepted yet."""

from litestar import get, post

from core.aftersales import service
from core.aftersales.schemas import CancelIn, RefundIn, RefundOut
from core.db.tx import Tx
from core.kit.ids import parse_pair
from core.kit.paging import DEFAULT_LIMIT, Page
from core.orders import service as orders
from core.types.routing import SYSTEM, permission
from core.types.scope import Principal


@post("/orders/{order_id:str}/cancel", opt=SYSTEM, status_code=200)
async def cancel_order(tx: Tx, me: Principal, order_id: str, data: CancelIn | None = None) -> RefundOut:
    """Take back an order that is paid and not accepted yet: all of it is refunded. The answer is the refund."""
    merchant_id, row_id = parse_pair(order_id)
    return await service.cancel(tx, me.account_id, merchant_id, row_id, data.reason if data else "")


@get("/orders/{order_id:str}/refunds")
async def my_refunds(
    tx: Tx, me: Principal, order_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RefundOut]:
    """Refunds of one of the buyer's orders, newest first."""
    merchant_id, row_id = parse_pair(order_id)
    return await service.page(tx, merchant_id, row_id, me.account_id, cursor, limit)


@post("/orders/{order_id:str}/refunds", opt=SYSTEM | permission("orders.refund"))
async def refund_as_shop(tx: Tx, me: Principal, order_id: str, data: RefundIn) -> RefundOut:
    """Refund units of one of the shop's orders, without `lines` everything left. The money is sent at once."""
    merchant_id = orders.shop_of(me)
    row_id = orders.own_order(merchant_id, order_id)
    return await service.staff_refund(tx, merchant_id, row_id, data, "merchant", me.account_id)


@get("/orders/{order_id:str}/refunds", opt=permission("orders.read"))
async def shop_refunds(
    tx: Tx, me: Principal, order_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RefundOut]:
    """Refunds of one of the shop's orders, newest first."""
    merchant_id = orders.shop_of(me)
    row_id = orders.own_order(merchant_id, order_id)
    return await service.page(tx, merchant_id, row_id, None, cursor, limit)


@post("/orders/{order_id:str}/refunds", opt=SYSTEM | permission("orders.refund"))
async def refund_as_market(tx: Tx, me: Principal, order_id: str, data: RefundIn) -> RefundOut:
    """Refund units of any order, without `lines` everything left. The money is sent at once."""
    merchant_id, row_id = parse_pair(order_id)
    return await service.staff_refund(tx, merchant_id, row_id, data, "platform", me.account_id)


@get("/orders/{order_id:str}/refunds", opt=permission("orders.read"))
async def all_refunds(
    tx: Tx, order_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RefundOut]:
    """Refunds of any order, newest first."""
    merchant_id, row_id = parse_pair(order_id)
    return await service.page(tx, merchant_id, row_id, None, cursor, limit)


shop_routes = [cancel_order, my_refunds]
merchant_routes = [refund_as_shop, shop_refunds]
platform_routes = [refund_as_market, all_refunds]
