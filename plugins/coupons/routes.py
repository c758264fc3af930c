"""Routes under /api/<audience>/coupons."""

from uuid import UUID

from litestar import get, post

from core.api import DEFAULT_LIMIT, MARKET_ID, PUBLIC, SYSTEM, Forbidden, Page, Principal, Tx, permission
from plugins.coupons import service
from plugins.coupons.schemas import CouponOut, TemplateIn, TemplateOut

MANAGE = "coupons.manage"
_MANAGE = permission(MANAGE)


@get("/templates", opt=_MANAGE)
async def list_market_templates(
    tx: Tx, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[TemplateOut]:
    """The market's templates with their statistics, newest first."""
    return await service.issued(tx, MARKET_ID, cursor, limit)


@post("/templates", opt=_MANAGE)
async def issue_market_template(tx: Tx, data: TemplateIn) -> TemplateOut:
    """Issue coupons of the market."""
    return await service.issue(tx, MARKET_ID, data)


@post("/templates/{template_id:str}/close", opt=_MANAGE, status_code=200)
async def close_market_template(tx: Tx, template_id: str) -> TemplateOut:
    """Hand out no more; claimed coupons stay valid."""
    return await service.stop(tx, MARKET_ID, template_id)


@get("/templates", opt=_MANAGE)
async def list_shop_templates(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[TemplateOut]:
    """The shop's templates with their statistics, newest first."""
    return await service.issued(tx, _shop(me), cursor, limit)


@post("/templates", opt=_MANAGE)
async def issue_shop_template(tx: Tx, me: Principal, data: TemplateIn) -> TemplateOut:
    """Issue coupons of the shop."""
    return await service.issue(tx, _shop(me), data)


@post("/templates/{template_id:str}/close", opt=_MANAGE, status_code=200)
async def close_shop_template(tx: Tx, me: Principal, template_id: str) -> TemplateOut:
    """Hand out no more; claimed coupons stay valid."""
    return await service.stop(tx, _shop(me), template_id)


@get("/templates", opt=PUBLIC)
async def list_claimable(
    tx: Tx,
    viewer: Principal | None,
    merchant_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[TemplateOut]:
    """Coupons that can be claimed now, of one shop or of all, newest first."""
    return await service.claimable(tx, viewer.account_id if viewer else None, merchant_id, cursor, limit)


# The template is the issuer's row, the coupon the buyer's.
@post("/templates/{template_id:str}/claim", opt=SYSTEM)
async def claim(tx: Tx, me: Principal, template_id: str) -> CouponOut:
    """Claim one coupon."""
    return await service.claim(tx, me.account_id, template_id)


@get("/")
async def list_held(
    tx: Tx, me: Principal, status: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[CouponOut]:
    """The buyer's coupons, newest first; `status` is a comma-separated list of unused, used, expired."""
    return await service.held(tx, me.account_id, status, cursor, limit)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise Forbidden("This account is not the staff of a shop.")
    return me.merchant_id


platform_routes = [list_market_templates, issue_market_template, close_market_template]
merchant_routes = [list_shop_templates, issue_shop_template, close_shop_template]
shop_routes = [list_claimable, claim, list_held]
