"""What timers that call outside have in common: no transaction is open during the call, and what fails is tried again."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import httpx
import structlog

from core.db import calls
from core.db.tx import Tx
from core.kit.clock import system_clock
from core.kit.errors import JishiError
from core.payment.provider import Outside, base_url
from core.types.scope import Scope

_LOG = structlog.get_logger()
_LONGEST = timedelta(minutes=10)
_TIMEOUT_S = 10.0


def back_off(first: timedelta, attempt: int) -> timedelta:
    """Twice as long each time, at most 10 minutes."""
    return min(first * (1 << min(attempt, 16)), _LONGEST)


def after_commit(tx: Tx, name: str, call: Callable[[Outside], Awaitable[None]]) -> None:
    """Make the outside call when `tx` is committed. What fails is logged; the next look is scheduled already."""

    async def run() -> None:
        try:
            async with outside_of(tx) as outside:
                await call(outside)
        except (JishiError, httpx.HTTPError, asyncpg.PostgresError, OSError) as error:
            _LOG.warning("payment_call_failed", timer=name, error=str(error))

    tx.after_commit(run)


@asynccontextmanager
async def outside_of(tx: Tx) -> AsyncIterator[Outside]:
    """What an outside call may use, taken from a transaction's host; `tx` itself is not used by it. Its clock goes on from
    the transaction's."""
    ahead = tx.now - system_clock()

    def clock() -> datetime:
        return system_clock() + ahead

    def new_tx(scope: Scope) -> Tx:
        return Tx(tx._engine, tx.snapshot, scope, tx.env, clock)  # noqa: SLF001 - the same host, another transaction

    async with calls.client(base_url=base_url(tx.env.settings), timeout=_TIMEOUT_S, trust_env=False) as http:
        yield Outside(tx.env, http, new_tx, clock)
