"""Timers of payments. They call outside, and no transaction may be open then. So each step looks at the state, and if
there is still something to do it schedules the next look in its own transaction and makes the call after the commit.
A call that is lost, fails or has an unknown outcome is thus made again, with back-off, until the state says done.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog

from core.db.tx import Tx
from core.payment import applying, calls, paying, payouts, registry, repository
from core.payment.provider import Outside, QueryResult
from core.payment.service import FIRST_QUERY, QueryDue
from core.payment.waiting import after_commit, back_off
from core.types.scope import SYSTEM

_LOG = structlog.get_logger()
# An open payment is asked for a last time, and closed, this long after its trade expired.
CLOSE_AFTER = timedelta(minutes=10)


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


TIMERS: Mapping[str, Callable[[Tx, msgspec.Raw], Awaitable[None]]] = {
    "channel_calls": calls.channel_calls,
    "pay_out": payouts.pay_out_due,
    "query_payment": query_payment,
    **paying.TIMERS,
}
