"""Trades and orders over HTTP: the buyer's own, the shop's, and all of them for the market's staff."""

from typing import Annotated
from uuid import UUID

from litestar import MediaType, get
from litestar.params import Parameter

from core.db.tx import Tx
from core.kit.ids import parse_pair, parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page
from core.orders import service
from core.orders.explain import explain
from core.orders.repository import OrderFilter, TradeFilter
from core.orders.schemas import OrderOut, TradeOut
from core.pricing.text import Language
from core.types.routing import permission
from core.types.scope import Audience, Principal

Number = Annotated[str | None, Parameter(max_length=40)]
Search = Annotated[
    str | None, Parameter(max_length=40, description="An order's number or the recipient's phone.")
]


@get("/trades")
async def my_trades(
    tx: Tx, me: Principal, status: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[TradeOut]:
    """The buyer's trades, newest first; `status` may list several, separated by commas."""
    which = TradeFilter(
        account_id=me.account_id, statuses=service.trade_statuses(status), before=service.page_start(cursor)
    )
    return await service.trade_page(tx, which, Audience.SHOP, limit)


@get("/trades/{trade_id:str}")
async def my_trade(tx: Tx, me: Principal, trade_id: str) -> TradeOut:
    """One of the buyer's trades."""
    return await service.trade_out(tx, me.account_id, parse_ref(trade_id))


@get("/trades/{trade_id:str}/explain", media_type=MediaType.TEXT)
async def explain_my_trade(tx: Tx, me: Principal, trade_id: str, language: Language = "zh") -> str:
    """How the price of one of the buyer's trades came about, in words."""
    which = TradeFilter(account_id=me.account_id, trade_id=parse_ref(trade_id))
    return await explain(tx, which, Audience.SHOP, language)


@get("/orders")
async def my_orders(
    tx: Tx, me: Principal, status: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[OrderOut]:
    """The buyer's orders, newest first; `status` may list several, separated by commas."""
    which = OrderFilter(
        account_id=me.account_id, statuses=service.order_statuses(status), before=service.page_start(cursor)
    )
    return await service.order_page(tx, which, Audience.SHOP, limit)


@get("/orders/{order_id:str}")
async def my_order(tx: Tx, me: Principal, order_id: str) -> OrderOut:
    """One of the buyer's orders."""
    merchant_id, row_id = parse_pair(order_id)
    which = OrderFilter(merchant_id=merchant_id, order_id=row_id, account_id=me.account_id)
    return await service.order(tx, which, Audience.SHOP)


@get("/orders", opt=permission("orders.read"))
async def shop_orders(
    tx: Tx,
    me: Principal,
    status: str | None = None,
    q: Search = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[OrderOut]:
    """The shop's orders, newest first; `q` is an order's number or the recipient's phone, both exact."""
    merchant_id = service.shop_of(me)
    which = OrderFilter(
        merchant_id=merchant_id, statuses=service.order_statuses(status), before=service.page_start(cursor)
    )
    if q is not None:
        return await service.search(tx, merchant_id, q, which, limit)
    return await service.order_page(tx, which, Audience.MERCHANT, limit)


@get("/orders/{order_id:str}", opt=permission("orders.read"))
async def shop_order(tx: Tx, me: Principal, order_id: str) -> OrderOut:
    """One of the shop's orders."""
    return await service.shop_order(tx, service.shop_of(me), order_id)


@get("/trades", opt=permission("trades.read"))
async def all_trades(
    tx: Tx,
    merchant_id: str | None = None,
    status: str | None = None,
    number: Number = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[TradeOut]:
    """All trades, newest first; `merchant_id` keeps those that hold an order of this merchant."""
    which = TradeFilter(
        merchant_id=_given(merchant_id),
        statuses=service.trade_statuses(status),
        number=number,
        before=service.page_start(cursor),
    )
    return await service.trade_page(tx, which, Audience.PLATFORM, limit)


@get("/trades/{trade_id:str}/explain", opt=permission("trades.read"), media_type=MediaType.TEXT)
async def explain_trade(tx: Tx, trade_id: str, language: Language = "zh") -> str:
    """How the price of a trade came about, in words."""
    return await explain(tx, TradeFilter(trade_id=parse_ref(trade_id)), Audience.PLATFORM, language)


@get("/orders", opt=permission("trades.read"))
async def all_orders(
    tx: Tx,
    merchant_id: str | None = None,
    status: str | None = None,
    number: Number = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[OrderOut]:
    """All orders, newest first."""
    which = OrderFilter(
        merchant_id=_given(merchant_id),
        statuses=service.order_statuses(status),
        number=number,
        before=service.page_start(cursor),
    )
    return await service.order_page(tx, which, Audience.PLATFORM, limit)


@get("/orders/{order_id:str}", opt=permission("trades.read"))
async def any_order(tx: Tx, order_id: str) -> OrderOut:
    """Any order."""
    merchant_id, row_id = parse_pair(order_id)
    return await service.order(tx, OrderFilter(merchant_id=merchant_id, order_id=row_id), Audience.PLATFORM)


def _given(merchant_id: str | None) -> UUID | None:
    return parse_ref(merchant_id) if merchant_id is not None else None


shop_routes = [my_trades, my_trade, explain_my_trade, my_orders, my_order]
merchant_routes = [shop_orders, shop_order]
platform_routes = [all_trades, explain_trade, all_orders, any_order]
