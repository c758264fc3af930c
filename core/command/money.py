"""`jishi ledger ...`."""

from core.deployment.runtime import Runtime
from core.ledger import check as checking
from core.ledger import service
from core.ledger.text import trace_text
from core.types.scope import SYSTEM


async def trace(runtime: Runtime, order: str) -> str:
    """Every transfer of an order or trade, by id or number."""
    async with runtime.tx(SYSTEM) as tx:
        return trace_text(await service.trace(tx, order))


async def check(runtime: Runtime) -> str:
    """Whether the ledger's invariants hold, and what breaks them."""
    async with runtime.tx(SYSTEM) as tx:
        found = await checking.check(tx)
    return "The ledger is in order." if found.balanced else "\n".join(str(p) for p in found.problems)
