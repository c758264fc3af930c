"""Timers of fulfilment. Each looks at the state again before it acts, for it may come late or twice."""

from datetime import timedelta

import msgspec

from core.db.tx import Tx
from core.fulfilment import release as releasing
from core.fulfilment import service
from core.fulfilment.service import OrderTimer
from core.plugin import TimerHandler

# How long until an order that is still held is looked at again.
HELD_RETRY = timedelta(days=1)


async def auto_receive(tx: Tx, payload: msgspec.Raw) -> None:
    """Complete an order that the buyer never confirmed, or whose codes nobody redeemed."""
    due = msgspec.json.decode(payload, type=OrderTimer)
    await service.receive_by_itself(tx, due.merchant_id, due.order_id)


async def release(tx: Tx, payload: msgspec.Raw) -> None:
    """Release an order's money; while the order is held, look again a day later."""
    due = msgspec.json.decode(payload, type=OrderTimer)
    if await releasing.release(tx, due.merchant_id, due.order_id) is releasing.Outcome.HELD:
        tx.schedule("core", "release", due, tx.now + HELD_RETRY)


async def release_latest(tx: Tx, payload: msgspec.Raw) -> None:
    """Release an order's money before the payment service frees it by itself, whatever holds the order."""
    due = msgspec.json.decode(payload, type=OrderTimer)
    await releasing.release(tx, due.merchant_id, due.order_id, latest=True)


TIMERS: dict[str, TimerHandler] = {
    "auto_receive": auto_receive,
    "release": release,
    "release_latest": release_latest,
}
