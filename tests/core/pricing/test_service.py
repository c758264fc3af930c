"""Asking plugins: one that fails is left out and named, and never makes shipping free."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from core import hookspecs
from core.api import (
    Basket,
    FlatFee,
    Invalid,
    Phase,
    Plugin,
    PriceRule,
    RuleKind,
    ShippingOption,
    Tx,
    hookimpl,
)
from core.plugin import Snapshot
from core.pricing.service import price
from tests.support.pricing_model import basket, line, off, shop

ERRORS: dict[str, Exception] = {}


class Shop(Plugin):
    """Rules and shipping; each fails when asked to."""

    name = "sale"
    title = summary = "sale"
    rule_kinds = (RuleKind("promo", Phase.SHOP_PROMOTION, "promo"),)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        if "rules" in ERRORS:
            raise ERRORS["rules"]
        own = off("A", "promo", 10, 1)
        return [type(own)(plugin="sale", id="A", kind="promo", label="A", amount=10), own]

    @hookimpl
    async def shipping_options(self, tx: Tx, basket: Basket) -> Sequence[ShippingOption]:
        if "shipping" in ERRORS:
            raise ERRORS["shipping"]
        return [ShippingOption(shop(1), "sale:x", "express", "x", FlatFee(500))]


class FakeTx:
    def __init__(self, *plugins: Plugin) -> None:
        self.snapshot = Snapshot(0, plugins, plugins, hookspecs)
        self.hooks = self.snapshot.hooks


@pytest.fixture(autouse=True)
def no_errors() -> None:
    ERRORS.clear()


async def priced(*plugins: Plugin) -> Any:
    return await price(FakeTx(*plugins), basket(line(1, 1, 1000)))  # type: ignore[arg-type]


async def test_rules_and_shipping_of_plugins_are_applied_and_foreign_names_left_out() -> None:
    quote = await priced(Shop())
    assert (quote.discount_amount, quote.shipping_amount) == (10, 500)
    assert [e.code for e in quote.explain if e.outcome == "refused"] == ["not_own"]


async def test_without_a_shipping_plugin_the_merchant_arranges_it() -> None:
    quote = await priced()
    assert quote.merchants[0].shipping_options[0].key == "core:arranged"


async def test_a_plugin_whose_rules_fail_is_left_out() -> None:
    ERRORS["rules"] = ZeroDivisionError()
    quote = await priced(Shop())
    assert (quote.discount_amount, quote.shipping_amount) == (0, 500)
    assert [(e.plugin, e.rule, e.outcome, e.code) for e in quote.explain] == [
        ("sale", "price_rules", "refused", "load_failed")
    ]


async def test_a_shipping_plugin_that_fails_does_not_make_it_free() -> None:
    ERRORS["shipping"] = KeyError("x")
    quote = await priced(Shop())
    assert [p.code for p in quote.problems] == ["not_deliverable"]


@pytest.mark.parametrize("error", [Invalid("no"), asyncpg.PostgresError("lost"), OSError("away")])
async def test_business_and_database_errors_end_the_quote(error: Exception) -> None:
    ERRORS["rules"] = error
    with pytest.raises(type(error)):
        await priced(Shop())
