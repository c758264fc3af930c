"""Switching plugins on and off and configuring them: checked as a whole before anything changes."""

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import asyncpg
import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import make_url

from core.db import migrations
from core.db.tx import Tx
from core.deployment import owing
from core.deployment import state as states
from core.deployment.generations import LOCK, Plan, change, migrate
from core.deployment.runtime import Runtime, dsn
from core.deployment.schemas import PluginConfig, PluginInfo
from core.deployment.state import Row, State, Stored
from core.kit.errors import Conflict, NotFound
from core.plugin import Plugin, PluginError, parse_config
from core.types.scope import SYSTEM, Scope

_FIRST = """
with added as (
  insert into deployment_plugin (name, enabled, updated_at)
  select n, true, now() from unnest($1::text[]) n where not exists (select from deployment_plugin)
  returning name
)
insert into generation (at, change, status) select now(), 'first start', 'active' where exists (select from added)
returning id
"""
_TABLES = "update deployment_plugin set tables = $2 where name = $1 and tables <> $2::text[]"


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
            await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
            known = [r["name"] for r in await connection.fetch("select name from deployment_plugin")]
            if not known:
                known = [n for n in wanted if over.get(n, True)]
                _check_first(classes, specs, known, over)
                await connection.execute(_FIRST, known)
            for name, tables in _tables(classes, known):
                await connection.execute(_TABLES, name, tables)
    finally:
        await connection.close()
    return applied + await migrate(owner_url, classes, [*known, *(n for n, on in over.items() if on)])


def _check_first(
    classes: Mapping[str, type[Plugin]], specs: ModuleType, names: Iterable[str], pins: Mapping[str, bool]
) -> None:
    rows = tuple(Row(n, enabled=True, config={}) for n in names)
    states.snapshot(State(0, Stored(rows), pins), classes, specs, (), {})


def _tables(classes: Mapping[str, type[Plugin]], names: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    for name in names:
        if name in classes and (metadata := classes[name].metadata) is not None:
            yield name, sorted(metadata.tables)


async def plugins(tx: Tx, runtime: Runtime) -> tuple[PluginInfo, ...]:
    """All plugins that are installed or were once on, by name, with what those that are off still owe."""
    state = await states.read(tx, runtime.env.settings.pins)
    found = [_info(runtime, state, n) for n in sorted(runtime.classes.keys() | state.rows.keys())]
    resting = [i.name for i in found if i.winding_down or i.quarantine is not None]
    owed = await owing.open_business(tx, runtime, resting)
    return tuple(replace(i, open=owed.get(i.name)) for i in found)


async def config(tx: Tx, runtime: Runtime, name: str) -> PluginConfig:
    """The stored config and its schema. Raises `NotFound`."""
    cls = class_of(runtime, name)
    state = await states.read(tx, runtime.env.settings.pins)
    return _config(cls, state.rows[name].config if name in state.rows else {})


async def enable(runtime: Runtime, name: str, scope: Scope = SYSTEM) -> PluginInfo:
    """Switch a plugin on, with its tables. A system `scope` says in whose name.

    Raises `NotFound`, `Conflict` (`plugin_refused`, `pinned`, and those of `generations.change`).
    """
    class_of(runtime, name)

    async def plan(_: Tx, state: State) -> Plan | None:
        row = state.rows.get(name, Row(name, enabled=False, config={}))
        if row.enabled:
            return None
        unpinned(runtime, name)
        return Plan(state.changed(replace(row, enabled=True)), f"enable {name}")

    return _info(runtime, await change(runtime, scope, plan), name)


async def disable(runtime: Runtime, name: str, scope: Scope = SYSTEM) -> PluginInfo:
    """Switch a plugin off for new business; what it began goes on to its end. The answer says what that is.

    Raises `NotFound`, `Conflict` (`plugin_refused` while others that are on require it, `pinned`).
    """

    async def plan(_: Tx, state: State) -> Plan | None:
        row = state.rows.get(name)
        if row is None or not row.enabled:
            if row is None:
                class_of(runtime, name)
            return None
        unpinned(runtime, name)
        refuse_dependants(runtime, state, name, "switch")
        return Plan(state.changed(replace(row, enabled=False)), f"disable {name}")

    return await owing_info(runtime, await change(runtime, scope, plan), name)


async def configure(runtime: Runtime, name: str, new: object, scope: Scope = SYSTEM) -> PluginConfig:
    """Replace a plugin's config; fields that are not given take their defaults. `new` is decoded or raw JSON.

    Raises `NotFound`, `Conflict`.
    """
    cls = class_of(runtime, name)
    try:
        parsed = parse_config(cls, msgspec.json.decode(new) if isinstance(new, msgspec.Raw) else new)
    except PluginError as error:
        raise Conflict(str(error), code="plugin_refused") from None
    except msgspec.DecodeError as error:
        raise Conflict(f"Config of {name} is not JSON: {error}.", code="plugin_refused") from None
    stored = msgspec.to_builtins(parsed)

    async def plan(_: Tx, state: State) -> Plan | None:
        rows = {r.name: r for r in state.stored.rows}
        row = rows.get(name, Row(name, enabled=False, config={}))
        return Plan(state.changed(replace(row, config=stored)), f"configure {name}")

    await change(runtime, scope, plan)
    return _config(cls, stored)


def unpinned(runtime: Runtime, name: str) -> None:
    """Raises `Conflict` `pinned` when the settings decide about the plugin."""
    if name in runtime.env.settings.pins:
        raise Conflict(f"The settings of this deployment pin {name}; change `pins` there.", code="pinned")


def class_of(runtime: Runtime, name: str) -> type[Plugin]:
    """The installed plugin. Raises `NotFound`."""
    found = runtime.classes.get(name)
    if found is None:
        raise NotFound(f"No plugin {name[:60]!r} is installed.")
    return found


def refuse_dependants(runtime: Runtime, state: State, name: str, verb: str) -> None:
    """Raises `Conflict` `plugin_refused` while plugins that are on require this one."""
    dependants = _required_by(runtime, name) & state.on()
    if dependants:
        listed = ", ".join(sorted(dependants))
        raise Conflict(f"{listed} requires {name}; {verb} {listed} off first.", code="plugin_refused")


async def owing_info(runtime: Runtime, state: State, name: str) -> PluginInfo:
    """The plugin as the operator sees it after a change, with what it still owes."""
    async with runtime.tx(SYSTEM) as tx:
        owed = await owing.open_business(tx, runtime, [name])
    return replace(_info(runtime, state, name), open=owed.get(name))


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
    quarantine = row.quarantine if row is not None else None
    return PluginInfo(
        name=name,
        title=cls.title if cls else name,
        summary=cls.summary if cls else "",
        version=cls.version if cls else "",
        enabled=on,
        pinned=name in runtime.env.settings.pins,
        winding_down=row is not None and not on and quarantine is None,
        requires=cls.requires if cls else (),
        required_by=tuple(sorted(_required_by(runtime, name))),
        problem=states.unusable(state, runtime.classes).get(name),
        quarantine=quarantine,
    )
