"""Opening a payment for a trade."""

from datetime import timedelta
from uuid import UUID

import msgspec

from core.db.tx import Tx
from core.kit.errors import Conflict, NotFound
from core.kit.ids import ref
from core.payment import applying, repository
from core.payment.provider import Outside, PaidNotice, PaymentOrder, PaymentProvider
from core.payment.repository import Opened
from core.payment.schemas import PaymentOut, PaymentView
from core.types import scope as scopes
from core.types.scope import Principal

# A payment that was not heard of by then is asked for.
FIRST_QUERY = timedelta(minutes=2)


class QueryDue(msgspec.Struct, frozen=True):
    """Payload of the timer `query_payment`."""

    payment_id: UUID
    attempt: int = 0


async def create(
    outside: Outside, tx: Tx, me: Principal, trade_id: UUID, provider: PaymentProvider
) -> PaymentOut:
    """Open a payment for the buyer's unpaid trade, or give the open one again.

    The payment is committed on its own before the provider is asked, so a payment that the provider knows is always
    one that we know; the provider's answer is kept in `tx`, whose first statement comes after the call. A trade that
    costs nothing is paid at once. Raises `NotFound`; `Conflict` with `already_paid`, `trade_closed` or
    `trade_expired`; `Unavailable` when the provider did not answer: asking again is safe.
    """
    async with outside.new_tx(scopes.of(me)) as own:
        order, opened = await _open(own, me.account_id, trade_id, provider.key)
    if order.amount == 0:
        await _pay_nothing(outside, me, order, provider.key)
        return PaymentOut(order.reference, "paid", {})
    if opened.provider_ref is not None:
        return PaymentOut(order.reference, "created", opened.client)
    created = await provider.create(outside, order)
    await repository.keep(tx, me.account_id, order.payment_id, created)
    return PaymentOut(order.reference, "created", created.client)


async def _open(tx: Tx, account_id: UUID, trade_id: UUID, provider: str) -> tuple[PaymentOrder, Opened]:
    trade = await repository.lock_trade(tx, account_id, trade_id)
    if trade is None:
        raise NotFound("No such trade.")
    if trade["status"] == "paid":
        raise Conflict("This trade is paid already.", code="already_paid")
    if trade["status"] == "closed":
        raise Conflict("This trade is closed; place a new one.", code="trade_closed")
    if trade["expires_at"] <= tx.now:
        raise Conflict("The time to pay this trade is over; place a new one.", code="trade_expired")
    opened = await repository.open_payment(
        tx, account_id, trade_id, provider, trade["payable"], trade["expires_at"]
    )
    if opened.fresh and trade["payable"]:
        tx.schedule("core", "query_payment", QueryDue(opened.id), tx.now + FIRST_QUERY)
    order = PaymentOrder(
        opened.id, account_id, trade["payable"], opened.legs, f"Trade {trade['number']}", trade["expires_at"]
    )
    return order, opened


async def _pay_nothing(outside: Outside, me: Principal, order: PaymentOrder, provider: str) -> None:
    async with outside.new_tx(scopes.system_for(me)) as tx:
        await applying.apply(tx, PaidNotice(order.payment_id, provider, 0, (), "", tx.now))


async def view(tx: Tx, account_id: UUID, payment_id: UUID) -> PaymentView:
    """The buyer's own payment. Raises `NotFound`."""
    row = await repository.view(tx, account_id, payment_id)
    if row is None:
        raise NotFound("No such payment.")
    return PaymentView(
        ref(row["id"]),
        ref(row["subject_id"]),
        row["provider"],
        row["amount"],
        row["status"],
        repository.client_of(row["client"]),
        row["expires_at"],
        row["paid_at"],
    )
