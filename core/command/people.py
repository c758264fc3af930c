"""`jishi operator LOGIN`: the first people of the market, who cannot be let in by anybody else."""

from core.deployment.runtime import Runtime
from core.identity import accounts, staff
from core.kit.ids import MARKET_ID
from core.types.scope import SYSTEM


async def add_operator(runtime: Runtime, login: str, password: str) -> str:
    """An account with every permission on the platform."""
    async with runtime.tx(SYSTEM) as tx:
        account_id = await accounts.create_account(tx, login, password, login)
        await staff.add(tx, MARKET_ID, account_id, ["admin"])
    return f"{login} may sign in with audience platform."
