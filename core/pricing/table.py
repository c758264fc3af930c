"""A matrix made ready for quotes: what is looked up again and again is worked out once."""

from typing import NamedTuple

from core.types.pricing import Matrix, Relation, RuleKind


class Table:
    """Kinds and relations of a matrix. `limits` are the most rules of a (`shop` or `trade`, group): the smallest limit that
    a kind of the group sets."""

    def __init__(self, matrix: Matrix) -> None:
        self.kinds: dict[str, RuleKind] = dict(matrix.kinds)
        self.limits = _limits(self.kinds)
        self._matrix = matrix
        self._relations: dict[tuple[str, str], Relation] = {}

    def relation(self, a: str, b: str) -> Relation:
        """How rules of kinds `a` and `b` combine; symmetric."""
        found = self._relations.get((a, b))
        if found is None:
            found = self._relations[a, b] = self._matrix.relation(a, b)
        return found


def _limits(kinds: dict[str, RuleKind]) -> dict[tuple[str, str], int]:
    limits: dict[tuple[str, str], int] = {}
    for kind in kinds.values():
        for where, most in (("shop", kind.per_shop), ("trade", kind.per_trade)):
            if most is not None:
                mark = (where, kind.group or kind.name)
                limits[mark] = min(most, limits.get(mark, most))
    return limits


class _Last(NamedTuple):
    matrix: Matrix
    table: Table


_last: _Last | None = None


def table_of(matrix: Matrix) -> Table:
    """The matrix made ready. A process has one matrix at a time, so the last one is kept."""
    global _last
    last = _last
    if last is None or last.matrix is not matrix:
        last = _last = _Last(matrix, Table(matrix))
    return last.table
