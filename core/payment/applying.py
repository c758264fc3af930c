"""What a captured payment does: exactly once, whatever comes first, twice, late or wrong."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from uuid import UUID

import msgspec

from core import hookspecs
from core.db.tx import Tx
from core.kit.errors import NotFound
from core.kit.ids import derived_id
from core.ledger import service as ledger
from core.ledger.back import late_payment_transfers
from core.ledger.rules import OrderMoney, pay_transfers
from core.payment import calls, repository
from core.payment.calls import Call, Detail
from core.payment.paying import ask_plugins
from core.payment.provider import Notification, PaidNotice, PaymentProvider
from core.payment.repository import OrderLeg, Received
from core.types.events import OrderEvent

Result = Literal["applied", "late", "duplicate", "mismatch"]


# An order's money is released by then, whatever holds it: services free it by themselves on day 180.
RELEASE_LATEST = timedelta(days=175)


class OrderDue(msgspec.Struct, frozen=True):
    """Payload of the timer `release_latest`, which fulfilment has."""

    merchant_id: UUID
    order_id: UUID


async def notified(tx: Tx, provider: PaymentProvider, notification: Notification, body: bytes) -> Result:
    """Apply a verified notification and keep it, both or neither. Needs the system scope.

    One that does not fit our books is kept with the result `mismatch` and answered like any other: sending it again
    would not mend it. Raises `NotFound` for a payment that is not ours, which is not kept.
    """
    where = f"payment_notification.body:{provider.key}:{notification.event_id}"
    sealed = tx.env.vault.seal(body.decode("utf-8", "replace"), where)
    received = Received(provider.key, notification.event_id, sealed)
    result = await apply(tx, notification.paid, received)
    if result != "applied":
        await repository.store_notification(tx, received, notification.paid.payment_id, result)
    return result


async def apply(tx: Tx, notice: PaidNotice, received: Received | None = None) -> Result:
    """A payment was captured. Needs the system scope; a handful of statements however many orders there are.

    * `applied`: payment, trade and orders are paid, the money is in the ledger, `order_paid` is emitted per order, and
      `received` is kept; with any other result that is left to the caller.
    * `late`: the trade is closed or paid otherwise; the whole payment is sent back.
    * `duplicate`: known already, nothing changes.
    * `mismatch`: provider, amount or shares differ from what was asked; nothing changes.

    Raises `NotFound` for an unknown payment.
    """
    found = await repository.lock(tx, notice.payment_id)
    if found is None:
        raise NotFound("No such payment.")
    payment, legs = found
    if not _fits(notice, payment["provider"], payment["amount"], legs):
        return "mismatch"
    if payment["status"] not in ("created", "closed"):
        return "duplicate"
    if payment["trade_status"] == "unpaid":
        await _capture(tx, payment["account_id"], payment["trade_id"], notice, legs, received)
        return "applied"
    await _send_back(tx, payment["account_id"], notice, legs)
    return "late"


def _fits(notice: PaidNotice, provider: str, amount: int, legs: Sequence[OrderLeg]) -> bool:
    asked = sorted((leg.merchant_id, leg.amount) for leg in legs if leg.amount)
    captured = sorted((leg.merchant_id, leg.amount) for leg in notice.legs)
    return notice.provider == provider and notice.amount == amount and asked == captured


async def _capture(
    tx: Tx,
    account_id: UUID,
    trade_id: UUID,
    notice: PaidNotice,
    legs: Sequence[OrderLeg],
    received: Received | None,
) -> None:
    paid = await repository.mark_paid(tx, account_id, notice, legs, received)
    assert paid == len(legs), "an unpaid trade has unpaid orders only"
    orders = [_money(leg) for leg in legs]
    await ledger.post(tx, [transfer for order in orders for transfer in pay_transfers(order)])
    await calls.ask(tx, [_subsidise(notice, order) for order in orders if order.market_borne])
    for leg in legs:
        latest = OrderDue(leg.merchant_id, leg.order_id)
        tx.schedule("core", "release_latest", latest, tx.now + RELEASE_LATEST)
    await ask_plugins(tx, account_id, trade_id, legs)
    for leg in legs:
        tx.emit(hookspecs.order_paid, OrderEvent(leg.merchant_id, leg.order_id, trade_id, account_id))


def _money(leg: OrderLeg) -> OrderMoney:
    earnings = leg.earnings or ()
    return OrderMoney(leg.merchant_id, leg.order_id, leg.amount, leg.market_borne, earnings=earnings)


def _subsidise(notice: PaidNotice, order: OrderMoney) -> Call:
    return Call(
        order.merchant_id,
        derived_id(order.order_id, "subsidise"),
        notice.payment_id,
        order.order_id,
        notice.provider,
        "subsidise",
        order.market_borne,
        order.order_id,
    )


async def _send_back(tx: Tx, account_id: UUID, notice: PaidNotice, legs: Sequence[OrderLeg]) -> None:
    await repository.mark_late(tx, account_id, notice)
    rows = [(leg.merchant_id, leg.order_id, leg.amount) for leg in legs]
    await ledger.post(tx, late_payment_transfers(notice.payment_id, rows))
    await send_back(tx, notice.payment_id, notice.provider, legs)


async def send_back(tx: Tx, payment_id: UUID, provider: str, legs: Sequence[OrderLeg]) -> None:
    """Have the service send all of a late payment back, leg by leg."""
    detail = Detail(late=True, reason="The trade was closed or paid already.")
    await calls.ask(
        tx,
        [
            Call(
                leg.merchant_id,
                derived_id(payment_id, f"late:{leg.merchant_id}"),
                payment_id,
                leg.order_id,
                provider,
                "refund",
                leg.amount,
                payment_id,
                detail,
            )
            for leg in legs
            if leg.amount
        ],
    )
