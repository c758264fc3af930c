"""What a coupon takes off a basket. Pure."""

from datetime import datetime
from uuid import UUID

import msgspec

from core.api import Adjust, BasketLine, PriceRule, Proposal, Refused, View, rate

SHOP = "coupons.shop"
MARKET = "coupons.market"
_ALL_BP = 10_000


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a coupon is worth; frozen when it is claimed.

    `kind` `amount` takes `amount` fen off the matched lines, `rate` takes `rate_bp` of them off, at most
    `cap` fen. `threshold` is what the matched lines must come to, after the discounts before this one.
    `ids` are ids as clients know them, of products, categories or merchants by `scope`. The issuing shop,
    or of a market coupon the shops of its lines, bear `merchant_share_bp`.
    """

    name: str
    kind: str
    scope: str
    threshold: int = 0
    ids: tuple[str, ...] = ()
    amount: int = 0
    rate_bp: int = 0
    cap: int | None = None
    merchant_share_bp: int = _ALL_BP


class CouponRule(PriceRule, frozen=True, kw_only=True):
    """One coupon that the buyer holds. `ids` are those of the terms, decoded."""

    terms: Terms
    ids: frozenset[UUID]
    used: bool
    valid_from: datetime
    expires_at: datetime

    def propose(self, view: View) -> Proposal | Refused:
        """The discount on the matched lines, or why there is none."""
        stale = self._stale(view.basket.now)
        if stale is not None:
            return stale
        lines = [seen for seen in view.lines if self._matches(seen.line)]
        if not lines:
            return Refused("no_matching_goods", "None of the goods are meant by this coupon.")
        there = sum(seen.amount for seen in lines)
        short = self.terms.threshold - there
        if short > 0:
            return Refused("threshold", f"The goods it is meant for are {short} fen short.", short)
        amount = self._worth(there)
        if amount == 0:
            return Refused("nothing_left", "Other offers leave nothing to discount.")
        return (Adjust(tuple([seen.line.key for seen in lines]), amount, self.terms.merchant_share_bp),)

    def _worth(self, there: int) -> int:
        terms = self.terms
        amount = terms.amount if terms.kind == "amount" else rate(there, terms.rate_bp)
        return min(amount, there) if terms.cap is None else min(amount, there, terms.cap)

    def _stale(self, now: datetime) -> Refused | None:
        if self.used:
            return Refused("coupon_used", "This coupon was used already.")
        if now < self.valid_from:
            return Refused("not_started", "This coupon is not valid yet.")
        return Refused("expired", "This coupon has expired.") if now >= self.expires_at else None

    def _matches(self, line: BasketLine) -> bool:
        scope = self.terms.scope
        if scope == "products":
            return line.product_id in self.ids
        if scope == "categories":
            return not self.ids.isdisjoint(line.category_path)
        return scope == "all" or (scope == "merchants" and line.merchant_id in self.ids)


class UnknownCoupon(PriceRule, frozen=True, kw_only=True):
    """A coupon that the buyer named but does not hold."""

    def propose(self, view: View) -> Proposal | Refused:  # noqa: ARG002
        """Always refused."""
        return Refused("unknown_coupon", "You hold no such coupon.")
