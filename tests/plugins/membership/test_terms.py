"""Time of bought levels adds up, and what refunds take of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import new_id
from plugins.membership.terms import NEVER, Bought, Loss, Term, Terms, gain, join, later, lose

NOW = datetime(2026, 1, 31, 4, tzinfo=UTC)
DAY = timedelta(days=1)
SHOP, LEVEL = new_id(), new_id()


def pieces(count: int = 1, months: int = 1) -> Bought:
    return Bought(new_id(), SHOP, LEVEL, months, count, NOW)


def bring(terms: Terms, bought: Bought, at: datetime) -> Bought:
    gain(terms, bought, at)
    return bought


@pytest.mark.parametrize(
    ("months", "end"),
    [
        (1, datetime(2026, 2, 28, 4, tzinfo=UTC)),
        (2, datetime(2026, 3, 31, 4, tzinfo=UTC)),
        (12, datetime(2027, 1, 31, 4, tzinfo=UTC)),
        (-2, datetime(2025, 11, 30, 4, tzinfo=UTC)),
        (0, NOW),
        (999 * 36, datetime(5023, 1, 31, 4, tzinfo=UTC)),
        (10**7, NEVER),
    ],
)
def test_months_are_those_of_the_calendar_and_end_at_the_same_hour(months: int, end: datetime) -> None:
    assert later(NOW, months) == end


def test_a_month_begins_with_the_day_in_china() -> None:
    # Already the first of February in China.
    assert later(datetime(2026, 1, 31, 16, tzinfo=UTC), 1) == datetime(2026, 2, 28, 16, tzinfo=UTC)


def test_pieces_and_renewals_come_after_each_other_and_after_a_gap_time_begins_anew() -> None:
    terms: Terms = {}
    first = bring(terms, pieces(2), NOW)
    second = bring(terms, pieces(1), NOW + 10 * DAY)
    assert terms[LEVEL].until == later(NOW, 3)
    assert first.since == second.since == NOW
    again = later(NOW, 3)
    third = bring(terms, pieces(1), again)
    assert (third.since, terms[LEVEL].until) == (again, later(again, 1))


def test_time_goes_from_the_end_and_only_what_the_rest_does_not_cover_was_used() -> None:
    terms: Terms = {}
    first = bring(terms, pieces(months=1), NOW)
    second = bring(terms, pieces(months=1), NOW)
    at = NOW + 10 * DAY
    assert lose(terms, second, at).used == 0
    assert terms[LEVEL].until == later(NOW, 1)
    loss = lose(terms, first, at)
    assert (loss.used, loss.days) == (10, 28)
    assert terms[LEVEL].until <= at


def test_a_day_that_has_begun_was_used() -> None:
    for passed, used in (
        (timedelta(), 0),
        (timedelta(seconds=1), 1),
        (DAY, 1),
        (DAY * 1.5, 2),
        (99 * DAY, 28),
    ):
        terms: Terms = {}
        bought = bring(terms, pieces(), NOW)
        assert lose(terms, bought, NOW + passed).used == used


def test_of_time_that_is_over_all_was_used_and_nothing_goes_from_the_present_one() -> None:
    terms: Terms = {}
    old = bring(terms, pieces(), NOW)
    bring(terms, pieces(), NOW + 60 * DAY)
    before = terms[LEVEL].until
    assert lose(terms, old, NOW + 61 * DAY).worth(1000, 0) == 1000
    assert terms[LEVEL].until == before


@pytest.mark.parametrize(
    ("used", "days", "paid", "saved", "kept"),
    [(0, 30, 1000, 9999, 0), (1, 30, 1000, 0, 34), (30, 30, 1000, 0, 1000), (1, 30, 1000, 500, 500),
     (1, 30, 1000, 5000, 1000), (5, 30, 0, 5000, 0)],
)  # fmt: skip
def test_the_used_share_is_kept_back_or_what_the_level_saved_if_that_is_more(
    used: int, days: int, paid: int, saved: int, kept: int
) -> None:
    assert Loss(used, days, NOW, NOW).worth(paid, saved) == kept


STEP = st.tuples(st.booleans(), st.integers(1, 3), st.integers(1, 13), st.integers(0, 40), st.integers(0, 9))


@given(st.lists(STEP, max_size=12))
def test_however_levels_are_bought_and_refunded_no_used_day_is_free_and_no_unused_one_lost(
    steps: list[tuple[bool, int, int, int, int]],
) -> None:
    """Each month costs 3000: what is kept back and what stays is at least what the time that was had costs, and one gets no
    more time than was paid."""
    terms: Terms = {}
    held: list[tuple[Bought, int]] = []
    now, had, kept = NOW, timedelta(), 0
    for buys, count, months, wait, which in steps:
        if buys:
            bought = bring(terms, pieces(count, months), now)
            held.append((bought, count * months * 3000))
        elif held:
            bought, paid = held.pop(which % len(held))
            worth = lose(terms, bought, now).worth(paid, 0)
            assert 0 <= worth <= paid
            kept += worth
        if LEVEL in terms:
            had += max(timedelta(), min(terms[LEVEL].until - now, wait * DAY))
        now += wait * DAY
    if LEVEL in terms:
        had += max(timedelta(), terms[LEVEL].until - now)
    stays = sum(paid for _, paid in held)
    # A month of 28 to 31 days costs 3000 fen; refunds reckon by their own months.
    assert (stays + kept) >= had / DAY * 3000 / 31 - 1
    if not any(not step[0] for step in steps):
        assert had <= timedelta(days=stays / 3000 * 31 + 1)


def test_a_guests_time_comes_after_the_accounts_own() -> None:
    mine, theirs = (Term(SHOP, LEVEL, at, 12) for at in (NOW, NOW + 90 * DAY))
    at = NOW + 100 * DAY
    both = join(mine, theirs, at)
    assert both.until - at == (mine.until - at) + (theirs.until - at)
    assert join(None, theirs, at) == theirs
    ended = Term(SHOP, LEVEL, NOW, 1)
    assert join(ended, theirs, at) == theirs
    assert join(mine, ended, at) == mine
    # The guest's purchase is refunded: what the account had stays, but for the days that were had twice.
    bought = Bought(new_id(), SHOP, LEVEL, 12, 1, both.since)
    terms: Any = {LEVEL: both}
    assert lose(terms, bought, at).used == 0
    assert mine.until - terms[LEVEL].until == 10 * DAY
