"""What levels and points take off a basket, and beside which other prices."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import MARKET_ID, Basket, BasketLine
from core.pricing.engine import quote
from core.testkit.baskets import basket, line, rule_kinds
from core.types.matrix import merged
from core.types.pricing import Matrix, Phase, PriceRule, Quote, RuleKind
from plugins.membership.plugin import MembershipPlugin
from plugins.membership.rules import (
    MARKET_PRICE,
    SHOP_PRICE,
    Level,
    PointsRule,
    after,
    level_of,
    member_prices,
)
from tests.support.pricing_model import Off

SHOP = UUID(int=1001)


def level(growth: int = 0, bp: int = 1000, issuer: UUID = MARKET_ID, **more: Any) -> Level:
    share = more.pop("share", 0 if issuer == MARKET_ID else 10_000)
    return Level(issuer, UUID(int=growth + 1 + issuer.int), "银卡", growth, bp, share, more.pop("prices", {}))


def points(wanted: int | None = None, **more: Any) -> PointsRule:
    given = {"balance": 1_000_000, "fen_per_point": 1, "max_bp": 10_000, **more}
    return PointsRule(
        plugin="membership",
        id="points",
        kind="membership.points",
        label="积分",
        chosen=True,
        wanted=wanted,
        **given,
    )


def take(wanted: Basket, *rules: PriceRule, matrix: Matrix | None = None) -> Quote:
    return quote(wanted, rules, (), matrix or rule_kinds(MembershipPlugin))


def offers(lines: tuple[BasketLine, ...], market: Level | None = None, *shops: Level) -> list[PriceRule]:
    return [*member_prices("membership", lines, market, {x.issuer: x for x in shops})]


def codes(done: Quote) -> dict[str, str]:
    return {e.rule: e.code for e in done.explain if e.outcome == "refused"}


def test_the_level_is_the_highest_that_the_growth_reaches() -> None:
    known = [level(0), level(1000), level(100)]
    assert [level_of(known, g) and level_of(known, g).growth for g in (0, 99, 100, 5000)] == [0, 0, 100, 1000]  # type: ignore[union-attr]
    assert level_of([level(1)], 0) is None
    assert (after(known, 100) or level(7)).growth == 1000
    assert after(known, 1000) is None


def test_a_levels_discount_is_reckoned_on_a_piece() -> None:
    wanted = basket(line(1005, 3, sku=1))
    done = take(wanted, *offers(wanted.lines, level(bp=1000)))
    # 1005 less 101 (100.5 rounded) is 904 a piece.
    assert (done.payable, done.discount_amount) == (904 * 3, 303)
    (cut,) = done.merchants[0].lines[0].adjustments
    assert (cut.kind, cut.bearer.market, cut.bearer.merchant) == (MARKET_PRICE, 303, 0)


def test_a_skus_own_member_price_comes_before_the_discount_even_if_it_is_higher() -> None:
    wanted = basket(line(1000, 1, sku=1), line(1000, 1, sku=2), line(1000, 1, sku=3))
    one, two, _ = wanted.lines
    prices = {one.sku_id: (one.product_id, 950), two.sku_id: (two.product_id, 1200)}
    done = take(wanted, *offers(wanted.lines, level(bp=2000, prices=prices)))
    assert [x.payable for x in done.merchants[0].lines] == [950, 1000, 800]
    # Where there is nothing to gain there is no rule.
    assert len(done.explain) == 2


def test_market_and_shop_levels_the_better_one_counts_on_each_line() -> None:
    wanted = basket(line(1000, 1, sku=1), line(1000, 2, sku=2), line(1000, 1, shop=2, sku=3))
    first = wanted.lines[0]
    shop = level(bp=500, issuer=SHOP, prices={first.sku_id: (first.product_id, 700)})
    done = take(wanted, *offers(wanted.lines, level(bp=1000, share=4000), shop))
    kinds = {x.sku_id: (x.payable, x.adjustments[0].kind) for m in done.merchants for x in m.lines}
    assert list(kinds.values()) == [(700, SHOP_PRICE), (1800, MARKET_PRICE), (900, MARKET_PRICE)]
    cuts = [x.adjustments[0].bearer for m in done.merchants for x in m.lines]
    assert [(c.market, c.merchant) for c in cuts] == [(0, 300), (120, 80), (60, 40)]
    assert {e.outcome for e in done.explain} == {"applied", "beaten"}


def test_limited_time_and_member_price_the_better_one_counts_on_each_line() -> None:
    own = rule_kinds(MembershipPlugin)
    limited = RuleKind("promotions.limited", Phase.ITEM_PRICE, "限时折扣", per_line=True)
    matrix = merged({**own.kinds, limited.name: limited}, dict(MembershipPlugin.rule_pairs))
    wanted = basket(line(1000, 1, sku=1), line(3000, 1, sku=2))
    for_limited = [
        Off(plugin="promotions", id=f"a:{x.key}", kind=limited.name, label="限时", amount=200, keys=(x.key,))
        for x in wanted.lines
    ]
    done = take(wanted, *offers(wanted.lines, level(bp=1000)), *for_limited, matrix=matrix)
    assert [x.payable for x in done.merchants[0].lines] == [800, 2700]
    assert all(len(x.adjustments) == 1 for x in done.merchants[0].lines)


def test_points_pay_last_for_all_lines_and_the_market_bears_them() -> None:
    wanted = basket(line(1000, 1, sku=1), line(3000, 1, shop=2, sku=2))
    done = take(wanted, *offers(wanted.lines, level(bp=1000)), points(400))
    assert done.payable == 3600 - 400
    used = [
        a for m in done.merchants for x in m.lines for a in x.adjustments if a.kind == "membership.points"
    ]
    assert [(a.amount, a.bearer.market, a.bearer.merchant) for a in used] == [(100, 100, 0), (300, 300, 0)]


@pytest.mark.parametrize(
    ("rule", "off"),
    [
        (points(None, max_bp=5000), 2000),
        (points(None, max_bp=5000, max_fen=300), 300),
        (points(3000, max_bp=5000), 2000),
        (points(150, fen_per_point=10), 1500),
        (points(None, fen_per_point=7, max_bp=5000), 1995),
        (points(None, balance=20), 20),
    ],
)
def test_points_are_capped_by_share_amount_and_balance(rule: PointsRule, off: int) -> None:
    assert take(basket(4000), rule).discount_amount == off


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (points(None, balance=0), "no_points"),
        (points(21, balance=20), "points_short"),
        (points(None, max_bp=0), "nothing_left"),
        (points(None, max_bp=5000, max_fen=99, fen_per_point=100), "nothing_left"),
    ],
)
def test_points_that_cannot_be_used_say_why(rule: PointsRule, code: str) -> None:
    done = take(basket(4000), rule)
    assert codes(done) == {"points": code}
    assert all(e.reason and e.reason_zh for e in done.explain)


@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=6),
    st.integers(0, 10_000), st.integers(0, 10_000), st.integers(1, 13), st.integers(0, 10_000),
    st.one_of(st.none(), st.integers(1, 100_000)),
)  # fmt: skip
def test_prices_and_points_never_go_below_zero_and_bearers_add_up(
    goods: list[tuple[int, int, int]], bp: int, shop_bp: int, fen: int, most: int, wanted: int | None
) -> None:
    chosen = basket(*[line(p, n, shop=s, sku=i) for i, (p, n, s) in enumerate(goods, 1)])
    shop = level(bp=shop_bp, issuer=SHOP)
    rule = points(wanted, fen_per_point=fen, max_bp=most, balance=50_000)
    done = take(chosen, *offers(chosen.lines, level(bp=bp, share=3000), shop), rule)
    used = 0
    for each in [x for m in done.merchants for x in m.lines]:
        assert 0 <= each.payable == each.amount - sum(a.amount for a in each.adjustments)
        assert all(a.amount == a.bearer.market + a.bearer.merchant for a in each.adjustments)
        assert len([a for a in each.adjustments if a.kind != "membership.points"]) <= 1
        used += sum(a.amount for a in each.adjustments if a.kind == "membership.points")
    assert used % fen == 0
    assert used <= (done.payable + used) * most // 10_000


def test_of_many_lines_each_still_has_its_best_beside_an_offer_over_all_of_them() -> None:
    """Ten lines with two levels each are a thousand sets; the lesser of two on one line is not even tried."""
    own = rule_kinds(MembershipPlugin)
    nth = RuleKind("promotions.nth", Phase.ITEM_PRICE, "第二件半价", priority=-1, per_line=True)
    matrix = merged({**own.kinds, nth.name: nth}, dict(MembershipPlugin.rule_pairs))
    wanted = basket(*[line(1000 + n, 1, sku=n) for n in range(10)])
    offered = offers(wanted.lines, level(bp=1000), level(bp=500, issuer=SHOP))
    for off, kind in ((900, MARKET_PRICE), (5000, nth.name)):
        over_all = Off(plugin="promotions", id="nth", kind=nth.name, label="半价", amount=off)
        done = take(wanted, *offered, over_all, matrix=matrix)
        assert {a.kind for x in done.merchants[0].lines for a in x.adjustments} == {kind}
        assert not any("compar" in e.reason for e in done.explain)
        beaten = [e for e in done.explain if e.outcome == "beaten"]
        assert all(e.reason and e.reason_zh for e in beaten)
