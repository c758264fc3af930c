"""What goes into a parcel, without a database."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.fulfilment.rules import OpenLine, pack
from core.kit.errors import Conflict, Invalid, NotFound

A, B, C = (UUID(int=n) for n in (1, 2, 3))
SKU = UUID(int=9)


def test_without_a_wish_all_that_is_left_goes() -> None:
    lines = [OpenLine(A, SKU, 2), OpenLine(B, SKU, 0), OpenLine(C, SKU, 1)]
    assert [(line.id, quantity) for line, quantity in pack(lines, None)] == [(A, 2), (C, 1)]


def test_nothing_left_is_a_conflict() -> None:
    for wanted in (None, [(A, 1)]):
        with pytest.raises(Conflict) as refusal:
            pack([OpenLine(A, SKU, 0)], wanted)
        assert refusal.value.code == "nothing_left"


@pytest.mark.parametrize(
    ("wanted", "field", "code"),
    [([(A, 3)], "lines[0].quantity", "more_than_left"), ([(A, 1), (A, 1)], "lines[1].line_id", "repeated")],
)
def test_what_cannot_be_packed_names_the_field(wanted: list[tuple[UUID, int]], field: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        pack([OpenLine(A, SKU, 2)], wanted)
    [error] = refusal.value.extra["errors"]
    assert (error.field, error.code) == (field, code)


def test_a_line_of_another_order_is_not_found() -> None:
    with pytest.raises(NotFound):
        pack([OpenLine(A, SKU, 2)], [(B, 1)])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.data())
def test_a_parcel_never_holds_more_than_is_left(left: list[int], data: st.DataObject) -> None:
    lines = [OpenLine(UUID(int=n), SKU, quantity) for n, quantity in enumerate(left)]
    wanted = data.draw(
        st.lists(st.tuples(st.sampled_from([line.id for line in lines]), st.integers(1, 6)), max_size=6)
    )
    try:
        packed = pack(lines, wanted)
    except (Conflict, Invalid):
        return
    assert all(0 < quantity <= line.left for line, quantity in packed)
    assert len({line.id for line, _ in packed}) == len(packed)
