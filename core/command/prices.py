"""`jishi explain`."""

from core.deployment.runtime import Runtime
from core.kit.errors import NotFound
from core.kit.ids import parse_ref
from core.orders import explain as explaining
from core.orders.repository import TradeFilter
from core.pricing.text import Language
from core.types.scope import PLATFORM, Audience


async def explain(runtime: Runtime, trade: str, language: Language) -> str:
    """How a trade's price came about; `trade` is its id or number. Raises `NotFound`."""
    try:
        which = TradeFilter(number=trade) if trade.isdecimal() else TradeFilter(trade_id=parse_ref(trade))
        async with runtime.tx(PLATFORM) as tx:
            return await explaining.explain(tx, which, Audience.PLATFORM, language)
    except NotFound:
        raise NotFound(f"No trade has the id or number {trade[:60]!r}.") from None
