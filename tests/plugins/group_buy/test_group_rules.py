"""The group price, pure: what it takes off, why it does not hold, and what it goes with."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.plugin import discover
from core.testkit import basket, take
from core.testkit.baskets import NOW, line, rule_kinds
from core.types.pricing import Basket, Quote, Relation
from plugins.group_buy.plugin import GroupBuyPlugin
from plugins.group_buy.rules import PRICE, PRICE_OPEN, GroupRule, Offer, Target, fault_of, refused

HOUR = timedelta(hours=1)
OFFER = Offer(
    size=3,
    price=700,
    left=10,
    taken=0,
    per_order=2,
    per_account=3,
    starts_at=NOW - HOUR,
    ends_at=NOW + HOUR,
)
TARGET = Target("running", 1, NOW + HOUR)


def quote(wanted: Basket, price: int, **more: Any) -> Quote:
    """Under one group price."""
    first = wanted.lines[0]
    rule = GroupRule(
        plugin="group_buy", id="g", kind=PRICE, label="拼团", merchant_id=first.merchant_id, key=first.key,
        chosen=True, price=price, **more,
    )  # fmt: skip
    return take(wanted, [rule], rule_kinds(GroupBuyPlugin))


@given(st.integers(1, 10**6), st.integers(1, 99), st.integers(1, 10**6))
def test_a_unit_costs_the_group_price_or_less(usual: int, quantity: int, price: int) -> None:
    found = quote(basket(line(usual, quantity)), price)
    assert found.payable == min(usual, price) * quantity
    (told,) = found.explain
    assert (told.outcome, told.code) == (("applied", "") if price < usual else ("refused", "no_saving"))


@pytest.mark.parametrize("code", refused.words)
def test_every_refusal_says_why_in_both_languages(code: str) -> None:
    found = quote(basket(line(1000)), 700, fault=code)
    (told,) = found.explain
    assert (found.payable, told.outcome, told.code) == (1000, "refused", code)
    assert told.reason.endswith(".")
    assert told.reason_zh.endswith("。")


@pytest.mark.parametrize(
    ("offer", "target", "quantity", "code"),
    [
        ({}, None, 2, ""),
        ({}, TARGET, 2, ""),
        ({"price": None}, None, 1, "not_in_activity"),
        ({"starts_at": NOW + HOUR}, None, 1, "not_started"),
        ({"ends_at": NOW}, None, 1, "activity_over"),
        ({"ends_at": NOW}, TARGET, 1, ""),
        ({"busy": True}, None, 1, "group_in_progress"),
        ({"busy": True}, TARGET, 1, "group_in_progress"),
        ({"busy": True, "inside": True}, TARGET, 1, "already_in_group"),
        ({}, Target(), 1, "unknown_group"),
        ({}, Target("opening", 1), 1, "group_not_open"),
        ({}, Target("succeeded", 3, NOW + HOUR), 1, "group_full"),
        ({}, Target("running", 3, NOW + HOUR), 1, "group_full"),
        ({}, Target("running", 1, NOW), 1, "group_over"),
        ({}, Target("failing", 1, NOW + HOUR), 1, "group_over"),
        ({"welcome": False}, TARGET, 1, "not_new"),
        ({}, None, 3, "order_limit"),
        ({"taken": 2}, None, 2, "account_limit"),
        ({"per_order": None, "per_account": None}, None, 11, "quota_sold_out"),
    ],
)
def test_why_there_is_no_group_price(
    offer: dict[str, Any], target: Target | None, quantity: int, code: str
) -> None:
    assert fault_of(replace(OFFER, **offer), target, quantity, NOW) == code


def test_the_default_matrix_of_group_prices() -> None:
    matrix = rule_kinds(*discover().values())
    for kind in (PRICE, PRICE_OPEN):
        for other in ("membership.price", "membership.shop_price", "promotions.limited"):
            assert matrix.relation(kind, other) is Relation.BEST
        for other in (
            "coupons.shop",
            "promotions.nth",
            "promotions.reduction",
            "promotions.market_reduction",
        ):
            assert matrix.relation(kind, other) is Relation.BLOCK
        for other in ("coupons.shop_shipping", "coupons.market_shipping", "membership.points"):
            assert matrix.relation(kind, other) is Relation.STACK
    assert matrix.relation(PRICE, "coupons.market") is Relation.BLOCK
    assert matrix.relation(PRICE_OPEN, "coupons.market") is Relation.STACK
