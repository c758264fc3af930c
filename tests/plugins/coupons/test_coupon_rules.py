"""What a coupon takes off, without a database."""

from datetime import timedelta
from typing import Any

from core.pricing.engine import quote
from core.types.pricing import BasketLine, Matrix, Quote
from plugins.coupons.plugin import CouponsPlugin
from plugins.coupons.rules import MARKET, SHOP, CouponRule, Terms
from tests.support.pricing_model import NOW, basket, line, outcomes, shop, uid

MATRIX = Matrix({kind.name: kind for kind in CouponsPlugin.rule_kinds})


def coupon(name: str, shop_number: int | None = None, *, used: bool = False, starts: int = -1, ends: int = 1,
           chosen: bool = False, **terms: Any) -> CouponRule:  # fmt: skip
    ids = terms.pop("ids", ())
    kind = terms.pop("kind", "amount")
    return CouponRule(
        plugin="coupons",
        id=name,
        kind=MARKET if shop_number is None else SHOP,
        label=name,
        merchant_id=None if shop_number is None else shop(shop_number),
        chosen=chosen,
        terms=Terms(name, kind, terms.pop("scope", "all"), **terms),
        ids=frozenset(ids),
        used=used,
        valid_from=NOW + timedelta(days=starts),
        expires_at=NOW + timedelta(days=ends),
    )


def price(lines: list[BasketLine], *coupons: CouponRule) -> Quote:
    return quote(basket(*lines), coupons, [], MATRIX)


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
        coupon("used", used=True, amount=1),
        coupon("other", scope="products", ids=[uid(5)], amount=1),
        coupon("free", 1, amount=1000),
        coupon("nothing", amount=5),
    )
    assert reasons(priced) == {"early": "not_started", "late": "expired", "used": "coupon_used",
                               "other": "no_matching_goods", "nothing": "nothing_left"}  # fmt: skip
