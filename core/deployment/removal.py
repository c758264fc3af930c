"""Quarantine: nothing of a plugin runs until it is released. Purge: everything it has is removed for good."""

import asyncpg
from msgspec.structs import replace
from sqlalchemy.engine import make_url

from core.db import migrations
from core.db.migrations import History
from core.db.tx import Tx
from core.deployment import owing
from core.deployment.generations import Plan, alone, carry_through, change
from core.deployment.runtime import Runtime, dsn
from core.deployment.schemas import PluginInfo, Purged
from core.deployment.service import class_of, owing_info, refuse_dependants, unpinned
from core.deployment.state import State
from core.kit.errors import Conflict, NotFound
from core.types.scope import SYSTEM, Scope


async def quarantine(runtime: Runtime, name: str, reason: str, scope: Scope = SYSTEM) -> PluginInfo:
    """Let nothing of the plugin run any more; what is due to it waits, parked. The answer says what it owes.

    Raises `NotFound`, `Conflict` (`plugin_refused` while others that are on require it, `pinned`).
    """

    async def plan(_: Tx, state: State) -> Plan | None:
        row = state.rows.get(name)
        if row is None:
            class_of(runtime, name)
            raise Conflict(f"{name} was never switched on; there is nothing to stop.", code="plugin_refused")
        unpinned(runtime, name)
        if row.quarantine is not None:
            return None
        refuse_dependants(runtime, state, name, "switch")
        return Plan(state.changed(replace(row, quarantine=reason)), f"quarantine {name}", reason)

    return await owing_info(runtime, await change(runtime, scope, plan), name)


async def release(runtime: Runtime, name: str, scope: Scope = SYSTEM) -> PluginInfo:
    """Take a plugin out of quarantine, on or winding down as it was; its parked deliveries run.

    Raises `NotFound`, `Conflict`.
    """

    async def plan(_: Tx, state: State) -> Plan | None:
        row = state.rows.get(name)
        if row is None:
            class_of(runtime, name)
        if row is None or row.quarantine is None:
            return None
        return Plan(state.changed(replace(row, quarantine=None)), f"release {name}")

    return await owing_info(runtime, await change(runtime, scope, plan), name)


async def purge(runtime: Runtime, name: str, scope: Scope = SYSTEM) -> Purged:
    """Remove the tables and rows of a plugin that is off, or whose code is gone. The history of past orders stays.

    Raises `NotFound`, `Conflict`: `plugin_refused` while it is on, `plugin_referenced` with `open`, `pinned`.
    """

    async def plan(tx: Tx, state: State) -> Plan | None:
        row = {r.name: r for r in state.stored.rows}.get(name)
        unpinned(runtime, name)
        if row is None:
            return None
        if row.enabled and name in runtime.classes:
            raise Conflict(f"{name} is on; switch it off first.", code="plugin_refused")
        await _refuse_referenced(tx, runtime, name)
        return Plan(state.without(name), f"purge {name}")

    async with alone(runtime):
        async with runtime.tx(scope) as tx:
            tables = await _tables(tx, runtime, name)
        await carry_through(runtime, scope, plan)
        await _drop(runtime, name, tables)
    return Purged(name, tables)


async def _refuse_referenced(tx: Tx, runtime: Runtime, name: str) -> None:
    found = (await owing.open_business(tx, runtime, [name])).get(name)
    if found:
        listed = ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
        raise Conflict(
            f"{name} still owes: {listed}. Let it finish, or drop its deliveries, first.",
            code="plugin_referenced",
            open=found,
        )


async def _tables(tx: Tx, runtime: Runtime, name: str) -> tuple[str, ...]:
    """What the plugin has made. Raises `NotFound`."""
    row = await tx.fetchrow("select tables from deployment_plugin where name = $1", name)
    cls = runtime.classes.get(name)
    if row is None and cls is None:
        raise NotFound(f"No plugin {name[:60]!r} is installed or was.")
    declared = cls.metadata.tables if cls is not None and cls.metadata is not None else ()
    return tuple(sorted({*declared, *(row["tables"] if row is not None else ())}))


async def _drop(runtime: Runtime, name: str, tables: tuple[str, ...]) -> None:
    """As the owner, after the generation without the plugin runs everywhere. Repeating it is harmless."""
    owner, cls = runtime.env.settings.database_url, runtime.classes.get(name)
    connection = await asyncpg.connect(dsn(make_url(owner)), timeout=30)
    try:
        moved = await connection.fetchval("select to_regclass($1)", f"alembic_{name}") is not None
        if moved and cls is not None and cls.migrations is not None:
            await migrations.downgrade(owner, History(name, cls.migrations))
        async with connection.transaction():
            for table in (*tables, f"alembic_{name}"):
                await connection.execute(f'drop table if exists "{table}" cascade')
    finally:
        await connection.close()
