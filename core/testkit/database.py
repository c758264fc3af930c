"""A database of its own for each test: a copy of a template that was migrated once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
from sqlalchemy.engine import make_url

from core import hookspecs
from core.db.migrations import CORE, History
from core.deployment.runtime import histories
from core.deployment.service import ensure
from core.kit.crypto import Vault
from core.kit.settings import Env, Settings
from core.plugin import Plugin, parse_config
from core.testkit.installed import Plugins
from core.testkit.servers import Servers

KEY = b"0123456789abcdef" * 2
_ready: set[tuple[str, str]] = set()
_CONFIGURE = "update deployment_plugin set config = $2::jsonb where name = $1"


class Database:
    """Addresses of one database and of Redis."""

    def __init__(self, owner_url: str, app_url: str, redis_url: str) -> None:
        self.owner_url, self.app_url, self.redis_url = owner_url, app_url, redis_url

    @property
    def name(self) -> str:
        """The database's name, which also keeps its payments apart in the sandbox."""
        return make_url(self.app_url).database or ""

    @property
    def owner_dsn(self) -> str:
        """For plain asyncpg, as the owner; row-level security is forced on it too."""
        return plain(self.owner_url)

    @property
    def app_dsn(self) -> str:
        """For plain asyncpg, as the role that owns nothing."""
        return plain(self.app_url)

    def settings(self) -> Settings:
        """Settings of a deployment on it: payments in a sandbox of this run, money released at once, no limits on calls."""
        from core.testkit.sandbox import sandbox

        return Settings(
            database_url=self.owner_url,
            app_database_url=self.app_url,
            redis_url=self.redis_url,
            sandbox=True,
            sandbox_url=sandbox().url,
            sandbox_account=self.name,
            aftersales_window=0,
            rate_limits=False,
            public_url="http://test",
        )


def env_of(settings: Settings) -> Env:
    """What transactions ask their host for, with a key for tests."""
    return Env(settings, Vault(KEY))


def plain(url: str) -> str:
    """A SQLAlchemy URL as plain asyncpg wants it."""
    return url.replace("+asyncpg", "")


def on(url: str, database: str) -> str:
    """The same server, another database."""
    return make_url(url).set(database=database).render_as_string(hide_password=False)


@asynccontextmanager
async def fresh(servers: Servers, plugins: Plugins, *, migrated: bool = True) -> AsyncIterator[Database]:
    """A database with these plugins' tables, dropped afterwards; an empty one if not `migrated`."""
    admin = await asyncpg.connect(plain(servers.owner_url))
    name = f"jishi_{uuid4().hex[:12]}"
    try:
        source = await _template(admin, servers, plugins) if migrated else "template1"
        # Copying files beats logging each page once nothing waits for the disk.
        strategy = "" if servers.lasting else "strategy file_copy"
        await admin.execute(f'create database {name} template "{source}" {strategy}')
        try:
            yield Database(on(servers.owner_url, name), on(servers.app_url, name), servers.redis_url)
        finally:
            await _drop(admin, name)
    finally:
        await admin.close()


async def _drop(admin: asyncpg.Connection, name: str) -> None:
    """An autovacuum worker is the superuser's and leaves by itself in a moment."""
    for _ in range(50):
        try:
            await admin.execute(f"drop database if exists {name} with (force)")
        except asyncpg.InsufficientPrivilegeError:
            await asyncio.sleep(0.1)
        else:
            return


async def _template(admin: asyncpg.Connection, servers: Servers, plugins: Plugins) -> str:
    """The template for these plugins, made by the first process that needs it; what it holds is in its name."""
    classes = plugins.classes()
    name = f"jishi_template_{_fingerprint(classes, plugins)}"
    if (servers.owner_url, name) in _ready:
        return name
    await admin.execute("select pg_advisory_lock(hashtext($1))", name)
    try:
        if not await admin.fetchval("select exists (select from pg_database where datname = $1)", name):
            draft = f"{name}_new"
            await _drop(admin, draft)
            await admin.execute(f"create database {draft}")
            await _fill(on(servers.owner_url, draft), classes, plugins)
            # Nobody may look into it, autovacuum included: a database in use cannot be copied.
            await admin.execute(f"alter database {draft} allow_connections false")
            await admin.execute(f"alter database {draft} rename to {name}")
    finally:
        await admin.execute("select pg_advisory_unlock(hashtext($1))", name)
    _ready.add((servers.owner_url, name))
    return name


async def _fill(owner_url: str, classes: Mapping[str, type[Plugin]], plugins: Plugins) -> None:
    configs = {
        name: msgspec.to_builtins(parse_config(classes[name], c)) for name, c in plugins.config.items()
    }
    await ensure(owner_url, classes, plugins.enabled(), hookspecs)
    connection = await asyncpg.connect(plain(owner_url))
    try:
        async with connection.transaction():
            await connection.execute("set local jishi.scope = 'system'")
            for name, config in configs.items():
                await connection.execute(_CONFIGURE, name, msgspec.json.encode(config).decode())
    finally:
        await connection.close()


def _fingerprint(classes: Mapping[str, type[Plugin]], plugins: Plugins) -> str:
    found = hashlib.sha256()
    known: Iterable[History] = [CORE, *histories(classes, classes)]
    for history in known:
        found.update(_contents(history.folder))
    names = sorted(f"{name} {cls.__module__}.{cls.__qualname__}" for name, cls in classes.items())
    found.update(msgspec.json.encode([names, plugins.enabled(), plugins.config], order="deterministic"))
    return found.hexdigest()[:20]


@lru_cache
def _contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
