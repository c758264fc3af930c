"""The flash price as a pure rule, and how it meets other kinds."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import Adjust, Phase, Plugin, PriceRule, Proposal, Refused, RuleKind, View
from core.testkit.baskets import NOW, basket, line, rule_kinds, take
from core.types.pricing import BasketLine
from plugins.coupons.plugin import CouponsPlugin
from plugins.flash_sale.plugin import FlashSalePlugin
from plugins.flash_sale.rules import PRICE, PRICE_OPEN, FlashRule, Offer

ACTIVITY = UUID(int=7)


class Others(Plugin):
    """Kinds of other plugins."""

    name = "others"
    title = summary = "Others"
    rule_kinds = (
        RuleKind("membership.price", Phase.ITEM_PRICE, "Member price", per_line=True),
        RuleKind("promotions.reduction", Phase.SHOP_PROMOTION, "Reduction", per_shop=1),
    )


MATRIX = rule_kinds(FlashSalePlugin, CouponsPlugin, Others)


class Off(PriceRule, frozen=True, kw_only=True):
    """Some fen off everything it is shown."""

    amount: int

    def propose(self, view: View) -> Proposal | Refused:
        return (Adjust(tuple(seen.line.key for seen in view.lines), self.amount),)


def _offer(**more: Any) -> Offer:
    given: dict[str, Any] = {
        "name": "秒杀",
        "price": 1000,
        "per_order": 5,
        "per_account": 5,
        "left": 5,
        "taken": 0,
        "starts_at": NOW - timedelta(hours=1),
        "ends_at": NOW + timedelta(hours=1),
        "share_bp": 10_000,
        "market_coupons": False,
    }
    return Offer(**(given | more))


def _rule(of: BasketLine, kind: str = PRICE, fault: str = "", **more: Any) -> FlashRule:
    return FlashRule(
        plugin="flash_sale",
        id="flash",
        kind=kind,
        label="秒杀",
        merchant_id=of.merchant_id,
        activity_id=ACTIVITY,
        key=of.key,
        offer=_offer(**more),
        fault=fault,
    )


def _off(plugin: str, kind: str, amount: int) -> Off:
    return Off(plugin=plugin, id=kind, kind=kind, label=kind, amount=amount)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"starts_at": NOW + timedelta(minutes=1)}, "not_started"),
        ({"ends_at": NOW}, "flash_over"),
        ({"fault": "token_required"}, "token_required"),
        ({"left": 0}, "sold_out"),
        ({"left": 1}, "sold_out"),
        ({"per_order": 1}, "order_limit"),
        ({"taken": 4}, "account_limit"),
        ({"price": 3000}, "no_saving"),
    ],
)
def test_it_says_in_both_languages_why_it_does_not_hold(change: dict[str, Any], code: str) -> None:
    wanted = line(3000, 2)
    quote = take(basket(wanted), [_rule(wanted, **change)], MATRIX)
    [told] = quote.explain
    assert (told.outcome, told.code, quote.payable) == ("refused", code, 6000)
    assert told.reason
    assert told.reason_zh


@given(
    price=st.integers(1, 10**6),
    flash=st.integers(1, 10**6),
    quantity=st.integers(1, 5),
    share=st.integers(0, 10_000),
)
def test_each_piece_costs_the_flash_price_and_every_fen_has_its_bearer(
    price: int, flash: int, quantity: int, share: int
) -> None:
    wanted = line(price, quantity)
    quote = take(basket(wanted), [_rule(wanted, price=flash, share_bp=share)], MATRIX)
    assert quote.payable == min(price, flash) * quantity
    cuts = quote.merchants[0].lines[0].adjustments
    assert sum(c.bearer.market + c.bearer.merchant for c in cuts) == price * quantity - quote.payable
    if share in (0, 10_000):
        assert all((c.bearer.market if share else c.bearer.merchant) == 0 for c in cuts)


@pytest.mark.parametrize(("member", "payable"), [(1500, 1000), (2500, 500)])
def test_of_item_prices_the_best_counts(member: int, payable: int) -> None:
    wanted = line(3000)
    rules = [_rule(wanted), _off("others", "membership.price", member)]
    assert take(basket(wanted), rules, MATRIX).payable == payable


@pytest.mark.parametrize(
    ("kind", "other", "payable"),
    [
        (PRICE, "promotions.reduction", 1000),
        (PRICE_OPEN, "promotions.reduction", 1000),
        (PRICE, "coupons.shop", 1000),
        (PRICE_OPEN, "coupons.shop", 1000),
        (PRICE, "coupons.market", 1000),
        (PRICE_OPEN, "coupons.market", 900),
    ],
)
def test_little_goes_with_a_flash_price(kind: str, other: str, payable: int) -> None:
    wanted = line(3000)
    rules = [_rule(wanted, kind), _off(other.partition(".")[0], other, 100)]
    assert take(basket(wanted), rules, MATRIX).payable == payable
