"""Which rules of one phase apply together.

What the buyer chose comes first and is never swapped. Of the rest, every set that respects limits and
relations is tried (`sets`) and the one that leaves the lowest subtotal wins; equal ones are decided by
(priority, plugin, rule id). Shops that share no rule are decided by themselves. With too many sets to try,
rules are taken by priority.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from core.pricing.sets import Relations, Sets
from core.pricing.state import Bucket, Candidate, Key, taken
from core.pricing.table import Table
from core.pricing.words import BY_PRIORITY, Reason, say, with_note


class Loss(NamedTuple):
    """A candidate that does not apply, and why."""

    candidate: Candidate
    outcome: str
    why: Reason


class Choice(NamedTuple):
    """What applies, in order; what does not; and which candidates were decided by priority alone."""

    taken: list[Candidate]
    lost: list[Loss]
    by_priority: set[int]


def choose(
    candidates: Sequence[Candidate], kinds: Table, left: dict[Key, int], counts: Mapping[Bucket, int]
) -> Choice:
    """Decide one phase. `left` is not changed."""
    if not candidates:
        return Choice([], [], set())
    ordered = sorted(candidates, key=lambda c: (not c.rule.chosen, c.rank))
    table = Relations(ordered, kinds)
    choice = Choice([], [], set())
    free = _settle(ordered, table, counts, choice)
    used = dict(counts)
    for c in choice.taken:
        for bucket, _ in c.buckets:
            used[bucket] = used.get(bucket, 0) + 1
    free = _drop_twins(free, table, choice)
    for group in _groups(free):
        _decide(group, table, left, used, choice)
    choice.taken.sort(key=lambda c: c.rank)
    return choice


def _settle(
    ordered: Sequence[Candidate], table: Relations, counts: Mapping[Bucket, int], choice: Choice
) -> list[Candidate]:
    """Take what was chosen, drop what cannot stand beside it or is blocked; the rest is free to be
    compared."""
    used = dict(counts)
    free: list[Candidate] = []
    for c in ordered:
        rival = next((t for t in choice.taken if table.exclude(c, t)), None)
        if rival is not None:
            outcome, name = ("refused", "excluded") if c.rule.chosen else ("beaten", "chosen_other")
            choice.lost.append(Loss(c, outcome, say(name, rival.rule.label)))
        elif any(used.get(bucket, 0) >= cap for bucket, cap in c.buckets):
            choice.lost.append(Loss(c, "refused", say("limit_reached")))
        elif c.rule.chosen:
            choice.taken.append(c)
            for bucket, _ in c.buckets:
                used[bucket] = used.get(bucket, 0) + 1
        elif blocker := table.blocker(c, free):
            choice.lost.append(Loss(c, "refused", say("blocked", blocker.rule.label)))
        else:
            free.append(c)
    return free


def _drop_twins(free: list[Candidate], table: Relations, choice: Choice) -> list[Candidate]:
    """Of alternatives of one kind on the very same lines, and on one line of kinds that stand to all others alike, only the
    largest can win; so fewer sets are left to try."""
    best: dict[tuple[object, ...], Candidate] = {}
    kept: list[Candidate] = []
    for c in free:
        if len(c.cuts) != 1 or c.gifts or not table.exclude(c, c):
            kept.append(c)
            continue
        if len(c.cuts[0].keys) == 1:
            twin: tuple[object, ...] = (table.sort(c.rule.kind), tuple(c.buckets), c.cuts[0].keys)
        else:
            twin = (c.rule.kind, c.rule.merchant_id, c.cuts[0].keys)
        other = best.get(twin)
        if other is None or c.amount > other.amount:
            best[twin] = c
        loser = c if other is not None and best[twin] is other else other
        if loser is not None:
            winner = best[twin].rule
            name = "twin" if winner.kind == loser.rule.kind else "beaten"
            choice.lost.append(Loss(loser, "beaten", say(name, winner.label)))
    return sorted([*kept, *best.values()], key=lambda c: c.rank)


def _groups(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """Candidates that have nothing to do with each other, apart: neither a shop nor a limit in common, nor a line where all
    meet on lines only."""
    candidates = list(candidates)
    by_line = all(c.kind.per_line for c in candidates)
    groups: list[tuple[set[object], list[Candidate]]] = []
    for c in candidates:
        marks: set[object] = {*(c.lines if by_line else c.shops), *(bucket for bucket, _ in c.buckets)}
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
    group: list[Candidate], table: Relations, left: dict[Key, int], used: Mapping[Bucket, int], choice: Choice
) -> None:
    """Of one group, take the set that takes off most."""
    if len(group) == 1:
        choice.taken.append(group[0])
        return
    sets = Sets(group, table, used)
    trials = sets.all()
    if trials is None:
        best = sets.by_priority()
        choice.by_priority.update([id(c) for c in group])
    else:
        best = min(trials, key=lambda trial: (-_worth(trial, left), [c.rank for c in trial]))
    choice.taken.extend(best)
    for c in group:
        if c not in best:
            winner = next((t for t in best if table.exclude(c, t)), None)
            why = say("beaten", winner.rule.label) if winner is not None else say("beaten_by_some")
            choice.lost.append(Loss(c, "beaten", why if trials is not None else with_note(why, BY_PRIORITY)))


def _worth(trial: Sequence[Candidate], left: dict[Key, int]) -> int:
    """What a set takes off the subtotal, in fen."""
    if len(trial) == 1 or sum(len(c.keys) for c in trial) == len(frozenset().union(*(c.keys for c in trial))):
        return sum(c.amount for c in trial)
    keys = frozenset[Key]().union(*(c.keys for c in trial))
    return taken({key: left[key] for key in keys}, trial)
