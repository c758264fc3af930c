"""Which rules of one phase apply together.

What the buyer chose comes first and is never swapped. Of the rest, every set that respects limits and
relations is tried and the one that leaves the lowest subtotal wins; equal ones are decided by (priority,
plugin, rule id). Shops that share no rule are decided by themselves. Beyond `MAX_SETS` sets, rules are
taken by priority.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from core.pricing.state import Bucket, Candidate, Key, taken
from core.types.pricing import Matrix, Relation

MAX_SETS = 64
_MAX_STEPS = 4_096
_MAX_RIVALS = 256
BY_PRIORITY = "There were too many combinations to compare, so offers were taken by priority."


class Loss(NamedTuple):
    """A candidate that does not apply, and why."""

    candidate: Candidate
    outcome: str
    code: str
    reason: str


class Choice(NamedTuple):
    """What applies, in order; what does not; and which candidates were decided by priority alone."""

    taken: list[Candidate]
    lost: list[Loss]
    by_priority: set[int]


def choose(
    candidates: Iterable[Candidate], matrix: Matrix, left: dict[Key, int], counts: Mapping[Bucket, int]
) -> Choice:
    """Decide one phase. `left` is not changed."""
    ordered = sorted(candidates, key=lambda c: (not c.rule.chosen, c.rank))
    table = _Table(ordered, matrix)
    choice = Choice([], [], set())
    free = _settle(ordered, table, counts, choice)
    used = Counter(counts)
    used.update([bucket for c in choice.taken for bucket, _ in c.buckets])
    free = _drop_twins(free, table, choice)
    for group in _groups(free):
        _decide(group, table, left, used, choice)
    choice.taken.sort(key=lambda c: c.rank)
    return choice


class _Table:
    """Relations of the kinds at hand, looked up once."""

    def __init__(self, candidates: Iterable[Candidate], matrix: Matrix) -> None:
        kinds = {c.rule.kind for c in candidates}
        self._relation = {(a, b): matrix.relation(a, b) for a in kinds for b in kinds}
        self.blocks = Relation.BLOCK in self._relation.values()

    def relation(self, a: Candidate, b: Candidate) -> Relation:
        """How two candidates stand to each other; rules of different shops never meet."""
        found = self._relation[a.rule.kind, b.rule.kind]
        return found if found is Relation.STACK or not a.shops.isdisjoint(b.shops) else Relation.STACK

    def rivals(self, kind: str) -> list[str]:
        """Kinds at hand that do not stack with `kind`."""
        return [b for (a, b), found in self._relation.items() if a == kind and found is not Relation.STACK]

    def exclude(self, a: Candidate, b: Candidate) -> bool:
        """Whether at most one of the two can apply."""
        return self.relation(a, b) is not Relation.STACK or _share_a_single_place(a, b)


def _share_a_single_place(a: Candidate, b: Candidate) -> bool:
    return any(x == y and min(cap, other) == 1 for x, cap in a.buckets for y, other in b.buckets)


def _settle(
    ordered: Sequence[Candidate], table: _Table, counts: Mapping[Bucket, int], choice: Choice
) -> list[Candidate]:
    """Take what was chosen, drop what cannot stand beside it or is blocked; the rest is free to be
    compared."""
    used = Counter(counts)
    free: list[Candidate] = []
    for c in ordered:
        rival = next((t for t in choice.taken if table.exclude(c, t)), None)
        if rival is not None:
            outcome, code = ("refused", "excluded") if c.rule.chosen else ("beaten", "chosen_other")
            choice.lost.append(
                Loss(c, outcome, code, f"Cannot be combined with “{rival.rule.label}”, which was chosen.")
            )
        elif any(used[bucket] >= cap for bucket, cap in c.buckets):
            choice.lost.append(
                Loss(c, "refused", "limit_reached", "No further offer of this sort can be used here.")
            )
        elif c.rule.chosen:
            choice.taken.append(c)
            used.update([bucket for bucket, _ in c.buckets])
        elif table.blocks and (
            rival := next((f for f in free if table.relation(c, f) is Relation.BLOCK), None)
        ):
            choice.lost.append(
                Loss(c, "refused", "blocked", f"Cannot be combined with “{rival.rule.label}”.")
            )
        else:
            free.append(c)
    return free


def _drop_twins(free: list[Candidate], table: _Table, choice: Choice) -> list[Candidate]:
    """Of alternatives of one kind on the very same lines only the largest can win; so fewer sets are left
    to try."""
    best: dict[tuple[object, ...], Candidate] = {}
    kept: list[Candidate] = []
    for c in free:
        if len(c.cuts) != 1 or c.gifts or not table.exclude(c, c):
            kept.append(c)
            continue
        twin = (c.rule.kind, c.rule.merchant_id, c.cuts[0].keys)
        other = best.get(twin)
        if other is None or c.amount > other.amount:
            best[twin] = c
        loser = c if other is not None and best[twin] is other else other
        if loser is not None:
            reason = f"“{best[twin].rule.label}” is of the same sort and gives more, or comes first."
            choice.lost.append(Loss(loser, "beaten", "beaten", reason))
    return sorted([*kept, *best.values()], key=lambda c: c.rank)


def _beaten(loser: Candidate, winner: Candidate | None, note: str = "") -> Loss:
    by = (
        f"“{winner.rule.label}” is taken instead."
        if winner is not None
        else "Another offer is taken instead."
    )
    return Loss(loser, "beaten", "beaten", f"{by} {note}".rstrip())


def _groups(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """Candidates that have nothing to do with each other, apart: neither a shop nor a limit in common."""
    groups: list[tuple[set[object], list[Candidate]]] = []
    for c in candidates:
        marks: set[object] = {*c.shops, *(bucket for bucket, _ in c.buckets)}
        members = [c]
        rest = []
        for group in groups:
            if group[0].isdisjoint(marks):
                rest.append(group)
            else:
                marks |= group[0]
                members = group[1] + members
        groups = [*rest, (marks, members)]
    return [sorted(members, key=lambda c: c.rank) for _, members in groups]


def _decide(
    group: list[Candidate], table: _Table, left: dict[Key, int], used: Mapping[Bucket, int], choice: Choice
) -> None:
    if len(group) == 1:
        choice.taken.append(group[0])
        return
    rivalry = _Rivalry(group, table, used)
    sets = rivalry.sets()
    note = ""
    if sets is None:
        note = BY_PRIORITY
        chosen = [group[i] for i in rivalry.greedy()]
        choice.by_priority.update([id(c) for c in group])
    else:
        trials = [[c for i, c in enumerate(group) if bits >> i & 1] for bits in sets]
        chosen = min(trials, key=lambda trial: (-_worth(trial, left), [c.rank for c in trial]))
    choice.taken.extend(chosen)
    for c in group:
        if c not in chosen:
            winner = next((t for t in chosen if table.exclude(c, t)), None)
            choice.lost.append(_beaten(c, winner, note))


def _worth(trial: Sequence[Candidate], left: dict[Key, int]) -> int:
    """What a set takes off the subtotal, in fen."""
    if len(trial) == 1 or sum(len(c.keys) for c in trial) == len(frozenset().union(*(c.keys for c in trial))):
        return sum(c.amount for c in trial)
    keys = frozenset[Key]().union(*(c.keys for c in trial))
    return taken({key: left[key] for key in keys}, trial)


class _Rivalry:
    """The sets of one group that may apply together, as bit masks over its candidates."""

    def __init__(self, group: Sequence[Candidate], table: _Table, used: Mapping[Bucket, int]) -> None:
        self.size = len(group)
        places: dict[tuple[UUID, str], int] = {}
        members: dict[Bucket, tuple[int, int]] = {}
        for i, c in enumerate(group):
            for shop in c.shops:
                places[shop, c.rule.kind] = places.get((shop, c.rule.kind), 0) | 1 << i
            for bucket, cap in c.buckets:
                bits, _ = members.get(bucket, (0, 0))
                members[bucket] = (bits | 1 << i, cap - used.get(bucket, 0))
        rivals = {c.rule.kind: table.rivals(c.rule.kind) for c in group}
        self.against = [0] * self.size
        self.caps: list[list[tuple[int, int]]] = [[] for _ in group]
        for i, c in enumerate(group):
            for shop, kind in itertools.product(c.shops, rivals[c.rule.kind]):
                self.against[i] |= places.get((shop, kind), 0)
            for bucket, _ in c.buckets:
                bits, room = members[bucket]
                if room == 1:
                    self.against[i] |= bits
                elif bits.bit_count() > room:
                    self.caps[i].append((bits, room))
            self.against[i] &= ~(1 << i)
        # Only candidates with a rival make a difference between sets; the others are in every one.
        self.contested = [i for i in range(self.size) if self.against[i] or self.caps[i]]
        self.always = (1 << self.size) - 1 - sum(1 << i for i in self.contested)
        self._found: list[int] = []
        self._steps = 0

    def sets(self) -> list[int] | None:
        """All sets to which nothing can be added; None if there are more than `MAX_SETS`."""
        if len(self.contested) > _MAX_RIVALS or not self._walk(0, self.always):
            return None
        return self._found

    def greedy(self) -> list[int]:
        """One set, taken in the order of priority."""
        bits = 0
        for i in range(self.size):
            if self._fits(i, bits):
                bits |= 1 << i
        return [i for i in range(self.size) if bits >> i & 1]

    def _fits(self, i: int, bits: int) -> bool:
        return not self.against[i] & bits and all(
            (bits & mask).bit_count() < room for mask, room in self.caps[i]
        )

    def _walk(self, at: int, bits: int) -> bool:
        """Depth first over the contested; False when there is too much to try."""
        self._steps += 1
        contested = self.contested
        while at < len(contested) and not self._fits(contested[at], bits):
            at += 1
        if at == len(contested):
            if all(bits >> i & 1 or not self._fits(i, bits) for i in contested):
                self._found.append(bits)
            return len(self._found) <= MAX_SETS and self._steps <= _MAX_STEPS
        i = contested[at]
        if not self._walk(at + 1, bits | 1 << i):
            return False
        # Leaving a candidate out only makes sense if one that comes later can take its place.
        rivals = self.against[i]
        for mask, _ in self.caps[i]:
            rivals |= mask
        return not rivals >> (i + 1) or self._walk(at + 1, bits)
