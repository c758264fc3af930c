"""Every table, tried with somebody else's ids. The tables are found in the database, so a new one is tried too."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from core.db.base import Access, Owner
from core.deployment.runtime import Runtime
from core.kit.ids import new_id
from core.models import METADATA
from core.plugin import discover
from core.types.scope import ANONYMOUS, SYSTEM, Scope, buyer, merchant
from tests.support.database import Database

TABLES = {
    t.name: t
    for m in [METADATA, *(c.metadata for c in discover().values() if c.metadata is not None)]
    for t in m.tables.values()
}
OPEN = {"listing", "listing_sku"}


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


async def test_every_table_is_declared_and_protected(admin: asyncpg.Connection) -> None:
    rows = await admin.fetch(
        "select c.relname, c.relrowsecurity and c.relforcerowsecurity as forced,"
        " pg_get_userbyid(c.relowner) as owner, (select count(*) from pg_policy p where p.polrelid = c.oid) as policies"
        " from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"
        " and c.relname not like 'alembic_%'"
    )
    assert {r["relname"] for r in rows} == set(TABLES)
    for row in rows:
        assert row["owner"] != "jishi_app"
        assert (row["forced"] and row["policies"] > 0) != (row["relname"] in OPEN), row["relname"]


def test_keys_begin_with_their_owner() -> None:
    first = {Owner.MERCHANT: "merchant_id", Owner.BUYER: "account_id"}
    for name, table in TABLES.items():
        if name in OPEN:
            continue
        access: Access = table.info["access"]
        if access.owner in first:
            assert next(iter(table.primary_key.columns)).name == first[access.owner], name
            for key in table.foreign_key_constraints:
                assert next(iter(key.columns)).name == first[access.owner], name
                assert key.referred_table.info["access"].owner is access.owner, name


async def test_the_app_role_owns_nothing_and_passes_no_policy(admin: asyncpg.Connection) -> None:
    row = await admin.fetchrow(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = 'jishi_app'"
    )
    assert not any(row.values())


async def test_append_only_tables_refuse_changes(runtime: Runtime) -> None:
    for name, table in TABLES.items():
        if name not in OPEN and table.info["access"].append_only:
            for statement in (f'update "{name}" set merchant_id = merchant_id', f'delete from "{name}"'):
                async with runtime.tx(SYSTEM) as tx:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        async with tx.savepoint("try"):
                            await tx.execute(statement)


@pytest.mark.parametrize("name", sorted(set(TABLES) - OPEN))
async def test_strangers_see_and_write_nothing(
    runtime: Runtime, admin: asyncpg.Connection, name: str
) -> None:
    access: Access = TABLES[name].info["access"]
    await _fill(admin, name)
    async with runtime.tx(SYSTEM) as tx:
        everything = await tx.fetchval(f'select count(*) from "{name}"')
    assert everything > 0
    strangers: list[Scope] = [ANONYMOUS, buyer(new_id()), merchant(new_id())]
    for scope in strangers:
        async with runtime.tx(scope) as tx:
            seen = await tx.fetchval(f'select count(*) from "{name}"')
            assert seen == (everything if access.public_read else 0), (name, scope.kind)
            if not access.append_only:
                assert await tx.execute(f'delete from "{name}"') == "DELETE 0", (name, scope.kind)
                column = next(iter(TABLES[name].columns)).name
                changed = await tx.execute(f'update "{name}" set "{column}" = "{column}"')
                assert changed == "UPDATE 0", (name, scope.kind)


async def _fill(admin: asyncpg.Connection, name: str) -> None:
    """One row of any content, written past checks and keys, as the owner in the system scope."""
    types = await admin.fetch(
        "select attname, format_type(atttypid, atttypmod) as type, attnotnull from pg_attribute"
        " where attrelid = $1::regclass and attnum > 0 and not attisdropped and attidentity = ''",
        name,
    )
    for row in await admin.fetch(
        "select conname from pg_constraint where conrelid = $1::regclass and contype in ('c', 'f')", name
    ):
        await admin.execute(f'alter table "{name}" drop constraint "{row["conname"]}" cascade')
    values = {
        "uuid": "gen_random_uuid()",
        "text": "'x'",
        "jsonb": "'{}'",
        "integer": "1",
        "bigint": "1",
        "boolean": "true",
        "bytea": "'x'",
        "timestamp with time zone": "now()",
        "point": "point(1,1)",
        "text[]": "'{}'",
        "uuid[]": "'{}'",
    }
    columns = ", ".join(f'"{r["attname"]}"' for r in types)
    listed = ", ".join(values[r["type"]] for r in types)
    async with admin.transaction():
        await admin.execute("set local jishi.scope = 'system'")
        await admin.execute(f'insert into "{name}" ({columns}) values ({listed})')
