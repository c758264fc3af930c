"""The ledger on the wire. Amounts in fen, ids opaque."""

from datetime import date, datetime

import msgspec

from core.kit.ids import ref
from core.ledger.rules import Account
from core.ledger.service import Balance, Posted


class AccountView(msgspec.Struct, frozen=True):
    """An account: the owner (a merchant, the market, an earner) and its kind."""

    owner: str
    kind: str


class TransferView(msgspec.Struct, frozen=True):
    """One transfer; `reference` is the id of the order, or of the payout."""

    id: str
    merchant_id: str
    debit: AccountView
    credit: AccountView
    amount: int
    code: str
    reference: str
    at: datetime


class BalanceView(msgspec.Struct, frozen=True):
    """Sums of an account; `balance` is debit less credit."""

    owner: str
    kind: str
    debit: int
    credit: int
    balance: int


class LedgerPage(msgspec.Struct, frozen=True):
    """A merchant's own accounts and a page of its transfers, newest first."""

    balances: list[BalanceView]
    items: list[TransferView]
    next_cursor: str | None = None


class StatementView(msgspec.Struct, frozen=True):
    """What was released on one day (China time): `released = commission + payable`."""

    day: date
    orders: int
    released: int
    commission: int
    payable: int


class AccountList(msgspec.Struct, frozen=True):
    """All accounts with movements."""

    items: list[BalanceView]
    next_cursor: str | None = None


def transfer_view(posted: Posted) -> TransferView:
    """The wire form of a transfer."""
    t = posted.transfer
    return TransferView(
        ref(t.merchant_id, t.id),
        ref(t.merchant_id),
        _account(t.debit),
        _account(t.credit),
        t.amount,
        t.code,
        ref(t.merchant_id, t.reference),
        posted.at,
    )


def balance_view(balance: Balance) -> BalanceView:
    """The wire form of a balance."""
    return BalanceView(
        ref(balance.account.owner), balance.account.kind, balance.debit, balance.credit, balance.balance
    )


def _account(account: Account) -> AccountView:
    return AccountView(ref(account.owner), account.kind)
