"""Visits over HTTP."""

from litestar import post

from core.attribution import service
from core.attribution.schemas import VisitIn
from core.db.tx import Tx
from core.types.routing import GUEST, SYSTEM, limit
from core.types.scope import Principal


@post("/visits", opt=GUEST | SYSTEM | limit(120, 60), status_code=204)
async def record_visit(tx: Tx, me: Principal, data: VisitIn) -> None:
    """A page was opened, by a buyer or a guest; kept under a pseudonym."""
    await service.record(tx, me.account_id, data)


shop_routes = [record_visit]
