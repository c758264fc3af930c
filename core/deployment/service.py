"""Switching plugins on and off and configuring them: checked as a whole before anything changes."""

import time
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog
from sqlalchemy.engine import make_url

from core.db import migrations
from core.db.tx import Tx
from core.deployment import state as states
from core.deployment.runtime import CHANNEL, Runtime, dsn, histories
from core.deployment.schemas import PluginConfig, PluginInfo
from core.deployment.state import Row, State
from core.kit.errors import Conflict, NotFound
from core.plugin import Plugin, PluginError, parse_config

# Changes are made one after another: each is checked against the state it changes, and generations are seen in order.
_LOCK = 0x6A69_7369

_log = structlog.get_logger("jishi.deployment")

_SAVE = """
with saved as (
  insert into deployment_plugin as p (name, enabled, config, updated_at, updated_by)
  values ($1, $2, $3::jsonb, $4, $5)
  on conflict (name) do update set enabled = $2, config = $3::jsonb, updated_at = $4, updated_by = $5,
    previous = jsonb_build_object('enabled', p.enabled, 'config', p.config, 'at', p.updated_at, 'by', p.updated_by)
), made as (
  insert into generation (at, by, change) values ($4, $5, $6) returning id
)
select id, pg_notify($7, id::text) from made
"""
_FIRST = """
with added as (
  insert into deployment_plugin (name, enabled, updated_at)
  select n, true, now() from unnest($1::text[]) n where not exists (select from deployment_plugin)
  returning name
)
insert into generation (at, change) select now(), 'first start' where exists (select from added) returning id
"""


async def ensure(
    owner_url: str,
    classes: Mapping[str, type[Plugin]],
    first: Iterable[str] | None,
    specs: ModuleType,
    pins: Mapping[str, bool] | None = None,
) -> list[str]:
    """Before a process starts: migrate core and the plugins in use, and on the very first start switch on `first` (all
    installed plugins if None). Returns the migrations that were applied; harmless to repeat.

    Raises `PluginError` when the first set does not fit together.
    """
    wanted = sorted(classes) if first is None else sorted(set(first))
    over = dict(pins or {})
    applied = await migrations.upgrade(owner_url, [migrations.CORE])
    connection = await asyncpg.connect(dsn(make_url(owner_url)), timeout=30)
    try:
        async with connection.transaction():
            await connection.execute("set local jishi.scope = 'system'")
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            known = [r["name"] for r in await connection.fetch("select name from deployment_plugin")]
            if not known:
                known = [n for n in wanted if over.get(n, True)]
                _check_first(classes, specs, known, over)
                await connection.execute(_FIRST, known)
    finally:
        await connection.close()
    return applied + await migrate(owner_url, classes, {*known, *(n for n, on in over.items() if on)})


def _check_first(
    classes: Mapping[str, type[Plugin]], specs: ModuleType, names: Iterable[str], pins: Mapping[str, bool]
) -> None:
    rows = states.pinned({n: Row(n, enabled=True, config={}) for n in names}, pins)
    states.snapshot(State(0, rows), classes, specs, (), {})


async def migrate(owner_url: str, classes: Mapping[str, type[Plugin]], names: Iterable[str]) -> list[str]:
    """Bring these plugins' tables up to date. Returns what was applied."""
    wanted = histories(classes, names)
    if not wanted:
        return []
    started = time.monotonic()
    applied = await migrations.upgrade(owner_url, wanted)
    if applied:
        connection = await asyncpg.connect(dsn(make_url(owner_url)), timeout=30)
        try:
            for history in wanted:
                # Versions are read by readiness checks.
                await connection.execute(f'grant select on "{history.table}" to jishi_app')
        finally:
            await connection.close()
        _log.info("migrated", applied=applied, seconds=round(time.monotonic() - started, 2))
    return applied


async def plugins(tx: Tx, runtime: Runtime) -> tuple[PluginInfo, ...]:
    """All plugins that are installed or were once on, by name."""
    state = await states.read(tx, runtime.env.settings.pins)
    return tuple(_info(runtime, state, n) for n in sorted(runtime.classes.keys() | state.rows.keys()))


async def config(tx: Tx, runtime: Runtime, name: str) -> PluginConfig:
    """The stored config and its schema. Raises `NotFound`."""
    cls = _class(runtime, name)
    state = await states.read(tx, runtime.env.settings.pins)
    return _config(cls, state.rows[name].config if name in state.rows else {})


async def enable(tx: Tx, runtime: Runtime, name: str, by: UUID | None) -> PluginInfo:
    """Switch a plugin on, with its tables. Raises `NotFound`, `Conflict` (`plugin_refused`, `pinned`)."""
    _class(runtime, name)
    state = await locked(tx, runtime)
    row = state.rows.get(name, Row(name, enabled=False, config={}))
    if row.enabled:
        return _info(runtime, state, name)
    _unpinned(runtime, name)
    return await _change(tx, runtime, state, Row(name, enabled=True, config=row.config), by, "enable")


async def disable(tx: Tx, runtime: Runtime, name: str, by: UUID | None) -> PluginInfo:
    """Switch a plugin off for new business; what it began goes on to its end.

    Raises `NotFound`, `Conflict` (`plugin_refused` while others that are on require it, `pinned`).
    """
    state = await locked(tx, runtime)
    row = state.rows.get(name)
    if row is None or not row.enabled:
        _class(runtime, name)
        return _info(runtime, state, name)
    _unpinned(runtime, name)
    dependants = _required_by(runtime, name) & state.on()
    if dependants:
        listed = ", ".join(sorted(dependants))
        raise Conflict(f"{listed} requires {name}; switch {listed} off first.", code="plugin_refused")
    return await _change(tx, runtime, state, Row(name, enabled=False, config=row.config), by, "disable")


async def configure(tx: Tx, runtime: Runtime, name: str, new: object, by: UUID | None) -> PluginConfig:
    """Replace a plugin's config; fields that are not given take their defaults. `new` is decoded or raw JSON.

    Raises `NotFound`, `Conflict`.
    """
    cls = _class(runtime, name)
    try:
        parsed = parse_config(cls, msgspec.json.decode(new) if isinstance(new, msgspec.Raw) else new)
    except PluginError as error:
        raise Conflict(str(error), code="plugin_refused") from None
    except msgspec.DecodeError as error:
        raise Conflict(f"Config of {name} is not JSON: {error}.", code="plugin_refused") from None
    state = await locked(tx, runtime)
    row = state.rows.get(name)
    stored = msgspec.to_builtins(parsed)
    on = row is not None and row.enabled
    await _change(tx, runtime, state, Row(name, enabled=on, config=stored), by, "configure")
    return _config(cls, stored)


async def locked(tx: Tx, runtime: Runtime) -> State:
    """The present state, and until the end of the transaction nobody else changes it."""
    await tx.execute("select pg_advisory_xact_lock($1)", _LOCK)
    return await states.read(tx, runtime.env.settings.pins)


async def _change(tx: Tx, runtime: Runtime, state: State, row: Row, by: UUID | None, verb: str) -> PluginInfo:
    """Check the candidate as a whole, migrate, store, announce."""
    candidate = state.changed(row)
    before, after = (states.unusable(s, runtime.classes) for s in (state, candidate))
    try:
        worse = [reason for n, reason in after.items() if n not in before or (n == row.name and row.enabled)]
        if worse:
            raise PluginError("\n".join(worse))
        states.snapshot(candidate, runtime.classes, runtime.specs, runtime.always, after)
    except PluginError as error:
        raise Conflict(str(error), code="plugin_refused") from None
    if row.enabled or row.name not in state.rows:
        await _migrate_refusing(runtime, row.name)
    config = msgspec.json.encode(row.config).decode()
    await tx.fetch(_SAVE, row.name, row.enabled, config, tx.now, by, f"{verb} {row.name}", CHANNEL)
    tx.after_commit(runtime.settle)
    return _info(runtime, candidate, row.name)


async def _migrate_refusing(runtime: Runtime, name: str) -> None:
    """The plugin's tables, by the owner's connection: they stay even if this change is rolled back, which harms nobody."""
    try:
        await migrate(runtime.env.settings.database_url, runtime.classes, [name])
    except Exception as error:
        _log.exception("migration failed", plugin=name)
        raise Conflict(
            f"The tables of {name} could not be made ({type(error).__name__}); the log has the details.",
            code="plugin_refused",
        ) from error


def _unpinned(runtime: Runtime, name: str) -> None:
    if name in runtime.env.settings.pins:
        raise Conflict(f"The settings of this deployment pin {name}; change `pins` there.", code="pinned")


def _class(runtime: Runtime, name: str) -> type[Plugin]:
    found = runtime.classes.get(name)
    if found is None:
        raise NotFound(f"No plugin {name[:60]!r} is installed.")
    return found


def _required_by(runtime: Runtime, name: str) -> set[str]:
    return {n for n, c in runtime.classes.items() if name in c.requires}


def _config(cls: type[Plugin], stored: object) -> PluginConfig:
    try:
        config: dict[str, Any] = msgspec.to_builtins(parse_config(cls, stored))
    except PluginError:
        # Shown as it is, so that the operator can mend it.
        config = stored if isinstance(stored, dict) else {}
    return PluginConfig(config, msgspec.json.schema(cls.Config))


def _info(runtime: Runtime, state: State, name: str) -> PluginInfo:
    cls, row = runtime.classes.get(name), state.rows.get(name)
    on = row is not None and row.enabled
    return PluginInfo(
        name=name,
        title=cls.title if cls else name,
        summary=cls.summary if cls else "",
        version=cls.version if cls else "",
        enabled=on,
        pinned=name in runtime.env.settings.pins,
        winding_down=row is not None and not on,
        requires=cls.requires if cls else (),
        required_by=tuple(sorted(_required_by(runtime, name))),
        problem=states.unusable(state, runtime.classes).get(name),
    )
