"""What staff sees of a day compared with the payment services."""

from datetime import date

import httpx
from litestar import get

from core.db.tx import Tx, TxFactory
from core.payment import reconcile
from core.payment.provider import Outside
from core.payment.reconcile_view import ReconciliationView, reconciliation_view
from core.types.routing import OUTSIDE, permission


@get("/payments/reconciliation", opt=OUTSIDE | permission("ledger.read"))
async def show_reconciliation(
    tx: Tx, new_tx: TxFactory, http: httpx.AsyncClient, day: date, provider: str | None = None
) -> ReconciliationView:
    """A day (of UTC+8) of our books against the bills of the payment services, or of one."""
    found = await reconcile.reconcile(Outside(tx.env, http, new_tx), day, tx.now, provider)
    return reconciliation_view(found)


platform_routes = [show_reconciliation]
