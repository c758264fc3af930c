"""What single units of a priced line are worth."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pricing.units import Share, Worth, worth


@st.composite
def lines(draw: st.DrawFn) -> tuple[int, int, list[Share]]:
    price, quantity = draw(st.integers(0, 3000)), draw(st.integers(1, 12))
    left, discounts = price * quantity, []
    for _ in range(draw(st.integers(0, 5))):
        amount = draw(st.integers(0, left))
        merchant = draw(st.integers(0, amount))
        discounts.append(Share(amount - merchant, merchant))
        left -= amount
    return price, quantity, discounts


def total(parts: Sequence[Worth], at: int) -> Share:
    return Share(sum(p.shares[at].market for p in parts), sum(p.shares[at].merchant for p in parts))


@given(lines(), st.randoms())
def test_units_taken_back_in_whatever_portions_add_up_to_what_was_paid_per_bearer(
    line: tuple[int, int, list[Share]], rng: random.Random
) -> None:
    price, quantity, discounts = line
    parts, first = [], 0
    while first < quantity:
        count = rng.randint(1, quantity - first)
        parts.append(worth(price, quantity, discounts, first, count))
        first += count
    paid = price * quantity - sum(d.market + d.merchant for d in discounts)
    assert sum(p.amount for p in parts) == paid
    assert [total(parts, n) for n in range(len(discounts))] == discounts


@given(lines())
def test_every_unit_is_worth_its_price_less_its_shares_and_never_less_than_nothing(
    line: tuple[int, int, list[Share]],
) -> None:
    price, quantity, discounts = line
    for n in range(quantity):
        one = worth(price, quantity, discounts, n, 1)
        assert one.amount == price - sum(s.market + s.merchant for s in one.shares) >= 0
        assert all(s.market >= 0 and s.merchant >= 0 for s in one.shares)


@given(lines())
def test_units_of_one_line_differ_by_a_few_fen_only(line: tuple[int, int, list[Share]]) -> None:
    price, quantity, discounts = line
    amounts = [worth(price, quantity, discounts, n, 1).amount for n in range(quantity)]
    assert max(amounts) - min(amounts) <= 1


def test_a_fen_that_cannot_be_split_comes_off_the_first_units() -> None:
    assert [worth(1000, 3, [Share(0, 100)], n, 1).amount for n in range(3)] == [966, 967, 967]


def test_two_discounts_never_take_the_same_unit_below_zero() -> None:
    amounts = [worth(1, 3, [Share(1, 0), Share(0, 1)], n, 1) for n in range(3)]
    assert [a.amount for a in amounts] == [0, 0, 1]
    assert [a.shares for a in amounts] == [
        [Share(1, 0), Share(0, 0)],
        [Share(0, 0), Share(0, 1)],
        [Share(0, 0), Share(0, 0)],
    ]


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 4), (3, 1), (1, -1)])
def test_units_that_are_not_there_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="no such units"):
        worth(100, 3, [], first, count)


def test_more_discount_than_there_is_is_refused() -> None:
    with pytest.raises(ValueError, match="more than there is"):
        worth(100, 1, [Share(60, 41)], 0, 1)
