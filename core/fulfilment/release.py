"""The money of an order leaves the frozen account once nobody can claim it back."""

from enum import Enum
from uuid import UUID

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import repository
from core.ledger import service as ledger
from core.ledger.rules import OrderMoney, release_transfers
from core.orders import repository as order_rows
from core.orders import service as orders


class Outcome(Enum):
    """What came of asking for the release."""

    RELEASED = "released"
    # Something holds the order: ask again later.
    HELD = "held"
    # Not completed, or released before.
    NOT_DUE = "not due"


async def release(tx: Tx, merchant_id: UUID, order_id: UUID) -> Outcome:
    """Release the money of a completed order to its merchant, once.

    For the system scope. Raises `NotFound`.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if row["status"] != "completed" or row["released_at"] is not None:
        return Outcome.NOT_DUE
    if await order_rows.holds(tx, merchant_id, order_id):
        return Outcome.HELD
    money = OrderMoney(merchant_id, order_id, row["payable"], row["market_borne"], row["commission"])
    await ledger.post(tx, release_transfers(money))
    await repository.mark_released(tx, merchant_id, order_id, tx.now)
    tx.emit(hookspecs.order_released, orders.event_of(row))
    return Outcome.RELEASED
