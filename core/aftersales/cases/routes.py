"""Cases over HTTP: asked for by the buyer, answered by the shop, decided by the market."""

from uuid import UUID

from litestar import get, post

from core.aftersales.cases import applying, service, views
from core.aftersales.cases.repository import CaseFilter
from core.aftersales.cases.schemas import (
    AgreeIn,
    ApplyIn,
    ArbitrateIn,
    CaseOut,
    DecideIn,
    ReceiveIn,
    RefuseIn,
    ReshipIn,
    ReturnParcelIn,
)
from core.aftersales.cases.service import Actor, Case
from core.db.tx import Tx
from core.kit.errors import NotFound
from core.kit.ids import parse_pair, parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page
from core.orders import service as orders
from core.types.routing import KEYED, SYSTEM, permission
from core.types.scope import Audience, Principal

_READ = permission("aftersales.read")
_WRITE = SYSTEM | permission("aftersales.write")
_DECIDE = SYSTEM | permission("aftersales.decide")


@post("/orders/{order_id:str}/aftersales", opt=SYSTEM | KEYED)
async def apply_for_aftersale(tx: Tx, me: Principal, order_id: str, data: ApplyIn) -> CaseOut:
    """Ask for a refund (the goods stay), a return with refund, or an exchange of units of an order."""
    merchant_id, row_id = parse_pair(order_id)
    case_id = await applying.apply(tx, me.account_id, merchant_id, row_id, data)
    return await _mine(tx, me, merchant_id, case_id)


@get("/aftersales")
async def my_aftersales(
    tx: Tx,
    me: Principal,
    status: str | None = None,
    order_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[CaseOut]:
    """The buyer's cases, newest first; `status` may list several, separated by commas."""
    merchant_id, row_id = _of_order(order_id)
    which = CaseFilter(
        account_id=me.account_id,
        merchant_id=merchant_id,
        order_id=row_id,
        statuses=views.statuses(status),
        before=orders.page_start(cursor),
    )
    return await views.page(tx, which, Audience.SHOP, limit)


@get("/aftersales/{aftersale_id:str}")
async def my_aftersale(tx: Tx, me: Principal, aftersale_id: str) -> CaseOut:
    """One of the buyer's cases, with its log."""
    return await _mine(tx, me, *parse_pair(aftersale_id))


@post("/aftersales/{aftersale_id:str}/cancel", opt=SYSTEM, status_code=200)
async def cancel_aftersale(tx: Tx, me: Principal, aftersale_id: str) -> CaseOut:
    """Take a case back, before goods are sent."""
    case = await _opened(tx, me, aftersale_id)
    await service.cancel(tx, case, _buyer(me))
    return await _mine(tx, me, *parse_pair(aftersale_id))


@post("/aftersales/{aftersale_id:str}/return-parcel", opt=SYSTEM, status_code=200)
async def send_back(tx: Tx, me: Principal, aftersale_id: str, data: ReturnParcelIn) -> CaseOut:
    """Say in which parcel the goods are sent back."""
    case = await _opened(tx, me, aftersale_id)
    await service.send_back(tx, case, _buyer(me), data)
    return await _mine(tx, me, *parse_pair(aftersale_id))


@post("/aftersales/{aftersale_id:str}/arbitrate", opt=SYSTEM, status_code=200)
async def arbitrate(tx: Tx, me: Principal, aftersale_id: str, data: ArbitrateIn | None = None) -> CaseOut:
    """Ask the market to decide what the shop has refused."""
    case = await _opened(tx, me, aftersale_id)
    await service.arbitrate(tx, case, _buyer(me), data.reason if data else "")
    return await _mine(tx, me, *parse_pair(aftersale_id))


@post("/aftersales/{aftersale_id:str}/confirm", opt=SYSTEM, status_code=200)
async def confirm_replacement(tx: Tx, me: Principal, aftersale_id: str) -> CaseOut:
    """Confirm that the replacement has come."""
    case = await _opened(tx, me, aftersale_id)
    await service.confirm(tx, case, _buyer(me))
    return await _mine(tx, me, *parse_pair(aftersale_id))


@get("/aftersales", opt=_READ)
async def shop_aftersales(
    tx: Tx,
    me: Principal,
    status: str | None = None,
    kind: str | None = None,
    order_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[CaseOut]:
    """Cases about the shop's orders, newest first; `status` may list several, separated by commas."""
    merchant_id = orders.shop_of(me)
    which = CaseFilter(
        merchant_id=merchant_id,
        order_id=orders.own_order(merchant_id, order_id) if order_id is not None else None,
        statuses=views.statuses(status),
        kind=views.kind(kind),
        before=orders.page_start(cursor),
    )
    return await views.page(tx, which, Audience.MERCHANT, limit)


@get("/aftersales/{aftersale_id:str}", opt=_READ)
async def shop_aftersale(tx: Tx, me: Principal, aftersale_id: str) -> CaseOut:
    """One case about the shop's orders, with its log."""
    return await _own(tx, me, aftersale_id)


@post("/aftersales/{aftersale_id:str}/agree", opt=_WRITE, status_code=200)
async def agree(tx: Tx, me: Principal, aftersale_id: str, data: AgreeIn | None = None) -> CaseOut:
    """Agree: money goes back at once if the goods stay; otherwise say where they are to be sent, unless as last time."""
    case = await _of_shop(tx, me, aftersale_id)
    await service.agree(tx, case, _shop(me), data or AgreeIn())
    return await _own(tx, me, aftersale_id)


@post("/aftersales/{aftersale_id:str}/refuse", opt=_WRITE, status_code=200)
async def refuse(tx: Tx, me: Principal, aftersale_id: str, data: RefuseIn) -> CaseOut:
    """Refuse what is asked for, or what came back; the buyer may then ask the market."""
    case = await _of_shop(tx, me, aftersale_id)
    await service.refuse(tx, case, _shop(me), data.reason)
    return await _own(tx, me, aftersale_id)


@post("/aftersales/{aftersale_id:str}/receive", opt=_WRITE, status_code=200)
async def receive_back(tx: Tx, me: Principal, aftersale_id: str, data: ReceiveIn | None = None) -> CaseOut:
    """The goods came back: money goes back, or a replacement is due; or refuse them and say why."""
    case = await _of_shop(tx, me, aftersale_id)
    await service.receive(tx, case, _shop(me), data or ReceiveIn())
    return await _own(tx, me, aftersale_id)


@post("/aftersales/{aftersale_id:str}/reship", opt=_WRITE, status_code=200)
async def reship(tx: Tx, me: Principal, aftersale_id: str, data: ReshipIn) -> CaseOut:
    """Ship the replacement of an exchange."""
    case = await _of_shop(tx, me, aftersale_id)
    await service.reship(tx, case, _shop(me), data)
    return await _own(tx, me, aftersale_id)


@post("/aftersales/{aftersale_id:str}/convert", opt=_WRITE, status_code=200)
async def convert(tx: Tx, me: Principal, aftersale_id: str) -> CaseOut:
    """Turn an exchange into a return with refund, for want of goods."""
    case = await _of_shop(tx, me, aftersale_id)
    await service.convert(tx, case, _shop(me))
    return await _own(tx, me, aftersale_id)


@get("/aftersales", opt=_READ)
async def all_aftersales(
    tx: Tx,
    status: str | None = None,
    kind: str | None = None,
    merchant_id: str | None = None,
    order_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[CaseOut]:
    """All cases, newest first; `status` may list several, separated by commas."""
    owner, row_id = _of_order(order_id)
    which = CaseFilter(
        merchant_id=parse_ref(merchant_id) if merchant_id is not None else owner,
        order_id=row_id,
        statuses=views.statuses(status),
        kind=views.kind(kind),
        before=orders.page_start(cursor),
    )
    return await views.page(tx, which, Audience.PLATFORM, limit)


@get("/aftersales/{aftersale_id:str}", opt=_READ)
async def any_aftersale(tx: Tx, aftersale_id: str) -> CaseOut:
    """Any case, with its log."""
    return await _any(tx, aftersale_id)


@post("/aftersales/{aftersale_id:str}/decide", opt=_DECIDE, status_code=200)
async def decide(tx: Tx, me: Principal, aftersale_id: str, data: DecideIn) -> CaseOut:
    """Decide a case that is not over, asked to or not: money goes back, whole or in part, or nothing does."""
    case = await service.opened(tx, *parse_pair(aftersale_id))
    await service.decide(tx, case, Actor("platform", me.account_id), data)
    return await _any(tx, aftersale_id)


def _buyer(me: Principal) -> Actor:
    return Actor("buyer", me.account_id)


def _shop(me: Principal) -> Actor:
    return Actor("merchant", me.account_id)


def _of_order(order_id: str | None) -> tuple[UUID | None, UUID | None]:
    return parse_pair(order_id) if order_id is not None else (None, None)


async def _opened(tx: Tx, me: Principal, aftersale_id: str) -> Case:
    return await service.opened(tx, *parse_pair(aftersale_id), account_id=me.account_id)


async def _of_shop(tx: Tx, me: Principal, aftersale_id: str) -> Case:
    merchant_id = orders.shop_of(me)
    return await service.opened(tx, merchant_id, _own_case(merchant_id, aftersale_id))


def _own_case(merchant_id: UUID, aftersale_id: str) -> UUID:
    owner, row_id = parse_pair(aftersale_id)
    if owner != merchant_id:
        raise NotFound("No such after-sales case.")
    return row_id


async def _mine(tx: Tx, me: Principal, merchant_id: UUID, case_id: UUID) -> CaseOut:
    which = CaseFilter(account_id=me.account_id, merchant_id=merchant_id, aftersale_id=case_id)
    return await views.one(tx, which, Audience.SHOP)


async def _own(tx: Tx, me: Principal, aftersale_id: str) -> CaseOut:
    merchant_id = orders.shop_of(me)
    which = CaseFilter(merchant_id=merchant_id, aftersale_id=_own_case(merchant_id, aftersale_id))
    return await views.one(tx, which, Audience.MERCHANT)


async def _any(tx: Tx, aftersale_id: str) -> CaseOut:
    merchant_id, case_id = parse_pair(aftersale_id)
    return await views.one(tx, CaseFilter(merchant_id=merchant_id, aftersale_id=case_id), Audience.PLATFORM)


shop_routes = [
    apply_for_aftersale,
    my_aftersales,
    my_aftersale,
    cancel_aftersale,
    send_back,
    arbitrate,
    confirm_replacement,
]
merchant_routes = [shop_aftersales, shop_aftersale, agree, refuse, receive_back, reship, convert]
platform_routes = [all_aftersales, any_aftersale, decide]
