"""Routes of identity: sign-in, the buyer's account and addresses, staff, the audit log."""

from typing import Any, cast
from uuid import UUID

from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from redis.asyncio import Redis

from core.db.tx import Tx, TxFactory
from core.identity import addresses, audit, service, staff
from core.identity.schemas import (
    AccountView,
    AddressInput,
    AddressView,
    AuditView,
    Refresh,
    Registration,
    SignIn,
    StaffInput,
    StaffView,
    Tokens,
)
from core.kit.ids import parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page
from core.types.routing import GUEST, OUTSIDE, PUBLIC, SYSTEM, limit, permission
from core.types.scope import Principal

# They open their own transactions: a stale token in the header must not keep anybody from signing in again.
_AUTH = PUBLIC | SYSTEM | OUTSIDE


@post("/auth/tokens", opt=_AUTH | limit(10, 60, by="address"))
async def sign_in(new_tx: TxFactory, redis: Redis, data: SignIn) -> Tokens:
    """Sign in; with a `guest_token` the guest's cart comes along. Unknown login and wrong password get the same answer."""
    return await service.sign_in(new_tx, redis, data)


@post("/auth/refresh", status_code=200, opt=_AUTH | limit(60, 60, by="address"))
async def refresh(new_tx: TxFactory, data: Refresh) -> Tokens:
    """New tokens for a refresh token, which works once."""
    return await service.refresh(new_tx, data)


@delete("/auth/tokens", opt=SYSTEM | GUEST)
async def sign_out(tx: Tx, me: Principal) -> None:
    """End the session of this token."""
    await service.sign_out(tx, me)


@post("/auth/accounts", opt=_AUTH | limit(10, 60, by="address"))
async def register(new_tx: TxFactory, data: Registration) -> Tokens:
    """Register a buyer and sign in; with a `guest_token` the guest's cart comes along."""
    return await service.register(new_tx, data)


@post("/auth/guests", opt=_AUTH | limit(30, 3600, by="address"))
async def open_guest(new_tx: TxFactory) -> Tokens:
    """Tokens for somebody who has not signed in yet: a cart, addresses and quotes. Whatever else is asked for with them is
    403 `sign_in_required`."""
    return await service.open_guest(new_tx)


@get("/me", opt=SYSTEM | GUEST)
async def show_me(tx: Tx, me: Principal) -> AccountView:
    """The signed-in account and where it may sign in."""
    return await service.me(tx, me)


@get("/addresses", opt=GUEST)
async def list_addresses(
    tx: Tx, me: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[AddressView]:
    """The buyer's addresses, newest first."""
    return await addresses.page(tx, me.account_id, limit, cursor)


@post("/addresses", opt=GUEST)
async def add_address(tx: Tx, me: Principal, data: AddressInput) -> AddressView:
    """Add an address; the first becomes the default."""
    return await addresses.add(tx, me.account_id, data)


@put("/addresses/{address_id:str}", opt=GUEST)
async def change_address(tx: Tx, me: Principal, address_id: str, data: AddressInput) -> AddressView:
    """Replace an address."""
    return await addresses.change(tx, me.account_id, parse_ref(address_id), data)


@delete("/addresses/{address_id:str}", opt=GUEST)
async def remove_address(tx: Tx, me: Principal, address_id: str) -> None:
    """Delete an address."""
    await addresses.remove(tx, me.account_id, parse_ref(address_id))


@get("/audit", opt=permission("audit.read"))
async def list_audit(
    tx: Tx, limit: int = DEFAULT_LIMIT, cursor: str | None = None, merchant_id: str | None = None
) -> Page[AuditView]:
    """What staff did, newest first; of one shop with `merchant_id`."""
    return await audit.page(tx, merchant_id, limit, cursor)


async def list_staff(
    tx: Tx, me: Principal, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[StaffView]:
    """Everybody who works here."""
    return await staff.page(tx, _place(me), limit, cursor)


async def add_staff(tx: Tx, me: Principal, data: StaffInput) -> StaffView:
    """Add somebody, or replace their roles, which ends their sessions here."""
    return await staff.hire(tx, _place(me), data)


async def remove_staff(tx: Tx, me: Principal, account_id: str) -> None:
    """Take somebody off the staff; their sessions here end."""
    await staff.remove(tx, _place(me), parse_ref(account_id))


def _place(me: Principal) -> UUID:
    # Tokens of staff always carry the shop, or the market for the platform's.
    return cast("UUID", me.merchant_id)


def _staff_routes() -> list[HTTPRouteHandler]:
    """The same three for shops and for the market. Accounts and sessions are nobody's rows, hence SYSTEM."""
    opt: dict[str, Any] = SYSTEM | permission("staff.manage")
    return [
        get("/staff", opt=opt)(list_staff),
        post("/staff", opt=opt)(add_staff),
        delete("/staff/{account_id:str}", opt=opt)(remove_staff),
    ]


public_routes = [sign_in, refresh, sign_out, register, open_guest]
shop_routes = [show_me, list_addresses, add_address, change_address, remove_address]
merchant_routes = _staff_routes()
platform_routes = [list_audit, *_staff_routes()]
