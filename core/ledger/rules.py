"""Which transfers a step of an order makes. Pure; amounts in fen.

An account is (owner, kind). Every transfer carries the order's merchant, also where an account is the market's. Ids are
derived from what caused them, so that posting a step twice writes nothing new. A transfer of 0 is no transfer.

| account | owner | grows on | what it holds |
|---|---|---|---|
| gateway | merchant | debit | the channel's sub-account of the merchant |
| frozen | merchant, earner | credit | money of orders that are not released |
| payable | merchant, earner | credit | money that the next payout owes |
| refund_transit | merchant | credit | money on its way back to a buyer |
| funds | market | debit | the market's own money in the channel; may run below 0 until it is topped up |
| subsidy | market | debit | what the market gave away |
| revenue | market | credit | commission earned |
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from core.kit.ids import MARKET_ID, derived_id

PAY_BUYER = "pay.buyer"
PAY_SUBSIDY = "pay.subsidy"
PAY_FUNDS = "pay.funds"
PAY_EARNING = "pay.earning"
RELEASE_COMMISSION = "release.commission"
RELEASE_PAYABLE = "release.payable"
RELEASE_EARNING = "release.earning"
REFUND_BUYER = "refund.buyer"
REFUND_SUBSIDY = "refund.subsidy"
REFUND_DEDUCTION = "refund.deduction"
REFUND_FUNDS = "refund.funds"
REFUND_COMMISSION = "refund.commission"
REFUND_DONE = "refund.done"
LATE_IN = "late.in"
LATE_OUT = "late.out"

# In the order of an order's life; what happened at one moment is shown in this order.
CODES = (
    PAY_BUYER,
    PAY_SUBSIDY,
    PAY_FUNDS,
    PAY_EARNING,
    RELEASE_COMMISSION,
    RELEASE_PAYABLE,
    RELEASE_EARNING,
    REFUND_BUYER,
    REFUND_SUBSIDY,
    REFUND_DEDUCTION,
    REFUND_FUNDS,
    REFUND_COMMISSION,
    REFUND_DONE,
    LATE_IN,
    LATE_OUT,
)

# Accounts that may never run below zero, by the side they grow on. The market's own accounts may: `funds` is topped up
# outside, and a correction can precede what it corrects.
GROW_ON_DEBIT = frozenset({"gateway", "debt"})
GROW_ON_CREDIT = frozenset({"frozen", "payable", "payout_transit", "refund_transit", "deposit"})


class Account(msgspec.Struct, frozen=True):
    """Whose and what: the owner is a merchant, the market or another earner."""

    owner: UUID
    kind: str


class Transfer(msgspec.Struct, frozen=True):
    """`amount` fen (above 0) from `credit` to `debit` in the bookkeeper's sense; `reference` is the order."""

    id: UUID
    merchant_id: UUID
    debit: Account
    credit: Account
    amount: int
    code: str
    reference: UUID


class Earning(msgspec.Struct, frozen=True):
    """What somebody besides the merchant and the market earns on an order, borne by the merchant."""

    owner: UUID
    amount: int


class OrderMoney(msgspec.Struct, frozen=True):
    """The money of one order as frozen at placement.

    `payable` is what the buyer pays, `market_borne` what the market adds for discounts it bears, `commission` the
    market's fee, taken at release.
    """

    merchant_id: UUID
    order_id: UUID
    payable: int
    market_borne: int
    commission: int = 0
    earnings: Sequence[Earning] = ()

    @property
    def frozen(self) -> int:
        """What payment freezes for the merchant, its earners included."""
        return self.payable + self.market_borne


class RefundMoney(msgspec.Struct, frozen=True):
    """A refund in fen. `amount` goes to the buyer; `market_borne`, of the discounts that the market had paid for, and
    `deducted_market`, withheld from the buyer, go to the market. `commission` is the part of its fee that the market gives
    up; it has been taken only when the order's money was `released`."""

    merchant_id: UUID
    order_id: UUID
    refund_id: UUID
    amount: int
    market_borne: int = 0
    deducted_market: int = 0
    commission: int = 0
    released: bool = False


def pay_transfers(order: OrderMoney) -> list[Transfer]:
    """The order was paid: the buyer's money and the market's share of the discounts are frozen.

    Raises `ValueError` when the earners are promised more than there is.
    """
    if sum(e.amount for e in order.earnings) > order.frozen:
        raise ValueError("earnings exceed the money of the order")
    gateway, frozen = Account(order.merchant_id, "gateway"), Account(order.merchant_id, "frozen")
    funds, subsidy = Account(MARKET_ID, "funds"), Account(MARKET_ID, "subsidy")
    return _drop_zero(
        [
            _transfer(order, PAY_BUYER, gateway, frozen, order.payable),
            _transfer(order, PAY_SUBSIDY, subsidy, frozen, order.market_borne),
            _transfer(order, PAY_FUNDS, gateway, funds, order.market_borne),
            *(
                _transfer(order, PAY_EARNING, frozen, Account(e.owner, "frozen"), e.amount, owner=e.owner)
                for e in order.earnings
            ),
        ]
    )


def release_transfers(order: OrderMoney) -> list[Transfer]:
    """The after-sales window is over: commission to the market (see `commission_at_release`), the rest to the merchant.

    `order` is what refunds have left of it.
    """
    frozen = Account(order.merchant_id, "frozen")
    left = order.frozen - sum(e.amount for e in order.earnings)
    commission = commission_at_release(order)
    return _drop_zero(
        [
            _transfer(order, RELEASE_COMMISSION, frozen, Account(MARKET_ID, "revenue"), commission),
            _transfer(
                order, RELEASE_PAYABLE, frozen, Account(order.merchant_id, "payable"), left - commission
            ),
            *(
                _transfer(
                    order,
                    RELEASE_EARNING,
                    Account(e.owner, "frozen"),
                    Account(e.owner, "payable"),
                    e.amount,
                    owner=e.owner,
                )
                for e in order.earnings
            ),
        ]
    )


def commission_at_release(order: OrderMoney) -> int:
    """What the market gets of its fee: at most what is frozen, so that an order never leaves its merchant owing money for
    having sold."""
    return min(order.commission, order.frozen - sum(e.amount for e in order.earnings))


def refund_transfers(refund: RefundMoney) -> list[Transfer]:
    """A refund was decided: the buyer's money is on its way, the market has its share back and gives up its fee.

    Until the release everything comes out of what is frozen and the fee was never taken; afterwards it comes out of what
    the merchant is owed. What is withheld for the merchant stays where it is.
    """
    source = Account(refund.merchant_id, "payable" if refund.released else "frozen")
    funds, subsidy = Account(MARKET_ID, "funds"), Account(MARKET_ID, "subsidy")
    to_market = refund.market_borne + refund.deducted_market
    gateway, revenue = Account(refund.merchant_id, "gateway"), Account(MARKET_ID, "revenue")
    return _drop_zero(
        [
            _refund_transfer(refund, REFUND_BUYER, source, _in_transit(refund), refund.amount),
            _refund_transfer(refund, REFUND_SUBSIDY, source, subsidy, refund.market_borne),
            _refund_transfer(refund, REFUND_DEDUCTION, source, subsidy, refund.deducted_market),
            _refund_transfer(refund, REFUND_FUNDS, funds, gateway, to_market),
            _refund_transfer(
                refund, REFUND_COMMISSION, revenue, source, refund.commission if refund.released else 0
            ),
        ]
    )


def refund_done_transfers(refund: RefundMoney) -> list[Transfer]:
    """The channel has sent the buyer's money back."""
    gateway = Account(refund.merchant_id, "gateway")
    return _drop_zero([_refund_transfer(refund, REFUND_DONE, _in_transit(refund), gateway, refund.amount)])


def late_payment_transfers(payment_id: UUID, legs: Iterable[tuple[UUID, UUID, int]]) -> list[Transfer]:
    """Money came for a trade that is closed or already paid: it is on its way back at once.

    `legs` are (merchant id, order id, fen). An order can be paid late more than once, so the payment names the ids.
    """
    return _drop_zero(
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
    return _drop_zero(
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


def _transfer(
    order: OrderMoney, code: str, debit: Account, credit: Account, amount: int, *, owner: UUID | None = None
) -> Transfer:
    name = code if owner is None else f"{code}:{owner}"
    return Transfer(
        derived_id(order.order_id, name), order.merchant_id, debit, credit, amount, code, order.order_id
    )


def _refund_transfer(
    refund: RefundMoney, code: str, debit: Account, credit: Account, amount: int
) -> Transfer:
    return Transfer(
        derived_id(refund.refund_id, code), refund.merchant_id, debit, credit, amount, code, refund.order_id
    )


def _in_transit(refund: RefundMoney) -> Account:
    return Account(refund.merchant_id, "refund_transit")


def _drop_zero(transfers: Sequence[Transfer]) -> list[Transfer]:
    if any(t.amount < 0 for t in transfers):
        raise ValueError("a transfer cannot be negative")
    return [t for t in transfers if t.amount]
