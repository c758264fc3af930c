"""What a call of a payment service is, on both sides: how the provider is asked, and what changes once it is done."""

from typing import Literal
from uuid import UUID

import msgspec

from core.db.tx import Tx
from core.kit.ids import MARKET_ID
from core.ledger import service as ledger
from core.ledger.back import (
    PayoutMoney,
    RefundMoney,
    fee_back_transfers,
    late_refund_transfers,
    refund_done_transfers,
    subsidy_back_transfers,
    withheld_transfers,
)
from core.ledger.rules import OrderMoney, Transfer, split_transfers, subsidised_transfers
from core.payment import payout_rows, repository
from core.payment.call_rows import Call
from core.payment.provider import (
    FinishOrder,
    Outside,
    PaymentProvider,
    PayoutOrder,
    RefundOrder,
    Share,
    SplitOrder,
    SplitReturn,
    SubsidyOrder,
)

Outcome = Literal["working", "done", "returned"]


class RefundSent(msgspec.Struct, frozen=True):
    """Payload of the timer `refund_sent`, which the after-sales have: the buyer has the refund's money back."""

    merchant_id: UUID
    refund_id: UUID


async def make(provider: PaymentProvider, outside: Outside, call: Call) -> Outcome:
    """Ask the service. Raises as the provider does."""
    if call.kind == "pay_out":
        order = PayoutOrder(call.id, call.merchant_id, call.amount, call.detail.recovered)
        answer = await provider.pay_out(outside, order)
        return "done" if answer == "paid" else answer
    return "done" if await _make(provider, outside, call) else "working"


async def _make(provider: PaymentProvider, outside: Outside, call: Call) -> bool:
    assert call.payment_id is not None, "only payouts have none"
    key, detail = (call.id, call.payment_id, call.merchant_id), call.detail
    match call.kind:
        case "subsidise":
            return await provider.subsidise(outside, SubsidyOrder(*key, call.amount))
        case "return_subsidy":
            back = SubsidyOrder(*key, call.amount, back=True, advance=detail.advance)
            return await provider.subsidise(outside, back)
        case "refund":
            refund = RefundOrder(*key, call.amount, detail.reason, detail.advance)
            return await provider.refund(outside, refund)
        case "split":
            return await provider.split(outside, SplitOrder(*key, shares(call)))
        case "return_split":
            return await provider.return_split(outside, SplitReturn(*key, call.amount))
        case _:
            return await provider.finish(outside, FinishOrder(*key))


def shares(call: Call) -> list[Share]:
    """Who gets what of a split: the market its fee and what earners owe it, the earners the rest of theirs."""
    detail = call.detail
    market = detail.commission + detail.withheld + sum(e.netted for e in detail.earnings)
    mine = [Share(e.owner, e.amount - e.netted) for e in detail.earnings if e.amount > e.netted]
    return [Share(MARKET_ID, market), *mine] if market else mine


async def done(tx: Tx, call: Call, outcome: Outcome) -> None:
    """A call is done: the ledger, and what follows from it. In the transaction that marks it."""
    if call.kind == "pay_out" and call.order_id is None:
        await payout_rows.close(tx, call, returned=outcome == "returned")
        return
    await ledger.post(tx, transfers(call))
    if call.kind == "refund":
        await _refunded(tx, call)
    elif call.kind == "split" and not call.detail.withheld:
        await tx.execute(
            "update order_earning set paid_at = $3 where merchant_id = $1 and order_id = $2 and paid_at is null",
            call.merchant_id,
            call.order_id,
            tx.now,
        )


def transfers(call: Call) -> list[Transfer]:
    """The cash that a call about an order has moved."""
    shop, order_id, detail = call.merchant_id, call.order_id, call.detail
    assert order_id is not None, "every leg is one of an order"
    refund = RefundMoney(shop, order_id, call.reference, call.amount)
    match call.kind:
        case "subsidise":
            return subsidised_transfers(OrderMoney(shop, order_id, 0, call.amount))
        case "refund" if detail.late:
            return late_refund_transfers(call.reference, [(shop, order_id, call.amount)])
        case "refund":
            return refund_done_transfers(refund, detail.advance)
        case "return_subsidy":
            back = RefundMoney(shop, order_id, call.reference, 0, market_borne=call.amount)
            return subsidy_back_transfers(back, detail.advance)
        case "return_split":
            return fee_back_transfers(RefundMoney(shop, order_id, call.reference, 0, commission=call.amount))
        case "split" if not detail.withheld:
            money = OrderMoney(shop, order_id, 0, 0, detail.commission, detail.earnings)
            return split_transfers(money)
        case "split" | "pay_out":
            return withheld_transfers(refund, detail.withheld or detail.recovered)
        case _:
            return []


async def _refunded(tx: Tx, call: Call) -> None:
    assert call.payment_id is not None, "refunds are of payments"
    await repository.leg_refunded(tx, call.payment_id, call.merchant_id, call.amount)
    if call.detail.late:
        await repository.mark_refunded(tx, call.payment_id)
    else:
        tx.schedule("core", "refund_sent", RefundSent(call.merchant_id, call.reference), tx.now)


def payout_of(call: Call) -> PayoutMoney:
    """The payout that a call makes."""
    return PayoutMoney(call.merchant_id, call.id, call.amount, call.detail.recovered)
