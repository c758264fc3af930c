"""Timers of payments. They call outside, and no transaction may be open then. So each step looks at the state, and if
there is still something to do it schedules the next look in its own transaction and makes the call after the commit.
A call that is lost, fails or has an unknown outcome is thus made again, with back-off, until the state says done.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import httpx
import msgspec
import structlog

from core.db import calls
from core.db.tx import Tx
from core.kit.errors import JishiError
from core.kit.ids import derived_id
from core.ledger import service as ledger
from core.ledger.rules import late_refund_transfers
from core.payment import applying, registry, repository, sandbox
from core.payment.applying import RefundDue
from core.payment.provider import Outside, PaymentProvider, QueryResult, RefundOrder, base_url
from core.payment.repository import OrderLeg
from core.payment.sandbox import NotifyDue
from core.payment.service import FIRST_QUERY, QueryDue
from core.types.scope import SYSTEM, Scope

_LOG = structlog.get_logger()
_FIRST_REFUND = timedelta(seconds=15)
_LONGEST = timedelta(minutes=10)
_TIMEOUT_S = 10.0
# An open payment is asked for a last time, and closed, this long after its trade expired.
CLOSE_AFTER = timedelta(minutes=10)


async def sandbox_notify(tx: Tx, payload: msgspec.Raw) -> None:
    """Send the sandbox's notification again until it is acknowledged."""
    due = msgspec.json.decode(payload, type=NotifyDue)
    if await sandbox.is_notified(tx, due.payment_id):
        return
    again = NotifyDue(due.payment_id, due.attempt + 1)
    tx.schedule("core", "sandbox_notify", again, tx.now + back_off(sandbox.FIRST_RESEND, again.attempt))

    async def call(outside: Outside) -> None:
        await sandbox.notify(outside, due.payment_id)

    after_commit(tx, "sandbox_notify", call)


async def refund_payment(tx: Tx, payload: msgspec.Raw) -> None:
    """Send a payment back that came late or twice."""
    due = msgspec.json.decode(payload, type=RefundDue)
    found = await repository.refunding(tx, due.payment_id)
    if found is None or found[0]["status"] != "refunding":
        return
    payment, legs = found
    again = RefundDue(due.payment_id, due.attempt + 1)
    tx.schedule("core", "refund_payment", again, tx.now + back_off(_FIRST_REFUND, due.attempt))
    provider = registry.existing(tx.env, payment["provider"])

    async def call(outside: Outside) -> None:
        await _refund(outside, provider, payment["account_id"], due.payment_id, legs)

    after_commit(tx, "refund_payment", call)


async def query_payment(tx: Tx, payload: msgspec.Raw) -> None:
    """Ask for a payment that was not heard of; a while after its trade expired, close it."""
    due = msgspec.json.decode(payload, type=QueryDue)
    payment = await repository.due(tx, due.payment_id)
    if payment is None or payment["status"] != "created":
        return
    again = QueryDue(due.payment_id, due.attempt + 1)
    tx.schedule("core", "query_payment", again, tx.now + back_off(FIRST_QUERY, due.attempt))
    provider = registry.existing(tx.env, payment["provider"])
    over = tx.now >= payment["expires_at"] + CLOSE_AFTER

    async def call(outside: Outside) -> None:
        result = await (provider.close if over else provider.query)(outside, due.payment_id)
        await _heard(outside, payment["account_id"], due.payment_id, result, over=over)

    after_commit(tx, "query_payment", call)


async def _refund(
    outside: Outside, provider: PaymentProvider, account_id: UUID, payment_id: UUID, legs: list[OrderLeg]
) -> None:
    for leg in legs:
        refund_id = derived_id(payment_id, f"late:{leg.merchant_id}")
        order = RefundOrder(
            refund_id, payment_id, leg.merchant_id, leg.amount, "The trade was closed or paid already."
        )
        if not await provider.refund(outside, order):
            return
    async with outside.new_tx(SYSTEM) as tx:
        if await repository.mark_refunded(tx, account_id, payment_id):
            rows = [(leg.merchant_id, leg.order_id, leg.amount) for leg in legs]
            await ledger.post(tx, late_refund_transfers(payment_id, rows))


async def _heard(
    outside: Outside, account_id: UUID, payment_id: UUID, result: QueryResult, *, over: bool
) -> None:
    async with outside.new_tx(SYSTEM) as tx:
        if result.paid is not None:
            applied = await applying.apply(tx, result.paid)
            if applied == "mismatch":
                _LOG.error("payment_mismatch", payment_id=str(payment_id))
        elif result.status == "closed" or (over and result.status == "unknown"):
            await repository.mark_closed(tx, account_id, payment_id)


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
    """What an outside call may use, taken from a transaction's host; `tx` itself is not used by it."""

    def new_tx(scope: Scope) -> Tx:
        return Tx(tx._engine, tx.snapshot, scope, tx.env)  # noqa: SLF001 - the same host, another transaction

    async with calls.client(base_url=base_url(tx.env.settings), timeout=_TIMEOUT_S, trust_env=False) as http:
        yield Outside(tx.env, http, new_tx)


TIMERS: Mapping[str, Callable[[Tx, msgspec.Raw], Awaitable[None]]] = {
    "sandbox_notify": sandbox_notify,
    "refund_payment": refund_payment,
    "query_payment": query_payment,
}
