"""The connection pool, owned by the host and outliving every app that uses it.

Connections are handed out in driver autocommit: `core.db.tx.Tx` alone says BEGIN and COMMIT. A connection that comes
back inside a transaction is closed instead of pooled, or the next borrower would work in somebody else's scope.
"""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

_STATEMENT_CACHE = 500


def create_engine(url: str, *, pool_size: int = 4, app_name: str = "jishi") -> AsyncEngine:
    """An engine whose connections belong to `Tx`. `pool_size` about twice the cores is best under contention."""
    parsed = make_url(url)
    role = parsed.query.get("role")
    settings = {"application_name": app_name, "timezone": "UTC", "plan_cache_mode": "force_generic_plan"} | (
        {"role": str(role)} if role else {}
    )
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
    return engine


def create_owner_engine(url: str) -> AsyncEngine:
    """An unpooled engine for migrations."""
    return create_async_engine(url, poolclass=NullPool)


def _discard_if_open(dbapi_connection: Any, record: Any) -> None:
    if dbapi_connection is not None and dbapi_connection.driver_connection.is_in_transaction():
        record.invalidate()
