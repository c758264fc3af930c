"""The money of an order leaves the frozen account once nobody can claim it back."""

from enum import Enum
from uuid import UUID

import asyncpg
import msgspec
import structlog

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import repository
from core.kit.ids import derived_id
from core.ledger import balances
from core.ledger import service as ledger
from core.ledger.rules import Account, Earning, OrderMoney, commission_at_release, release_transfers
from core.orders import repository as order_rows
from core.orders import service as orders
from core.payment import calls, payout_rows
from core.payment import repository as payments
from core.payment.calls import Call, Detail

_LOG = structlog.get_logger()

_EARNINGS = """
select owner_id, sum(amount - refunded_amount)::bigint as amount from order_earning
where merchant_id = $1 and order_id = $2 group by owner_id having sum(amount - refunded_amount) > 0 order by owner_id
"""
# A case whose refund the buyer has is over, even if nobody has noted that yet.
_OPEN_CASE = """
select exists (select from aftersale a where a.merchant_id = $1 and a.order_id = $2 and a.closed_at is null
  and not exists (select from refund r
    where r.merchant_id = $1 and r.order_id = $2 and r.aftersale_id = a.id and r.status = 'done'))
"""


class Outcome(Enum):
    """What came of asking for the release."""

    RELEASED = "released"
    # Something holds the order, a case is open or a refund of it is on its way: ask again later.
    HELD = "held"
    # Neither completed nor given up after payment, or released before.
    NOT_DUE = "not due"


async def release(tx: Tx, merchant_id: UUID, order_id: UUID, *, latest: bool = False) -> Outcome:
    """Release what refunds have left of the money of a completed order to its merchant and its earners, once, and have the
    payment service split and free it. So with an order that was closed after it was paid: what was kept back from its refund
    is the merchant's. With `latest`, whatever its status and whatever holds it.

    For the system scope. Raises `NotFound`.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if row["released_at"] is not None or not (_was_paid(row) if latest else _is_over(row)):
        return Outcome.NOT_DUE
    if not latest and await _is_held(tx, row):
        return Outcome.HELD
    money = await _netted(tx, await with_earnings(tx, left_of(row)))
    taken = commission_at_release(money)
    await ledger.post(tx, release_transfers(money))
    await payout_rows.note(tx, merchant_id, order_id, order_id, money.frozen - money.earned - taken)
    await repository.mark_released(tx, merchant_id, order_id, tx.now, row["commission"] - taken)
    await _free(tx, row, msgspec.structs.replace(money, commission=taken))
    tx.emit(hookspecs.order_released, orders.event_of(row))
    return Outcome.RELEASED


def left_of(row: asyncpg.Record) -> OrderMoney:
    """The frozen money of an order that is neither refunded nor about to be, and the fee not given up; no earners yet."""
    to_buyer = row["refunded_amount"] + row["refunding_amount"]
    return OrderMoney(
        row["merchant_id"],
        row["id"],
        row["payable"] - to_buyer - row["deducted_market"],
        row["market_borne"] - row["refunded_market"],
        row["commission"] - row["refunded_commission"],
    )


async def with_earnings(tx: Tx, money: OrderMoney) -> OrderMoney:
    """With what refunds have left to the order's earners, each once."""
    rows = await tx.fetch(_EARNINGS, money.merchant_id, money.order_id)
    return msgspec.structs.replace(money, earnings=[Earning(r["owner_id"], r["amount"]) for r in rows])


async def _netted(tx: Tx, money: OrderMoney) -> OrderMoney:
    """What earners owe is taken off what they get."""
    if not money.earnings:
        return money
    await balances.lock(tx, [e.owner for e in money.earnings])
    debts = await balances.held(tx, [Account(e.owner, "debt") for e in money.earnings])
    earnings = [
        Earning(e.owner, e.amount, min(e.amount, max(0, debts[Account(e.owner, "debt")])))
        for e in money.earnings
    ]
    return msgspec.structs.replace(money, earnings=earnings)


async def _free(tx: Tx, row: asyncpg.Record, money: OrderMoney) -> None:
    """Have the service give the market and the earners their shares, and the merchant the rest."""
    if not money.frozen:
        return
    paid = await payments.paid_leg(tx, row["trade_id"], row["merchant_id"], row["id"])
    if paid is None:
        _LOG.error("release_without_payment", order_id=str(row["id"]))
        return
    split = Call(
        row["merchant_id"],
        derived_id(row["id"], "split"),
        paid["id"],
        row["id"],
        paid["provider"],
        "split",
        money.commission + money.earned,
        row["id"],
        Detail(commission=money.commission, earnings=tuple(money.earnings)),
    )
    finish = msgspec.structs.replace(
        split, id=derived_id(row["id"], "finish"), kind="finish", amount=0, detail=Detail()
    )
    await calls.ask(tx, [split, finish] if split.amount else [finish])


async def _is_held(tx: Tx, row: asyncpg.Record) -> bool:
    key = row["merchant_id"], row["id"]
    return bool(
        row["refunding_amount"] or await order_rows.holds(tx, *key) or await tx.fetchval(_OPEN_CASE, *key)
    )


def _is_over(row: asyncpg.Record) -> bool:
    return row["status"] == "completed" or (row["status"] == "closed" and row["paid_at"] is not None)


def _was_paid(row: asyncpg.Record) -> bool:
    return row["paid_at"] is not None and (row["status"] != "closed" or left_of(row).frozen > 0)
