"""What the operator can ask the commission."""

from typing import Annotated

from litestar import get
from litestar.params import Parameter

from core.api import MARKET_ID, CommissionBase, Tx, permission
from plugins.commission.config import CommissionConfig
from plugins.commission.rules import FlatRate
from plugins.commission.schemas import Preview


@get("/preview", opt=permission("commission.manage"))
async def preview(tx: Tx, amount: Annotated[int, Parameter(ge=0, le=10**12)]) -> Preview:
    """The commission on goods for `amount` fen at the present rate."""
    base = CommissionBase(MARKET_ID, goods_amount=amount, shipping_amount=0)
    terms = FlatRate(tx.config(CommissionConfig).rate_bp).commission(base)
    return Preview(amount, terms.amount, terms.rule)


platform_routes = [preview]
