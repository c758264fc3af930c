"""Trades and orders over HTTP: the buyer's own, the shop's, and all of them for the market's staff."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import MediaType, Request, get
from litestar.di import Provide
from litestar.params import Parameter, QueryParameter
from litestar.response import Stream

from core.db.tx import Tx, TxFactory
from core.identity import audit
from core.kit.ids import parse_pair, parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page
from core.orders import counting, export, service
from core.orders.explain import explain
from core.orders.finding import OrderFilter
from core.orders.repository import TradeFilter
from core.orders.schemas import OrderCounts, OrderOut, TradeOut
from core.orders.service import Asked
from core.pricing.text import Language
from core.types import scope as scopes
from core.types.routing import limit as limit_calls
from core.types.routing import permission
from core.types.scope import Audience, Principal

Number = Annotated[str | None, Parameter(max_length=40)]
Status = Annotated[str | None, Parameter(max_length=80, description="Several are separated by commas.")]
Search = Annotated[
    str | None,
    Parameter(max_length=40, description="An order's number or the recipient's phone, both exact."),
]
Remembered = Annotated[
    str | None, Parameter(max_length=80, description="An order's number, or words of a product's title.")
]
From = Annotated[datetime | None, QueryParameter(name="from", description="Placed then or later.")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Placed before.")]
Sku = Annotated[str | None, Parameter(max_length=100, description="Id or code of a SKU of the shop.")]
Held = Annotated[bool, Parameter(description="Only orders on hold.")]
InCase = Annotated[bool, Parameter(description="Only orders with an open after-sales case.")]

_CSV = "text/csv"


def _asked(
    tx: Tx,  # noqa: ARG001 - waits for the others in turn, as all that is provided
    status: Status = None,
    q: Search = None,
    placed_from: From = None,
    placed_to: To = None,
    sku: Sku = None,
    held: Held = False,
    in_case: InCase = False,
) -> Asked:
    return Asked(status, q, placed_from, placed_to, sku, held, in_case)


_ASKED = {"asked": Provide(_asked, sync_to_thread=False)}


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
    tx: Tx,
    me: Principal,
    status: Status = None,
    q: Remembered = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[OrderOut]:
    """The buyer's orders, newest first. With words as `q`, a page may be short and still have another behind it."""
    which = OrderFilter(
        account_id=me.account_id, statuses=service.order_statuses(status), before=service.page_start(cursor)
    )
    return await service.order_page(tx, service.remembered(which, q), Audience.SHOP, limit)


@get("/orders/{order_id:str}")
async def my_order(tx: Tx, me: Principal, order_id: str) -> OrderOut:
    """One of the buyer's orders."""
    merchant_id, row_id = parse_pair(order_id)
    which = OrderFilter(merchant_id=merchant_id, order_id=row_id, account_id=me.account_id)
    return await service.order(tx, which, Audience.SHOP)


@get("/orders/counts")
async def count_my_orders(tx: Tx, me: Principal) -> OrderCounts:
    """How many of the buyer's orders are in each status."""
    return await counting.of_buyer(tx, me.account_id)


@get("/orders", opt=permission("orders.read"), dependencies=_ASKED)
async def shop_orders(
    tx: Tx, me: Principal, asked: Asked, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[OrderOut]:
    """The shop's orders, newest first."""
    which = await service.staff_filter(tx, asked, service.shop_of(me), cursor)
    return await service.order_page(tx, which, Audience.MERCHANT, limit)


@get("/orders/counts", opt=permission("orders.read"))
async def count_shop_orders(tx: Tx, me: Principal) -> OrderCounts:
    """How many of the shop's orders are in each status, on hold, with an open case."""
    return await counting.of_shop(tx, service.shop_of(me))


@get(
    "/orders/export",
    opt=permission("orders.read") | limit_calls(20, 3600),
    dependencies=_ASKED,
    media_type=_CSV,
)
async def export_shop_orders(
    request: Request[Any, Any, Any],
    tx: Tx,
    new_tx: TxFactory,
    me: Principal,
    asked: Asked,
    language: Language = "zh",
) -> Stream:
    """The shop's orders as CSV for spreadsheet programs, one row for each line item; by default of the last 31 days."""
    which = await service.staff_filter(tx, asked, service.shop_of(me))
    return await _export(request, tx, new_tx, me, which, asked, language)


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


@get("/orders", opt=permission("trades.read"), dependencies=_ASKED)
async def all_orders(
    tx: Tx,
    asked: Asked,
    merchant_id: str | None = None,
    number: Number = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[OrderOut]:
    """All orders, newest first; `sku` needs `merchant_id`."""
    which = await service.staff_filter(tx, asked, _given(merchant_id), cursor)
    if number is not None:
        which = msgspec.structs.replace(which, number=number, phone_index=None)
    return await service.order_page(tx, which, Audience.PLATFORM, limit)


@get(
    "/orders/export",
    opt=permission("trades.read") | limit_calls(20, 3600),
    dependencies=_ASKED,
    media_type=_CSV,
)
async def export_orders(
    request: Request[Any, Any, Any],
    tx: Tx,
    new_tx: TxFactory,
    me: Principal,
    asked: Asked,
    merchant_id: str | None = None,
    language: Language = "zh",
) -> Stream:
    """Orders as CSV, as shops have it, with masked addresses; by default of the last 31 days."""
    which = await service.staff_filter(tx, asked, _given(merchant_id))
    return await _export(request, tx, new_tx, me, which, asked, language)


@get("/orders/{order_id:str}", opt=permission("trades.read"))
async def any_order(tx: Tx, order_id: str) -> OrderOut:
    """Any order."""
    merchant_id, row_id = parse_pair(order_id)
    return await service.order(tx, OrderFilter(merchant_id=merchant_id, order_id=row_id), Audience.PLATFORM)


async def _export(
    request: Request[Any, Any, Any],
    tx: Tx,
    new_tx: TxFactory,
    me: Principal,
    which: OrderFilter,
    asked: Asked,
    language: Language,
) -> Stream:
    """Check it, note in the audit log who takes what out, and send it in parts."""
    which, found = await export.checked(tx, which)
    detail = {"asked": msgspec.to_builtins(asked), "orders": found}
    request_id = request.scope["state"]["request_id"]
    await audit.record(tx, me, "GET export_orders", request.url.path, detail, request_id)
    parts = export.table(new_tx, scopes.of(me), which, me.audience, language)
    name = f"orders-{tx.now:%Y%m%d-%H%M%S}.csv"
    return Stream(parts, media_type=_CSV, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _given(merchant_id: str | None) -> UUID | None:
    return parse_ref(merchant_id) if merchant_id is not None else None


shop_routes = [my_trades, my_trade, explain_my_trade, my_orders, count_my_orders, my_order]
merchant_routes = [shop_orders, count_shop_orders, export_shop_orders, shop_order]
platform_routes = [all_trades, explain_trade, all_orders, export_orders, any_order]
