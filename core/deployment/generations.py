"""A change of the deployment, carried through all live processes or not made at all.

One at a time (an advisory lock of a connection of its own, which ends with its process): check the candidate as a whole,
migrate, propose it, wait until every process that lived then has built it, activate it in one transaction with the
deployment's tables, and answer once every live process runs it. One refusal or silence withdraws it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import msgspec
import structlog
from sqlalchemy.engine import make_url

from core.db import migrations
from core.db.engine import UNREACHABLE
from core.db.tx import Tx
from core.deployment import state as states
from core.deployment.following import CHANNEL, DEAD
from core.deployment.runtime import Runtime, dsn, histories
from core.deployment.state import Row, State, Stored
from core.kit.errors import Conflict, Unavailable
from core.plugin import Plugin, PluginError
from core.types.scope import SYSTEM, Scope

# Changes are made one after another: each is checked against the state it changes, and generations are seen in order.
LOCK = 0x6A69_7369
# Seconds: for another change to end, for all processes to build a proposal, and for all to have taken it over.
QUEUE = 5.0
WAIT = 10.0
TAKE_OVER = 5.0
_LOOK = 0.02

_log = structlog.get_logger("jishi.deployment")

_PROPOSE = """
with gone as (
  update generation set status = 'withdrawn', reason = 'Whoever made this change was gone before it was decided.'
  where status = 'proposed'
), made as (
  insert into generation (at, by, change, status, state, previous, until)
  values ($1, $2, $3, 'proposed', $4::jsonb, $5::jsonb, now() + make_interval(secs => $6)) returning id
)
select id, pg_notify($7, id::text) from made
"""
_ALIVE = """
select id, kind, host, pid, generation from process where seen_at > now() - make_interval(secs => $1)
"""
_ANSWERS = "select process_id, problem from acknowledgement where generation = $1"
# Those that ended meanwhile are not listed any more.
_LISTED = "select id from process where id = any($1)"
_WITHDRAW = """
with done as (
  update generation set status = 'withdrawn', reason = $2 where id = $1 and status = 'proposed' returning id
), answered as (delete from acknowledgement where generation = $1)
select pg_notify($3, id::text) from done
"""
_ACTIVATE = """
with done as (
  update generation set status = 'active', at = $2 where id = $1 and status = 'proposed' returning id
), answered as (delete from acknowledgement where generation = $1)
select id, pg_notify($3, id::text) from done
"""
_SAVE = """
insert into deployment_plugin as p (name, enabled, config, quarantine, tables, updated_at, updated_by)
values ($1, $2, $3::jsonb, $4, $5, $6, $7)
on conflict (name) do update set enabled = $2, config = $3::jsonb, quarantine = $4, updated_at = $6, updated_by = $7,
  tables = case when $5::text[] = '{}' then p.tables else $5 end,
  previous = jsonb_build_object('enabled', p.enabled, 'config', p.config, 'at', p.updated_at, 'by', p.updated_by)
"""
_REMOVE = """
with held as (delete from holding where plugin = $1)
delete from deployment_plugin where name = $1
"""
_PUBLISH = "insert into pricing_matrix (version, edits, note, by, at) values ($1, $2::jsonb, $3, $4, $5)"
# What a worker has in hand just now is skipped; it ends, or is parked as that of a plugin that is not there.
_PARK = """
update delivery d set status = 'parked', error = 'quarantine: ' || $2 from (
  select event_id, plugin from delivery where plugin = $1 and status in ('new', 'sent') for update skip locked
) o where (d.event_id, d.plugin) = (o.event_id, o.plugin)
"""
_UNPARK = """
update delivery set status = 'new', tries = 0, error = null
where plugin = $1 and status = 'parked' and (starts_with(error, 'quarantine: ') or starts_with(error, 'GoneError: '))
"""


class Plan(msgspec.Struct, frozen=True):
    """What is wanted: the whole candidate, and what the history calls the change. `note` is the matrix version's."""

    candidate: State
    change: str
    note: str = ""


Planner = Callable[[Tx, State], Awaitable[Plan | None]]


@asynccontextmanager
async def alone(runtime: Runtime) -> AsyncIterator[None]:
    """Nobody else changes the deployment. Raises `Conflict` `change_under_way` when another change does not end."""
    url = make_url(runtime.env.settings.app_database_url)
    try:
        connection = await asyncpg.connect(dsn(url), timeout=5)
    except UNREACHABLE as error:
        raise Unavailable("The database cannot be reached; try again in a moment.") from error
    try:
        until = asyncio.get_running_loop().time() + QUEUE
        while not await connection.fetchval("select pg_try_advisory_lock($1)", LOCK):
            if asyncio.get_running_loop().time() > until:
                raise Conflict(
                    "Another change of the plugins is under way; look at its outcome and try again.",
                    code="change_under_way",
                )
            await asyncio.sleep(_LOOK)
        yield
    finally:
        connection.terminate()


async def change(runtime: Runtime, scope: Scope, plan: Planner) -> State:
    """Carry through what `plan` wants, given the active state; the state after it. None from `plan` changes nothing.

    Raises what `plan` raises, and `Conflict`: `plugin_refused`, `generation_withdrawn`, `change_under_way`.
    """
    async with alone(runtime):
        return await carry_through(runtime, scope, plan)


async def carry_through(runtime: Runtime, scope: Scope, plan: Planner) -> State:
    """The same for a caller that is `alone` already."""
    async with runtime.tx(scope) as tx:
        before = await states.read(tx, runtime.env.settings.pins)
        wanted = await plan(tx, before)
    if wanted is None:
        return before
    _check(runtime, before, wanted.candidate)
    was = {r.name: r for r in before.stored.rows}
    for row in wanted.candidate.stored.rows:
        if row.name not in was or (row.enabled and not was[row.name].enabled):
            await _migrate_refusing(runtime, row.name)
    number = await _decided(runtime, scope, before, wanted)
    await runtime.settle()
    await _taken_over(runtime, number)
    return msgspec.structs.replace(wanted.candidate, generation=number)


def _check(runtime: Runtime, before: State, after: State) -> None:
    """Raises `Conflict` `plugin_refused` for what does not fit here already."""
    was, now = before.rows, after.rows
    touched = {n for n, row in now.items() if row.enabled and row != was.get(n)}
    known, found = (states.unusable(s, runtime.classes) for s in (before, after))
    try:
        worse = [reason for n, reason in found.items() if n not in known or n in touched]
        if worse:
            raise PluginError("\n".join(worse))
        states.snapshot(after, runtime.classes, runtime.specs, runtime.always, found)
    except PluginError as error:
        raise Conflict(str(error), code="plugin_refused") from None


async def _migrate_refusing(runtime: Runtime, name: str) -> None:
    """The plugin's tables, by the owner's connection: they stay even if this change is withdrawn, which harms nobody."""
    try:
        await migrate(runtime.env.settings.database_url, runtime.classes, [name])
    except Exception as error:
        _log.exception("migration failed", plugin=name)
        raise Conflict(
            f"The tables of {name} could not be made ({type(error).__name__}); the log has the details.",
            code="plugin_refused",
        ) from error


async def migrate(owner_url: str, classes: Mapping[str, type[Plugin]], names: list[str]) -> list[str]:
    """Bring these plugins' tables up to date. Returns what was applied."""
    wanted = histories(classes, names)
    applied = await migrations.upgrade(owner_url, wanted) if wanted else []
    if applied:
        connection = await asyncpg.connect(dsn(make_url(owner_url)), timeout=30)
        try:
            for history in wanted:
                # Versions are read by readiness checks.
                await connection.execute(f'grant select on "{history.table}" to jishi_app')
        finally:
            await connection.close()
        _log.info("migrated", applied=applied)
    return applied


async def _decided(runtime: Runtime, scope: Scope, before: State, wanted: Plan) -> int:
    """The number of the new active generation. Raises `Conflict` `generation_withdrawn`."""
    async with runtime.tx(scope) as tx:
        state, previous = (_encoded(s.stored) for s in (wanted.candidate, before))
        number: int = await tx.fetchval(
            _PROPOSE, tx.now, scope.actor_id, wanted.change, state, previous, WAIT + TAKE_OVER, CHANNEL
        )
    reason: str | None = "It was broken off."
    try:
        problem = await _problem(runtime, number)
        if problem is None:
            await _activate(runtime, scope, number, before, wanted)
        reason = problem
    finally:
        if reason is not None:
            async with runtime.tx(SYSTEM) as tx:
                await tx.execute(_WITHDRAW, number, reason, CHANNEL)
    if problem is None:
        return number
    raise Conflict(f"Nothing was changed. {problem}", code="generation_withdrawn", reason=problem)


async def _problem(runtime: Runtime, number: int) -> str | None:
    """Wait for the processes that live now to have built the proposal; why it cannot be, or None when all have."""
    async with runtime.tx(SYSTEM) as tx:
        asked = {r["id"]: r for r in await tx.fetch(_ALIVE, DEAD)}
    until = asyncio.get_running_loop().time() + WAIT
    while asked:
        async with runtime.tx(SYSTEM) as tx:
            answers: dict[UUID, str | None] = dict(await tx.fetch(_ANSWERS, number))
            listed = {r["id"] for r in await tx.fetch(_LISTED, list(asked))}
        bad = next((i for i, problem in answers.items() if problem is not None and i in asked), None)
        if bad is not None:
            return f"{_named(asked[bad])} cannot run it: {answers[bad]}"
        silent = (asked.keys() & listed) - answers.keys()
        if not silent:
            break
        if asyncio.get_running_loop().time() > until:
            names = ", ".join(sorted(_named(asked[i]) for i in silent))
            return f"No answer within {WAIT:g} s from {names}."
        await asyncio.sleep(_LOOK)
    return None


def _named(process: asyncpg.Record) -> str:
    return f"{process['kind']} process {process['pid']} on {process['host']}"


async def _activate(runtime: Runtime, scope: Scope, number: int, before: State, wanted: Plan) -> None:
    """One transaction: the generation, the deployment's tables, and what is parked or runs again."""
    was = {r.name: r for r in before.stored.rows}
    now = {r.name: r for r in wanted.candidate.stored.rows}
    async with runtime.tx(scope) as tx:
        if await tx.fetchval(_ACTIVATE, number, tx.now, CHANNEL) is None:
            raise Conflict("The change took too long and was withdrawn.", code="generation_withdrawn")
        for name in was.keys() - now.keys():
            await tx.execute(_REMOVE, name)
        for name, row in now.items():
            if row != was.get(name):
                await _save(tx, runtime, scope, row)
                await _park(tx, was.get(name), row)
        if wanted.candidate.version != before.version:
            version, edits = wanted.candidate.version, _encoded(wanted.candidate.edits)
            await tx.execute(_PUBLISH, version, edits, wanted.note, scope.actor_id, tx.now)


async def _save(tx: Tx, runtime: Runtime, scope: Scope, row: Row) -> None:
    cls = runtime.classes.get(row.name)
    tables = sorted(cls.metadata.tables) if cls is not None and cls.metadata is not None else []
    await tx.execute(
        _SAVE,
        row.name,
        row.enabled,
        _encoded(row.config),
        row.quarantine,
        tables,
        tx.now,
        scope.actor_id,
    )


async def _park(tx: Tx, was: Row | None, row: Row) -> None:
    before = was.quarantine if was is not None else None
    if row.quarantine is not None and before is None:
        await tx.execute(_PARK, row.name, row.quarantine)
    if row.quarantine is None and before is not None:
        await tx.execute(_UNPARK, row.name)


async def _taken_over(runtime: Runtime, number: int) -> None:
    """Wait until every live process runs the generation, also those that came meanwhile."""
    until = asyncio.get_running_loop().time() + TAKE_OVER
    while True:
        async with runtime.tx(SYSTEM) as tx:
            behind = [r for r in await tx.fetch(_ALIVE, DEAD) if r["generation"] < number]
        if not behind:
            return
        if asyncio.get_running_loop().time() > until:
            listed = [_named(r) for r in behind]
            _log.error("generation not yet taken over", generation=number, processes=listed)
            return
        await asyncio.sleep(_LOOK)


def _encoded(value: Stored | object) -> str:
    return msgspec.json.encode(value).decode()
