"""A plugin wanted an order refunded as soon as it was captured: a group that is full, for instance."""

from collections.abc import Mapping

import msgspec
import structlog

from core.aftersales import service
from core.db.tx import Tx
from core.kit.errors import Conflict
from core.orders import holds
from core.orders import service as orders
from core.payment.paying import FIRST_RETRY, CapturedRefund
from core.payment.waiting import back_off
from core.plugin import TimerHandler

_LOG = structlog.get_logger()


async def refund_captured(tx: Tx, payload: msgspec.Raw) -> None:
    """Refund all that is left of the order, once, and lift the hold that kept it until then. If that is refused, it is tried
    again later; the order stays held."""
    due = msgspec.json.decode(payload, type=CapturedRefund)
    row = await orders.locked(tx, due.merchant_id, due.order_id)
    if row["status"] in ("paid", "accepted", "shipped", "completed"):
        try:
            async with tx.savepoint("refund_captured"):
                await service.decide(tx, due.merchant_id, due.order_id, reason=due.reason)
        except Conflict as error:
            if error.code != "nothing_left":
                _LOG.warning("captured_not_refunded", order_id=str(due.order_id), code=error.code)
                again = msgspec.structs.replace(due, attempt=due.attempt + 1)
                tx.schedule("core", "refund_captured", again, tx.now + back_off(FIRST_RETRY, due.attempt))
                return
    await holds.take_off(tx, due.merchant_id, due.order_id, due.plugin, "paying")


TIMERS: Mapping[str, TimerHandler] = {"refund_captured": refund_captured}
