"""The price of a basket: `quote(basket, rules, options, matrix) -> Quote`. Pure and exact.

Phases run in order. In each one:

1. every rule proposes on the amounts that the earlier phases left (`proposals`);
2. the set of rules that leaves the lowest subtotal is taken (`choose`);
3. their discounts are spread over lines by largest remainder (`state`).

The shipping phase evaluates fee terms instead (`shipping`). The result depends neither on the order of
rules nor on the order of lines, and a rule that misbehaves is refused, never an exception.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from core.pricing.assemble import assemble
from core.pricing.choose import choose
from core.pricing.proposals import Stage, examine
from core.pricing.shipping import ship
from core.pricing.state import Bucket, Candidate, Key, State
from core.pricing.words import APPLIED, BY_PRIORITY, say
from core.types.pricing import (
    Basket,
    Explanation,
    Matrix,
    Phase,
    PriceRule,
    Problem,
    Quote,
    Relation,
    RuleKind,
    ShippingOption,
)


def quote(
    basket: Basket,
    rules: Sequence[PriceRule],
    options: Sequence[ShippingOption],
    matrix: Matrix,
    problems: Sequence[Problem] = (),
    *,
    arranged: bool = True,
) -> Quote:
    """Price `basket`. `problems` are handed through; `arranged` allows core's own free shipping where
    nobody offers any. Raises ValueError for a basket with a key twice, a quantity below 1 or a negative
    price."""
    state = State(basket, problems)
    by_phase = _sorted_out(rules, matrix, state)
    limits = _limits(matrix)
    for phase in Phase:
        state.began[phase] = dict(state.left)
        if phase is Phase.SHIPPING:
            ship(state, options, arranged=arranged)
        if phase in by_phase:
            _run(phase, by_phase[phase], matrix, limits, state)
    state.explain.sort(key=_position)
    return assemble(state, basket)


def _sorted_out(
    rules: Sequence[PriceRule], matrix: Matrix, state: State
) -> dict[Phase, list[tuple[PriceRule, RuleKind]]]:
    """Rules by phase; what is no rule, has an unknown kind or an identity twice is refused."""
    by_phase: dict[Phase, list[tuple[PriceRule, RuleKind]]] = {}
    sound = [rule for rule in rules if _is_rule(rule)]
    for other in rules if len(sound) < len(rules) else ():
        if not _is_rule(other):
            why = say("not_a_rule")
            name = type(other).__name__
            state.explain.append(
                Explanation("", name, "", "", "refused", why.en, 0, why.code, reason_zh=why.zh)
            )
    seen = Counter([(rule.plugin, rule.id) for rule in sound])
    for rule in sound:
        kind = matrix.kinds.get(rule.kind)
        if kind is None:
            state.told(rule, "", "refused", say("unknown_kind", rule.kind))
        elif seen[rule.plugin, rule.id] > 1:
            state.told(rule, _name(kind.phase), "refused", say("duplicate_rule"))
        else:
            by_phase.setdefault(kind.phase, []).append((rule, kind))
    return by_phase


def _is_rule(rule: object) -> bool:
    """Whether a rule's own fields are what they should be; plugins build them without validation."""
    return (
        isinstance(rule, PriceRule)
        and all(isinstance(text, str) for text in (rule.plugin, rule.id, rule.kind, rule.label))
        and isinstance(rule.merchant_id, UUID | None)
        and isinstance(rule.activity_id, UUID | None)
    )


def _limits(matrix: Matrix) -> dict[tuple[str, str], int]:
    """The most rules of a (`shop` or `trade`, group): the smallest limit that a kind of the group sets."""
    limits: dict[tuple[str, str], int] = {}
    for kind in matrix.kinds.values():
        for where, most in (("shop", kind.per_shop), ("trade", kind.per_trade)):
            if most is not None:
                mark = (where, kind.group or kind.name)
                limits[mark] = min(most, limits.get(mark, most))
    return limits


def _run(
    phase: Phase,
    rules: Iterable[tuple[PriceRule, RuleKind]],
    matrix: Matrix,
    limits: dict[tuple[str, str], int],
    state: State,
) -> None:
    """One phase: ask, choose, apply, explain."""
    name = _name(phase)
    stages: dict[tuple[UUID | None, frozenset[UUID], frozenset[Key]], Stage] = {}
    candidates: list[Candidate] = []
    for rule, kind in rules:
        hidden, closed = _closed_to(rule, kind, matrix, state)
        mark = (rule.merchant_id, hidden, closed)
        if mark not in stages:
            stages[mark] = Stage(state.view(*mark))
        found = examine(rule, kind, state, stages[mark])
        if isinstance(found, Candidate):
            found.buckets = _buckets(found, limits)
            candidates.append(found)
        elif (hidden or closed) and not stages[mark].view.lines:
            state.told(rule, name, "refused", say("blocked_before"))
        else:
            state.told(rule, name, "refused", found)
    choice = choose(candidates, matrix, state.left, state.counts)
    for candidate in choice.taken:
        amount = state.apply(candidate)
        if amount or candidate.gifts:
            why = BY_PRIORITY if id(candidate) in choice.by_priority else APPLIED
            state.told(candidate.rule, name, "applied", why, amount, candidate.uses)
        else:
            state.told(candidate.rule, name, "beaten", say("nothing_left"), candidate.amount)
    for loss in choice.lost:
        amount = loss.candidate.amount if loss.outcome == "beaten" else 0
        state.told(loss.candidate.rule, name, loss.outcome, loss.why, amount)


def _closed_to(
    rule: PriceRule, kind: RuleKind, matrix: Matrix, state: State
) -> tuple[frozenset[UUID], frozenset[Key]]:
    """Shops and lines where a rule of an earlier phase stands that this one does not go with. There is no
    looking ahead, so across phases `best` means what `block` means: the earlier one stays."""
    shops: set[UUID] = set()
    lines: set[Key] = set()
    for name, stand in state.stands.items():
        if name == kind.name or matrix.relation(name, kind.name) is Relation.STACK:
            continue
        if kind.per_line or matrix.kinds[name].per_line:
            lines |= state.lines_of[name]
        else:
            shops |= stand
    if rule.merchant_id is not None:
        shops &= {rule.merchant_id}
        lines.intersection_update(state.by_shop.get(rule.merchant_id, ()))
    return frozenset(shops), frozenset(lines)


def _buckets(candidate: Candidate, limits: dict[tuple[str, str], int]) -> list[tuple[Bucket, int]]:
    """The limits that a candidate counts against."""
    group = candidate.kind.group or candidate.kind.name
    found: list[tuple[Bucket, int]] = []
    per_shop, per_trade = limits.get(("shop", group)), limits.get(("trade", group))
    if per_shop is not None:
        found += [((group, shop), per_shop) for shop in candidate.shops]
    if per_trade is not None:
        found.append(((group, None), per_trade))
    return found


def _name(phase: Phase) -> str:
    return phase.name.lower()


_PHASES = {_name(phase): int(phase) for phase in Phase}


def _position(entry: Explanation) -> tuple[int, str, str, str, str]:
    return (_PHASES.get(entry.phase, 0), entry.outcome, entry.plugin, entry.rule, entry.kind)
