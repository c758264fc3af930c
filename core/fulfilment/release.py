"""The money of an order leaves the frozen account once nobody can claim it back."""

from enum import Enum
from uuid import UUID

import asyncpg

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import repository
from core.ledger import service as ledger
from core.ledger.rules import OrderMoney, commission_at_release, release_transfers
from core.orders import repository as order_rows
from core.orders import service as orders


class Outcome(Enum):
    """What came of asking for the release."""

    RELEASED = "released"
    # Something holds the order, or a refund of it is on its way: ask again later.
    HELD = "held"
    # Neither completed nor given up after payment, or released before.
    NOT_DUE = "not due"


async def release(tx: Tx, merchant_id: UUID, order_id: UUID) -> Outcome:
    """Release what refunds have left of the money of a completed order to its merchant, once. So with an order that was
    closed after it was paid: what was kept back from its refund is the merchant's.

    For the system scope. Raises `NotFound`.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if not _is_over(row) or row["released_at"] is not None:
        return Outcome.NOT_DUE
    if row["refunding_amount"] or await order_rows.holds(tx, merchant_id, order_id):
        return Outcome.HELD
    money = left_of(row)
    await ledger.post(tx, release_transfers(money))
    given_up = row["commission"] - commission_at_release(money)
    await repository.mark_released(tx, merchant_id, order_id, tx.now, given_up)
    tx.emit(hookspecs.order_released, orders.event_of(row))
    return Outcome.RELEASED


def left_of(row: asyncpg.Record) -> OrderMoney:
    """The frozen money of an order that is neither refunded nor about to be, and the fee not given up."""
    to_buyer = row["refunded_amount"] + row["refunding_amount"]
    return OrderMoney(
        row["merchant_id"],
        row["id"],
        row["payable"] - to_buyer - row["deducted_market"],
        row["market_borne"] - row["refunded_market"],
        row["commission"] - row["refunded_commission"],
    )


def _is_over(row: asyncpg.Record) -> bool:
    return row["status"] == "completed" or (row["status"] == "closed" and row["paid_at"] is not None)
