"""Timers of fulfilment. Each looks at the state again before it acts, for it may come late or twice."""

from datetime import timedelta

import msgspec

from core.db.tx import Tx
from core.fulfilment import release as releasing
from core.fulfilment import service
from core.fulfilment.service import OrderTimer
from core.orders import service as orders
from core.plugin import TimerHandler

# How long until an order that is still held is looked at again.
HELD_RETRY = timedelta(days=1)


async def auto_receive(tx: Tx, payload: msgspec.Raw) -> None:
    """Complete an order that the buyer never confirmed."""
    due = msgspec.json.decode(payload, type=OrderTimer)
    row = await orders.locked(tx, due.merchant_id, due.order_id)
    if row["status"] == "shipped":
        await service.complete(tx, due.merchant_id, due.order_id, None, "received by itself")


async def release(tx: Tx, payload: msgspec.Raw) -> None:
    """Release an order's money; while the order is held, look again a day later."""
    due = msgspec.json.decode(payload, type=OrderTimer)
    if await releasing.release(tx, due.merchant_id, due.order_id) is releasing.Outcome.HELD:
        tx.schedule("core", "release", due, tx.now + HELD_RETRY)


TIMERS: dict[str, TimerHandler] = {"auto_receive": auto_receive, "release": release}
