"""A limited-time price of one SKU. Pure; amounts in fen."""

from core.api import Adjust, PriceRule, Proposal, Refused, Uses, View, rate
from plugins.promotions.terms import Item
from plugins.promotions.words import refused


def target(item: Item, unit_price: int) -> int:
    """The price of one piece while the activity runs."""
    if item.price is not None:
        return item.price
    if item.amount is not None:
        return max(0, unit_price - item.amount)
    return unit_price - rate(unit_price, item.rate_bp or 0)


class LimitedRule(PriceRule, frozen=True, kw_only=True):
    """One line, so that each line has its own best price. `most`: the pieces that limits leave at this price, the
    others cost what they did; `why` names the limit if that is none."""

    key: str
    item: Item
    most: int | None = None
    why: str = ""
    merchant_bp: int = 10_000
    counted: bool = False

    def propose(self, view: View) -> Proposal | Refused:
        """The discount on the line."""
        seen = next((seen for seen in view.lines if seen.line.key == self.key), None)
        if seen is None:
            return refused("no_matching_goods")
        units = seen.line.quantity if self.most is None else min(seen.line.quantity, self.most)
        if units == 0:
            return refused(self.why)
        saving = (seen.line.unit_price - target(self.item, seen.line.unit_price)) * units
        saving = min(saving, seen.amount)
        if saving <= 0:
            return refused("nothing_left")
        cut = Adjust((self.key,), saving, self.merchant_bp)
        return cut, Uses(units if self.counted else 0)
