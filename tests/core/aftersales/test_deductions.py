"""What refunds keep back: whatever the portions, what plugins asked for over all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.aftersales.deductions import Kept, Standing, cancelled, keep_back, standings
from core.aftersales.rules import Line, Order, plan
from core.kit.ids import new_id
from core.types.orders import Deduction


def of(amount: int, bearer: str = "merchant", label: str = "赠券已用") -> Deduction:
    return Deduction("whatever", label, amount, bearer)


def told(kept: tuple[Kept, ...]) -> list[tuple[str, int, str, int | None]]:
    return [(one.plugin, one.amount, one.bearer, one.asked) for one in kept]


def test_deductions_are_cut_at_the_refund_in_the_order_of_plugins_and_the_rest_waits() -> None:
    answers = [("a", [of(30), of(0)]), ("b", [of(50, "market"), of(5)]), ("c", [of(9)])]
    first = keep_back({}, answers, 70)
    assert told(first) == [
        ("a", 30, "merchant", 30),
        ("b", 40, "market", 50),
        ("b", 0, "merchant", 5),
        ("c", 0, "merchant", 9),
    ]
    second = keep_back(standings(first), [("a", [of(2)])], 14)
    assert told(second) == [("a", 2, "merchant", 2), ("b", 10, "market", 0), ("b", 2, "merchant", 0)]
    third = keep_back(standings([*first, *second]), [], 100)
    assert told(third) == [("b", 3, "merchant", 0), ("c", 9, "merchant", 0)]
    assert keep_back(standings([*first, *second, *third]), [], 100) == ()


def test_what_has_no_reason_any_more_is_given_back_up_to_what_was_kept() -> None:
    first = keep_back({}, [("a", [of(50)])], 30)
    assert told(keep_back(standings(first), [("a", [of(-10)])], 0)) == [("a", 0, "merchant", -10)]
    assert told(keep_back(standings(first), [("a", [of(-30)])], 5)) == [("a", -10, "merchant", -30)]
    assert told(keep_back(standings(first), [("a", [of(-90)])], 5)) == [("a", -30, "merchant", -50)]
    assert keep_back({}, [("a", [of(-1)])], 100) == ()


def test_what_a_merchant_gives_back_may_be_kept_for_something_else_but_not_what_the_market_does() -> None:
    before = standings([Kept("a", "杯", 40, "merchant"), Kept("a", "券", 40, "market")])
    swapped = [("a", [of(-40, label="杯"), of(60, label="壶")])]
    assert [(one.label, one.amount) for one in keep_back(before, swapped, 0)] == [("杯", -40), ("壶", 40)]
    other = [("a", [of(-40, "market", "券"), of(60, label="壶")])]
    assert [(one.label, one.amount) for one in keep_back(before, other, 0)] == [("券", -40), ("壶", 0)]


def test_deductions_stored_before_anything_waited_were_kept_whole() -> None:
    assert standings([Kept("a", "杯", 40, "merchant")]) == {("a", "杯", "merchant"): Standing(40, 40)}


def test_a_bearer_that_there_is_not_is_a_defect_of_the_plugin() -> None:
    with pytest.raises(ValueError, match="plugin a"):
        keep_back({}, [("a", [of(1, "buyer")])], 100)


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 300),
            st.lists(st.tuples(st.sampled_from("ab"), st.integers(-200, 300)), max_size=3),
        ),
        max_size=8,
    )
)
def test_all_refunds_together_keep_back_what_was_asked_for_as_far_as_there_was_anything(
    steps: list[tuple[int, list[tuple[str, int]]]],
) -> None:
    stored: list[Kept] = []
    asked = {"a": 0, "b": 0}
    for limit, answers in steps:
        for plugin in "ab":
            asked[plugin] = max(0, asked[plugin] + sum(fen for name, fen in answers if name == plugin))
        made = keep_back(standings(stored), [(name, [of(fen)]) for name, fen in answers], limit)
        stored += made
        amount = limit - sum(one.amount for one in made)
        assert amount >= 0
        kept = {p: sum(one.amount for one in stored if one.plugin == p) for p in "ab"}
        assert all(0 <= kept[p] <= asked[p] for p in "ab")
        assert kept == asked or amount == 0


def test_only_gifts_that_have_not_left_are_cancelled() -> None:
    tea = Line(new_id(), "sale", new_id(), new_id(), None, 2, 100)
    cup = Line(new_id(), "gift", new_id(), new_id(), None, 3, 0, shipped=1)
    made = plan(Order(new_id(), (tea, cup)), "accepted", [(tea.id, 1)], None, restock=False)

    def answer(*units: tuple[object, int]) -> list[tuple[str, list[Deduction]]]:
        return [("a", [Deduction("", "杯", 0, "merchant", (pair,))]) for pair in units]  # type: ignore[arg-type]

    assert cancelled(made, answer((cup.id, 1), (cup.id, 1))) == {cup.id: 2}
    for wrong in ([(cup.id, 3)], [(cup.id, 2), (cup.id, 1)], [(tea.id, 1)], [(new_id(), 1)], [(cup.id, 0)]):
        with pytest.raises(ValueError, match="plugin a"):
            cancelled(made, answer(*wrong))
