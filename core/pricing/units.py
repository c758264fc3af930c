"""What a single unit of a priced line is worth. Pure.

Every discount of a line is spread over its units as it was over lines: by what is left of each, largest remainder, the
first units first. So each unit has a defined net value and a defined share of each discount by bearer, and refunding unit
by unit, in whatever portions, adds up to what was paid.
"""

from collections.abc import Sequence
from typing import NamedTuple

from core.kit.money import largest_remainder


class Share(NamedTuple):
    """What one discount took off, by who bears it. Fen."""

    market: int
    merchant: int


class Worth(NamedTuple):
    """Of some units: what the buyer paid for them, and each discount's share in the order of the discounts given."""

    amount: int
    shares: list[Share]


def worth(unit_price: int, quantity: int, discounts: Sequence[Share], first: int, count: int) -> Worth:
    """The worth of the units `first` .. `first + count - 1` (from 0) of a line of `quantity` units at `unit_price`, after
    its `discounts`, given in the order in which they were stored with the order.

    Raises ValueError for units that are not there, and for discounts of more than the line came to.
    """
    if not 0 <= first <= first + count <= quantity:
        raise ValueError("there are no such units")
    left = [unit_price] * quantity
    shares = []
    for discount in discounts:
        parts = _spread(discount.market + discount.merchant, left)
        # The merchant's part is spread over the parts themselves: no unit's bearer bears more than it took off.
        own = _spread(discount.merchant, parts)
        left = [rest - part for rest, part in zip(left, parts, strict=True)]
        merchant = sum(own[first : first + count])
        shares.append(Share(sum(parts[first : first + count]) - merchant, merchant))
    return Worth(sum(left[first : first + count]), shares)


def _spread(total: int, weights: list[int]) -> list[int]:
    if total > sum(weights):
        raise ValueError("a discount takes more than there is")
    return largest_remainder(total, weights)
