"""Baskets and rules for the tests of pricing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from core.kit.ids import ref
from core.types.pricing import (
    AddLine,
    Adjust,
    Basket,
    BasketLine,
    LineView,
    Matrix,
    Phase,
    PriceRule,
    Proposal,
    Quote,
    Refused,
    Relation,
    RuleKind,
    ShippingAdjust,
    View,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def uid(number: int) -> UUID:
    """A readable UUID."""
    return UUID(int=number)


def shop(number: int) -> UUID:
    """The merchant with this number."""
    return uid(1000 + number)


def line(shop_number: int, sku: int, price: int, quantity: int = 1, **more: Any) -> BasketLine:
    """One line of a basket."""
    merchant_id = shop(shop_number)
    key = ref(merchant_id, uid(sku))
    return BasketLine(key, merchant_id, uid(sku + 500_000), uid(sku), quantity, price, **more)


def basket(*lines: BasketLine, **more: Any) -> Basket:
    """A basket of nobody."""
    return Basket(lines, None, NOW, **more)


class Off(PriceRule, frozen=True, kw_only=True):
    """Takes `amount` off all lines it sees (or those of `keys`), never more than there is."""

    amount: int
    keys: tuple[str, ...] | None = None
    merchant_bp: int = 10_000

    def propose(self, view: View) -> Proposal | Refused:
        """The discount."""
        lines = [v for v in view.lines if self.keys is None or v.line.key in self.keys]
        if not lines:
            return Refused("no_matching_goods", "None.")
        there = sum(v.amount for v in lines)
        return (Adjust(tuple(v.line.key for v in lines), min(self.amount, there), self.merchant_bp),)


class Says(PriceRule, frozen=True, kw_only=True):
    """Proposes whatever it was given; an exception is raised."""

    answer: Any

    def propose(self, view: View) -> Proposal | Refused:
        """The answer."""
        if isinstance(self.answer, type) and issubclass(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


class Gives(PriceRule, frozen=True, kw_only=True):
    """Adds a gift to the first line."""

    gift: BasketLine

    def propose(self, view: View) -> Proposal | Refused:
        """The gift."""
        return (AddLine(self.gift, view.lines[0].line.key),)


class FreeShipping(PriceRule, frozen=True, kw_only=True):
    """Takes up to `amount` off each shop's shipping fee."""

    amount: int
    merchant_bp: int = 10_000

    def propose(self, view: View) -> Proposal | Refused:
        """The discount."""
        return tuple(
            ShippingAdjust(m, min(self.amount, fee), self.merchant_bp) for m, fee in view.shipping.items()
        )


class PerGram:
    """One fen per gram."""

    def fee(self, goods_amount: int, lines: Sequence[LineView]) -> int:
        """The fee."""
        return sum(v.line.weight_g * v.line.quantity for v in lines)


KINDS = {
    kind.name: kind
    for kind in (
        RuleKind("item", Phase.ITEM_PRICE, "item price", priority=5),
        RuleKind("member", Phase.ITEM_PRICE, "member price", priority=3),
        RuleKind("flash", Phase.ITEM_PRICE, "flash price", priority=9, per_line=True),
        RuleKind("limited", Phase.ITEM_PRICE, "limited-time price", priority=4, per_line=True),
        RuleKind("promo", Phase.SHOP_PROMOTION, "shop promotion"),
        RuleKind("extra", Phase.SHOP_PROMOTION, "another shop promotion", priority=1),
        RuleKind("shop_coupon", Phase.SHOP_COUPON, "shop coupon", per_shop=1),
        RuleKind("market_coupon", Phase.MARKET_COUPON, "market coupon", per_trade=1),
        RuleKind("freight", Phase.SHIPPING_DISCOUNT, "freight coupon"),
        RuleKind("points", Phase.POINTS, "points"),
        RuleKind("triple", Phase.MARKET_PROMOTION, "up to two", group="pair", per_shop=2),
        RuleKind("stray", Phase.SHIPPING, "nothing can be proposed here"),
    )
}
PAIRS = {
    ("triple", "triple"): Relation.STACK,
    ("item", "member"): Relation.BEST,
    ("flash", "limited"): Relation.BEST,
    ("limited", "member"): Relation.BEST,
    ("flash", "promo"): Relation.BLOCK,
    ("flash", "shop_coupon"): Relation.BLOCK,
}
MATRIX = Matrix(KINDS, PAIRS)


def matrix(**pairs: Relation) -> Matrix:
    """The kinds with further relations, written `a__b=Relation.X`."""
    return Matrix(KINDS, PAIRS | {(k.split("__")[0], k.split("__")[1]): v for k, v in pairs.items()})


def off(rule_id: str, kind: str, amount: int, merchant: int | None = None, **more: Any) -> Off:
    """A rule that takes `amount` off."""
    merchant_id = shop(merchant) if merchant is not None else None
    return Off(
        plugin="p", id=rule_id, kind=kind, label=rule_id, merchant_id=merchant_id, amount=amount, **more
    )


def outcomes(quote: Quote) -> dict[str, str]:
    """Rule id -> outcome."""
    return {e.rule: e.outcome for e in quote.explain}


def code_of(quote: Quote, rule: str) -> str:
    """The code that explains one rule."""
    return next(e.code for e in quote.explain if e.rule == rule)


def check_sums(quote: Quote) -> None:
    """Everything adds up on every level and nothing is negative."""
    for m in quote.merchants:
        for x in m.lines:
            assert x.payable == x.amount - sum(a.amount for a in x.adjustments) >= 0
            assert x.amount == x.unit_price * x.quantity
            for a in x.adjustments:
                assert a.amount > 0
                assert min(a.bearer.market, a.bearer.merchant) >= 0
                assert a.bearer.market + a.bearer.merchant == a.amount
        fee = next((o.fee for o in m.shipping_options if o.selected), 0)
        assert m.shipping_amount == fee - sum(a.amount for a in m.shipping_adjustments) >= 0
        assert m.goods_amount == sum(x.amount for x in m.lines)
        assert m.discount_amount == sum(a.amount for x in m.lines for a in x.adjustments)
        assert m.payable == m.goods_amount - m.discount_amount + m.shipping_amount >= 0
    for field in ("goods_amount", "discount_amount", "shipping_amount", "payable"):
        assert getattr(quote, field) == sum(getattr(m, field) for m in quote.merchants)
    applied: dict[tuple[str, str], int] = {}
    for m in quote.merchants:
        for a in [*m.shipping_adjustments, *(a for x in m.lines for a in x.adjustments)]:
            applied[a.plugin, a.rule] = applied.get((a.plugin, a.rule), 0) + a.amount
    told = {(e.plugin, e.rule): e.amount for e in quote.explain if e.outcome == "applied" and e.amount}
    assert applied == told
