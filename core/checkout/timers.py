"""Timers of checkout."""

import msgspec

from core.checkout import close
from core.checkout.schemas import CloseAgain, CloseTimer
from core.db.tx import Tx
from core.kit.ids import parse_ref
from core.plugin import TimerHandler


async def close_unpaid(tx: Tx, payload: msgspec.Raw) -> None:
    """Close a trade whose time to pay is over; one that was paid or closed meanwhile is left alone."""
    timer = msgspec.json.decode(payload, type=CloseTimer)
    await close.give_up(tx, parse_ref(timer.account_id), parse_ref(timer.trade_id), None, "not paid in time")


async def close_again(tx: Tx, payload: msgspec.Raw) -> None:
    """Tell a plugin of closed orders that was quarantined when they were closed."""
    await close.tell_again(tx, msgspec.json.decode(payload, type=CloseAgain))


TIMERS: dict[str, TimerHandler] = {"close_unpaid": close_unpaid, "close_again": close_again}
