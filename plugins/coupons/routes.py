"""Routes under /api/<audience>/coupons."""

from uuid import UUID

from litestar import Response, get, patch, post

from core.api import (
    DEFAULT_LIMIT,
    MARKET_ID,
    PUBLIC,
    SYSTEM,
    Forbidden,
    Page,
    Principal,
    Tx,
    permission,
)
from core.api import (
    limit as at_most,
)
from plugins.coupons import claiming, codes, granting, templates, wallet
from plugins.coupons.schemas import (
    AccountsIn,
    CodeOut,
    CodesIn,
    CodesMade,
    CouponOut,
    GrantsOut,
    HandedOut,
    OrdersIn,
    Redeem,
    TemplateIn,
    TemplateOut,
    TemplatePatch,
    VoidIn,
)

MANAGE = "coupons.manage"
_MANAGE = permission(MANAGE)
# The template is the issuer's row, the coupons are their buyers'.
_BOTH = SYSTEM | _MANAGE


@get("/templates", opt=_MANAGE)
async def list_market_templates(
    tx: Tx, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[TemplateOut]:
    """The market's templates with their statistics, newest first."""
    return await templates.issued(tx, MARKET_ID, cursor, limit)


@post("/templates", opt=_MANAGE)
async def issue_market_template(tx: Tx, data: TemplateIn) -> TemplateOut:
    """Issue coupons of the market."""
    return await templates.issue(tx, MARKET_ID, data)


@get("/templates/{template_id:str}", opt=_MANAGE)
async def get_market_template(tx: Tx, template_id: str) -> TemplateOut:
    """One of the market's templates with its statistics."""
    return await templates.one(tx, MARKET_ID, template_id)


@patch("/templates/{template_id:str}", opt=_MANAGE)
async def patch_market_template(tx: Tx, template_id: str, data: TemplatePatch) -> TemplateOut:
    """Change the name, when and how many can be claimed; claimed coupons stay as they are."""
    return await templates.change(tx, MARKET_ID, template_id, data)


@post("/templates/{template_id:str}/close", opt=_MANAGE, status_code=200)
async def close_market_template(tx: Tx, template_id: str) -> TemplateOut:
    """Hand out no more; claimed coupons stay valid."""
    return await templates.stop(tx, MARKET_ID, template_id)


@post("/templates/{template_id:str}/void", opt=_BOTH, status_code=200)
async def void_market_template(tx: Tx, template_id: str, data: VoidIn) -> TemplateOut:
    """Hand out no more and void the unused coupons; used ones stay used."""
    return await templates.void(tx, MARKET_ID, template_id, data.reason)


@get("/templates/{template_id:str}/coupons", opt=_BOTH)
async def list_market_coupons(
    tx: Tx, template_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[HandedOut]:
    """The claimed coupons of a template, newest first, with their accounts."""
    return await templates.handed_out(tx, MARKET_ID, template_id, cursor, limit)


@post("/templates/{template_id:str}/codes", opt=_MANAGE)
async def make_market_codes(tx: Tx, template_id: str, data: CodesIn) -> CodesMade:
    """Make codes that give one coupon of the template each time they are redeemed."""
    return await codes.make(tx, MARKET_ID, template_id, data)


@get("/templates/{template_id:str}/codes", opt=_MANAGE)
async def list_market_codes(
    tx: Tx, template_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[CodeOut]:
    """The codes of a template in alphabetical order."""
    return await codes.listed(tx, MARKET_ID, template_id, cursor, limit)


@get("/templates/{template_id:str}/codes/export", opt=_MANAGE, media_type="text/csv")
async def export_market_codes(tx: Tx, template_id: str, cursor: str | None = None) -> Response[bytes]:
    """The codes of a template as CSV, 10,000 at a time; the header X-Next-Cursor leads to the next file."""
    return _csv(await codes.exported(tx, MARKET_ID, template_id, cursor))


@post("/templates/{template_id:str}/grants", opt=_BOTH, status_code=200)
async def grant_to_accounts(tx: Tx, template_id: str, data: AccountsIn) -> GrantsOut:
    """Hand a coupon to these accounts; the same cause never gives an account two."""
    return await granting.to_accounts(tx, template_id, data)


@get("/templates", opt=_MANAGE)
async def list_shop_templates(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[TemplateOut]:
    """The shop's templates with their statistics, newest first."""
    return await templates.issued(tx, _shop(me), cursor, limit)


@post("/templates", opt=_MANAGE)
async def issue_shop_template(tx: Tx, me: Principal, data: TemplateIn) -> TemplateOut:
    """Issue coupons of the shop."""
    return await templates.issue(tx, _shop(me), data)


@get("/templates/{template_id:str}", opt=_MANAGE)
async def get_shop_template(tx: Tx, me: Principal, template_id: str) -> TemplateOut:
    """One of the shop's templates with its statistics."""
    return await templates.one(tx, _shop(me), template_id)


@patch("/templates/{template_id:str}", opt=_MANAGE)
async def patch_shop_template(tx: Tx, me: Principal, template_id: str, data: TemplatePatch) -> TemplateOut:
    """Change the name, when and how many can be claimed; claimed coupons stay as they are."""
    return await templates.change(tx, _shop(me), template_id, data)


@post("/templates/{template_id:str}/close", opt=_MANAGE, status_code=200)
async def close_shop_template(tx: Tx, me: Principal, template_id: str) -> TemplateOut:
    """Hand out no more; claimed coupons stay valid."""
    return await templates.stop(tx, _shop(me), template_id)


@post("/templates/{template_id:str}/void", opt=_BOTH, status_code=200)
async def void_shop_template(tx: Tx, me: Principal, template_id: str, data: VoidIn) -> TemplateOut:
    """Hand out no more and void the unused coupons; used ones stay used."""
    return await templates.void(tx, _shop(me), template_id, data.reason)


@get("/templates/{template_id:str}/coupons", opt=_BOTH)
async def list_shop_coupons(
    tx: Tx, me: Principal, template_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[HandedOut]:
    """The claimed coupons of a template, newest first, without whose they are."""
    return await templates.handed_out(tx, _shop(me), template_id, cursor, limit)


@post("/templates/{template_id:str}/codes", opt=_MANAGE)
async def make_shop_codes(tx: Tx, me: Principal, template_id: str, data: CodesIn) -> CodesMade:
    """Make codes that give one coupon of the template each time they are redeemed."""
    return await codes.make(tx, _shop(me), template_id, data)


@get("/templates/{template_id:str}/codes", opt=_MANAGE)
async def list_shop_codes(
    tx: Tx, me: Principal, template_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[CodeOut]:
    """The codes of a template in alphabetical order."""
    return await codes.listed(tx, _shop(me), template_id, cursor, limit)


@get("/templates/{template_id:str}/codes/export", opt=_MANAGE, media_type="text/csv")
async def export_shop_codes(
    tx: Tx, me: Principal, template_id: str, cursor: str | None = None
) -> Response[bytes]:
    """The codes of a template as CSV, 10,000 at a time; the header X-Next-Cursor leads to the next file."""
    return _csv(await codes.exported(tx, _shop(me), template_id, cursor))


@post("/templates/{template_id:str}/grants", opt=_BOTH, status_code=200)
async def grant_to_buyers(tx: Tx, me: Principal, template_id: str, data: OrdersIn) -> GrantsOut:
    """Hand a coupon to the buyers of these orders of the shop; the same cause never gives a buyer two."""
    return await granting.to_buyers(tx, _shop(me), template_id, data)


@get("/templates", opt=PUBLIC)
async def list_claimable(
    tx: Tx,
    viewer: Principal | None,
    merchant_id: str | None = None,
    product_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[TemplateOut]:
    """Coupons that can be claimed, newest first: of one shop or of all, or those usable for a product."""
    account_id = viewer.account_id if viewer else None
    return await claiming.offered(tx, account_id, merchant_id, product_id, cursor, limit)


@post("/templates/{template_id:str}/claim", opt=SYSTEM)
async def claim(tx: Tx, me: Principal, template_id: str) -> CouponOut:
    """Claim one coupon."""
    return await claiming.claim(tx, me.account_id, template_id)


# Ten a minute are enough to mistype a code and too few to guess one.
@post("/redeem", opt=SYSTEM | at_most(10, 60))
async def redeem(tx: Tx, me: Principal, data: Redeem) -> CouponOut:
    """Get the coupon for a code."""
    return await claiming.redeem(tx, me.account_id, data.code)


@get("/")
async def list_held(
    tx: Tx,
    me: Principal,
    status: str | None = None,
    expiring: bool = False,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[CouponOut]:
    """The buyer's coupons, newest first; `status` is a comma-separated list of unused, used, expired, void; with `expiring`
    those that can still be used and end soon."""
    return await wallet.held(tx, me.account_id, status, cursor, limit, expiring=expiring)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise Forbidden("This account is not the staff of a shop.")
    return me.merchant_id


def _csv(page: tuple[bytes, str | None]) -> Response[bytes]:
    content, after = page
    headers = {"Content-Disposition": 'attachment; filename="codes.csv"'}
    if after is not None:
        headers["X-Next-Cursor"] = after
    return Response(content, media_type="text/csv", headers=headers)


platform_routes = [
    list_market_templates, issue_market_template, get_market_template, patch_market_template, close_market_template,
    void_market_template, list_market_coupons, make_market_codes, list_market_codes, export_market_codes,
    grant_to_accounts,
]  # fmt: skip
merchant_routes = [
    list_shop_templates, issue_shop_template, get_shop_template, patch_shop_template, close_shop_template,
    void_shop_template, list_shop_coupons, make_shop_codes, list_shop_codes, export_shop_codes, grant_to_buyers,
]  # fmt: skip
shop_routes = [list_claimable, claim, redeem, list_held]
