"""Plugins have their say on an order whose payment was captured: nothing, hold it, or refund it.

The captured payment is never lost to a plugin: each is asked in a savepoint. One that fails, or is not there, holds the
order and is asked again until it answers. A hold of core's own stays for as long as that takes, or until the refund that a
plugin wants is decided, so that no shop accepts meanwhile.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
import structlog

from core import hookspecs
from core.db.tx import Tx
from core.kit.errors import JishiError
from core.orders import holds
from core.orders import service as orders
from core.orders.holds import Hold
from core.payment.repository import OrderLeg
from core.payment.waiting import back_off
from core.plugin import TimerHandler
from core.types.orders import Paying, PayingAnswer

_LOG = structlog.get_logger()
FIRST_RETRY = timedelta(seconds=15)
_FAILED = "The plugin failed; it will be asked again."
_AWAY = "The plugin is not there at present; it will be asked once it is."

Guard = Callable[[Tx, Paying], Awaitable[PayingAnswer | None]]


class AskAgain(msgspec.Struct, frozen=True):
    """Payload of the timer `ask_paying`."""

    merchant_id: UUID
    order_id: UUID
    plugin: str
    attempt: int = 0


class CapturedRefund(msgspec.Struct, frozen=True):
    """Payload of the timer `refund_captured`, which the after-sales have: `plugin` wants all of the order refunded."""

    merchant_id: UUID
    order_id: UUID
    plugin: str
    reason: str
    attempt: int = 0


class _Said(NamedTuple):
    """A plugin's answer; `failure` says why there is none."""

    answer: PayingAnswer | None
    failure: str | None = None


async def ask_plugins(tx: Tx, account_id: UUID, trade_id: UUID, legs: Sequence[OrderLeg]) -> None:
    """Ask about each order that was captured just now those plugins that had a part in it or want every order; for the
    system scope, in the transaction that captured it. Sends no statement when there is nobody to ask."""
    wanted: list[Hold] = []
    for leg in legs:
        paying = Paying(leg.merchant_id, leg.order_id, trade_id, account_id, tx.now)
        guards = tx.hooks.about(hookspecs.order_paying, leg.contributors)
        absent = tx.snapshot.absent(hookspecs.order_paying, leg.contributors)
        said = [(plugin, await _ask(tx, plugin, guard, paying)) for plugin, guard in guards]
        said += [(plugin, _Said(None, _AWAY)) for plugin in absent]
        for plugin, answer in said:
            wanted += _follow(tx, AskAgain(leg.merchant_id, leg.order_id, plugin), answer)
    if wanted:
        await holds.put(tx, wanted)


async def ask_paying(tx: Tx, payload: msgspec.Raw) -> None:
    """Ask a plugin again that could not be asked when the order was captured, and lift core's hold once it answers. The
    order's hold says whether that is still wanted; a closed order needs no answer."""
    due = msgspec.json.decode(payload, type=AskAgain)
    row = await orders.locked(tx, due.merchant_id, due.order_id)
    if not await holds.is_held(tx, due.merchant_id, due.order_id, due.plugin, "paying"):
        return
    if row["status"] == "closed":
        await holds.take_off(tx, due.merchant_id, due.order_id, due.plugin, "paying")
        return
    guard = dict(tx.hooks.of(hookspecs.order_paying)).get(due.plugin)
    paying = Paying(due.merchant_id, due.order_id, row["trade_id"], row["account_id"], row["paid_at"])
    said = _Said(None, _AWAY) if guard is None else await _ask(tx, due.plugin, guard, paying)
    again = AskAgain(due.merchant_id, due.order_id, due.plugin, due.attempt + 1)
    wanted = _follow(tx, again, said)
    if wanted:
        await holds.put(tx, wanted)
    if not any(hold.cause == "paying" for hold in wanted):
        await holds.take_off(tx, due.merchant_id, due.order_id, due.plugin, "paying")


async def _ask(tx: Tx, plugin: str, guard: Guard, paying: Paying) -> _Said:
    try:
        async with tx.savepoint(plugin):
            answer = await guard(tx, paying)
            _check(plugin, answer)
        return _Said(answer)
    except Exception as error:
        if tx.lost:
            raise
        _LOG.exception("paying_not_answered", plugin=plugin, order_id=str(paying.order_id))
        return _Said(None, error.detail if isinstance(error, JishiError) else _FAILED)


def _check(plugin: str, answer: object) -> None:
    if answer is None:
        return
    good = isinstance(answer, PayingAnswer) and answer.outcome in ("hold", "refund") and answer.reason.strip()
    aware = good and (answer.until is None or _aware(answer.until))  # type: ignore[attr-defined]
    if not aware:
        raise ValueError(f"plugin {plugin} answered what cannot be: {answer}")


def _aware(at: datetime) -> bool:
    return at.tzinfo is not None


def _follow(tx: Tx, ask: AskAgain, said: _Said) -> list[Hold]:
    """The hold that an answer makes, and the timer that goes with it."""
    key = ask.merchant_id, ask.order_id, ask.plugin
    answer = said.answer
    if said.failure is not None:
        tx.schedule("core", "ask_paying", ask, tx.now + back_off(FIRST_RETRY, ask.attempt))
        return [Hold(*key, said.failure, cause="paying")]
    if answer is None:
        return []
    if answer.outcome == "hold":
        return [Hold(*key, answer.reason, answer.until)]
    tx.schedule("core", "refund_captured", CapturedRefund(*key, answer.reason), tx.now)
    return [Hold(*key, answer.reason, cause="paying")]


TIMERS: dict[str, TimerHandler] = {"ask_paying": ask_paying}
