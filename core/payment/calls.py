"""What payment services are asked to do with the money that they hold: written down with what decides it, made after the
commit, until it is done.

The calls of one payment and merchant are made one after another, in the order they were decided; so are a merchant's
payouts. A call whose outcome is not known, and one for which there is not enough money yet, is made again: its id is the
service's idempotency key, so that it is booked once. When it is done, one transaction marks it and posts the cash that it
moved to the ledger; the cash is never posted before. One that the service refuses for good waits for staff, and so do those
after it.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import httpx
import msgspec
import structlog

from core.db.tx import Tx
from core.kit.errors import Conflict, JishiError, NotFound
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.payment import call_done, call_rows, registry
from core.payment.call_rows import Call, Detail
from core.payment.provider import Outside
from core.payment.schemas import CallView, call_view
from core.payment.waiting import after_commit, back_off
from core.types.scope import SYSTEM

__all__ = ["Call", "CallsDue", "Detail", "ask", "channel_calls", "page", "retry"]

_LOG = structlog.get_logger()
_FIRST_LOOK = timedelta(seconds=15)
# The state may be another one later: these refusals are not for good.
_PASSING = frozenset({"not_enough", "unknown"})


class CallsDue(msgspec.Struct, frozen=True):
    """Payload of the timer `channel_calls`: whose calls are to be made."""

    merchant_id: UUID
    payment_id: UUID | None = None


async def ask(tx: Tx, calls: Sequence[Call]) -> None:
    """Have these calls made after the commit, in this order; those that are known already (by id) change nothing."""
    if not calls:
        return
    await call_rows.add(tx, calls)
    for due in dict.fromkeys(CallsDue(c.merchant_id, c.payment_id) for c in calls):
        tx.schedule("core", "channel_calls", due, tx.now)


async def channel_calls(tx: Tx, payload: msgspec.Raw) -> None:
    """Make the calls that wait, from the first one on."""
    due = msgspec.json.decode(payload, type=CallsDue)
    call = await _next(tx, due)
    if call is None:
        return
    tx.schedule("core", "channel_calls", due, tx.now + back_off(_FIRST_LOOK, call.tries))

    async def go(outside: Outside) -> None:
        waiting: Call | None = call
        while waiting is not None:
            waiting = await _make(outside, due, waiting)

    after_commit(tx, "channel_calls", go)


async def _next(tx: Tx, due: CallsDue) -> Call | None:
    """The call to make now, counted as tried."""
    call = await call_rows.first(tx, due.merchant_id, due.payment_id)
    if call is None or call.status != "waiting":
        return None
    await call_rows.tried(tx, call)
    return call


async def _make(outside: Outside, due: CallsDue, call: Call) -> Call | None:
    """Make a call; the answer is the one to make after it, None when it is not done."""
    try:
        outcome = await call_done.make(registry.existing(outside.env, call.provider), outside, call)
    except (JishiError, httpx.HTTPError, OSError) as error:
        await _failed(outside, call, error)
        return None
    if outcome == "working":
        return None
    async with outside.new_tx(SYSTEM) as tx:
        if await call_rows.done(tx, call, tx.now):
            await call_done.done(tx, call, outcome)
        return await _next(tx, due)


async def _failed(outside: Outside, call: Call, error: Exception) -> None:
    refused = isinstance(error, Conflict) and error.code not in _PASSING
    code = error.code if isinstance(error, JishiError) else type(error).__name__
    log = _LOG.error if refused else _LOG.warning
    log(
        "channel_call_refused" if refused else "channel_call_failed",
        call=str(call.id),
        kind=call.kind,
        code=code,
    )
    async with outside.new_tx(SYSTEM) as tx:
        await call_rows.failed(tx, call, f"{code}: {error}", refused=refused)


async def page(tx: Tx, status: str | None, cursor: str | None, limit: int) -> Page[CallView]:
    """Calls, newest first. Raises `Invalid`."""
    before = decode_cursor(cursor, int) if cursor is not None else None
    rows = await call_rows.page(tx, status, before, check_limit(limit) + 1)
    following = encode_cursor(rows[limit - 1]["seq"]) if len(rows) > limit else None
    return Page([call_view(row) for row in rows[:limit]], following)


async def retry(tx: Tx, merchant_id: UUID, call_id: UUID) -> CallView:
    """Have a call that was refused, or waits for its next try, made now. For the system scope.

    Raises `NotFound`; `Conflict` (`wrong_status`) for one that is done.
    """
    row = await call_rows.again(tx, merchant_id, call_id)
    if row is None:
        raise NotFound("No such call.")
    if not row["again"]:
        raise Conflict("This call is done.", code="wrong_status")
    tx.schedule("core", "channel_calls", CallsDue(merchant_id, row["payment_id"]), tx.now)
    return msgspec.structs.replace(call_view(row), status="waiting", tries=0)
