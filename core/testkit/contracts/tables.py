"""Tables: their class, their protection in the database, and their migrations."""

import itertools
import warnings
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import sqlalchemy as sa

from core.db import migrations
from core.db.base import Access, Owner
from core.db.engine import create_owner_engine
from core.db.migrations import History
from core.deployment.runtime import Runtime
from core.kit.ids import new_id
from core.testkit.contracts.subject import Subject
from core.testkit.database import Database, env_of
from core.testkit.installed import Plugins
from core.types.scope import ANONYMOUS, SYSTEM, Scope, buyer, merchant

FIRST = {Owner.MERCHANT: "merchant_id", Owner.BUYER: "account_id"}
_PROTECTION = """
select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as forced, pg_get_userbyid(c.relowner) as owner,
  (select count(*) from pg_policy p where p.polrelid = c.oid) as policies
from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname not like 'alembic_%'
"""
_COLUMNS = """
select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
where attrelid = $1::regclass and attnum > 0 and not attisdropped and attidentity = '' and attgenerated = ''
"""
_VALUES = {
    "uuid": "gen_random_uuid()",
    "text": "'x'",
    "jsonb": "'{}'",
    "json": "'{}'",
    "smallint": "1",
    "integer": "1",
    "bigint": "1",
    "numeric": "1",
    "double precision": "1",
    "boolean": "true",
    "bytea": "'x'",
    "date": "now()",
    "timestamp with time zone": "now()",
    "timestamp without time zone": "now()",
    "interval": "'1 day'",
    "point": "point(1,1)",
    "numrange": "'empty'",
    "tstzrange": "'empty'",
}
_CHECKS = """
select conrelid::regclass::text || '.' || conname as name, pg_get_constraintdef(oid) as definition
from pg_constraint where connamespace = $1::regnamespace and contype = 'c'
"""
_INDEXES = "select tablename || '.' || indexname as name, indexdef as definition from pg_indexes where schemaname = $1"


def tables_of(subject: Subject) -> list[sa.Table]:
    """The plugin's tables."""
    return list(subject.cls.metadata.tables.values()) if subject.cls.metadata is not None else []


async def declared(subject: Subject) -> list[str]:
    """Every table says whose it is, and its keys begin with its owner."""
    return keys_of(tables_of(subject), f"{subject.name}_")


def keys_of(tables: Iterable[sa.Table], prefix: str = "") -> list[str]:
    """What is wrong with the classes and keys of tables, whose names begin with `prefix`."""
    found = []
    for table in tables:
        if prefix and not table.name.startswith(prefix) and table.name != prefix.rstrip("_"):
            found.append(f"Table {table.name} must be called {prefix}...")
        declares = table.info.get("access")
        if declares is None:
            if not table.info.get("open"):
                found.append(f"Table {table.name} declares no class; give it info=access(Owner....).")
        elif declares.owner in FIRST:
            found += _keys(table, declares.owner)
    return found


def _keys(table: sa.Table, owner: Owner) -> Iterable[str]:
    first = FIRST[owner]
    unique: list[Any] = [c for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
    unique += [i for i in table.indexes if i.unique]
    # What people type, such as a code or a number, may be unique in the whole market.
    bound = [k for k in unique if any(isinstance(c.type, sa.Uuid) for c in k.columns)]
    for key in (table.primary_key, *bound):
        names = [c.name for c in key.columns]
        if names[:1] != [first]:
            listed = ", ".join(names)
            yield f"Key ({listed}) of table {table.name} must begin with {first}, for the table is {owner}-owned."
    for foreign in table.foreign_key_constraints:
        other = foreign.referred_table.info.get("access")
        if (
            next(iter(foreign.columns)).name != first
            or not isinstance(other, Access)
            or other.owner is not owner
        ):
            yield f"The foreign key {table.name}.{foreign.name} leaves the {owner}'s own tables."


async def protected(subject: Subject) -> list[str]:
    """In the database: row-level security forced on every table, which the app's role does not own."""
    async with subject.database() as database, connected(database) as owner:
        rows = {r["name"]: r for r in await owner.fetch(_PROTECTION)}
    found = []
    for table in tables_of(subject):
        row = rows.pop(table.name, None)
        if row is None:
            found.append(
                f"No migration makes table {table.name}; write one with `jishi migration {subject.name} NAME`."
            )
        elif row["owner"] == "jishi_app":
            found.append(f"Table {table.name} belongs to jishi_app, which passes its row-level security.")
        elif not table.info.get("open") and not (row["forced"] and row["policies"]):
            found.append(
                f"Row-level security of table {table.name} is not forced; its migration must call protect()."
            )
    strange = sorted(name for name in rows if name.startswith(f"{subject.name}_"))
    return found + [f"Table {name} is in the database, but not among the models." for name in strange]


async def strangers(subject: Subject) -> list[str]:
    """Rows of others are neither seen nor changed, whatever statement runs."""
    found = []
    async with subject.database() as database:
        for table in tables_of(subject):
            if "access" in table.info:
                found += await seen_by_strangers(database, table)
    return found


async def seen_by_strangers(database: Database, table: sa.Table) -> list[str]:
    """What strangers see or change of a table's rows."""
    access: Access = table.info["access"]
    async with connected(database) as owner:
        await fill(owner, table.name)
    async with _runtime(database) as runtime:
        async with runtime.tx(SYSTEM) as tx:
            everything = await tx.fetchval(f'select count(*) from "{table.name}"')  # noqa: S608
        if not everything:
            return [
                f"The system scope does not see what is in table {table.name}; its policies shut core out."
            ]
        found = []
        for scope in (ANONYMOUS, buyer(new_id()), merchant(new_id())):
            found += await _tried(runtime, table, scope, everything if access.public_read else 0)
    return found


async def _tried(runtime: Runtime, table: sa.Table, scope: Scope, may_see: int) -> list[str]:
    name, column = table.name, next(iter(table.columns)).name
    who = "Anybody" if scope.kind == "anonymous" else f"Another {scope.kind}"
    found = []
    try:
        async with runtime.tx(scope) as tx:
            seen = await tx.fetchval(f'select count(*) from "{name}"')  # noqa: S608
            if seen != may_see:
                found.append(f"{who} sees {seen} rows of table {name} instead of {may_see}.")
            if not table.info["access"].append_only:
                for verb, statement in (
                    ("changes", f'update "{name}" set "{column}" = "{column}"'),  # noqa: S608
                    ("deletes", f'delete from "{name}"'),  # noqa: S608
                ):
                    if not (await tx.execute(statement)).endswith(" 0"):
                        found.append(f"{who} {verb} rows of table {name}.")
    except asyncpg.InsufficientPrivilegeError as error:
        found.append(
            f"The app's role lacks rights on table {name}: {error}; its migration must call protect()."
        )
    return found


async def append_only(subject: Subject) -> list[str]:
    """What is append-only cannot be changed or deleted by the app's role, in any scope."""
    found = []
    async with subject.database() as database, _runtime(database) as runtime:
        for table in tables_of(subject):
            if "access" in table.info and table.info["access"].append_only:
                found += await changeable(runtime, table)
    return found


async def changeable(runtime: Runtime, table: sa.Table) -> list[str]:
    """How the rows of an append-only table can be changed after all."""
    found, column = [], next(iter(table.columns)).name
    for statement in (
        f'update "{table.name}" set "{column}" = "{column}"',  # noqa: S608
        f'delete from "{table.name}"',  # noqa: S608
    ):
        try:
            async with runtime.tx(SYSTEM) as tx:
                await tx.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        found.append(f"Table {table.name} is append-only, but this is allowed: {statement}.")
    return found


async def up_down_up(subject: Subject) -> list[str]:
    """Its migrations go up, down and up again, and down leaves nothing behind."""
    if not tables_of(subject):
        return []
    history = history_of(subject)
    if history is None:
        return [f"{subject.name} has tables but no migrations; name their package in `migrations`."]
    async with subject.database() as database:
        return await down_and_up(database, history, tables_of(subject))


async def down_and_up(database: Database, history: History, tables: Iterable[sa.Table]) -> list[str]:
    """What is wrong with taking a history back and forth once."""
    names = [t.name for t in tables]
    step = "down"
    try:
        await migrations.downgrade(database.owner_url, history)
        async with connected(database) as owner:
            left = [n for n in names if await owner.fetchval("select to_regclass($1) is not null", f'"{n}"')]
        if left:
            return [f"The migrations of {history.owner} leave {', '.join(left)} behind on the way down."]
        step = "up again"
        await migrations.upgrade(database.owner_url, [history])
        async with connected(database) as owner:
            if not await migrations.heads_reached(owner, [history]):
                return [
                    f"The migrations of {history.owner} must say `revision` and `down_revision` as plain strings."
                ]
    except Exception as error:  # noqa: BLE001 -- whatever it is, the migrations do not work
        return [f"The migrations of {history.owner} do not go {step}: {type(error).__name__}: {error}"]
    return []


async def autogenerate(subject: Subject) -> list[str]:
    """Models and migrations agree, check constraints and indexes included."""
    history, metadata = history_of(subject), subject.cls.metadata
    if metadata is None or history is None:
        return []
    async with subject.database() as database:
        return await drift(database, history, metadata)


async def drift(database: Database, history: History, metadata: sa.MetaData) -> list[str]:
    """How the database differs from the models."""
    engine = create_owner_engine(database.owner_url)
    try:
        with warnings.catch_warnings():
            # SQLAlchemy knows no `point`; nothing is compared by it.
            warnings.filterwarnings("ignore", "Did not recognize type 'point'")
            async with engine.connect() as connection:
                steps = await connection.run_sync(lambda c: migrations.difference(c, history, metadata))
    finally:
        await engine.dispose()
    found = [
        f"Models and migrations of {history.owner} differ: {step}."
        for step in itertools.islice(map(_short, steps), 20)
    ]
    have = {n: d for n, d in (await _catalogue(database, "public")).items() if n[1] in metadata.tables}
    want = await _modelled(database, metadata)
    for key in sorted(have.keys() | want.keys()):
        if have.get(key) != want.get(key):
            sort, _, name = key
            found.append(
                f"{sort.capitalize()} {name}: the models say {want.get(key, 'nothing')}, the database has"
                f" {have.get(key, 'nothing')}."
            )
    return found


def _short(step: Any) -> str:
    return str(step)[:300]


async def _modelled(database: Database, metadata: sa.MetaData) -> dict[tuple[str, str, str], str]:
    """The same of the models, made in a schema of their own."""
    async with connected(database) as owner:
        await owner.execute("create schema if not exists model")
    engine = create_owner_engine(database.owner_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text("set local search_path = model"))
            await connection.run_sync(lambda c: metadata.create_all(c, checkfirst=False))
    finally:
        await engine.dispose()
    return await _catalogue(database, "model")


async def _catalogue(database: Database, schema: str) -> dict[tuple[str, str, str], str]:
    """(sort, table, name) -> definition of check constraints and indexes."""
    found = {}
    async with connected(database) as owner:
        for sort, query in (("check", _CHECKS), ("index", _INDEXES)):
            for row in await owner.fetch(query, schema):
                name = row["name"].removeprefix(f"{schema}.").replace('"', "")
                definition = row["definition"].replace(f" {schema}.", " ")
                found[sort, name.partition(".")[0], name] = definition
        if schema == "model":
            await owner.execute("drop schema model cascade")
    return found


def history_of(subject: Subject) -> History | None:
    """The plugin's migrations."""
    package = subject.cls.migrations
    return History(subject.name, package) if package is not None else None


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _runtime(database: Database) -> AsyncIterator[Runtime]:
    runtime = Plugins(only=True).runtime(env_of(database.settings()))
    try:
        yield runtime
    finally:
        await runtime.close()


async def fill(owner: asyncpg.Connection, table: str, /, **given: str) -> None:
    """One row of any content, written past checks and keys, in the system scope; `given` are columns as SQL."""
    columns = {r["name"]: r["type"] for r in await owner.fetch(_COLUMNS, f'"{table}"')}
    for row in await owner.fetch(
        "select conname from pg_constraint where conrelid = $1::regclass and contype in ('c', 'f')",
        f'"{table}"',
    ):
        await owner.execute(f'alter table "{table}" drop constraint "{row["conname"]}" cascade')
    listed = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(given.get(name) or _value(kind) for name, kind in columns.items())
    async with owner.transaction():
        await owner.execute("set local jishi.scope = 'system'")
        await owner.execute(f'insert into "{table}" ({listed}) values ({values})')  # noqa: S608


def _value(kind: str) -> str:
    if kind.endswith("[]"):
        return "'{}'"
    return _VALUES.get(kind.partition("(")[0], "null")
