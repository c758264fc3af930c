"""Looking into the deployment's database, past the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from core.kit.settings import Settings

# What a statement meets whose database is killed.
_AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)


@asynccontextmanager
async def closing(connection: Any) -> AsyncIterator[None]:
    """Close the connection, also one that is lost already."""
    try:
        yield
    finally:
        if not connection.is_closed():
            connection.terminate()


def running(folder: Path) -> Settings:
    """The settings of the deployment that runs on a data folder."""
    return msgspec.json.decode((folder / "running.json").read_bytes(), type=Settings)


class Database:
    """Questions in the system scope; each waits for a database that is away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """A connection whose statements see everything, in one transaction of one snapshot."""
        connection = await self._connect()
        async with closing(connection), connection.transaction(isolation="repeatable_read"):
            await connection.execute("set local jishi.scope = 'system'")
            yield connection

    async def _connect(self) -> Any:
        url = running(self._folder).database_url.replace("+asyncpg", "")
        for _ in range(300):
            try:
                return await asyncpg.connect(url, timeout=5)
            except (OSError, asyncpg.PostgresError, TimeoutError):
                await asyncio.sleep(0.2)
        raise AssertionError("the database does not come back")

    async def execute(self, sql: str, *args: Any) -> str:
        """A change, as no request could make it: how time would have passed, for instance. It is made again when the database
        is killed meanwhile, so making it twice must be as good as once."""
        return str(await self._persistent("execute", sql, *args))

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Rows."""
        return list(await self._persistent("fetch", sql, *args))

    async def _persistent(self, method: str, sql: str, *args: Any) -> Any:
        for _ in range(50):
            try:
                connection = await self._connect()
                async with closing(connection), connection.transaction():
                    await connection.execute("set local jishi.scope = 'system'")
                    return await getattr(connection, method)(sql, *args)
            except _AWAY:
                await asyncio.sleep(0.2)
        raise AssertionError("the database does not stay")
