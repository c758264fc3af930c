"""Baskets for tests of rules, without servers. Amounts in fen."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from core.kit.ids import ref
from core.plugin import Plugin, declared
from core.pricing.engine import quote
from core.types.matrix import NO_EDITS, merged
from core.types.pricing import Basket, BasketLine, Matrix, PriceRule, Quote, ShippingOption

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def line(price: int, quantity: int = 1, *, shop: int = 1, sku: int | None = None, **more: Any) -> BasketLine:
    """One line: `quantity` units at `price` of the shop with this number. Without `sku`, lines of one price are one SKU."""
    merchant_id, number = UUID(int=1000 + shop), sku if sku is not None else price
    sku_id, product_id = UUID(int=(shop << 64) + number), UUID(int=(shop << 64) + (1 << 48) + number)
    return BasketLine(ref(merchant_id, sku_id), merchant_id, product_id, sku_id, quantity, price, **more)


def basket(*lines: BasketLine | int, **more: Any) -> Basket:
    """A basket of lines, or of prices: `basket(1234, 1111)`. `more` are fields of `Basket`: `account_id`, `options`, ..."""
    made = tuple(line(x, sku=n) if isinstance(x, int) else x for n, x in enumerate(lines, 1))
    return Basket(made, more.pop("account_id", None), more.pop("now", NOW), **more)


def rule_kinds(*plugins: type[Plugin]) -> Matrix:
    """How the rules of these plugins combine, as they declare it."""
    return merged(*declared(plugins), NO_EDITS)


def take(
    wanted: Basket, rules: Sequence[PriceRule], matrix: Matrix, shipping: Sequence[ShippingOption] = ()
) -> Quote:
    """The quote of a basket under these rules; pure. `matrix` as `rule_kinds(MyPlugin)` makes it."""
    return quote(wanted, rules, shipping, matrix)
