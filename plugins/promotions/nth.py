"""Second item half price, and the N-th item at x %. Pure; amounts in fen.

The units of the pool stand by their price, dearest first; each N of them are a set, of which the last, the cheapest,
gets the rate. So no order of the basket is better than another, and the saving of a set is spread over all of its
units by price: what a unit is worth when it comes back is defined.
"""

from collections.abc import Sequence

from core.api import Adjust, LineView, PriceRule, Proposal, Refused, Uses, View, largest_remainder, rate
from plugins.promotions.units import Run, runs, slices
from plugins.promotions.words import refused, short_of


class NthRule(PriceRule, frozen=True, kw_only=True):
    """One pool, the lines `keys` of one shop. `most`: the sets that limits leave; `why` names the limit if that is none."""

    keys: frozenset[str]
    nth: int
    rate_bp: int
    most: int | None = None
    why: str = ""
    merchant_bp: int = 10_000
    counted: bool = False

    def propose(self, view: View) -> Proposal | Refused:
        """A discount per line, or how many pieces are missing to the next set."""
        lines = [seen for seen in view.lines if seen.line.key in self.keys]
        there = sum([seen.line.quantity for seen in lines])
        sets = there // self.nth
        if sets == 0:
            return short_of(self.nth - there, amount=False)
        if self.most is not None:
            sets = min(sets, self.most)
        if sets == 0:
            return refused(self.why)
        savings = spread(lines, self.nth, self.rate_bp, sets)
        cuts = [Adjust((key,), amount, self.merchant_bp) for key, amount in sorted(savings.items()) if amount]
        if not cuts:
            return refused("nothing_left")
        return (*cuts, Uses(sets if self.counted else 0))


def spread(lines: Sequence[LineView], nth: int, rate_bp: int, sets: int) -> dict[str, int]:
    """What `sets` sets of `nth` units save, per line. Sets of equal units are reckoned at once."""
    units = runs(lines)
    savings: dict[str, int] = {}
    place, done = 0, 0
    for run in units:
        end = place + run.number
        # The set that began in an earlier run and ends in this one.
        if done * nth < place and done < sets and (done + 1) * nth <= end:
            _save(savings, slices(units, done * nth, (done + 1) * nth), rate_bp)
            done += 1
        whole = min(sets - done, (end - done * nth) // nth) if done * nth >= place else 0
        if whole > 0:
            savings[run.key] = savings.get(run.key, 0) + whole * rate(run.price, rate_bp)
            done += whole
        place = end
    return savings


def _save(savings: dict[str, int], units: list[Run], rate_bp: int) -> None:
    """The saving of one set, over its units by price; units of equal price in the order of lines."""
    flat = [Run(run.price, run.key, 1) for run in units for _ in range(run.number)]
    for run, part in zip(
        flat, largest_remainder(rate(flat[-1].price, rate_bp), [r.price for r in flat]), strict=True
    ):
        savings[run.key] = savings.get(run.key, 0) + part
