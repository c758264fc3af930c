"""A fixed price for certain SKUs together. Pure; amounts in fen."""

from collections.abc import Mapping

from core.api import Adjust, PriceRule, Proposal, Refused, Uses, View, largest_remainder
from plugins.promotions.units import worth
from plugins.promotions.words import refused, short_of


class BundleRule(PriceRule, frozen=True, kw_only=True):
    """`parts` are the pieces of one set by the lines' keys, at `price` together; the dearest units of a line are the set's.
    `most`: the sets that limits leave; `why` names the limit if that is none."""

    parts: Mapping[str, int]
    price: int
    most: int | None = None
    why: str = ""
    merchant_bp: int = 10_000
    counted: bool = False

    def propose(self, view: View) -> Proposal | Refused:
        """A discount per line, spread by what the pieces of the sets cost otherwise."""
        seen = {line.line.key: line for line in view.lines if line.line.key in self.parts}
        there = {key: seen[key].line.quantity if key in seen else 0 for key in self.parts}
        missing = sum([max(0, need - there[key]) for key, need in self.parts.items()])
        if missing:
            return short_of(missing, amount=False)
        sets = min([there[key] // need for key, need in self.parts.items()])
        if self.most is not None:
            sets = min(sets, self.most)
        if sets == 0:
            return refused(self.why)
        keys = sorted(self.parts)
        values = [worth(seen[key], self.parts[key] * sets) for key in keys]
        saving = sum(values) - self.price * sets
        if saving <= 0:
            return refused("nothing_left")
        shares = zip(keys, largest_remainder(saving, values), strict=True)
        cuts = [Adjust((key,), part, self.merchant_bp) for key, part in shares if part]
        return (*cuts, Uses(sets if self.counted else 0))
