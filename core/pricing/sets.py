"""Which candidates can stand beside each other, and all the sets that can."""

from collections.abc import Iterable, Mapping, Sequence

from core.pricing.state import Bucket, Candidate, Key
from core.pricing.table import Table
from core.types.pricing import Relation

# More sets than these are not compared, and no more is spent on looking for them.
MAX_SETS = 64
_MAX_STEPS = 1_024


class Relations:
    """Relations of the kinds at hand, looked up once."""

    def __init__(self, candidates: Iterable[Candidate], table: Table) -> None:
        kinds = {c.rule.kind for c in candidates}
        self._relation = {(a, b): table.relation(a, b) for a in kinds for b in kinds}
        self._per_line = {kind for kind in kinds if table.kinds[kind].per_line}
        self._blocks = Relation.BLOCK in self._relation.values()
        self._sorts: dict[str, str] = {}
        self._kinds = sorted(kinds)

    def relation(self, a: Candidate, b: Candidate) -> Relation:
        """How two candidates stand to each other; rules of different shops, or lines, never meet."""
        found = self._relation[a.rule.kind, b.rule.kind]
        if found is Relation.STACK:
            return found
        by_line = self.by_line(a.rule.kind, b.rule.kind)
        apart = a.lines.isdisjoint(b.lines) if by_line else a.shops.isdisjoint(b.shops)
        return Relation.STACK if apart else found

    def by_line(self, a: str, b: str) -> bool:
        """Whether rules of these kinds meet on lines instead of shops."""
        return a in self._per_line or b in self._per_line

    def exclude(self, a: Candidate, b: Candidate) -> bool:
        """Whether at most one of the two can apply: they do not stack, or share a limit of one."""
        return self.relation(a, b) is not Relation.STACK or any(
            x == y and min(cap, other) == 1 for x, cap in a.buckets for y, other in b.buckets
        )

    def blocker(self, c: Candidate, before: Iterable[Candidate]) -> Candidate | None:
        """Who of those `before` it keeps `c` out."""
        if not self._blocks:
            return None
        return next((b for b in before if self.relation(c, b) is Relation.BLOCK), None)

    def sort(self, kind: str) -> str:
        """One kind for all at hand that exclude each other and stand to every other kind alike."""
        if kind not in self._sorts:
            self._sorts[kind] = next(k for k in self._kinds if k == kind or self._alike(k, kind))
        return self._sorts[kind]

    def _alike(self, a: str, b: str) -> bool:
        return (
            self._relation[a, b] is not Relation.STACK
            and (a in self._per_line) == (b in self._per_line)
            and all(self._relation[a, k] is self._relation[b, k] for k in self._kinds if k not in (a, b))
        )

    def rivals(self, kind: str) -> list[str]:
        """Kinds at hand that do not stack with `kind`."""
        return [b for (a, b), found in self._relation.items() if a == kind and found is not Relation.STACK]


class Sets:
    """The sets of one group that may apply together. A candidate is known by its place in the group, a set of them is a
    number with a bit for each.

    Nobody of `rivals[i]` may be chosen beside `i`. `limits[i]` are the limits of more than one that `i` counts against: who
    shares it, and how many of them may apply. `instead[i]` are all who could take the place of `i`.
    """

    def __init__(self, group: Sequence[Candidate], table: Relations, used: Mapping[Bucket, int]) -> None:
        self._group = group
        at, sharers = _places(group)
        rival_kinds = {c.rule.kind: table.rivals(c.rule.kind) for c in group}
        self._rivals: list[int] = []
        self._limits: list[list[tuple[int, int]]] = []
        self._instead: list[int] = []
        self._alternatives = 0
        for i, c in enumerate(group):
            found = [
                at.get((place, kind), 0)
                for kind in rival_kinds[c.rule.kind]
                for place in (c.lines if table.by_line(c.rule.kind, kind) else c.shops)
            ]
            limits = [(sharers[bucket], cap - used.get(bucket, 0)) for bucket, cap in c.buckets]
            found += [sharing for sharing, room in limits if room == 1]
            rivals = 0
            for others in found:
                # By itself one is nobody's rival.
                if others & ~(1 << i):
                    rivals |= others
                    if others >> i & 1:
                        self._alternatives = max(self._alternatives, others.bit_count())
            shared = [(sharing, room) for sharing, room in limits if 1 < room < sharing.bit_count()]
            self._rivals.append(rivals)
            self._limits.append(shared)
            for sharing, _ in shared:
                rivals |= sharing
            self._instead.append(rivals)
        # Only candidates with a rival make a difference between sets; the others are in every one.
        self._contested = [i for i, others in enumerate(self._instead) if others]
        self._always = (1 << len(group)) - 1
        for i in self._contested:
            self._always &= ~(1 << i)
        self._found: list[int] = []
        self._steps = 0

    def all(self) -> list[list[Candidate]] | None:
        """All sets to which nothing can be added; None if there are too many to compare."""
        # Each of those of whom only one can be chosen is in a set of its own.
        if self._alternatives > MAX_SETS or not self._walk(0, self._always, ()):
            return None
        return [self._members(chosen) for chosen in self._found]

    def by_priority(self) -> list[Candidate]:
        """One set: each in the order of priority, if it still fits."""
        chosen = 0
        for i in range(len(self._group)):
            if self._fits(i, chosen):
                chosen |= 1 << i
        return self._members(chosen)

    def _members(self, chosen: int) -> list[Candidate]:
        return [c for i, c in enumerate(self._group) if chosen >> i & 1]

    def _fits(self, i: int, chosen: int) -> bool:
        if self._rivals[i] & chosen:
            return False
        limits = self._limits[i]
        return not limits or all((sharing & chosen).bit_count() < room for sharing, room in limits)

    def _walk(self, at: int, chosen: int, left_out: tuple[int, ...]) -> bool:
        """Decide about the contested from place `at` on: first with, then without. False when there is too much to try."""
        self._steps += 1
        contested = self._contested
        while at < len(contested) and not self._fits(contested[at], chosen):
            at += 1
        if at == len(contested):
            if not any(not chosen >> i & 1 and self._fits(i, chosen) for i in contested):
                self._found.append(chosen)
            return len(self._found) <= MAX_SETS and self._steps <= _MAX_STEPS
        i = contested[at]
        # Leaving one out only makes sense while one that comes later can take its place.
        for j in left_out:
            if not self._replaceable(j, i, chosen):
                return self._steps <= _MAX_STEPS
        if not self._walk(at + 1, chosen | 1 << i, left_out):
            return False
        return not self._replaceable(i, i + 1, chosen) or self._walk(at + 1, chosen, (*left_out, i))

    def _replaceable(self, i: int, start: int, chosen: int) -> bool:
        """Whether `i` has no room beside `chosen`, or one from place `start` on can still take it."""
        if not self._fits(i, chosen):
            return True
        later = self._instead[i] >> start
        j = start
        while later:
            if later & 1 and self._fits(j, chosen):
                return True
            later >>= 1
            j += 1
        return False


def _places(group: Sequence[Candidate]) -> tuple[dict[tuple[Key, str], int], dict[Bucket, int]]:
    """Who is at each (line or shop, kind), and who shares each limit."""
    at: dict[tuple[Key, str], int] = {}
    sharers: dict[Bucket, int] = {}
    for i, c in enumerate(group):
        # A shop is never a line: the one is a UUID, the other a string or, of freight, that shop.
        for place in c.shops | c.lines:
            at[place, c.rule.kind] = at.get((place, c.rule.kind), 0) | 1 << i
        for bucket, _ in c.buckets:
            sharers[bucket] = sharers.get(bucket, 0) | 1 << i
    return at, sharers
