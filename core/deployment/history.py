"""What was changed in the deployment, by whom and with what outcome; and the way back."""

import msgspec
from msgspec.structs import replace

from core.db.tx import Tx
from core.deployment.generations import Plan, change
from core.deployment.runtime import Runtime
from core.deployment.schemas import Generation
from core.deployment.service import unpinned
from core.deployment.state import State, Stored
from core.identity.schemas import ActorView
from core.kit.errors import Conflict
from core.kit.ids import ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.types.scope import SYSTEM, Scope

_PAGE = """
select g.id, g.at, g.change, g.status, g.reason, g.by, a.login, a.nickname
from generation g left join account a on a.id = g.by
where $1::bigint is null or g.id < $1 order by g.id desc limit $2
"""
_PREVIOUS = "select previous::text as previous, change from generation where id = $1"


async def page(tx: Tx, limit: int, cursor: str | None) -> Page[Generation]:
    """All changes, newest first, also those that were withdrawn. In the platform or system scope."""
    before = decode_cursor(cursor, int) if cursor else None
    rows = await tx.fetch(_PAGE, before, check_limit(limit) + 1)
    items = [
        Generation(
            number=r["id"],
            at=r["at"],
            by=ActorView(ref(r["by"]), r["login"], r["nickname"]) if r["by"] is not None else None,
            change=r["change"],
            outcome=r["status"],
            reason=r["reason"],
        )
        for r in rows[:limit]
    ]
    return Page(items, encode_cursor(items[-1].number) if len(rows) > limit else None)


async def undo(runtime: Runtime, expected_generation: int, scope: Scope = SYSTEM) -> Generation:
    """Go back to the state before the active generation, as a new generation; undoing that comes back here.

    A plugin that came with that generation is switched off and stays, with what it has begun. Raises `Conflict`:
    `generation_changed` when `expected_generation` is not the active one, `nothing_to_undo`, `purged`, `pinned`, and those
    of `generations.change`.
    """

    async def plan(tx: Tx, state: State) -> Plan | None:
        if state.generation != expected_generation:
            raise Conflict(
                f"Something was changed meanwhile: generation {state.generation} is active, not {expected_generation}. "
                "Look at the history and undo again.",
                code="generation_changed",
                generation=state.generation,
            )
        row = await tx.fetchrow(_PREVIOUS, state.generation)
        if row is None or row["previous"] is None:
            raise Conflict("There is nothing before this generation to go back to.", code="nothing_to_undo")
        back = _kept(state.stored, msgspec.json.decode(row["previous"], type=Stored))
        _refuse_purged(state.stored, back)
        _refuse_pinned(runtime, state.stored, back)
        if back.edits == state.edits:
            back = replace(back, version=state.version)
        else:
            back = replace(back, version=state.version + 1)
        words = f"undo {state.generation} ({row['change']})"
        return Plan(state.with_stored(back), words, f"Undo: {row['change']}.")

    state = await change(runtime, scope, plan)
    async with runtime.tx(SYSTEM) as tx:
        return (await page(tx, 1, encode_cursor(state.generation + 1))).items[0]


def _kept(now: Stored, back: Stored) -> Stored:
    """`back` with the plugins that were not there yet, switched off: what they have begun meanwhile must come to its end,
    by their config; one that was only configured has begun nothing."""
    there = {r.name for r in back.rows}
    came = (r for r in now.rows if r.name not in there)
    return replace(
        back,
        rows=back.rows + tuple(replace(r, enabled=False, config=r.config if r.enabled else {}) for r in came),
    )


def _refuse_purged(now: Stored, back: Stored) -> None:
    """Raises `Conflict` `purged` when going back would bring a plugin back without what it had: only a purge takes rows."""
    gone = sorted({r.name for r in back.rows} - {r.name for r in now.rows})
    if gone:
        names = ", ".join(gone)
        raise Conflict(
            f"All that {names} had was removed for good and cannot be brought back. "
            f"Enable {names} to begin anew, with empty tables.",
            code="purged",
        )


def _refuse_pinned(runtime: Runtime, now: Stored, back: Stored) -> None:
    """Raises `Conflict` `pinned` when going back would switch a plugin about which the settings decide."""
    was = {r.name: (r.enabled, r.quarantine) for r in now.rows}
    for row in back.rows:
        if was.get(row.name, (False, None)) != (row.enabled, row.quarantine):
            unpinned(runtime, row.name)
