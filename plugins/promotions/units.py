"""Lines seen as single units with prices of their own. Pure; amounts in fen."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from core.api import LineView


class Run(NamedTuple):
    """`number` units of line `key` at the same `price` each."""

    price: int
    key: str
    number: int


def runs(lines: Iterable[LineView]) -> list[Run]:
    """All units, dearest first, then by key. What is left of a line is spread over its units as core does it: the odd fen go
    to the first ones."""
    found = []
    for seen in lines:
        each, odd = divmod(seen.amount, seen.line.quantity)
        if odd:
            found.append(Run(each + 1, seen.line.key, odd))
        if seen.line.quantity > odd:
            found.append(Run(each, seen.line.key, seen.line.quantity - odd))
    return sorted(found, key=lambda run: (-run.price, run.key))


def worth(seen: LineView, count: int) -> int:
    """What the `count` dearest units of a line come to."""
    each, odd = divmod(seen.amount, seen.line.quantity)
    return each * count + min(odd, count)


def slices(units: Sequence[Run], start: int, stop: int) -> list[Run]:
    """The units from place `start` up to `stop`, from 0."""
    found, place = [], 0
    for run in units:
        first, last = max(start, place), min(stop, place + run.number)
        if first < last:
            found.append(Run(run.price, run.key, last - first))
        place += run.number
    return found
