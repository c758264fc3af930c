"""Timers of refunds: the money is sent back by its payment service, outside of any transaction, until it says done."""

from datetime import timedelta

import msgspec
import structlog

from core.aftersales import repository, settling
from core.aftersales.settling import RefundDue
from core.db.tx import Tx
from core.payment import registry
from core.payment import repository as payments
from core.payment.provider import Outside, RefundOrder
from core.payment.timers import after_commit, back_off
from core.plugin import TimerHandler
from core.types.scope import SYSTEM

_LOG = structlog.get_logger()
_FIRST_LOOK = timedelta(seconds=15)


async def refund_order(tx: Tx, payload: msgspec.Raw) -> None:
    """Have a refund's money sent back; the refund's id makes asking again harmless."""
    due = msgspec.json.decode(payload, type=RefundDue)
    found = await repository.sending(tx, due.merchant_id, due.refund_id)
    if found is None or found["status"] != "refunding":
        return
    again = RefundDue(due.merchant_id, due.refund_id, due.attempt + 1)
    tx.schedule("core", "refund_order", again, tx.now + back_off(_FIRST_LOOK, due.attempt))
    paid = await payments.paid_leg(tx, found["trade_id"], due.merchant_id, found["order_id"])
    if paid is None:
        _LOG.error("refund_without_payment", refund_id=str(due.refund_id))
        return
    order = RefundOrder(due.refund_id, paid["id"], due.merchant_id, found["amount"], found["reason"])

    async def call(outside: Outside) -> None:
        if await registry.existing(outside.env, paid["provider"]).refund(outside, order):
            async with outside.new_tx(SYSTEM) as own:
                await settling.settle(own, due.merchant_id, due.refund_id)

    after_commit(tx, "refund_order", call)


async def settle_refund(tx: Tx, payload: msgspec.Raw) -> None:
    """Ask plugins again that could not settle a refund."""
    await settling.settle_again(tx, msgspec.json.decode(payload, type=RefundDue))


TIMERS: dict[str, TimerHandler] = {"refund_order": refund_order, "settle_refund": settle_refund}
