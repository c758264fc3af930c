"""Second item half price and the N-th item at x %: against a slow reference, and rule by rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import MARKET_ID, BasketLine, LineView, largest_remainder, rate
from core.testkit import basket, line, take
from plugins.promotions.nth import spread
from plugins.promotions.rules import Allowance
from plugins.promotions.terms import Item, Terms
from tests.support.promotions import MATRIX, made, priced, saved, why

HALF = Terms(kind="nth", name="第二件半价", rate_bp=5000)


def slowly(lines: list[LineView], nth: int, rate_bp: int, most: int | None) -> dict[str, int]:
    """Every unit by itself: sorted, cut into sets, each saving shared by price."""
    units = []
    for seen in lines:
        each, odd = divmod(seen.amount, seen.line.quantity)
        units += [(each + (n < odd), seen.line.key) for n in range(seen.line.quantity)]
    units.sort(key=lambda unit: (-unit[0], unit[1]))
    found: dict[str, int] = {}
    for n in range(min(len(units) // nth, len(units) if most is None else most)):
        of_set = units[n * nth : (n + 1) * nth]
        saving = rate(of_set[-1][0], rate_bp)
        for (_, key), part in zip(
            of_set, largest_remainder(saving, [price for price, _ in of_set]), strict=True
        ):
            found[key] = found.get(key, 0) + part
    return {key: amount for key, amount in found.items() if amount}


views = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5000)), min_size=1, max_size=8).map(
    lambda rows: [LineView(line(100, n, sku=i), amount) for i, (n, amount) in enumerate(rows, 1)]
)


@given(views, st.integers(2, 5), st.integers(1, 10_000), st.none() | st.integers(1, 6))
def test_savings_are_those_of_the_slow_reference(
    lines: list[LineView], nth: int, rate_bp: int, most: int | None
) -> None:
    there = sum(seen.line.quantity for seen in lines) // nth
    sets = there if most is None else min(there, most)
    fast = {key: amount for key, amount in spread(lines, nth, rate_bp, sets).items() if amount}
    assert fast == slowly(lines, nth, rate_bp, most)


@given(views, st.integers(2, 5), st.integers(1, 10_000), st.randoms())
def test_the_order_of_the_basket_changes_nothing_and_no_line_goes_below_zero(
    lines: list[LineView], nth: int, rate_bp: int, chance: Any
) -> None:
    sets = sum(seen.line.quantity for seen in lines) // nth
    savings = spread(lines, nth, rate_bp, sets)
    shuffled = list(lines)
    chance.shuffle(shuffled)
    assert spread(shuffled, nth, rate_bp, sets) == savings
    assert all(0 <= savings.get(seen.line.key, 0) <= seen.amount for seen in lines)


def test_many_units_are_reckoned_at_once() -> None:
    lines = [LineView(line(100, 9999, sku=n), 999_900) for n in range(1, 30)]
    assert sum(spread(lines, 2, 5000, 9999 * 29 // 2).values()) == 9999 * 29 // 2 * 50


def test_of_two_the_cheaper_one_is_half_price_and_both_carry_the_saving() -> None:
    dear, cheap = line(3000, sku=1), line(1000, sku=2)
    quote = priced(basket(dear, cheap), (HALF, MARKET_ID))
    assert saved(quote) == {dear.key: 375, cheap.key: 125}


def test_buying_more_of_the_cheap_does_not_make_the_dear_one_half_price() -> None:
    """A peer's buy-get promotion over-applies: three units are one set, whichever line they stand in."""
    dear, cheap = line(3000, sku=1), line(1000, 2, sku=2)
    assert sum(saved(priced(basket(dear, cheap), (HALF, MARKET_ID))).values()) == 500
    four = priced(basket(line(3000, 2, sku=1), line(1000, 2, sku=2)), (HALF, MARKET_ID))
    assert sum(saved(four).values()) == 1500 + 500


def test_lines_of_different_shops_never_mix() -> None:
    quote = priced(basket(line(3000, sku=1), line(3000, shop=2, sku=2)), (HALF, MARKET_ID))
    assert saved(quote) == {}
    assert why(quote) == {"promotions.nth": ("count_short", 0)}
    both = priced(basket(line(3000, 2, sku=1), line(1000, 2, shop=2, sku=2)), (HALF, MARKET_ID))
    assert both.discount_amount == 2000


@pytest.mark.parametrize(
    ("pool", "off"),
    [("sku", 0), ("product", 500), ("activity", 500 + 0)],
)
def test_the_pool_is_a_sku_a_product_or_the_activity(pool: Any, off: int) -> None:
    one = line(1000, sku=1)
    other = line(1000, sku=2)
    same = BasketLine(other.key, other.merchant_id, one.product_id, other.sku_id, 1, 1000)
    terms = Terms(kind="nth", name="n", rate_bp=5000, pool=pool)
    assert priced(basket(one, same), (terms, MARKET_ID)).discount_amount == off
    assert priced(basket(one, other), (terms, MARKET_ID)).discount_amount == (
        500 if pool == "activity" else 0
    )


def test_sets_are_capped_per_order_over_all_pools_dearest_first() -> None:
    terms = Terms(kind="nth", name="n", rate_bp=5000, pool="sku", per_order=2, per_account=9)
    quote = priced(
        basket(line(1000, 2, sku=1), line(3000, 2, sku=2), line(2000, 2, sku=3)), (terms, MARKET_ID)
    )
    assert quote.discount_amount == 1500 + 1000
    assert sum(e.uses for e in quote.explain) == 2
    assert why(quote) == {"promotions.nth": ("promotion_limit", 0)}


def test_an_account_that_has_used_its_share_is_told_so() -> None:
    wanted = basket(line(1000, 4))
    [rule] = made(wanted, HALF, allowance=Allowance(1))

    assert take(wanted, [rule], MATRIX).discount_amount == 500
    [rule] = made(wanted, HALF, allowance=Allowance(0, "promotion_sold_out"))
    assert why(take(wanted, [rule], MATRIX)) == {"promotions.nth": ("promotion_sold_out", 0)}


def test_each_third_at_ten_percent_off() -> None:
    terms = Terms(kind="nth", name="n", nth=3, rate_bp=1000)
    assert priced(basket(line(1000, 7)), (terms, MARKET_ID)).discount_amount == 200


@pytest.mark.parametrize(("amount", "off"), [(100, 500 + 500), (400, 800 + 500)])
def test_of_it_and_a_limited_time_price_the_better_stands_on_each_line(amount: int, off: int) -> None:
    one, two = line(1000, 2, sku=1), line(1000, 2, sku=2)
    half = Terms(kind="nth", name="n", rate_bp=5000, pool="sku")
    limited = Terms(kind="limited", name="l", items=(Item(one.key, amount=amount),))
    quote = priced(basket(one, two), (half, MARKET_ID), (limited, MARKET_ID))
    assert quote.discount_amount == off
