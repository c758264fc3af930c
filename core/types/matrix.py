"""How kinds of rules combine, as the operator edits it: what the plugins declare, and changes laid over it. Pure.

`faults` says in words what can never come true in the result; a table without faults is safe to publish.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from core.types.pricing import Matrix, Phase, Relation, RuleKind

PhaseName = Literal[
    "item_price",
    "item_promotion",
    "shop_promotion",
    "market_promotion",
    "shop_coupon",
    "market_coupon",
    "shipping",
    "shipping_discount",
    "points",
]
KindName = Annotated[str, Meta(min_length=1, max_length=64)]
Group = Annotated[str, Meta(max_length=64, pattern="^[a-z0-9_.]*$")]
Number = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]

# Everything but what happens to the shipping fee: a rule that proposes the one cannot propose the other.
_GOODS = frozenset(Phase) - {Phase.SHIPPING, Phase.SHIPPING_DISCOUNT}
_LIMITS = (("per_shop", "shop"), ("per_trade", "trade"))

Pair = tuple[str, str]


class KindEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is changed of one kind; what is left out stays as its plugin declares it. A limit of null is none, a group of ""
    is the kind's own."""

    name: KindName
    phase: PhaseName | UnsetType = UNSET
    priority: Number | UnsetType = UNSET
    group: Group | UnsetType = UNSET
    per_shop: Number | UnsetType | None = UNSET
    per_trade: Number | UnsetType | None = UNSET


class PairEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How two kinds combine; the order of the two means nothing."""

    a: KindName
    b: KindName
    relation: Relation


class MatrixEdits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All changes of one version. Entries for kinds that are not there at present are kept and mean nothing."""

    kinds: Annotated[tuple[KindEdit, ...], Meta(max_length=500)] = ()
    pairs: Annotated[tuple[PairEdit, ...], Meta(max_length=2_000)] = ()


class Fault(msgspec.Struct, frozen=True):
    """A contradiction: where in the edits (`pairs[0].relation`; empty if the plugins' own declarations make it), a stable
    code, what to do, and the kinds it is about."""

    field: str
    code: str
    detail: str
    kinds: tuple[str, ...] = ()


NO_EDITS = MatrixEdits()


def pair_of(a: str, b: str) -> Pair:
    """The one key of a pair, whichever of the two is named first."""
    return (a, b) if a <= b else (b, a)


def phase_name(phase: Phase) -> PhaseName:
    """A phase as clients know it."""
    return cast(PhaseName, phase.name.lower())


def merged(
    kinds: Mapping[str, RuleKind], pairs: Mapping[Pair, Relation], edits: MatrixEdits = NO_EDITS
) -> Matrix:
    """The table that counts: `kinds` and `pairs` as declared, with `edits` laid over them.

    Entries for unknown kinds are passed over, and so is a phase that the kind cannot live in.
    """
    changed = {edit.name: edit for edit in edits.kinds}
    both = {pair_of(*pair): relation for pair, relation in pairs.items()}
    both |= {pair_of(edit.a, edit.b): edit.relation for edit in edits.pairs}
    return Matrix(
        {name: _changed(kind, changed[name]) if name in changed else kind for name, kind in kinds.items()},
        {pair: both[pair] for pair in sorted(both) if pair[0] in kinds and pair[1] in kinds},
    )


def _changed(kind: RuleKind, edit: KindEdit) -> RuleKind:
    new = {
        name: value
        for name in ("priority", "group", "per_shop", "per_trade")
        if (value := getattr(edit, name)) is not UNSET
    }
    if edit.phase is not UNSET and _may_move(kind.phase, _phase(edit.phase)):
        new["phase"] = _phase(edit.phase)
    return replace(kind, **new)


def _phase(name: PhaseName) -> Phase:
    return Phase[name.upper()]


def _may_move(own: Phase, to: Phase) -> bool:
    return own is to or (own in _GOODS and to in _GOODS)


def faults(
    kinds: Mapping[str, RuleKind],
    pairs: Mapping[Pair, Relation],
    edits: MatrixEdits = NO_EDITS,
    kept: Collection[str] = (),
) -> list[Fault]:
    """What is wrong with `edits` and contradictory in what comes of them; nothing is found in a table that can be used.

    `kinds` are those of all installed plugins. `kept` names kinds that are gone but may stay in the table. Without edits:
    what the plugins' own declarations contradict each other in.
    """
    outcome = _Outcome(kinds, pairs, edits)
    return [
        *_kind_entries(kinds, edits.kinds, kept),
        *_pair_entries(kinds, edits.pairs, kept),
        *outcome.limits(),
        *outcome.pairs(),
    ]


def _kind_entries(
    kinds: Mapping[str, RuleKind], edits: Iterable[KindEdit], kept: Collection[str]
) -> Iterator[Fault]:
    """Entries that are wrong by themselves."""
    seen: set[str] = set()
    for at, edit in enumerate(edits):
        kind = kinds.get(edit.name)
        if kind is None and edit.name not in kept:
            yield _unknown(f"kinds[{at}].name", edit.name)
        if edit.name in seen:
            detail = f"The kind {edit.name} is listed twice; put both changes into one entry."
            yield Fault(f"kinds[{at}].name", "duplicate", detail, (edit.name,))
        seen.add(edit.name)
        if kind is not None and edit.phase is not UNSET and not _may_move(kind.phase, _phase(edit.phase)):
            yield Fault(f"kinds[{at}].phase", "phase_fixed", _fixed(kind, edit.phase), (edit.name,))


def _pair_entries(
    kinds: Mapping[str, RuleKind], edits: Iterable[PairEdit], kept: Collection[str]
) -> Iterator[Fault]:
    listed: dict[Pair, Relation] = {}
    for at, edit in enumerate(edits):
        for side, name in (("a", edit.a), ("b", edit.b)):
            if name not in kinds and name not in kept:
                yield _unknown(f"pairs[{at}].{side}", name)
        pair = pair_of(edit.a, edit.b)
        if pair not in listed:
            listed[pair] = edit.relation
        elif listed[pair] is edit.relation:
            detail = f"{_both(*pair)} are listed twice as {edit.relation}; keep one entry."
            yield Fault(f"pairs[{at}].relation", "duplicate", detail, pair)
        else:
            detail = (
                f"{_both(*pair)} are listed as {listed[pair]} and as {edit.relation}; the order of the two means "
                "nothing, keep one."
            )
            yield Fault(f"pairs[{at}].relation", "pair_differs", detail, pair)


def _unknown(field: str, name: str) -> Fault:
    detail = f"No installed plugin declares a kind of rule {name!r}; look at the list of kinds."
    return Fault(field, "unknown_kind", detail, (name,))


def _fixed(kind: RuleKind, wanted: str) -> str:
    own = phase_name(kind.phase)
    if kind.phase in _GOODS:
        return f"{kind.name} takes something off goods and cannot move to {wanted}."
    return f"{kind.name} belongs to the phase {own} and cannot move to {wanted}: its rules know only the shipping fee."


def _both(a: str, b: str) -> str:
    return f"Two offers of the kind {a}" if a == b else f"{a} and {b}"


class _Outcome:
    """The table that comes of the edits, and which entry is to blame for what in it."""

    def __init__(
        self, kinds: Mapping[str, RuleKind], pairs: Mapping[Pair, Relation], edits: MatrixEdits
    ) -> None:
        self.matrix = merged(kinds, pairs, edits)
        self._kinds = {edit.name: (at, edit) for at, edit in enumerate(edits.kinds)}
        self._pairs = {pair_of(edit.a, edit.b): at for at, edit in enumerate(edits.pairs)}
        self.groups: dict[str, list[RuleKind]] = {}
        for kind in self.matrix.kinds.values():
            self.groups.setdefault(_group(kind), []).append(kind)

    def limits(self) -> Iterator[Fault]:
        """Limits that are none, or that contradict each other within their group."""
        for kind in self.matrix.kinds.values():
            for limit, where in _LIMITS:
                most = getattr(kind, limit)
                if most is not None and most < 1:
                    detail = (
                        f"{kind.name} may apply {most} times per {where}: a limit is at least 1. Switch the plugin off "
                        "if none shall apply, leave the limit out if there is none."
                    )
                    yield Fault(self._field([kind.name], limit), "range", detail, (kind.name,))
        for name, members in self.groups.items():
            yield from self._group_limits(name, members)

    def _group_limits(self, group: str, members: list[RuleKind]) -> Iterator[Fault]:
        names = tuple(kind.name for kind in members)
        for limit, where in _LIMITS:
            said = {kind.name: most for kind in members if (most := getattr(kind, limit)) is not None}
            if len(set(said.values())) > 1:
                listed = ", ".join(f"{name} says {most}" for name, most in said.items())
                detail = (
                    f"The kinds of the group {group} share one limit per {where}, but {listed}: give them the same, or "
                    "leave it to one of them."
                )
                yield Fault(self._field(said, limit, "group"), "limits_differ", detail, tuple(said))
        per_shop, per_trade = self._limit(group, "per_shop"), self._limit(group, "per_trade")
        if per_shop is not None and per_trade is not None and per_shop > per_trade:
            detail = (
                f"{_named(group, members)} may apply {per_shop} times per shop but only {per_trade} times in the whole "
                "trade: lower per_shop or raise per_trade."
            )
            field = self._field(names, "per_shop", "per_trade", "group")
            yield Fault(field, "shop_above_trade", detail, names)

    def pairs(self) -> Iterator[Fault]:
        """Relations that can never come true."""
        for pair, relation in self.matrix.pairs.items():
            a, b = (self.matrix.kinds[name] for name in pair)
            match relation:
                case Relation.STACK if _group(a) == _group(b):
                    yield from self._never_stacks(pair, _group(a))
                case Relation.BLOCK if (a.phase, a.priority) == (b.phase, b.priority):
                    yield self._no_order(pair, a)
                case Relation.BEST if a.phase is not b.phase:
                    detail = (
                        f"{_both(*pair)} cannot be compared: {a.name} is decided in the phase {phase_name(a.phase)}, "
                        f"{b.name} in {phase_name(b.phase)}. Use block, then the one of the earlier phase stays."
                    )
                    yield Fault(self._field(pair, "phase", pair=pair), "phases_not_compared", detail, pair)
                case _:
                    pass

    def _never_stacks(self, pair: Pair, group: str) -> Iterator[Fault]:
        for limit, where in _LIMITS:
            if self._limit(group, limit) == 1:
                detail = (
                    f"{_both(*pair)} can never stack: at most 1 of the group {group} may apply per {where}. Raise "
                    f"{limit}, or leave the pair out."
                )
                names = [kind.name for kind in self.groups[group]]
                field = self._field(names, limit, "group", pair=pair)
                yield Fault(field, "never_stacks", detail, pair)
                return

    def _no_order(self, pair: Pair, kind: RuleKind) -> Fault:
        detail = (
            f"{_both(*pair)} block each other, and nobody can say which stays: use best, then the better one does."
            if pair[0] == pair[1]
            else f"{_both(*pair)} block each other, but both have the priority {kind.priority} in the phase "
            f"{phase_name(kind.phase)}, so nobody can say which stays: give one a higher priority."
        )
        return Fault(self._field(pair, "priority", "phase", pair=pair), "no_order", detail, pair)

    def _limit(self, group: str, limit: str) -> int | None:
        return min(
            (most for kind in self.groups[group] if (most := getattr(kind, limit)) is not None), default=None
        )

    def _field(self, names: Iterable[str], *attributes: str, pair: Pair | None = None) -> str:
        """The entry that brought it about: the pair's own, else the first kind of which such an attribute is changed."""
        if pair in self._pairs:
            return f"pairs[{self._pairs[pair]}].relation"
        for name in names:
            at, edit = self._kinds.get(name, (0, None))
            for attribute in attributes:
                if edit is not None and getattr(edit, attribute) is not UNSET:
                    return f"kinds[{at}].{attribute}"
        return ""


def _group(kind: RuleKind) -> str:
    return kind.group or kind.name


def _named(group: str, members: list[RuleKind]) -> str:
    return group if len(members) == 1 else f"The group {group} ({', '.join(kind.name for kind in members)})"
