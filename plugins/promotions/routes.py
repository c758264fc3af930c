"""Routes under /api/<audience>/promotions. The market's may name goods of every shop, which the calendar notes with
each: where it writes, the scope is the system's."""

from uuid import UUID

from litestar import delete, get, post, put

from core.api import (
    DEFAULT_LIMIT,
    MARKET_ID,
    PUBLIC,
    SYSTEM,
    ActivityReport,
    NotFound,
    Page,
    Principal,
    Tx,
    parse_ref,
    permission,
)
from plugins.promotions import running
from plugins.promotions.schemas import Extension, Offered, PromotionIn, PromotionOut, Status, StopIn
from plugins.promotions.terms import Kind

MANAGE = "promotions.manage"
_MANAGE = permission(MANAGE)
_BOTH = SYSTEM | _MANAGE


@get("/", opt=_MANAGE)
async def list_shop_promotions(
    tx: Tx,
    me: Principal,
    kind: Kind | None = None,
    status: Status | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[PromotionOut]:
    """The shop's promotions, newest first."""
    return await running.page(tx, _shop(me), kind, status, cursor, limit)


@get("/", opt=_BOTH)
async def list_market_promotions(
    tx: Tx,
    merchant_id: str | None = None,
    kind: Kind | None = None,
    status: Status | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[PromotionOut]:
    """The market's own promotions, or those of a shop, newest first."""
    owner = parse_ref(merchant_id) if merchant_id is not None else MARKET_ID
    return await running.page(tx, owner, kind, status, cursor, limit)


@get("/{promotion_id:str}", opt=_MANAGE)
async def get_promotion(tx: Tx, me: Principal, promotion_id: str) -> PromotionOut:
    """One of the own promotions."""
    return await running.one(tx, me.merchant_id or MARKET_ID, promotion_id)


@get("/{promotion_id:str}/report", opt=_MANAGE)
async def report_promotion(tx: Tx, me: Principal, promotion_id: str) -> ActivityReport:
    """What it brought, and what it cost by bearer."""
    return await running.report(tx, me.merchant_id or MARKET_ID, promotion_id)


@delete("/{promotion_id:str}", opt=_MANAGE)
async def drop_promotion(tx: Tx, me: Principal, promotion_id: str) -> None:
    """Delete a draft."""
    await running.drop(tx, me.merchant_id or MARKET_ID, promotion_id)


@post("/", opt=_MANAGE)
async def draft_promotion(tx: Tx, me: Principal, data: PromotionIn) -> PromotionOut:
    """Draft a promotion; nobody sees it before it is published."""
    return await running.draft(tx, me.merchant_id or MARKET_ID, data, me.account_id)


@put("/{promotion_id:str}", opt=_MANAGE)
async def change_shop_promotion(tx: Tx, me: Principal, promotion_id: str, data: PromotionIn) -> PromotionOut:
    """Write a draft, or one that has not begun, anew."""
    return await running.change(tx, _shop(me), promotion_id, data)


@put("/{promotion_id:str}", opt=_BOTH)
async def change_market_promotion(tx: Tx, promotion_id: str, data: PromotionIn) -> PromotionOut:
    """Write a draft, or one that has not begun, anew."""
    return await running.change(tx, MARKET_ID, promotion_id, data)


@post("/{promotion_id:str}/publish", opt=_MANAGE, status_code=200)
async def publish_shop_promotion(tx: Tx, me: Principal, promotion_id: str) -> PromotionOut:
    """Put a draft into the calendar."""
    return await running.publish(tx, _shop(me), promotion_id, me.account_id)


@post("/{promotion_id:str}/publish", opt=_BOTH, status_code=200)
async def publish_market_promotion(tx: Tx, me: Principal, promotion_id: str) -> PromotionOut:
    """Put a draft into the calendar."""
    return await running.publish(tx, MARKET_ID, promotion_id, me.account_id)


@post("/{promotion_id:str}/extend", opt=_MANAGE, status_code=200)
async def extend_shop_promotion(tx: Tx, me: Principal, promotion_id: str, data: Extension) -> PromotionOut:
    """Let it end later, also while it runs."""
    return await running.extend(tx, _shop(me), promotion_id, data)


@post("/{promotion_id:str}/extend", opt=_BOTH, status_code=200)
async def extend_market_promotion(tx: Tx, promotion_id: str, data: Extension) -> PromotionOut:
    """Let it end later, also while it runs."""
    return await running.extend(tx, MARKET_ID, promotion_id, data)


@post("/{promotion_id:str}/stop", opt=_MANAGE, status_code=200)
async def stop_shop_promotion(tx: Tx, me: Principal, promotion_id: str) -> PromotionOut:
    """End it now; what was bought keeps its price."""
    return await running.stop(tx, _shop(me), promotion_id)


@post("/{promotion_id:str}/stop", opt=_BOTH, status_code=200)
async def stop_any_promotion(tx: Tx, promotion_id: str, data: StopIn | None = None) -> PromotionOut:
    """End one of the market's, or with a reason a shop's, now; what was bought keeps its price."""
    return await running.stop_any(tx, promotion_id, data.reason if data is not None else "")


@get("/", opt=PUBLIC)
async def list_running(tx: Tx, merchant_id: str | None = None) -> list[Offered]:
    """What runs now in a shop, or of the market itself."""
    return await running.offered(tx, parse_ref(merchant_id) if merchant_id is not None else MARKET_ID)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise NotFound("This token belongs to no shop.")
    return me.merchant_id


_BOTH_AUDIENCES = [get_promotion, report_promotion, drop_promotion, draft_promotion]
shop_routes = [list_running]
merchant_routes = [
    *_BOTH_AUDIENCES,
    list_shop_promotions,
    change_shop_promotion,
    publish_shop_promotion,
    extend_shop_promotion,
    stop_shop_promotion,
]
platform_routes = [
    *_BOTH_AUDIENCES,
    list_market_promotions,
    change_market_promotion,
    publish_market_promotion,
    extend_market_promotion,
    stop_any_promotion,
]
