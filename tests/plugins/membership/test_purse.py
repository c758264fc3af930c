"""Points add up: lots, debt, and what refunds bring back and take."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import new_id
from plugins.membership.purse import NEVER, OrderPoints, Purse, end_of_day, end_of_month, split

NOW = datetime(2026, 3, 15, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def ends(days: int) -> datetime:
    return NOW + days * DAY


def order(**more: object) -> OrderPoints:
    return OrderPoints(order_id=new_id(), merchant_id=new_id(), trade_id=new_id(), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "months", "end"),
    [
        (datetime(2026, 1, 15, tzinfo=UTC), 12, datetime(2027, 1, 31, 16, tzinfo=UTC)),
        # Already February in China.
        (datetime(2026, 1, 31, 16, tzinfo=UTC), 1, datetime(2026, 3, 31, 16, tzinfo=UTC)),
        (datetime(2026, 11, 30, tzinfo=UTC), 1, datetime(2026, 12, 31, 16, tzinfo=UTC)),
        (datetime(2026, 12, 1, tzinfo=UTC), 12, datetime(2027, 12, 31, 16, tzinfo=UTC)),
        (NOW, None, NEVER),
    ],
)
def test_points_end_with_a_month_in_china(now: datetime, months: int | None, end: datetime) -> None:
    assert end_of_month(now, months) == end


def test_grace_ends_with_a_day_in_china() -> None:
    assert end_of_day(NOW, 0) == datetime(2026, 3, 15, 16, tzinfo=UTC)
    assert end_of_day(NOW, 30) == datetime(2026, 4, 14, 16, tzinfo=UTC)


def test_points_that_end_first_are_spent_first_and_ended_ones_never() -> None:
    purse = Purse(60, 0, [(ends(9), 30), (ends(2), 20), (ends(-1), 10)])
    assert purse.usable(NOW) == 50
    assert purse.spend(51, NOW) is None
    assert purse.points == 60
    assert purse.spend(25, NOW) == [(ends(2), 20), (ends(9), 5)]
    assert purse.expire(NOW) == [(ends(-1), 10)]
    assert (purse.points, purse.usable(NOW)) == (25, 25)


def test_what_cannot_be_taken_back_is_debt_that_the_next_points_pay() -> None:
    purse = Purse()
    purse.add(30, ends(9))
    assert purse.take(50) == 20
    assert (purse.points, purse.debt) == (0, 20)
    purse.add(15, ends(9))
    assert (purse.points, purse.debt) == (0, 5)
    purse.add(15, ends(9))
    assert (purse.points, purse.debt, purse.lots[ends(9)]) == (10, 0, 10)


STEP = st.tuples(
    st.sampled_from(["add", "spend", "take", "expire", "back"]), st.integers(0, 500), st.integers(-5, 20)
)


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_the_sum_of_changes_is_points_less_debt(steps: list[tuple[str, int, int]]) -> None:
    purse, total, used = Purse(), 0, []
    for step, number, day in steps:
        if step == "add":
            purse.add(number, ends(day))
            total += number
        elif step == "spend":
            parts = purse.spend(number, NOW)
            if parts is not None:
                assert sum(n for _, n in parts) == number
                used.append(parts)
                total -= number
        elif step == "take":
            purse.take(number)
            total -= number
        elif step == "expire":
            total -= sum(n for _, n in purse.expire(ends(day)))
        elif used:
            for end, back in used.pop():
                purse.add(back, end)
                total += back
        assert purse.net == total
        assert purse.points == sum(purse.lots.values())
        assert min(purse.points, purse.debt, *purse.lots.values(), 0) == 0
        assert purse.points == 0 or purse.debt == 0


def test_lots_are_split_over_orders_without_loss() -> None:
    parts = [(ends(1), 5), (ends(2), 10)]
    assert split(parts, [7, 0, 8]) == [[(ends(1), 5), (ends(2), 2)], [], [(ends(2), 8)]]


@given(st.integers(1, 2000), st.lists(st.integers(1, 300), min_size=1, max_size=8), st.randoms())
def test_refunds_in_whatever_portions_and_order_give_back_exactly_what_was_used(
    points: int, shares: list[int], chance: object
) -> None:
    made = order(
        used_points=points,
        used_fen=sum(shares),
        parts=[(ends(1), points // 2), (ends(2), points - points // 2)],
    )
    chance.shuffle(shares)  # type: ignore[attr-defined]
    back: list[int] = []
    lots: dict[datetime, int] = {}
    for number, fen in enumerate(shares):
        came = made.refunded(str(number), fen, whole=False)
        back.append(came)
        for end, part in made.coming_back(came, None):
            lots[end] = lots.get(end, 0) + part
        assert made.refunded(str(number), fen, whole=False) == 0
        assert sum(back) == points * sum(shares[: number + 1]) // sum(shares)
    assert sum(back) == points
    assert lots == {end: part for end, part in made.parts if part}


def test_the_whole_order_gives_back_the_rest_and_closing_gives_back_nothing_twice() -> None:
    made = order(used_points=100, used_fen=300, parts=[(ends(1), 100)])
    assert made.refunded("a", 100, whole=False) == 33
    assert made.refunded("b", 0, whole=True) == 67
    assert made.give_up() == 0
    other = order(used_points=5, used_fen=5, parts=[(ends(1), 5)])
    assert (other.give_up(), other.give_up()) == (5, 0)


def test_what_comes_back_late_lasts_at_least_the_grace() -> None:
    made = order(used_points=10, used_fen=10, parts=[(ends(-3), 4), (ends(50), 6)])
    made.refunded("a", 0, whole=True)
    assert made.coming_back(10, ends(30)) == [(ends(50), 6), (ends(30), 4)]
    assert made.coming_back(10, None) == [(ends(50), 6), (ends(-3), 4)]


@given(st.integers(0, 100_000), st.integers(0, 20), st.lists(st.integers(0, 100_000), max_size=4))
def test_what_an_order_brings_is_what_it_would_bring_for_the_goods_that_stay(
    paid: int, rate: int, kept: list[int]
) -> None:
    for seen in permutations(kept):
        made = order()
        assert made.keep(0, NOW) == (0, 0)
        made.earn(paid, rate, 1, NOW, ends(1))
        taken = [made.keep(each, NOW) for each in (*seen, *seen)]
        left = min([paid, *kept])
        assert made.points == left * rate // 100 == paid * rate // 100 - sum(p for p, _ in taken)
        assert made.growth == left // 100


def test_points_that_have_ended_are_not_taken_back() -> None:
    made = order()
    made.earn(10_000, 1, 1, NOW, ends(30))
    assert made.keep(4000, ends(29)) == (60, 60)
    assert made.keep(0, ends(30)) == (0, 40)
    assert (made.points, made.growth) == (0, 0)
