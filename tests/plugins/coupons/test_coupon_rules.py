"""What a coupon takes off, without a database."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.kit.ids import parse_ref
from core.pricing.engine import quote
from core.types.pricing import (
    BasketLine,
    FlatFee,
    LineView,
    Matrix,
    Quote,
    Refused,
    ShippingOption,
    View,
)
from plugins.coupons.plugin import CouponsPlugin
from plugins.coupons.rules import MARKET_SHIPPING, CouponRule, Terms, kind_of
from tests.support.pricing_model import NOW, basket, check_sums, line, outcomes, shop, uid

MATRIX = Matrix({kind.name: kind for kind in CouponsPlugin.rule_kinds})


def coupon(name: str, shop_number: int | None = None, *, status: str = "unused", starts: float = -1, ends: float = 1,
           chosen: bool = False, **terms: Any) -> CouponRule:  # fmt: skip
    ids = terms.pop("ids", ())
    made = Terms(name, terms.pop("kind", "amount"), terms.pop("scope", "all"), **terms)
    return CouponRule(
        plugin="coupons",
        id=name,
        kind=kind_of(made, of_market=shop_number is None),
        label=name,
        merchant_id=None if shop_number is None else shop(shop_number),
        chosen=chosen,
        terms=made,
        ids=frozenset(ids),
        status=status,
        valid_from=NOW + timedelta(days=starts),
        expires_at=NOW + timedelta(days=ends),
    )


def price(
    lines: list[BasketLine],
    *coupons: CouponRule,
    fees: Mapping[int, int] | None = None,
    matrix: Matrix = MATRIX,
) -> Quote:
    """`fees`: freight by the number of the shop."""
    ways = [
        ShippingOption(shop(n), f"t:{n}", "express", "快递", FlatFee(fee)) for n, fee in (fees or {}).items()
    ]
    return quote(basket(*lines), coupons, ways, matrix)


def reasons(priced: Quote) -> dict[str, str]:
    return {e.rule: e.code for e in priced.explain if e.outcome == "refused"}


def test_the_threshold_looks_at_the_matched_lines_only() -> None:
    lines = [line(1, 1, 4000), line(1, 2, 9000)]
    only = {"scope": "products", "ids": [lines[0].product_id], "amount": 500}
    priced = price(lines, coupon("A", 1, threshold=4001, **only))
    assert reasons(priced) == {"A": "threshold"}
    priced = price(lines, coupon("A", 1, threshold=4000, **only))
    assert [x.payable for x in priced.merchants[0].lines] == [3500, 9000]


def test_a_coupon_never_takes_more_than_its_goods_cost() -> None:
    assert price([line(1, 1, 300)], coupon("A", 1, amount=500)).payable == 0


def test_a_rate_rounds_half_up_and_stops_at_its_cap() -> None:
    lines = [line(1, 1, 1005)]
    assert price(lines, coupon("A", 1, kind="rate", rate_bp=1000)).discount_amount == 101
    assert price(lines, coupon("A", 1, kind="rate", rate_bp=1000, cap=100)).discount_amount == 100


def test_a_category_takes_in_those_below_it() -> None:
    lines = [line(1, 1, 1000, category_path=(uid(7), uid(8))), line(1, 2, 1000, category_path=(uid(9),))]
    priced = price(lines, coupon("A", scope="categories", ids=[uid(7)], amount=100))
    assert [x.payable for x in priced.merchants[0].lines] == [900, 1000]


def test_a_market_coupon_can_be_meant_for_some_shops() -> None:
    priced = price(
        [line(1, 1, 1000), line(2, 2, 1000)], coupon("A", scope="merchants", ids=[shop(2)], amount=100)
    )
    assert [m.payable for m in priced.merchants] == [1000, 900]


def test_the_market_coupon_counts_what_the_shop_coupon_left() -> None:
    both = [coupon("S", 1, amount=100), coupon("M", amount=50, threshold=950)]
    assert reasons(price([line(1, 1, 1000)], *both)) == {"M": "threshold"}
    assert price([line(1, 1, 1050)], *both).payable == 900


def test_shops_bear_their_share_of_a_market_coupon_and_all_of_their_own() -> None:
    priced = price(
        [line(1, 1, 1000)], coupon("S", 1, amount=100), coupon("M", amount=99, merchant_share_bp=3000)
    )
    bearers = [(a.bearer.market, a.bearer.merchant) for a in priced.merchants[0].lines[0].adjustments]
    assert bearers == [(0, 100), (69, 30)]


def test_one_coupon_of_each_shop_and_one_of_the_market() -> None:
    coupons = [coupon("S1", 1, amount=10), coupon("S2", 1, amount=20), coupon("T", 2, amount=5),
               coupon("M1", amount=7), coupon("M2", amount=8)]  # fmt: skip
    priced = price([line(1, 1, 1000), line(2, 2, 1000)], *coupons)
    assert {r for r, o in outcomes(priced).items() if o == "applied"} == {"S2", "T", "M2"}


def test_a_coupon_that_does_not_apply_says_why() -> None:
    priced = price(
        [line(1, 1, 1000)],
        coupon("early", starts=1, ends=2, amount=1),
        coupon("late", ends=0, amount=1),
        coupon("used", status="used", amount=1),
        coupon("void", status="void", amount=1),
        coupon("other", scope="products", ids=[uid(5)], amount=1),
        coupon("free", 1, amount=1000),
        coupon("nothing", amount=5),
    )
    assert reasons(priced) == {"early": "not_started", "late": "expired", "used": "coupon_used", "void": "coupon_void",
                               "other": "no_matching_goods", "nothing": "nothing_left"}  # fmt: skip


def applied(priced: Quote) -> set[str]:
    return {rule for rule, outcome in outcomes(priced).items() if outcome == "applied"}


def fees(priced: Quote) -> list[int]:
    return [m.shipping_amount for m in priced.merchants]


def test_a_shops_own_categories_can_be_meant() -> None:
    lines = [line(1, 1, 1000, shop_category_ids=(uid(3), uid(4))), line(1, 2, 1000)]
    priced = price(lines, coupon("A", 1, scope="shop_categories", ids=[uid(4)], amount=100))
    assert [x.payable for x in priced.merchants[0].lines] == [900, 1000]


def test_free_shipping_of_a_shop_takes_its_freight_once_the_matched_lines_reach_the_threshold() -> None:
    lines = [line(1, 1, 4000), line(1, 2, 9000), line(2, 3, 9000)]
    only = {"kind": "free_shipping", "scope": "products", "ids": [lines[0].product_id]}
    priced = price(lines, coupon("A", 1, threshold=4001, **only), fees={1: 800, 2: 700})
    assert (reasons(priced), fees(priced)) == ({"A": "threshold"}, [800, 700])
    priced = price(lines, coupon("A", 1, threshold=4000, **only), fees={1: 800, 2: 700})
    assert fees(priced) == [0, 700]
    capped = price(lines, coupon("A", 1, threshold=4000, cap=300, **only), fees={1: 800, 2: 700})
    assert fees(capped) == [500, 700]


def test_free_shipping_looks_at_the_goods_after_their_discounts() -> None:
    off, free = coupon("S", 1, amount=100), coupon("F", 1, kind="free_shipping", threshold=1000)
    assert reasons(price([line(1, 1, 1000)], off, free, fees={1: 800})) == {"F": "threshold"}
    assert price([line(1, 1, 1100)], off, free, fees={1: 800}).payable == 1000


def test_free_shipping_of_the_market_spreads_its_cap_over_the_freight_of_the_matched_shops() -> None:
    lines = [line(1, 1, 1000), line(2, 2, 1000), line(3, 3, 1000)]
    free = coupon("M", kind="free_shipping", scope="merchants", ids=[shop(1), shop(2)], threshold=2000, cap=1000,
                  merchant_share_bp=2500)  # fmt: skip
    priced = price(lines, free, fees={1: 800, 2: 700, 3: 600})
    assert fees(priced) == [800 - 533, 700 - 467, 600]
    borne = [(a.bearer.market, a.bearer.merchant) for m in priced.merchants for a in m.shipping_adjustments]
    assert borne == [(400, 133), (350, 117)]
    assert fees(price(lines, coupon("M", kind="free_shipping"), fees={1: 800, 2: 0, 3: 600})) == [0, 0, 0]
    assert reasons(price(lines[:1], free, fees={1: 800})) == {"M": "threshold"}


def test_free_shipping_is_never_spent_on_no_freight() -> None:
    free = [coupon("S", 1, kind="free_shipping"), coupon("M", kind="free_shipping")]
    priced = price([line(1, 1, 1000)], *free, fees={1: 0})
    assert reasons(priced) == {"S": "nothing_left", "M": "nothing_left"}
    # A shop nobody ships for, and one whose goods need no shipping.
    assert not applied(price([line(2, 1, 1000)], free[1], fees={1: 800}))
    assert not applied(price([line(1, 1, 1000, requires_shipping=False)], *free, fees={1: 800}))


def test_goods_and_freight_are_limited_each_by_themselves() -> None:
    lines = [line(1, 1, 5000), line(2, 2, 5000)]
    coupons = [
        coupon("S1", 1, amount=10), coupon("S2", 1, amount=20), coupon("M1", amount=7), coupon("M2", amount=8),
        coupon("FS1", 1, kind="free_shipping", cap=100), coupon("FS2", 1, kind="free_shipping", cap=200),
        coupon("FM1", kind="free_shipping", cap=300), coupon("FM2", kind="free_shipping", cap=400),
    ]  # fmt: skip
    priced = price(lines, *coupons, fees={1: 800, 2: 800})
    assert applied(priced) == {"S2", "M2", "FS2", "FM2"}
    assert priced.shipping_amount == 1600 - 200 - 400
    check_sums(priced)


def test_the_operator_can_have_them_share_one_place() -> None:
    kinds = {k.name: k for k in CouponsPlugin.rule_kinds}
    kinds[MARKET_SHIPPING] = replace(kinds[MARKET_SHIPPING], group="coupons.market")
    both = [coupon("M", amount=7), coupon("F", kind="free_shipping")]
    assert applied(price([line(1, 1, 5000)], *both, fees={1: 800}, matrix=Matrix(kinds))) == {"M"}
    chosen = [replace(both[1], chosen=True)]
    assert applied(price([line(1, 1, 5000)], *chosen, fees={1: 800}, matrix=Matrix(kinds))) == {"F"}


def refusal(rule: CouponRule, *lines: BasketLine, fee: int = 0) -> Refused:
    seen = tuple(LineView(x, x.amount) for x in lines)
    answer = rule.propose(View(basket(*lines), seen, {x.merchant_id: fee for x in lines}))
    assert isinstance(answer, Refused)
    return answer


@pytest.mark.parametrize(
    ("rule", "code", "zh"),
    [
        (coupon("A", starts=1, ends=2), "not_started", "这张优惠券自 2026-03-02 08:00 起可用（北京时间）。"),
        (coupon("A", ends=0), "expired", "这张优惠券已过期。"),
        (coupon("A", status="expired"), "expired", "这张优惠券已过期。"),
        (coupon("A", status="used"), "coupon_used", "这张优惠券已经使用过。"),
        (coupon("A", status="void"), "coupon_void", "这张优惠券已作废。"),
        (coupon("A", scope="products", ids=[uid(5)]), "no_matching_goods", "所选商品都不适用这张优惠券。"),
        (coupon("A", threshold=2250), "threshold", "适用商品还差 12.50 元可用这张优惠券。"),
        (coupon("A", kind="free_shipping"), "nothing_left", "没有需要支付的运费，不必使用这张优惠券。"),
        (coupon("A", amount=0), "nothing_left", "其他优惠之后，已没有可抵扣的金额。"),
    ],
)
def test_every_refusal_says_so_in_chinese_too(rule: CouponRule, code: str, zh: str) -> None:
    found = refusal(rule, line(1, 1, 1000))
    assert (found.code, found.zh) == (code, zh)
    assert found.detail.isascii()


def test_what_is_missing_is_said_in_fen() -> None:
    assert refusal(coupon("A", threshold=2250), line(1, 1, 1000)).short == 1250


_LINES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 50_000), st.integers(1, 4), st.integers(0, 2)),
    min_size=1,
    max_size=8,
)
_COUPONS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["amount", "rate", "free_shipping"]),
            "shop_number": st.none() | st.integers(1, 3),
            "scope": st.sampled_from(["all", "categories"]),
            "threshold": st.integers(0, 100_000),
            "amount": st.integers(0, 60_000),
            "rate_bp": st.integers(1, 10_000),
            "cap": st.none() | st.integers(1, 20_000),
            "merchant_share_bp": st.integers(0, 10_000),
        }
    ),
    max_size=6,
)
_FEES = st.fixed_dictionaries({1: st.integers(0, 3000), 2: st.integers(0, 3000), 3: st.integers(0, 3000)})


def _build(lines: list[Any], coupons: list[dict[str, Any]]) -> tuple[list[BasketLine], list[CouponRule]]:
    goods = [line(s, n + 1, cost, count, category_path=(uid(7),) * (kind > 0))
             for n, (s, cost, count, kind) in enumerate(lines)]  # fmt: skip
    return goods, [coupon(f"C{n}", ids=[uid(7)], **terms) for n, terms in enumerate(coupons)]


@given(_LINES, _COUPONS, _FEES)
def test_coupons_never_take_more_than_there_is_and_all_shares_add_up(
    lines: list[Any], coupons: list[dict[str, Any]], freight: dict[int, int]
) -> None:
    goods, rules = _build(lines, coupons)
    priced = price(goods, *rules, fees=freight)
    check_sums(priced)
    by_id = {rule.id: rule for rule in rules}
    taken: dict[str, list[tuple[int, int]]] = {}
    for m in priced.merchants:
        for a in [*m.shipping_adjustments, *(a for x in m.lines for a in x.adjustments)]:
            taken.setdefault(a.rule, []).append((a.bearer.market, a.bearer.merchant))
    for name, parts in taken.items():
        terms = by_id[name].terms
        whole = sum(a + b for a, b in parts)
        most = {"amount": terms.amount, "rate": terms.cap, "free_shipping": terms.cap}[terms.kind]
        assert most is None or whole <= most
        # Each shop's part of the freight is rounded by itself, goods once.
        off = sum(b for _, b in parts) * 10_000 - whole * terms.merchant_share_bp
        assert abs(off) <= 5_000 * len(parts)
        assert all(min(part) >= 0 for part in parts)


@given(_LINES, _COUPONS, _FEES)
def test_a_threshold_looks_at_matched_lines_only_and_nothing_else_is_discounted(
    lines: list[Any], coupons: list[dict[str, Any]], freight: dict[int, int]
) -> None:
    goods, rules = _build(lines, coupons)
    for rule in rules:
        priced = price(goods, rule, fees=freight)
        mine = [x for x in goods if rule.merchant_id in (None, x.merchant_id)]
        matched = [x for x in mine if rule.terms.scope == "all" or x.category_path]
        there = sum(x.amount for x in matched)
        short = matched and there < rule.terms.threshold
        assert bool(short) == (reasons(priced).get(rule.id) == "threshold")
        if applied(priced):
            assert there >= rule.terms.threshold
        keys, shops = {x.key for x in matched}, {x.merchant_id for x in matched}
        assert {x.key for m in priced.merchants for x in m.lines if x.adjustments} <= keys
        assert {parse_ref(m.merchant_id) for m in priced.merchants if m.shipping_adjustments} <= shops
