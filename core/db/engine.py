"""The connection pool, owned by the host and outliving every app that uses it.

Connections are handed out in driver autocommit: `core.db.tx.Tx` alone says BEGIN and COMMIT. A connection that comes
back inside a transaction is closed instead of pooled, or the next borrower would work in somebody else's scope.
"""

from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

_STATEMENT_CACHE = 500

# What borrowing a connection raises while the database is away or coming back.
UNREACHABLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    SQLAlchemyError,
    AsyncAdapt_asyncpg_dbapi.Error,
)


def create_engine(url: str, *, pool_size: int = 4, app_name: str = "jishi") -> AsyncEngine:
    """An engine whose connections belong to `Tx`. `pool_size` about twice the cores is best under contention."""
    parsed = make_url(url)
    role = parsed.query.get("role")
    settings = {
        "application_name": app_name,
        "timezone": "UTC",
    } | ({"role": str(role)} if role else {})
    engine = create_async_engine(
        parsed.difference_update_query(["role"]),
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_reset_on_return=None,
        connect_args={
            "server_settings": settings,
            "statement_cache_size": _STATEMENT_CACHE,
            "prepared_statement_cache_size": _STATEMENT_CACHE,
        },
    )
    event.listen(engine.sync_engine.pool, "checkin", _discard_if_open)
    event.listen(engine.sync_engine.pool, "checkout", _replace_if_closed)
    return engine


def create_owner_engine(url: str) -> AsyncEngine:
    """An unpooled engine for migrations."""
    return create_async_engine(url, poolclass=NullPool)


def _discard_if_open(dbapi_connection: Any, record: Any) -> None:
    # A connection that was lost has no driver any more.
    driver = dbapi_connection.driver_connection if dbapi_connection is not None else None
    if driver is None or driver.is_closed() or driver.is_in_transaction():
        record.invalidate()


def _replace_if_closed(dbapi_connection: Any, _record: object, _proxy: object) -> None:
    """After the database went away and came back, hand out a new connection for each that died meanwhile."""
    driver = dbapi_connection.driver_connection
    if driver is None or driver.is_closed():
        raise DisconnectionError
