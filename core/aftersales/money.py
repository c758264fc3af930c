"""A refund's money: what it takes from whom, in the ledger at once, and what the payment service has to do for it."""

from collections.abc import Iterable
from uuid import UUID

import asyncpg
import msgspec
import structlog

from core.aftersales.repository import Decision
from core.db.tx import Tx
from core.kit.ids import derived_id
from core.ledger import balances
from core.ledger import service as ledger
from core.ledger.back import RefundMoney, refund_transfers, with_shortfall
from core.ledger.rules import Account, Earning
from core.payment import call_rows, calls, payout_rows
from core.payment import repository as payments
from core.payment.calls import Call, Detail

_LOG = structlog.get_logger()


async def move(tx: Tx, row: asyncpg.Record, made: Decision) -> None:
    """Post a refund that was decided and have its money sent; the order's row is locked."""
    money = await _reckon(tx, row, made)
    await ledger.post(tx, refund_transfers(money))
    if money.released:
        # What made good the shortfall went through the payable too.
        took = money.charge - money.from_deposit - money.debt
        await payout_rows.note(tx, money.merchant_id, money.refund_id, money.order_id, -took)
    if money.amount or money.to_market or (money.released and money.commission):
        await _send(tx, row, money, made.draft.reason)


async def _reckon(tx: Tx, row: asyncpg.Record, made: Decision) -> RefundMoney:
    draft, shop = made.draft, made.draft.merchant_id
    money = RefundMoney(
        shop,
        draft.order_id,
        draft.id,
        made.amount,
        made.plan.market_borne,
        made.deducted_market,
        made.plan.commission,
        row["released_at"] is not None,
        _by_owner((e.owner_id, e.amount) for e in made.earnings),
    )
    if not money.released:
        return money
    await balances.lock(tx, [shop, *(e.owner for e in money.earnings)])
    payable, deposit = Account(shop, "payable"), Account(shop, "deposit")
    held = await balances.held(tx, [payable, deposit])
    return with_shortfall(money, -held[payable], -held[deposit])


def _by_owner(rows: Iterable[tuple[UUID, int]]) -> list[Earning]:
    sums: dict[UUID, int] = {}
    for owner, amount in rows:
        sums[owner] = sums.get(owner, 0) + amount
    return [Earning(owner, amount) for owner, amount in sums.items()]


async def _send(tx: Tx, row: asyncpg.Record, money: RefundMoney, reason: str) -> None:
    paid = await payments.paid_leg(tx, row["trade_id"], money.merchant_id, money.order_id)
    if paid is None:
        _LOG.error("refund_without_payment", refund_id=str(money.refund_id))
        return
    await calls.ask(tx, asked(money, paid["id"], paid["provider"], reason))


def asked(money: RefundMoney, payment_id: UUID, provider: str, reason: str) -> list[Call]:
    """What the service has to do for a refund: the market's fee comes back first, then the buyer gets the money, then the
    market its share. What the market advances is taken off in this order."""
    refund = Call(
        *(money.merchant_id, money.refund_id, payment_id, money.order_id, provider, "refund", money.amount),
        reference=money.refund_id,
    )
    fee = money.commission if money.released else 0
    for_buyer = min(money.advance, money.amount)
    for_subsidy = min(money.advance - for_buyer, money.market_borne)
    withheld = money.withheld - (money.advance - for_buyer - for_subsidy)
    made = [
        _also(refund, "return_split", fee, Detail()),
        msgspec.structs.replace(refund, detail=Detail(advance=for_buyer, reason=reason)),
        _also(refund, "return_subsidy", money.market_borne, Detail(advance=for_subsidy)),
        _withheld(refund, money, withheld),
    ]
    return [call for call in made if call.amount or call.detail.recovered]


def _withheld(refund: Call, money: RefundMoney, amount: int) -> Call:
    """What was kept back from the buyer for the market: a share of the leg, or once that is freed, of the balance."""
    if not money.released:
        return _also(refund, "split", amount, Detail(withheld=amount))
    return _also(refund, "pay_out", 0, Detail(recovered=amount))


def _also(refund: Call, kind: call_rows.Kind, amount: int, detail: Detail) -> Call:
    made = derived_id(refund.id, kind)
    return msgspec.structs.replace(refund, id=made, kind=kind, amount=amount, detail=detail)
