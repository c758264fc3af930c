from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kit.money import format_yuan, largest_remainder, parse_yuan, rate, spread_units

FEN = st.integers(0, 10**12)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=30)


@given(FEN, WEIGHTS)
def test_shares_sum_to_the_total_and_are_within_a_fen_of_exact(total: int, weights: list[int]) -> None:
    shares = largest_remainder(total, weights)
    assert sum(shares) == total
    whole = sum(weights)
    if whole:
        for share, weight in zip(shares, weights, strict=True):
            assert abs(share * whole - total * weight) < whole


@given(WEIGHTS, st.data())
def test_no_share_exceeds_its_weight_when_the_total_fits(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    shares = largest_remainder(total, weights)
    assert all(0 <= share <= weight for share, weight in zip(shares, weights, strict=True))


def test_equal_fractions_go_by_the_order_given() -> None:
    assert largest_remainder(2, [1, 1, 1]) == [1, 1, 0]
    assert largest_remainder(1000, [3333, 3333, 3334]) == [333, 333, 334]


def test_a_larger_fraction_wins_over_an_earlier_place() -> None:
    assert largest_remainder(10, [11, 19]) == [4, 6]


def test_zero_weights_give_all_to_the_first() -> None:
    assert largest_remainder(5, [0, 0]) == [5, 0]
    assert largest_remainder(0, []) == []


@pytest.mark.parametrize(("total", "weights"), [(1, []), (-1, [1]), (1, [-1, 3])])
def test_what_cannot_be_spread_is_refused(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match=r"negative|nothing"):
        largest_remainder(total, weights)


@given(FEN, st.integers(1, 500))
def test_units_are_largest_remainder_over_equal_weights(total: int, quantity: int) -> None:
    assert spread_units(total, quantity) == largest_remainder(total, [1] * quantity)


@pytest.mark.parametrize(("total", "quantity"), [(1, 0), (-1, 1)])
def test_units_refuse_no_quantity_and_negative_totals(total: int, quantity: int) -> None:
    with pytest.raises(ValueError, match="must"):
        spread_units(total, quantity)


@given(st.integers(-(10**14), 10**14))
def test_yuan_round_trip(fen: int) -> None:
    assert parse_yuan(format_yuan(fen)) == fen
    assert parse_yuan(Decimal(fen) / 100) == fen


@pytest.mark.parametrize(
    ("text", "fen"),
    [("19.9", 1990), (" 0 ", 0), ("1.500", 150), (".5", 50), ("7.", 700), ("-0.05", -5), ("+3", 300)],
)
def test_yuan_as_people_write_it(text: str, fen: int) -> None:
    assert parse_yuan(text) == fen


@pytest.mark.parametrize(
    "text",
    ["", ".", "-", "abc", "19.999", "1e3", "1e9999", "NaN", "inf", "1,5", "¥3", "１", "9" * 14, "1 2", "0x1"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|fraction"):
        parse_yuan(text)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e9999", "1e-9999", "0.001"])
def test_decimals_that_are_no_amount_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"amount|fraction"):
        parse_yuan(Decimal(value))


def test_rates_round_half_up() -> None:
    assert rate(9500, 500) == 475
    assert rate(8500, 300) == 255
    assert rate(1, 5000) == 1
    assert rate(1, 4999) == 0
    with pytest.raises(ValueError, match="negative"):
        rate(1, -1)


@given(FEN, st.integers(0, 10_000))
def test_rates_stay_within_the_amount_and_reversals_mirror(amount: int, bp: int) -> None:
    share = rate(amount, bp)
    assert 0 <= share <= amount
    assert abs(share * 10_000 - amount * bp) <= 5_000
    assert rate(-amount, bp) == -share
