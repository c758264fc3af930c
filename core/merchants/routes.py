"""Routes of merchants: the operator's, the shop's own, and the public pages."""

from litestar import get, patch, post

from core.db.tx import Tx
from core.kit.ids import parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page
from core.merchants import service
from core.merchants.schemas import MerchantIn, MerchantOut, ShopCard, ShopOut, ShopPatch, SuspendIn
from core.types.routing import BROWSE, SYSTEM, permission
from core.types.scope import Principal

_MANAGE = permission("merchants.manage")


@get("/merchants", opt=_MANAGE)
async def list_merchants(
    tx: Tx, status: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[MerchantOut]:
    """All merchants, newest first."""
    return await service.listed(tx, status, cursor, limit)


# An account and a place in another merchant's staff are beyond the operator's own scope.
@post("/merchants", opt=_MANAGE | SYSTEM)
async def create_merchant(tx: Tx, data: MerchantIn) -> MerchantOut:
    """Record a merchant's application together with its owner's account."""
    return await service.apply(tx, data)


@get("/merchants/{merchant_id:str}", opt=_MANAGE)
async def get_merchant(tx: Tx, merchant_id: str) -> MerchantOut:
    """One merchant, in any state."""
    return await service.shop(tx, parse_ref(merchant_id))


@post("/merchants/{merchant_id:str}/approve", opt=_MANAGE, status_code=200)
async def approve_merchant(tx: Tx, merchant_id: str) -> MerchantOut:
    """Open a shop that applied."""
    return await service.approve(tx, parse_ref(merchant_id))


@post("/merchants/{merchant_id:str}/suspend", opt=_MANAGE, status_code=200)
async def suspend_merchant(tx: Tx, merchant_id: str, data: SuspendIn | None = None) -> MerchantOut:
    """Close an open shop for now: orders go on being served, nothing new is sold."""
    return await service.suspend(tx, parse_ref(merchant_id), data.reason if data else "")


@post("/merchants/{merchant_id:str}/reopen", opt=_MANAGE, status_code=200)
async def reopen_merchant(tx: Tx, merchant_id: str) -> MerchantOut:
    """Open a suspended shop again."""
    return await service.reopen(tx, parse_ref(merchant_id))


@get("/merchants", opt=BROWSE)
async def list_shops(
    tx: Tx,
    near: str | None = None,
    q: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[ShopCard]:
    """Open shops: newest first, with `near` (lng,lat) nearest first."""
    return await service.public_shops(tx, near, q, cursor, limit)


@get("/merchants/{merchant_id:str}", opt=BROWSE)
async def get_shop(tx: Tx, merchant_id: str) -> ShopOut:
    """An open shop with its licence."""
    return await service.public_shop(tx, parse_ref(merchant_id))


@get("/shop")
async def get_own_shop(tx: Tx, me: Principal) -> MerchantOut:
    """The shop whose staff is signed in."""
    return await service.shop(tx, service.merchant_of(me))


@patch("/shop", opt=permission("shop.write"))
async def patch_own_shop(tx: Tx, me: Principal, data: ShopPatch) -> MerchantOut:
    """Change the shop's public facts; what is left out stays."""
    return await service.change(tx, service.merchant_of(me), data)


platform_routes = [
    list_merchants, create_merchant, get_merchant, approve_merchant, suspend_merchant, reopen_merchant,
]  # fmt: skip
shop_routes = [list_shops, get_shop]
merchant_routes = [get_own_shop, patch_own_shop]
