"""Which transfers money makes that goes back to buyers, or on to merchants' banks. Pure; amounts in fen. See
`core.ledger.rules` for the accounts."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from core.kit.ids import MARKET_ID, derived_id
from core.ledger.rules import (
    LATE_IN,
    LATE_OUT,
    PAYOUT_DONE,
    PAYOUT_NETTED,
    PAYOUT_RECOVERED,
    PAYOUT_RETURNED,
    PAYOUT_SENT,
    REFUND_ADVANCE,
    REFUND_BUYER,
    REFUND_COMMISSION,
    REFUND_DEBT,
    REFUND_DEDUCTION,
    REFUND_DEPOSIT,
    REFUND_DONE,
    REFUND_EARNING,
    REFUND_FEE,
    REFUND_FUNDS,
    REFUND_RESTORED,
    REFUND_SUBSIDY,
    REFUND_WITHHELD,
    Account,
    Earning,
    Transfer,
    drop_zero,
)


class RefundMoney(msgspec.Struct, frozen=True):
    """A refund in fen. `amount` goes to the buyer; `market_borne`, of the discounts that the market had paid for, and
    `deducted_market`, withheld from the buyer, go to the market; below 0 the market gives back what it had withheld, no more
    than `amount`. `commission` is the part of its fee that the market gives up; it has been taken only when the order's
    money was `released`. `earnings` are given up by earners. After the release, `from_deposit` and `debt` are what the
    merchant has no money for."""

    merchant_id: UUID
    order_id: UUID
    refund_id: UUID
    amount: int
    market_borne: int = 0
    deducted_market: int = 0
    commission: int = 0
    released: bool = False
    earnings: Sequence[Earning] = ()
    from_deposit: int = 0
    debt: int = 0

    @property
    def withheld(self) -> int:
        """What is withheld from the buyer for the market."""
        return max(0, self.deducted_market)

    @property
    def restored(self) -> int:
        """What the market gives back of what it had withheld."""
        return max(0, -self.deducted_market)

    @property
    def to_market(self) -> int:
        """What goes back to the market."""
        return self.market_borne + self.deducted_market

    @property
    def given_up(self) -> int:
        """What earners give up."""
        return sum(e.amount for e in self.earnings)

    @property
    def charge(self) -> int:
        """What the merchant is charged after the release; below zero when it gets more back than it gives."""
        return self.amount + self.to_market - self.commission - self.given_up

    @property
    def advance(self) -> int:
        """What the market pays in cash: what it gives back itself, the merchant's shortfall, and after the release what
        earners owe."""
        return self.from_deposit + self.debt + self.restored + (self.given_up if self.released else 0)


class PayoutMoney(msgspec.Struct, frozen=True):
    """A merchant's payout: `amount` to its bank, `netted` for what it owed."""

    merchant_id: UUID
    payout_id: UUID
    amount: int
    netted: int = 0


def with_shortfall(refund: RefundMoney, payable: int, deposit: int) -> RefundMoney:
    """The refund of a released order, of whose merchant `payable` and `deposit` are at hand: what these do not cover becomes
    its debt."""
    if not refund.released:
        return refund
    short = max(0, refund.charge - payable)
    from_deposit = min(short, max(0, deposit))
    return msgspec.structs.replace(refund, from_deposit=from_deposit, debt=short - from_deposit)


def refund_transfers(refund: RefundMoney) -> list[Transfer]:
    """A refund was decided: the buyer's money is on its way, the market has its share back and gives up its fee, the earners
    give up theirs.

    Until the release everything comes out of what is frozen and the fee was never taken. Afterwards it comes out of what the
    merchant is owed, which never runs below zero by it: what is short is made good from the deposit or becomes debt; and
    earners, whose shares are paid or on their way, owe theirs. What is withheld for the merchant stays where it is.
    """
    shop, subsidy = refund.merchant_id, Account(MARKET_ID, "subsidy")
    source = Account(shop, "payable" if refund.released else "frozen")
    kind = "debt" if refund.released else "frozen"
    fee = refund.commission if refund.released else 0
    return drop_zero(
        [
            _refund_transfer(refund, REFUND_DEPOSIT, Account(shop, "deposit"), source, refund.from_deposit),
            _refund_transfer(refund, REFUND_DEBT, Account(shop, "debt"), source, refund.debt),
            _refund_transfer(refund, REFUND_BUYER, source, _in_transit(refund), refund.amount),
            _refund_transfer(refund, REFUND_SUBSIDY, source, subsidy, refund.market_borne),
            _refund_transfer(refund, REFUND_DEDUCTION, source, subsidy, refund.withheld),
            _refund_transfer(refund, REFUND_RESTORED, subsidy, source, refund.restored),
            _refund_transfer(refund, REFUND_COMMISSION, Account(MARKET_ID, "revenue"), source, fee),
            *(
                _refund_transfer(
                    refund, REFUND_EARNING, Account(e.owner, kind), source, e.amount, name=str(e.owner)
                )
                for e in refund.earnings
            ),
        ]
    )


def refund_done_transfers(refund: RefundMoney, advance: int = 0) -> list[Transfer]:
    """The channel has sent the buyer's money back, `advance` of it the market's own."""
    gateway = Account(refund.merchant_id, "gateway")
    return drop_zero(
        [
            _refund_transfer(refund, REFUND_ADVANCE, gateway, Account(MARKET_ID, "funds"), advance),
            _refund_transfer(refund, REFUND_DONE, _in_transit(refund), gateway, refund.amount),
        ]
    )


def subsidy_back_transfers(refund: RefundMoney, advance: int = 0) -> list[Transfer]:
    """The channel has given the market its share of the discounts back, `advance` of it the market's own already."""
    gateway, funds = Account(refund.merchant_id, "gateway"), Account(MARKET_ID, "funds")
    return drop_zero(
        [
            _refund_transfer(refund, REFUND_ADVANCE, gateway, funds, advance, name="subsidy"),
            _refund_transfer(refund, REFUND_FUNDS, funds, gateway, refund.market_borne),
        ]
    )


def withheld_transfers(refund: RefundMoney, amount: int) -> list[Transfer]:
    """The channel has given the market `amount` of what a refund withheld for it."""
    gateway, funds = Account(refund.merchant_id, "gateway"), Account(MARKET_ID, "funds")
    return drop_zero([_refund_transfer(refund, REFUND_WITHHELD, funds, gateway, amount)])


def fee_back_transfers(refund: RefundMoney) -> list[Transfer]:
    """The channel has given the merchant the market's fee for a refund back."""
    gateway, funds = Account(refund.merchant_id, "gateway"), Account(MARKET_ID, "funds")
    return drop_zero([_refund_transfer(refund, REFUND_FEE, gateway, funds, refund.commission)])


def late_payment_transfers(payment_id: UUID, legs: Iterable[tuple[UUID, UUID, int]]) -> list[Transfer]:
    """Money came for a trade that is closed or already paid: it is on its way back at once.

    `legs` are (merchant id, order id, fen). An order can be paid late more than once, so the payment names the ids.
    """
    return drop_zero(
        [
            Transfer(
                derived_id(payment_id, f"{LATE_IN}:{order}"),
                merchant,
                Account(merchant, "gateway"),
                Account(merchant, "refund_transit"),
                amount,
                LATE_IN,
                order,
            )
            for merchant, order, amount in legs
        ]
    )


def late_refund_transfers(payment_id: UUID, legs: Iterable[tuple[UUID, UUID, int]]) -> list[Transfer]:
    """The channel has sent a late payment back; `legs` as in `late_payment_transfers`."""
    return drop_zero(
        [
            Transfer(
                derived_id(payment_id, f"{LATE_OUT}:{order}"),
                merchant,
                Account(merchant, "refund_transit"),
                Account(merchant, "gateway"),
                amount,
                LATE_OUT,
                order,
            )
            for merchant, order, amount in legs
        ]
    )


def payout_transfers(payout: PayoutMoney) -> list[Transfer]:
    """A payout was made out: first for what the merchant owes, the rest is on its way to its bank."""
    payable = Account(payout.merchant_id, "payable")
    return drop_zero(
        [
            _payout_transfer(
                payout, PAYOUT_NETTED, payable, Account(payout.merchant_id, "debt"), payout.netted
            ),
            _payout_transfer(payout, PAYOUT_SENT, payable, _to_bank(payout), payout.amount),
        ]
    )


def payout_done_transfers(payout: PayoutMoney, *, returned: bool) -> list[Transfer]:
    """The channel has sent a payout, or the bank has returned it: then it is owed again. The market has what was owed to it
    in either case."""
    gateway = Account(payout.merchant_id, "gateway")
    end = Account(payout.merchant_id, "payable") if returned else gateway
    code = PAYOUT_RETURNED if returned else PAYOUT_DONE
    return drop_zero(
        [
            _payout_transfer(payout, code, _to_bank(payout), end, payout.amount),
            _payout_transfer(payout, PAYOUT_RECOVERED, Account(MARKET_ID, "funds"), gateway, payout.netted),
        ]
    )


def _refund_transfer(
    refund: RefundMoney, code: str, debit: Account, credit: Account, amount: int, *, name: str = ""
) -> Transfer:
    made = derived_id(refund.refund_id, f"{code}:{name}" if name else code)
    return Transfer(made, refund.merchant_id, debit, credit, amount, code, refund.order_id)


def _payout_transfer(
    payout: PayoutMoney, code: str, debit: Account, credit: Account, amount: int
) -> Transfer:
    return Transfer(
        derived_id(payout.payout_id, code), payout.merchant_id, debit, credit, amount, code, payout.payout_id
    )


def _in_transit(refund: RefundMoney) -> Account:
    return Account(refund.merchant_id, "refund_transit")


def _to_bank(payout: PayoutMoney) -> Account:
    return Account(payout.merchant_id, "payout_transit")
