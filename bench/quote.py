"""CPU of the pure quote: 20 lines over 10 shops, with more and more candidate rules. No I/O at all."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from core.kit.ids import ref
from core.pricing.engine import quote
from core.types.pricing import (
    Adjust,
    Basket,
    BasketLine,
    FlatFee,
    Matrix,
    Phase,
    PriceRule,
    Proposal,
    Refused,
    RuleKind,
    ShippingOption,
    View,
)

_LINES, _SHOPS = 20, 10
_ROUNDS = 200
_MATRIX = Matrix(
    {
        kind.name: kind
        for kind in (
            RuleKind("promotion", Phase.SHOP_PROMOTION, "promotion"),
            RuleKind("shop_coupon", Phase.SHOP_COUPON, "shop coupon", per_shop=1),
            RuleKind("market_coupon", Phase.MARKET_COUPON, "market coupon", per_trade=1),
        )
    }
)


class _Off(PriceRule, frozen=True, kw_only=True):
    amount: int
    threshold: int
    keys: frozenset[str] | None = None

    def propose(self, view: View) -> Proposal | Refused:
        lines = [v for v in view.lines if self.keys is None or v.line.key in self.keys]
        there = sum(v.amount for v in lines)
        if there < self.threshold:
            return Refused("threshold", "Too little.", self.threshold - there)
        return (Adjust(tuple([v.line.key for v in lines]), min(self.amount, there)),)


def _shop(number: int) -> UUID:
    return UUID(int=1000 + number)


def _basket() -> Basket:
    lines = []
    for n in range(_LINES):
        shop, sku = _shop(n % _SHOPS), UUID(int=n + 1)
        lines.append(BasketLine(ref(shop, sku), shop, sku, sku, 1 + n % 3, 1000 + 37 * n))
    return Basket(tuple(lines), None, datetime(2026, 1, 1, tzinfo=UTC))


def _mixed(basket: Basket, count: int) -> list[PriceRule]:
    """A third promotions and a third coupons of the shops, the rest coupons of the market on all or on some goods."""
    rules: list[PriceRule] = []
    for n in range(count):
        kind = ("promotion", "shop_coupon", "market_coupon")[n % 3]
        some = frozenset(line.key for line in basket.lines[n % _LINES :]) if n % 2 else None
        rules.append(
            _Off(
                plugin="bench",
                id=str(n),
                kind=kind,
                label=str(n),
                merchant_id=None if kind == "market_coupon" else _shop(n % _SHOPS),
                amount=50 + n,
                threshold=500 * (n % 4),
                keys=some if kind == "market_coupon" else None,
            )
        )
    return rules


def _rivals(basket: Basket, count: int) -> list[PriceRule]:
    """Market coupons on two articles each: as many alternatives as there are coupons."""
    pairs = [
        (basket.lines[n % _LINES].key, basket.lines[(n * 7 + 3 + n // 20) % _LINES].key) for n in range(count)
    ]
    return [
        _Off(
            plugin="bench",
            id=str(n),
            kind="market_coupon",
            label="",
            amount=10 + n,
            threshold=0,
            keys=frozenset(pair),
        )
        for n, pair in enumerate(pairs)
    ]


def rows() -> list[tuple[str, str]]:
    """(what, CPU in ms): the best of five rounds."""
    basket = _basket()
    ways = [ShippingOption(_shop(n), "bench:a", "express", "a", FlatFee(800, 9900)) for n in range(_SHOPS)]

    def measured(rules: Sequence[PriceRule]) -> str:
        return f"{_best(lambda: quote(basket, rules, ways, _MATRIX)):.2f}"

    found = [(f"quote, {n} rules", measured(_mixed(basket, n))) for n in (0, 10, 200)]
    return [*found, ("quote, 200 market coupons on two articles each", measured(_rivals(basket, 200)))]


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(_ROUNDS // 5):
            work()
        times.append((time.process_time() - began) * 1000 / (_ROUNDS // 5))
    return min(times)
