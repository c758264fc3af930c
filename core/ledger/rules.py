"""Which transfers a step of an order makes; those of refunds, late payments and payouts are in `core.ledger.back`. Pure;
amounts in fen.

An account is (owner, kind). Every transfer carries the order's merchant, also where an account is the market's. Ids are
derived from what caused them, so that posting a step twice writes nothing new. A transfer of 0 is no transfer.

| account | owner | grows on | what it holds |
|---|---|---|---|
| gateway | merchant | debit | the channel's sub-account of the merchant |
| frozen | merchant, earner | credit | money of orders that are not released |
| payable | merchant, earner | credit | money that the next payout, or split, owes |
| refund_transit | merchant | credit | money on its way back to a buyer |
| payout_transit | merchant | credit | money on its way to the merchant's bank |
| deposit | merchant | credit | what the merchant left with the market as a security |
| debt | merchant, earner | debit | what the market advanced for it |
| funds | market | debit | the market's own money in the channel; may run below 0 until it is topped up |
| subsidy | market | debit | what the market gave away |
| revenue | market | credit | commission earned |

There are two sorts of transfers. A decision (an order is paid or released, a refund, a payout) is posted with what decides
it: what is owed to whom. Cash, which is every transfer of `gateway`, stands for what the payment service did, and is posted
when that is known: when a payment was captured, or a call (`core.payment.calls`) is done. So the gateway accounts are the
service's own books but for what is on its way, and equal them once no call is waiting.
"""

from collections.abc import Sequence
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
RELEASE_NETTED = "release.netted"
SPLIT_COMMISSION = "split.commission"
SPLIT_EARNING = "split.earning"
SPLIT_RECOVERED = "split.recovered"
REFUND_BUYER = "refund.buyer"
REFUND_SUBSIDY = "refund.subsidy"
REFUND_DEDUCTION = "refund.deduction"
REFUND_RESTORED = "refund.restored"
REFUND_COMMISSION = "refund.commission"
REFUND_EARNING = "refund.earning"
REFUND_DEPOSIT = "refund.deposit"
REFUND_DEBT = "refund.debt"
REFUND_FEE = "refund.fee"
REFUND_ADVANCE = "refund.advance"
REFUND_DONE = "refund.done"
REFUND_FUNDS = "refund.funds"
REFUND_WITHHELD = "refund.withheld"
LATE_IN = "late.in"
LATE_OUT = "late.out"
PAYOUT_NETTED = "payout.netted"
PAYOUT_SENT = "payout.sent"
PAYOUT_DONE = "payout.done"
PAYOUT_RECOVERED = "payout.recovered"
PAYOUT_RETURNED = "payout.returned"

# In the order of an order's life; what happened at one moment is shown in this order.
CODES = (
    PAY_BUYER,
    PAY_SUBSIDY,
    PAY_FUNDS,
    PAY_EARNING,
    RELEASE_COMMISSION,
    RELEASE_PAYABLE,
    RELEASE_EARNING,
    RELEASE_NETTED,
    SPLIT_COMMISSION,
    SPLIT_EARNING,
    SPLIT_RECOVERED,
    REFUND_BUYER,
    REFUND_SUBSIDY,
    REFUND_DEDUCTION,
    REFUND_RESTORED,
    REFUND_COMMISSION,
    REFUND_EARNING,
    REFUND_DEPOSIT,
    REFUND_DEBT,
    REFUND_FEE,
    REFUND_ADVANCE,
    REFUND_DONE,
    REFUND_FUNDS,
    REFUND_WITHHELD,
    LATE_IN,
    LATE_OUT,
    PAYOUT_NETTED,
    PAYOUT_SENT,
    PAYOUT_DONE,
    PAYOUT_RECOVERED,
    PAYOUT_RETURNED,
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
    """`amount` fen (above 0) from `credit` to `debit` in the bookkeeper's sense; `reference` is the order, or the payout."""

    id: UUID
    merchant_id: UUID
    debit: Account
    credit: Account
    amount: int
    code: str
    reference: UUID


class Earning(msgspec.Struct, frozen=True):
    """What somebody besides the merchant and the market earns on an order, borne by the merchant. `netted` of it pays what
    the earner owed when the order was released."""

    owner: UUID
    amount: int
    netted: int = 0


class OrderMoney(msgspec.Struct, frozen=True):
    """The money of one order as frozen at placement.

    `payable` is what the buyer pays, `market_borne` what the market adds for discounts it bears, `commission` the
    market's fee, taken at release. Each earner is in `earnings` once.
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

    @property
    def earned(self) -> int:
        """What all earners earn."""
        return sum(e.amount for e in self.earnings)

    @property
    def netted(self) -> int:
        """What of that pays for what earners owed."""
        return sum(e.netted for e in self.earnings)


def pay_transfers(order: OrderMoney) -> list[Transfer]:
    """The order was paid: the buyer's money and the market's share of the discounts are frozen, the earners' part of it for
    them. The market's share itself comes by a call (`subsidised_transfers`).

    Raises `ValueError` when the earners are promised more than there is.
    """
    if order.earned > order.frozen:
        raise ValueError("earnings exceed the money of the order")
    gateway, frozen = Account(order.merchant_id, "gateway"), Account(order.merchant_id, "frozen")
    return drop_zero(
        [
            _transfer(order, PAY_BUYER, gateway, frozen, order.payable),
            _transfer(order, PAY_SUBSIDY, Account(MARKET_ID, "subsidy"), frozen, order.market_borne),
            *(
                _transfer(order, PAY_EARNING, frozen, Account(e.owner, "frozen"), e.amount, owner=e.owner)
                for e in order.earnings
            ),
        ]
    )


def subsidised_transfers(order: OrderMoney) -> list[Transfer]:
    """The channel has added the market's share of the discounts to the order's leg."""
    gateway, funds = Account(order.merchant_id, "gateway"), Account(MARKET_ID, "funds")
    return drop_zero([_transfer(order, PAY_FUNDS, gateway, funds, order.market_borne)])


def release_transfers(order: OrderMoney) -> list[Transfer]:
    """The after-sales window is over: commission to the market (see `commission_at_release`), the rest to the merchant, and
    to the earners, less what these owe.

    `order` is what refunds have left of it.
    """
    shop = order.merchant_id
    frozen, commission = Account(shop, "frozen"), commission_at_release(order)
    left = order.frozen - order.earned - commission
    released = [
        _transfer(order, RELEASE_COMMISSION, frozen, Account(MARKET_ID, "revenue"), commission),
        _transfer(order, RELEASE_PAYABLE, frozen, Account(shop, "payable"), left),
    ]
    for e in order.earnings:
        theirs = Account(e.owner, "payable")
        released += [
            _transfer(order, RELEASE_EARNING, Account(e.owner, "frozen"), theirs, e.amount, owner=e.owner),
            _transfer(order, RELEASE_NETTED, theirs, Account(e.owner, "debt"), e.netted, owner=e.owner),
        ]
    return drop_zero(released)


def commission_at_release(order: OrderMoney) -> int:
    """What the market gets of its fee: at most what is frozen, so that an order never leaves its merchant owing money for
    having sold."""
    return min(order.commission, order.frozen - order.earned)


def split_transfers(order: OrderMoney) -> list[Transfer]:
    """The channel has split the order's leg: the market has `order.commission` and what earners owed it, earners the rest of
    theirs."""
    gateway, funds = Account(order.merchant_id, "gateway"), Account(MARKET_ID, "funds")
    return drop_zero(
        [
            _transfer(order, SPLIT_COMMISSION, funds, gateway, order.commission),
            *(
                _transfer(
                    order,
                    SPLIT_EARNING,
                    Account(e.owner, "payable"),
                    gateway,
                    e.amount - e.netted,
                    owner=e.owner,
                )
                for e in order.earnings
            ),
            _transfer(order, SPLIT_RECOVERED, funds, gateway, order.netted),
        ]
    )


def _transfer(
    order: OrderMoney, code: str, debit: Account, credit: Account, amount: int, *, owner: UUID | None = None
) -> Transfer:
    name = code if owner is None else f"{code}:{owner}"
    return Transfer(
        derived_id(order.order_id, name), order.merchant_id, debit, credit, amount, code, order.order_id
    )


def drop_zero(transfers: Sequence[Transfer]) -> list[Transfer]:
    """The transfers of some amount. Raises `ValueError` for one below zero."""
    if any(t.amount < 0 for t in transfers):
        raise ValueError("a transfer cannot be negative")
    return [t for t in transfers if t.amount]
