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
from core.pricing.table import Table, table_of
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
    table = table_of(matrix)
    for phase in Phase:
        state.began[phase] = dict(state.left)
        if phase is Phase.SHIPPING:
            ship(state, options, arranged=arranged)
        if phase in by_phase:
            _run(phase, by_phase[phase], table, state)
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
        and isinstance(rule.plugin, str)
        and isinstance(rule.id, str)
        and isinstance(rule.kind, str)
        and isinstance(rule.label, str)
        and (rule.merchant_id is None or isinstance(rule.merchant_id, UUID))
        and (rule.activity_id is None or isinstance(rule.activity_id, UUID))
    )


def _run(phase: Phase, rules: Iterable[tuple[PriceRule, RuleKind]], table: Table, state: State) -> None:
    """One phase: ask, choose, apply, explain."""
    name = _name(phase)
    # Until all are asked nothing is applied, so rules of one kind and shop see the same.
    closed: dict[str, tuple[set[UUID], set[Key]]] = {}
    shown: dict[tuple[UUID | None, str], tuple[Stage, bool]] = {}
    stages: dict[tuple[UUID | None, frozenset[UUID], frozenset[Key]], Stage] = {}
    candidates: list[Candidate] = []
    for rule, kind in rules:
        place = (rule.merchant_id, kind.name)
        if place not in shown:
            if kind.name not in closed:
                closed[kind.name] = _closed_to(kind, table, state)
            shown[place] = _stage(rule.merchant_id, *closed[kind.name], state, stages)
        stage, blocked = shown[place]
        found = examine(rule, kind, state, stage)
        if isinstance(found, Candidate):
            found.buckets = _buckets(found, table)
            candidates.append(found)
        elif blocked and not stage.view.lines:
            state.told(rule, name, "refused", say("blocked_before"))
        else:
            state.told(rule, name, "refused", found)
    choice = choose(candidates, table, state.left, state.counts)
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


def _closed_to(kind: RuleKind, table: Table, state: State) -> tuple[set[UUID], set[Key]]:
    """Shops and lines where a rule of an earlier phase stands that rules of this kind do not go with. There is no
    looking ahead, so across phases `best` means what `block` means: the earlier one stays."""
    shops: set[UUID] = set()
    lines: set[Key] = set()
    for name, stand in state.stands.items():
        if name == kind.name or table.relation(name, kind.name) is Relation.STACK:
            continue
        if kind.per_line or table.kinds[name].per_line:
            lines |= state.lines_of[name]
        else:
            shops |= stand
    return shops, lines


def _stage(
    merchant_id: UUID | None,
    shops: set[UUID],
    lines: set[Key],
    state: State,
    stages: dict[tuple[UUID | None, frozenset[UUID], frozenset[Key]], Stage],
) -> tuple[Stage, bool]:
    """What rules of a shop, or of the market, are shown without these shops and lines, and whether it is less than all."""
    if merchant_id is not None:
        shops = shops & {merchant_id}
        lines = lines.intersection(state.by_shop.get(merchant_id, ()))
    mark = (merchant_id, frozenset(shops), frozenset(lines))
    if mark not in stages:
        stages[mark] = Stage(state.view(*mark))
    return stages[mark], bool(shops or lines)


def _buckets(candidate: Candidate, table: Table) -> list[tuple[Bucket, int]]:
    """The limits that a candidate counts against."""
    group = candidate.kind.group or candidate.kind.name
    found: list[tuple[Bucket, int]] = []
    per_shop, per_trade = table.limits.get(("shop", group)), table.limits.get(("trade", group))
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
