"""Full reduction, gifts and free shipping from so much or so many on. Pure; amounts in fen.

Only the highest tier that is reached counts; with `each` there is one tier, and it counts for every so much.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from core.api import (
    AddLine,
    Adjust,
    BasketLine,
    LineView,
    Phase,
    PriceRule,
    Proposal,
    Refused,
    ShippingAdjust,
    Uses,
    View,
    largest_remainder,
    rate,
)
from plugins.promotions.terms import Terms, Tier
from plugins.promotions.words import refused, short_of


def reached(terms: Terms, there: int) -> tuple[Tier, int] | None:
    """The tier that counts for so many fen or pieces, and how many times; None below the first."""
    tier = max((t for t in terms.tiers if t.from_ <= there), key=lambda t: t.from_, default=None)
    if tier is None:
        return None
    times = there // tier.from_ if terms.each and tier.from_ else 1
    return tier, times if terms.per_order is None else min(times, terms.per_order)


def measure(terms: Terms, lines: Sequence[LineView]) -> int:
    """What the tiers look at: fen, or pieces."""
    return sum([seen.amount if terms.by == "amount" else seen.line.quantity for seen in lines])


class TierRule(PriceRule, frozen=True, kw_only=True):
    """Common to all that have tiers: the lines `keys` count. `most`: how many times limits leave; `why` names the
    limit if that is none."""

    keys: frozenset[str]
    terms: Terms
    most: int | None = None
    why: str = ""
    merchant_bp: int = 10_000
    counted: bool = False

    def _reached(self, lines: Sequence[LineView]) -> tuple[Tier, int] | Refused:
        there = measure(self.terms, lines)
        if not lines:
            return refused("no_matching_goods")
        found = reached(self.terms, there)
        if found is None:
            return short_of(min(t.from_ for t in self.terms.tiers) - there, amount=self.terms.by == "amount")
        tier, times = found
        times = times if self.most is None else min(times, self.most)
        return refused(self.why) if times == 0 else (tier, times)


class ReductionRule(TierRule, frozen=True, kw_only=True):
    """Takes something off the goods, gives gifts. `shelf` are the gifts that can still be given, by their ids as
    clients know them: facts and how many."""

    shelf: Mapping[str, tuple[BasketLine, int]] = {}

    def propose(self, view: View) -> Proposal | Refused:
        """A discount on the lines that count, and gifts with the one, or the order, that earns them."""
        lines = [seen for seen in view.lines if seen.line.key in self.keys]
        found = self._reached(lines)
        if isinstance(found, Refused):
            return found
        tier, times = found
        gifts, times = self._gifts(tier, times, lines) if tier.gifts else ([], times)
        there = sum([seen.amount for seen in lines])
        amount = _off(tier, times, there)
        cuts = (Adjust(tuple([seen.line.key for seen in lines]), amount, self.merchant_bp),) if amount else ()
        if not cuts and not gifts:
            return refused("gift_gone" if tier.gifts else "nothing_left")
        return (*cuts, *gifts, Uses(times if self.counted else 0))

    def _gifts(self, tier: Tier, times: int, lines: Sequence[LineView]) -> tuple[list[AddLine], int]:
        """The gifts, and how many times the promotion is used: as often as at least one of the gifts is there, once at the
        least where it takes something off as well."""
        parent = max(lines, key=lambda seen: (seen.amount, seen.line.key)).line.key
        given, most = [], 0
        for gift in tier.gifts:
            facts, left = self.shelf.get(gift.sku_id, (None, 0))
            fits = min(times, left // gift.quantity)
            if facts is not None and fits > 0:
                line = _with_quantity(facts, gift.quantity * fits)
                given.append(AddLine(line, parent, of_order=len(lines) > 1))
                most = max(most, fits)
        return given, times if tier.minus or tier.rate_bp else most


class FreightRule(TierRule, frozen=True, kw_only=True):
    """Takes freight off the shops of the lines that count. `at` is the phase whose amounts the tiers look at: a full
    reduction promises free freight on what its own phase found."""

    at: Phase | None = None

    def propose(self, view: View) -> Proposal | Refused:
        """Freight of these shops; a cap is spread over them by their fees."""
        seen_at = view.lines if self.at is None else view.at(self.at)
        lines = [seen for seen in seen_at if seen.line.key in self.keys]
        found = self._reached(lines)
        if isinstance(found, Refused):
            return found
        tier, _ = found
        if self.at is not None and not tier.free_freight:
            better = [t.from_ for t in self.terms.tiers if t.free_freight]
            missing = min(better) - measure(self.terms, lines)
            return (
                short_of(missing, amount=self.terms.by == "amount") if missing > 0 else refused("no_freight")
            )
        cap = tier.cap if self.at is None else None
        shops: list[UUID] = sorted({seen.line.merchant_id for seen in lines})
        fees = [(shop, fee) for shop in shops if (fee := view.shipping.get(shop, 0)) > 0]
        if not fees:
            return refused("no_freight")
        there = sum([fee for _, fee in fees])
        parts = largest_remainder(there if cap is None else min(there, cap), [fee for _, fee in fees])
        cuts = [
            ShippingAdjust(shop, part, self.merchant_bp)
            for (shop, _), part in zip(fees, parts, strict=True)
            if part
        ]
        return (*cuts, Uses(1 if self.counted else 0))


def _off(tier: Tier, times: int, there: int) -> int:
    if tier.minus is not None:
        return min(tier.minus * times, there)
    amount = rate(there, tier.rate_bp or 0)
    return amount if tier.cap is None else min(amount, tier.cap)


def _with_quantity(line: BasketLine, quantity: int) -> BasketLine:
    return BasketLine(
        line.key,
        line.merchant_id,
        line.product_id,
        line.sku_id,
        quantity,
        line.unit_price,
        line.title,
        line.specs,
        line.image_url,
        line.category_path,
        line.shop_category_ids,
        line.weight_g,
        line.volume_cm3,
        line.requires_shipping,
    )
