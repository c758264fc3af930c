"""`jishi ledger ...` and `jishi reconcile`."""

from datetime import date

from core.db import calls
from core.db.outside import Outside
from core.deployment.runtime import Runtime
from core.ledger import check as checking
from core.ledger import service
from core.ledger.text import trace_text
from core.payment import reconcile as reconciling
from core.payment.provider import base_url
from core.payment.reconcile_view import reconciliation_text
from core.types.scope import SYSTEM


async def trace(runtime: Runtime, order: str) -> str:
    """Every transfer of an order, trade or payout, by id or number, and the payouts that orders went into."""
    async with runtime.tx(SYSTEM) as tx:
        posted = await service.trace(tx, order)
        return trace_text(posted, await service.payouts_of(tx, await service.resolve(tx, order)))


async def check(runtime: Runtime) -> str:
    """Whether the ledger's invariants hold, and what breaks them."""
    async with runtime.tx(SYSTEM) as tx:
        found = await checking.check(tx)
    return "The ledger is in order." if found.balanced else "\n".join(str(p) for p in found.problems)


async def reconcile(runtime: Runtime, day: date, provider: str | None) -> tuple[str, bool]:
    """A day against the payment services' bills, as a table, and whether something is wrong.

    Raises `Invalid`, `Unavailable`.
    """
    env = runtime.env
    async with calls.client(base_url=base_url(env.settings), timeout=30.0, trust_env=False) as http:
        outside = Outside(env, http, runtime.tx, runtime.clock)
        found = await reconciling.reconcile(outside, day, runtime.clock(), provider)
    return reconciliation_text(found), found.wrong > 0
