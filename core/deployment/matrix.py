"""The stacking matrix: versions of edits over what the plugins declare. The newest counts, in all processes at once."""

import itertools
from collections.abc import Iterable

import asyncpg
from msgspec.structs import asdict

from core.db.tx import Tx
from core.deployment import state as states
from core.deployment.generations import Plan, change
from core.deployment.runtime import Runtime
from core.deployment.schemas import MatrixKind, MatrixOut, MatrixPair, MatrixVersion
from core.deployment.state import State
from core.identity.schemas import ActorView
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.plugin import declared
from core.types.matrix import NO_EDITS, Fault, MatrixEdits, faults, merged, pair_of, phase_name
from core.types.pricing import Relation
from core.types.scope import SYSTEM, Scope

_VERSIONS = """
select m.version, m.edits::text as edits, m.note, m.at, m.by, a.login, a.nickname
from pricing_matrix m left join account a on a.id = m.by
"""
_ONE = f"{_VERSIONS} where m.version = $1"
_PAGE = f"{_VERSIONS} where $1::bigint is null or m.version < $1 order by m.version desc limit $2"
_UNPUBLISHED = MatrixVersion(0, "", None, None, NO_EDITS)


async def current(tx: Tx, runtime: Runtime) -> MatrixOut:
    """The version that counts, with all kinds of the installed plugins."""
    state = await states.read(tx, runtime.env.settings.pins)
    return _out(runtime, state, await version(tx, state.version))


async def history(tx: Tx, limit: int, cursor: str | None) -> Page[MatrixVersion]:
    """What was published, newest first."""
    before = decode_cursor(cursor, int) if cursor else None
    rows = await tx.fetch(_PAGE, before, check_limit(limit) + 1)
    items = [_version(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].version) if len(rows) > limit else None)


async def version(tx: Tx, number: int) -> MatrixVersion:
    """One version; 0 is the plugins' own declarations. Raises `NotFound`."""
    row = await tx.fetchrow(_ONE, number) if 0 < number < 2**31 else None
    if row is None and number != 0:
        raise NotFound(f"There is no version {number} of the matrix.")
    return _version(row) if row is not None else _UNPUBLISHED


async def publish(
    runtime: Runtime,
    edits: MatrixEdits,
    note: str,
    expected_version: int,
    scope: Scope = SYSTEM,
    *,
    known: Iterable[MatrixEdits] = (),
) -> MatrixOut:
    """Make `edits` the newest version. Carts, quotes and checkouts in all processes go by it when this returns.

    Kinds that the newest version or `known` speaks of may be gone. Raises `Conflict` `matrix_changed` when
    `expected_version` is not the newest, `Invalid` `matrix_contradicts`, and those of `generations.change`.
    """

    async def plan(_: Tx, state: State) -> Plan:
        if state.version != expected_version:
            raise Conflict(
                f"The matrix was changed meanwhile: version {state.version} is the newest, not {expected_version}. Look at "
                "it and make your changes again.",
                code="matrix_changed",
                version=state.version,
            )
        refuse_faults(contradictions(runtime, edits, [state.edits, *known]))
        return Plan(state.published(edits), f"matrix {state.version + 1}", note)

    state = await change(runtime, scope, plan)
    async with runtime.tx(SYSTEM) as tx:
        return _out(runtime, state, await version(tx, state.version))


async def restore(
    runtime: Runtime, number: int, note: str, expected_version: int, scope: Scope = SYSTEM
) -> MatrixOut:
    """Publish the edits of an old version again, or with 0 none. Raises as `publish`, and `NotFound`."""
    async with runtime.tx(scope) as tx:
        edits = (await version(tx, number)).edits
    note = note or f"Version {number} again."
    return await publish(runtime, edits, note, expected_version, scope, known=[edits])


def contradictions(
    runtime: Runtime, edits: MatrixEdits, known: Iterable[MatrixEdits] = ()
) -> tuple[Fault, ...]:
    """What is wrong with `edits`, by all plugins that are installed; `field` is a path within the edits. Kinds that `known`
    edits speak of may be gone."""
    kept = {e.name for k in known for e in k.kinds} | {n for k in known for e in k.pairs for n in (e.a, e.b)}
    return tuple(faults(*declared(runtime.classes.values()), edits, kept))


def refuse_faults(found: Iterable[Fault]) -> None:
    """Raises `Invalid` `matrix_contradicts` with each fault as a field."""
    errors = [FieldError(f"edits.{f.field}".rstrip("."), f.code, f.detail) for f in found]
    if errors:
        detail = "These edits contradict themselves or what the plugins declare; see errors."
        raise Invalid(detail, *errors, code="matrix_contradicts")


def _version(row: asyncpg.Record) -> MatrixVersion:
    by = ActorView(ref(row["by"]), row["login"], row["nickname"]) if row["by"] is not None else None
    edits = states.edits_of(row["version"], row["edits"])
    return MatrixVersion(row["version"], row["note"], by, row["at"], edits)


def _out(runtime: Runtime, state: State, found: MatrixVersion) -> MatrixOut:
    classes = runtime.classes.values()
    owners = {kind.name: cls.name for cls in classes for kind in cls.rule_kinds}
    matrix = merged(*declared(classes), found.edits)
    changed = {edit.name for edit in found.edits.kinds}
    on = state.on()
    kinds = [
        MatrixKind(
            name=kind.name,
            plugin=owners[kind.name],
            title=kind.title,
            phase=phase_name(kind.phase),
            priority=kind.priority,
            group=kind.group,
            per_shop=kind.per_shop,
            per_trade=kind.per_trade,
            per_line=kind.per_line,
            edited=kind.name in changed,
            enabled=owners[kind.name] in on,
        )
        for kind in sorted(matrix.kinds.values(), key=lambda k: (k.phase, -k.priority, k.name))
    ]
    edited = {pair_of(edit.a, edit.b): edit.relation for edit in found.edits.pairs}
    meeting = itertools.combinations_with_replacement(sorted(matrix.kinds), 2)
    pairs = {pair: matrix.relation(*pair) for pair in meeting if matrix.relation(*pair) is not Relation.STACK}
    pairs |= edited
    listed = [MatrixPair(a, b, relation, (a, b) in edited) for (a, b), relation in sorted(pairs.items())]
    return MatrixOut(kinds=tuple(kinds), pairs=tuple(listed), **asdict(found))
