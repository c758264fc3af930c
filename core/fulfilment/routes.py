"""Fulfilment over HTTP: the shop accepts, ships, hands over and redeems, the buyer confirms receipt."""

from uuid import UUID

from litestar import get, patch, post

from core.db.tx import Tx
from core.fulfilment import delivery, redemption, service
from core.fulfilment.schemas import DeliverIn, ParcelIn, PlanOut, RedeemIn, RedemptionOut, WaybillIn
from core.kit.errors import NotFound
from core.kit.ids import parse_pair
from core.orders import service as orders
from core.orders.finding import OrderFilter
from core.orders.schemas import OrderOut
from core.types.routing import SYSTEM, limit, permission
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


@patch("/orders/{order_id:str}/parcels/{parcel_id:str}", opt=permission("orders.write"))
async def change_waybill(tx: Tx, me: Principal, order_id: str, parcel_id: str, data: WaybillIn) -> OrderOut:
    """Give a parcel on its way another carrier or waybill number: for a while after shipping, and three times at most."""
    merchant_id = orders.shop_of(me)
    row_id = orders.own_order(merchant_id, order_id)
    await delivery.change_waybill(tx, merchant_id, row_id, _own_parcel(merchant_id, parcel_id), data)
    return await orders.shop_order(tx, merchant_id, order_id)


@post(
    "/orders/{order_id:str}/parcels/{parcel_id:str}/deliver",
    opt=permission("orders.write"),
    status_code=200,
)
async def deliver_parcel(
    tx: Tx, me: Principal, order_id: str, parcel_id: str, data: DeliverIn | None = None
) -> OrderOut:
    """Say that a parcel of kind instant or express has arrived; saying so again gives the same answer."""
    merchant_id = orders.shop_of(me)
    row_id = orders.own_order(merchant_id, order_id)
    text = data.text if data else ""
    await delivery.deliver(tx, merchant_id, row_id, _own_parcel(merchant_id, parcel_id), text)
    return await orders.shop_order(tx, merchant_id, order_id)


@get("/orders/{order_id:str}/plan", opt=permission("orders.read"))
async def order_plan(tx: Tx, me: Principal, order_id: str) -> PlanOut:
    """Which places ship which units of an order."""
    merchant_id = orders.shop_of(me)
    return await delivery.plans(tx, merchant_id, orders.own_order(merchant_id, order_id))


@post("/redemptions", opt=SYSTEM | permission("orders.write") | limit(60, 60), status_code=200)
async def redeem_code(tx: Tx, me: Principal, data: RedeemIn) -> RedemptionOut:
    """Redeem the code that a buyer shows, once; with `dry_run` only see what it is for. 60 in a minute."""
    merchant_id = orders.shop_of(me)
    return await redemption.redeem(tx, merchant_id, data.code, me.account_id, dry_run=data.dry_run)


@post("/orders/{order_id:str}/receive", opt=SYSTEM, status_code=200)
async def receive_order(tx: Tx, me: Principal, order_id: str) -> OrderOut:
    """Confirm receipt of a shipped order; confirming again gives the same answer."""
    merchant_id, row_id = parse_pair(order_id)
    await service.receive(tx, me.account_id, merchant_id, row_id)
    which = OrderFilter(merchant_id=merchant_id, order_id=row_id, account_id=me.account_id)
    return await orders.order(tx, which, Audience.SHOP)


def _own_parcel(merchant_id: UUID, parcel_id: str) -> UUID:
    owner, row_id = parse_pair(parcel_id)
    if owner != merchant_id:
        raise NotFound("No such parcel.")
    return row_id


shop_routes = [receive_order]
merchant_routes = [accept_order, ship_parcel, change_waybill, deliver_parcel, order_plan, redeem_code]
