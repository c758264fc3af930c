"""The ledger for a terminal."""

from collections.abc import Sequence
from uuid import UUID

from core.kit.ids import MARKET_ID, ref
from core.kit.money import format_yuan
from core.ledger.rules import Account
from core.ledger.service import PaidOut, Posted


def trace_text(posted: Sequence[Posted], payouts: Sequence[PaidOut] = ()) -> str:
    """The way of an order's money, one transfer a line, amounts in yuan, and where it stands now; then the payouts that what
    became payable went into.

    `debit <- credit` reads as: the amount entered the left account out of the right one.
    """
    if not posted:
        return "No money has moved for this order."
    return "\n".join([_table(posted), *map(_paid_out, payouts)])


def _paid_out(payout: PaidOut) -> str:
    end = {
        "sending": "is on its way to the bank",
        "paid": "reached the bank",
        "returned": "was returned by the bank",
    }
    when = f" on {payout.done_at:%Y-%m-%d}" if payout.done_at is not None else ""
    return (
        f"{format_yuan(payout.brought)} of it is in payout {payout.number} of {format_yuan(payout.amount)}, which "
        f"{end[payout.status]}{when}."
    )


def _table(posted: Sequence[Posted]) -> str:
    merchants = list(dict.fromkeys(p.transfer.merchant_id for p in posted))
    rows = [
        (
            p.at.strftime("%Y-%m-%d %H:%M:%S"),
            p.transfer.code,
            _name(p.transfer.debit, merchants),
            "<-",
            _name(p.transfer.credit, merchants),
            format_yuan(p.transfer.amount),
        )
        for p in posted
    ]
    standing = [
        ("", "stands", name, "", "", format_yuan(amount)) for name, amount in _standing(posted, merchants)
    ]
    widths = [max(len(row[i]) for row in [*rows, *standing]) for i in range(6)]
    return "\n".join(_line(row, widths) for row in [*rows, *standing])


def _standing(posted: Sequence[Posted], merchants: Sequence[UUID]) -> list[tuple[str, int]]:
    sums: dict[Account, int] = {}
    for p in posted:
        sums[p.transfer.debit] = sums.get(p.transfer.debit, 0) + p.transfer.amount
        sums[p.transfer.credit] = sums.get(p.transfer.credit, 0) - p.transfer.amount
    return [(_name(account, merchants), amount) for account, amount in sums.items() if amount]


def _line(row: tuple[str, ...], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
    return "  ".join([*cells, row[-1].rjust(widths[-1])]).rstrip()


def _name(account: Account, merchants: Sequence[UUID]) -> str:
    if account.owner == MARKET_ID:
        return f"market {account.kind}"
    if account.owner in merchants:
        shop = "shop" if len(merchants) == 1 else f"shop {merchants.index(account.owner) + 1}"
        return f"{shop} {account.kind}"
    return f"{ref(account.owner)} {account.kind}"
