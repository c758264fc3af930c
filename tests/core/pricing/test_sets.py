"""The sets that may apply together are exactly the largest ones that respect relations and limits."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from core.pricing.sets import Relations, Sets
from core.pricing.state import Bucket, Candidate, Cut
from core.pricing.table import Table
from core.types.pricing import Matrix, Relation
from tests.support.pricing_model import KINDS, PAIRS, off, shop

NAMES = ["member", "flash", "limited", "item"]
relations = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.sampled_from([Relation.STACK, Relation.BEST]),
    max_size=5,
)


@st.composite
def groups(draw: st.DrawFn) -> list[Candidate]:
    """Up to eight candidates on three lines of two shops, some with limits in common."""
    group = []
    for n in range(draw(st.integers(1, 8))):
        kind = KINDS[draw(st.sampled_from(NAMES))]
        keys = draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1))
        shops = frozenset(shop(1 if key in "ab" else 2) for key in keys)
        made = Candidate(off(str(n), kind.name, 1), kind, [Cut(tuple(sorted(keys)), 1, 10_000)], [], shops)
        bucket: Bucket | None = draw(st.sampled_from([None, ("x", None), ("y", None)]))
        if bucket is not None:
            made.buckets = [(bucket, 2 if bucket[0] == "x" else 3)]
        group.append(made)
    return group


def possible(chosen: tuple[Candidate, ...], table: Relations) -> bool:
    """Whether all of these can apply together."""
    if any(table.relation(a, b) is not Relation.STACK for a, b in combinations(chosen, 2)):
        return False
    caps = {bucket: cap for c in chosen for bucket, cap in c.buckets}
    return all(
        sum(any(b == bucket for b, _ in c.buckets) for c in chosen) <= cap for bucket, cap in caps.items()
    )


@given(groups(), relations)
def test_the_sets_are_those_to_which_nothing_can_be_added(
    group: list[Candidate], pairs: dict[tuple[str, str], Relation]
) -> None:
    table = Relations(group, Table(Matrix(KINDS, PAIRS | pairs)))
    good = [
        frozenset(c.rule.id for c in chosen)
        for size in range(len(group) + 1)
        for chosen in combinations(group, size)
        if possible(chosen, table)
    ]
    largest = {chosen for chosen in good if not any(chosen < other for other in good)}
    found = Sets(group, table, {}).all()
    assert found is not None
    ids = [frozenset(c.rule.id for c in chosen) for chosen in found]
    assert set(ids) == largest
    assert len(ids) == len(largest)
