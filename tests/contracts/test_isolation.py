"""Every table, tried with somebody else's ids. The tables are found in the database, so a new one is tried too."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from core.deployment.runtime import Runtime
from core.models import METADATA
from core.plugin import discover
from core.testkit import Database
from core.testkit.contracts import tables

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
    assert tables.keys_of(TABLES.values()) == []


async def test_the_app_role_owns_nothing_and_passes_no_policy(admin: asyncpg.Connection) -> None:
    row = await admin.fetchrow(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = 'jishi_app'"
    )
    assert not any(row.values())


@pytest.mark.parametrize(
    "name", sorted(n for n in set(TABLES) - OPEN if TABLES[n].info["access"].append_only)
)
async def test_append_only_tables_refuse_changes(runtime: Runtime, name: str) -> None:
    assert await tables.changeable(runtime, TABLES[name]) == []


@pytest.mark.parametrize("name", sorted(set(TABLES) - OPEN))
async def test_strangers_see_and_write_nothing(database: Database, name: str) -> None:
    assert await tables.seen_by_strangers(database, TABLES[name]) == []
