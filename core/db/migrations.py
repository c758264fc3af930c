"""Migrations: Alembic, with one history and one version table per owner (core and each plugin).

One table with branches breaks as soon as a plugin's files are gone; separate tables do not. Alembic is loaded by what
migrates: processes that only ask whether everything is migrated do without its memory.
"""

import ast
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from core.db import policies
from core.db.base import Access, Owner
from core.db.engine import create_owner_engine

if TYPE_CHECKING:
    from alembic.operations import ops
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

_LOCK = 0x6A69_7368
# Alembic wants a folder for templates; revisions are written by `core.db.revision` instead.
_TEMPLATES = Path(__file__).parent


class History(msgspec.Struct, frozen=True):
    """One owner's migrations: `package` is importable and holds the revision files."""

    owner: str
    package: str

    @property
    def table(self) -> str:
        """The version table."""
        return f"alembic_{self.owner}"

    @property
    def folder(self) -> Path:
        """Where the revision files lie."""
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"The migrations of {self.owner} are not importable: {self.package}.")
        return Path(next(iter(spec.submodule_search_locations)))

    def script(self) -> "ScriptDirectory":
        """Alembic's view of the folder."""
        from alembic.script import ScriptDirectory

        return ScriptDirectory(str(_TEMPLATES), version_locations=[str(self.folder)])


CORE = History("core", "core.migrations")


async def upgrade(owner_url: str, histories: Iterable[History]) -> list[str]:
    """Bring each history to its head; the answer lists what was applied as `owner revision`. One process at a time."""
    return await _run(owner_url, histories, "heads")


async def downgrade(owner_url: str, history: History, revision: str = "base") -> list[str]:
    """Take one history back to `revision`; `base` removes its tables."""
    return await _run(owner_url, [history], revision, down=True)


async def heads_reached(connection: Any, histories: Iterable[History]) -> bool:
    """Whether the database (an asyncpg connection) stands at the head of each history."""
    for history in histories:
        if await connection.fetchval("select to_regclass($1)", history.table) is None:
            return False
        found = {r[0] for r in await connection.fetch(f'select version_num from "{history.table}"')}  # noqa: S608
        if found != _heads(history.folder):
            return False
    return True


@lru_cache
def _heads(folder: Path) -> frozenset[str]:
    """The revisions that no other one follows, read from the text of the files."""
    revisions, followed = set(), set()
    for path in folder.glob("[!_]*.py"):
        said = _constants(path)
        if "revision" in said:
            before = said.get("down_revision")
            revisions.add(said["revision"])
            followed |= {before} if isinstance(before, str) else set(before or ())
    return frozenset(revisions - followed)


def _constants(path: Path) -> dict[str, Any]:
    found = {}
    for statement in ast.parse(path.read_text()).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name in ("revision", "down_revision"):
                found[name] = ast.literal_eval(value)
    return found


async def _run(owner_url: str, histories: Iterable[History], target: str, *, down: bool = False) -> list[str]:
    engine = create_owner_engine(owner_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text(f"select pg_advisory_xact_lock({_LOCK})"))
            await connection.execute(sa.text("set local jishi.scope = 'system'"))
            return await connection.run_sync(
                lambda c: [line for h in histories for line in _migrate(c, h, target, down=down)]
            )
    finally:
        await engine.dispose()


def _migrate(connection: sa.Connection, history: History, target: str, *, down: bool) -> list[str]:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    script = history.script()
    steps: list[str] = []

    def plan(revision: Any, _: "MigrationContext") -> Any:
        found = script._downgrade_revs(target, revision) if down else script._upgrade_revs(target, revision)  # noqa: SLF001
        steps.extend(f"{history.owner} {s.doc}" for s in found)
        return found

    with EnvironmentContext(Config(), script, fn=plan) as environment:
        environment.configure(connection=connection, version_table=history.table, transactional_ddl=True)
        environment.run_migrations()
    return steps


def difference(connection: sa.Connection, history: History, metadata: sa.MetaData) -> list[Any]:
    """What autogenerate would still change; empty when models and migrations agree."""
    from alembic.autogenerate import compare_metadata

    return list(compare_metadata(_context(connection, history, metadata), metadata))


def draft(connection: sa.Connection, history: History, metadata: sa.MetaData) -> Any:
    """Alembic's upgrade and downgrade operations for what the models have and the database has not."""
    from alembic.autogenerate import produce_migrations

    return produce_migrations(_context(connection, history, metadata), metadata)


def _context(connection: sa.Connection, history: History, metadata: sa.MetaData) -> "MigrationContext":
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(
        connection,
        opts={
            "version_table": history.table,
            "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
            "target_metadata": metadata,
        },
    )


def protect(operations: Any, table: str, owner: str, **kwargs: Any) -> None:
    """In a revision: row-level security and rights of a new table, from its class."""
    for statement in policies.statements(table, Access(Owner(owner), **kwargs)):
        operations.execute(statement)


def open_table(operations: Any, table: str) -> None:
    """In a revision: a public copy without policies."""
    for statement in policies.open_table(table):
        operations.execute(statement)


def protection_of(table: sa.Table) -> str:
    """The line of Python that protects `table` in a revision."""
    if table.info.get("open"):
        return f'open_table(op, "{table.name}")'
    declared: Access = table.info["access"]
    given: Mapping[str, Any] = msgspec.structs.asdict(declared)
    defaults = msgspec.structs.asdict(Access(declared.owner))
    extra = "".join(f", {k}={v!r}" for k, v in given.items() if k != "owner" and v != defaults[k])
    return f'protect(op, "{table.name}", "{declared.owner}"{extra})'


def created(upgrade_ops: "ops.UpgradeOps") -> list[str]:
    """Names of the tables that a draft creates."""
    from alembic.operations import ops

    return [o.table_name for o in upgrade_ops.ops if isinstance(o, ops.CreateTableOp)]
