"""A reconciliation on the wire and for a terminal."""

from datetime import date, datetime
from typing import Any

import msgspec

from core.kit.ids import ref
from core.kit.money import format_yuan
from core.payment.reconcile import Difference, Reconciliation, Side


class DifferenceView(msgspec.Struct, frozen=True):
    """A movement that is not the same here and at the payment service: `missing_here`, `missing_there`, `amount_differs`, or
    `open` while it is asked for and not known to be done, which is nothing wrong. `reference` is our id as the service has
    it. Amounts in fen, null on the side that has none; `advance` is what of it was the market's own money, of a payout what
    more of it the market got."""

    problem: str
    provider: str
    kind: str
    reference: str
    merchant_id: str
    amount_here: int | None
    amount_there: int | None
    advance_here: int | None
    advance_there: int | None
    at_here: datetime | None
    at_there: datetime | None


class ReconciliationView(msgspec.Struct, frozen=True):
    """A day: how many movements are the same on both sides, how many are `wrong` and `open`, and these, what is wrong first;
    at most 1000 of them."""

    day: date
    agreed: int
    wrong: int
    open: int
    items: list[DifferenceView]


def reconciliation_view(found: Reconciliation) -> ReconciliationView:
    """The wire form of a reconciliation."""
    items = [_difference_view(d) for d in found.differences[:1000]]
    return ReconciliationView(
        found.day, found.agreed, found.wrong, len(found.differences) - found.wrong, items
    )


def _difference_view(found: Difference) -> DifferenceView:
    here, there = _side(found.here), _side(found.there)
    return DifferenceView(
        *(found.problem, found.provider, found.kind, found.reference, ref(found.merchant_id)),
        *(value for pair in zip(here, there, strict=True) for value in pair),
    )


def _side(side: Side | None) -> tuple[Any, ...]:
    return (None, None, None) if side is None else (side.amount, side.advance, side.at)


def reconciliation_text(found: Reconciliation) -> str:
    """A line for each difference, with both amounts in yuan, and one that sums up."""
    head = ("problem", "provider", "kind", "reference", "merchant", "here", "there")
    rows = [head, *(_row(d) for d in found.differences)] if found.differences else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    still = len(found.differences) - found.wrong
    return "\n".join([*text, f"{found.day}: {found.agreed} agree, {found.wrong} wrong, {still} open."])


def _row(found: Difference) -> tuple[str, ...]:
    return (
        *(found.problem, found.provider, found.kind, found.reference, ref(found.merchant_id)),
        *(_yuan(found.here), _yuan(found.there)),
    )


def _yuan(side: Side | None) -> str:
    if side is None:
        return "-"
    return format_yuan(side.amount) + (f" + {format_yuan(side.advance)} advance" if side.advance else "")
