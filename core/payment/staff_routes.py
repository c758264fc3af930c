"""What staff sees of payouts and of the calls to payment services, and may start again."""

from litestar import get, post

from core.db.tx import Tx
from core.kit.errors import FieldError, Forbidden, Invalid, NotFound
from core.kit.ids import parse_pair, parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page
from core.payment import calls, payouts
from core.payment.schemas import CallView, PayoutIn, PayoutOrderView, PayoutsStarted, PayoutView
from core.types.routing import SYSTEM, permission
from core.types.scope import Principal

_STATUSES = ("waiting", "done", "refused")


@get("/payments/calls", opt=permission("ledger.read"))
async def list_calls(
    tx: Tx, status: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[CallView]:
    """What payment services are asked for, newest first; `status`: waiting, done or refused."""
    if status is not None and status not in _STATUSES:
        raise Invalid(
            "Unknown status.", FieldError("status", "unknown", f"Use one of {', '.join(_STATUSES)}.")
        )
    return await calls.page(tx, status, cursor, limit)


@post("/payments/calls/{call_id:str}/retry", opt=SYSTEM | permission("payments.manage"), status_code=200)
async def retry_call(tx: Tx, call_id: str) -> CallView:
    """Have a call that was refused, or waits for its next try, made now."""
    return await calls.retry(tx, *parse_pair(call_id))


@get("/payouts", opt=permission("ledger.read"))
async def all_payouts(
    tx: Tx, merchant_id: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[PayoutView]:
    """Payouts to all merchants, or to one, newest first."""
    shop = parse_ref(merchant_id) if merchant_id is not None else None
    return await payouts.page(tx, shop, cursor, limit)


@get("/payouts/{payout_id:str}/orders", opt=permission("ledger.read"))
async def payout_orders(
    tx: Tx, payout_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[PayoutOrderView]:
    """The orders that a payout was made of."""
    return await payouts.made_of(tx, *parse_pair(payout_id), cursor, limit)


@post("/payouts", opt=SYSTEM | permission("payouts.manage"))
async def start_payouts(tx: Tx, me: Principal, data: PayoutIn) -> PayoutsStarted:
    """Pay one merchant all that it is owed; without one, all who are owed at least one yuan."""
    shop = parse_ref(data.merchant_id) if data.merchant_id is not None else None
    return await payouts.start(tx, shop, me.account_id)


@get("/payouts", opt=permission("ledger.read"))
async def own_payouts(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[PayoutView]:
    """Payouts to the shop, newest first."""
    if me.merchant_id is None:
        raise Forbidden("This sign-in belongs to no shop.")
    return await payouts.page(tx, me.merchant_id, cursor, limit)


@get("/payouts/{payout_id:str}/orders", opt=permission("ledger.read"))
async def own_payout_orders(
    tx: Tx, me: Principal, payout_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[PayoutOrderView]:
    """The orders that one of the shop's payouts was made of."""
    shop, row_id = parse_pair(payout_id)
    if shop != me.merchant_id:
        raise NotFound("No such payout.")
    return await payouts.made_of(tx, shop, row_id, cursor, limit)


merchant_routes = [own_payouts, own_payout_orders]
platform_routes = [list_calls, retry_call, all_payouts, payout_orders, start_payouts]
