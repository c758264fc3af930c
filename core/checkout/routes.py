"""Routes of checkout."""

from litestar import post

from core.checkout import close, service
from core.checkout.schemas import CheckoutRequest
from core.db.tx import Tx
from core.kit.ids import parse_ref
from core.orders import service as orders
from core.orders.schemas import TradeOut
from core.types.routing import KEYED, SYSTEM, limit
from core.types.scope import Principal


@post("/checkout", opt=SYSTEM | KEYED | limit(60, 60))
async def checkout(tx: Tx, me: Principal, data: CheckoutRequest) -> TradeOut:
    """Place a trade: stock is reserved, coupons are used, the price is what the buyer saw or 409 `price_changed`."""
    return await service.checkout(tx, me.account_id, data)


@post("/trades/{trade_id:str}/close", opt=SYSTEM, status_code=200)
async def close_trade(tx: Tx, me: Principal, trade_id: str) -> TradeOut:
    """Give up an unpaid trade."""
    key = parse_ref(trade_id)
    await close.close_trade(tx, me.account_id, key, "closed by the buyer")
    return await orders.trade_out(tx, me.account_id, key)


shop_routes = [checkout, close_trade]
