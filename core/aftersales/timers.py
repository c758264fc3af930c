"""Timers of refunds: what is left to do when the payment service has sent the money (`core.payment.calls`)."""

import msgspec

from core.aftersales import captured, settling
from core.aftersales.settling import RefundDue
from core.db.tx import Tx
from core.payment.call_done import RefundSent
from core.plugin import TimerHandler


async def refund_sent(tx: Tx, payload: msgspec.Raw) -> None:
    """The buyer has the money of a refund: settle it."""
    due = msgspec.json.decode(payload, type=RefundSent)
    await settling.settle(tx, due.merchant_id, due.refund_id)


async def settle_refund(tx: Tx, payload: msgspec.Raw) -> None:
    """Ask plugins again that could not settle a refund."""
    await settling.settle_again(tx, msgspec.json.decode(payload, type=RefundDue))


TIMERS: dict[str, TimerHandler] = {
    "refund_sent": refund_sent,
    "settle_refund": settle_refund,
    **captured.TIMERS,
}
