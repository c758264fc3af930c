"""What a coupon takes off a basket. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from uuid import UUID

import msgspec

from core.api import (
    Adjust,
    BasketLine,
    LineView,
    PriceRule,
    Proposal,
    Refusals,
    Refused,
    ShippingAdjust,
    View,
    format_yuan,
    largest_remainder,
    rate,
)

SHOP = "coupons.shop"
MARKET = "coupons.market"
SHOP_SHIPPING = "coupons.shop_shipping"
MARKET_SHIPPING = "coupons.market_shipping"

FREE_SHIPPING = "free_shipping"
_ALL_BP = 10_000
# China keeps one time in all its zones.
_CHINA = timezone(timedelta(hours=8))


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a coupon is worth; frozen when it is claimed.

    `kind` `amount` takes `amount` fen off the matched lines, `rate` takes `rate_bp` of them off, `free_shipping`
    takes the freight off the shops of the matched lines; `cap` is the most that the latter two take off, in fen.
    `threshold` is what the matched lines must come to, after the discounts before this one. `scope` is `all`,
    `products`, `categories` (with those below them), `shop_categories` or `merchants`, and `ids` are those of the
    scope as clients know them. The issuing shop, or of a market coupon the shops of its lines, bear
    `merchant_share_bp`.
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


def kind_of(terms: Terms, *, of_market: bool) -> str:
    """The kind of rule that a coupon with these terms is."""
    if terms.kind == FREE_SHIPPING:
        return MARKET_SHIPPING if of_market else SHOP_SHIPPING
    return MARKET if of_market else SHOP


class CouponRule(PriceRule, frozen=True, kw_only=True):
    """One coupon that the buyer holds. `ids` are those of the terms, decoded; `status` is the coupon's."""

    terms: Terms
    ids: frozenset[UUID]
    status: str = "unused"
    valid_from: datetime
    expires_at: datetime

    def propose(self, view: View) -> Proposal | Refused:
        """The discount on the matched lines or on their shops' freight, or why there is none."""
        stale = self._stale(view.basket.now)
        if stale is not None:
            return stale
        lines = [seen for seen in view.lines if self._matches(seen.line)]
        if not lines:
            return _refused("no_matching_goods")
        there = sum([seen.amount for seen in lines])
        short = self.terms.threshold - there
        if short > 0:
            return _refused("threshold", format_yuan(short), short)
        if self.terms.kind == FREE_SHIPPING:
            return self._shipping(lines, view)
        amount = self._worth(there)
        if amount == 0:
            return _refused("nothing_left")
        return (Adjust(tuple([seen.line.key for seen in lines]), amount, self.terms.merchant_share_bp),)

    def _worth(self, there: int) -> int:
        terms = self.terms
        if terms.kind == "amount":
            return min(terms.amount, there)
        amount = rate(there, terms.rate_bp)
        return amount if terms.cap is None else min(amount, terms.cap)

    def _shipping(self, lines: Sequence[LineView], view: View) -> Proposal | Refused:
        """Freight of the shops with matched lines; a cap is spread over them by their fees."""
        shops = sorted({seen.line.merchant_id for seen in lines})
        fees = [(shop, fee) for shop in shops if (fee := view.shipping.get(shop, 0)) > 0]
        if not fees:
            return _refused("no_freight")
        there = sum([fee for _, fee in fees])
        amount = there if self.terms.cap is None else min(there, self.terms.cap)
        parts = largest_remainder(amount, [fee for _, fee in fees])
        share = self.terms.merchant_share_bp
        return tuple(
            [ShippingAdjust(shop, part, share) for (shop, _), part in zip(fees, parts, strict=True) if part]
        )

    def _stale(self, now: datetime) -> Refused | None:
        if self.status == "used":
            return _refused("coupon_used")
        if self.status == "void":
            return _refused("coupon_void")
        if self.status == "expired" or now >= self.expires_at:
            return _refused("expired")
        if now < self.valid_from:
            return _refused("not_started", f"{self.valid_from.astimezone(_CHINA):%Y-%m-%d %H:%M}")
        return None

    def _matches(self, line: BasketLine) -> bool:
        scope = self.terms.scope
        if scope == "products":
            return line.product_id in self.ids
        if scope == "categories":
            return not self.ids.isdisjoint(line.category_path)
        if scope == "shop_categories":
            return not self.ids.isdisjoint(line.shop_category_ids)
        return scope == "all" or (scope == "merchants" and line.merchant_id in self.ids)


class UnknownCoupon(PriceRule, frozen=True, kw_only=True):
    """A coupon that the buyer named but does not hold."""

    def propose(self, view: View) -> Proposal | Refused:  # noqa: ARG002
        """Always refused."""
        return _refused("unknown_coupon")


_refused = Refusals(
    {
        "no_matching_goods": ("None of the goods are meant by this coupon.", "所选商品都不适用这张优惠券。"),
        "threshold": (
            "The goods it is meant for are {it} yuan short.",
            "适用商品还差 {it} 元可用这张优惠券。",
        ),
        "nothing_left": ("Other offers leave nothing to discount.", "其他优惠之后，已没有可抵扣的金额。"),
        "no_freight": ("There is no freight left to take off.", "没有需要支付的运费，不必使用这张优惠券。"),
        "coupon_used": ("This coupon was used already.", "这张优惠券已经使用过。"),
        "coupon_void": ("This coupon was withdrawn.", "这张优惠券已作废。"),
        "not_started": (
            "This coupon is valid from {it} (China time) on.",
            "这张优惠券自 {it} 起可用（北京时间）。",
        ),
        "expired": ("This coupon has expired.", "这张优惠券已过期。"),
        "unknown_coupon": ("You hold no such coupon.", "您没有这张优惠券。"),
    },
    codes={"no_freight": "nothing_left"},
)
