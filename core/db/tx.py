"""`Tx`: one request or task, one transaction, one scope.

It borrows a connection at its first statement, opens the transaction and sets the scope in one round trip, and is
committed by the edge alone. Events emitted in it become rows of the outbox in the same transaction.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from core.db import outbox
from core.db.engine import UNREACHABLE
from core.hooks import Hooks, lane_of
from core.kit import tracing
from core.kit.clock import Clock, system_clock
from core.kit.errors import Unauthorized, Unavailable
from core.kit.settings import Env
from core.plugin import Snapshot
from core.types.scope import Scope

C = TypeVar("C", bound=msgspec.Struct)
E = TypeVar("E", bound=msgspec.Struct)

_POSTGRES = {"db.system.name": "postgresql"}
REVOKED = "JS401"
_FORGET = ";".join(
    f"SET LOCAL jishi.{name}=''" for name in ("account_id", "merchant_id", "actor_id", "session_id")
)


class Tx:
    """A transaction in a scope. Reads in the `anonymous` scope run without BEGIN: public tables need no setting.

    `on_end` is told the statements of every transaction of this process once it has ended, for the metrics.
    """

    on_end: ClassVar[Callable[[int], None] | None] = None

    def __init__(
        self, engine: AsyncEngine, snapshot: Snapshot, scope: Scope, env: Env, clock: Clock = system_clock
    ) -> None:
        self.scope = scope
        self.snapshot = snapshot
        self.env = env
        self.now: datetime = clock()
        self.statements = 0
        # Of them, those that began a transaction or changed its scope.
        self.frames = 0
        self._reported = 0
        self._engine = engine
        self._pooled: Any = None
        self._driver: asyncpg.Connection | None = None
        self._open = False
        self._session: AsyncSession | None = None
        self._events: list[outbox.Pending] = []
        self._after: list[Callable[[], Awaitable[None]]] = []

    @property
    def hooks(self) -> Hooks:
        """The hooks of the generation this transaction began with."""
        return self.snapshot.hooks

    def config(self, kind: type[C]) -> C:
        """The config of the plugin whose `Config` is `kind`."""
        return self.snapshot.config(kind)

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await self._run("fetch", sql, args)
        return rows

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """The first row or None."""
        return await self._run("fetchrow", sql, args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, None when there is none."""
        return await self._run("fetchval", sql, args)

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement; the answer is PostgreSQL's command tag, e.g. `UPDATE 3`."""
        tag: str = await self._run("execute", sql, args)
        return tag

    async def _run(self, method: str, sql: str, args: tuple[Any, ...]) -> Any:
        driver = self._driver or await self._begin()
        self.statements += 1
        run = getattr(driver, method)
        if tracing.switch.tracer is not None:
            run = tracing.traced(tracing.statement_name(sql), _POSTGRES, run, "client")
        try:
            return await run(sql, *args)
        except asyncpg.PostgresError:
            raise
        except BaseException:
            # Not the server's own answer but a lost connection or a cancelled call: what state the connection is in is
            # unknown, so nobody may borrow it again.
            driver.terminate()
            raise

    async def session(self) -> AsyncSession:
        """An ORM session on this very transaction, for rare paths. Flushed before commit; never commit it yourself."""
        if self._session is None:
            if self._driver is None:
                await self._begin()
            sync = Connection(self._engine.sync_engine, connection=self._pooled)
            bound = AsyncConnection(self._engine, sync_connection=sync)
            self._session = AsyncSession(bind=bound, expire_on_commit=False)
        return self._session

    async def enter(self, scope: Scope) -> None:
        """Go on in another scope; nothing of the former scope's settings stays. An anonymous read, which has no
        transaction, begins one.

        For what starts in the system scope to find out on whose behalf it acts (delivery of events), and for what a public
        page shows to its viewer alone.
        """
        if self._open:
            await self.execute(f"{_FORGET};{scope.settings()}")
            self.frames += 1
        elif self._driver is not None:
            await self._begin_transaction(scope)
        self.scope = scope

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, and all that was not committed with it."""
        return self._driver is not None and self._driver.is_closed()

    @asynccontextmanager
    async def savepoint(self, name: str) -> AsyncIterator[None]:
        """A part that may fail without losing the whole: `async with tx.savepoint("coupons"):`. Events emitted in it and
        the scope it entered go with it."""
        quoted = '"' + name.replace('"', "") + '"'
        await self.execute(f"SAVEPOINT {quoted}")
        scope, events, actions = self.scope, len(self._events), len(self._after)
        try:
            yield
        except BaseException:
            self.scope = scope
            del self._events[events:], self._after[actions:]
            if not self.lost:
                await self.execute(f"ROLLBACK TO SAVEPOINT {quoted}")
            raise
        await self.execute(f"RELEASE SAVEPOINT {quoted}")

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """A look that leaves nothing behind: `async with tx.aside():`. What is written in it and the scope it entered are
        undone at its end. Costs no statement in an anonymous read that stays one."""
        if self._driver is None and self.scope.kind != "anonymous":
            await self._begin()
        scope, inside, events, actions = self.scope, self._open, len(self._events), len(self._after)
        if inside:
            await self.execute("SAVEPOINT aside")
        try:
            yield
        finally:
            self.scope = scope
            del self._events[events:], self._after[actions:]
            if inside and not self.lost:
                await self.execute("ROLLBACK TO SAVEPOINT aside;RELEASE SAVEPOINT aside")
            elif self._open and not self.lost:
                self._open = False
                await self.execute("ROLLBACK")

    def emit(
        self, spec: Callable[["Tx", E], Awaitable[None]], event: E, *, scope: Scope | None = None
    ) -> None:
        """Record an event for every plugin that subscribes to `spec`; delivered after commit, at least once."""
        name = spec.__name__
        plugins = [(plugin, lane_of(effect, event)) for plugin, effect in self.hooks.of(spec)]
        if plugins:
            self._events.append(
                outbox.Pending(
                    name,
                    msgspec.json.encode(event),
                    (scope or Scope("system")).encode(),
                    plugins,
                    self.now,
                    self.now,
                )
            )

    def schedule(
        self,
        plugin: str,
        timer: str,
        payload: msgspec.Struct,
        due_at: datetime,
        *,
        scope: Scope | None = None,
    ) -> UUID:
        """Have `plugin`'s timer called at `due_at`, at least once. Handlers look at the state again before they act."""
        return self._later(outbox.TIMER + timer, plugin, payload, due_at, scope)

    def outbound(
        self,
        plugin: str,
        name: str,
        payload: msgspec.Struct,
        due_at: datetime | None = None,
        *,
        scope: Scope | None = None,
    ) -> UUID:
        """Have `plugin`'s outside call `name` (`Plugin.outbound`) made after the commit, with no transaction open, at least
        once. The answer is its idempotency key, the same in every try."""
        return self._later(outbox.OUTBOUND + name, plugin, payload, due_at or self.now, scope)

    def _later(
        self, event: str, plugin: str, payload: msgspec.Struct, due_at: datetime, scope: Scope | None
    ) -> UUID:
        encoded = (scope or Scope("system")).encode()
        pending = outbox.Pending(
            event, msgspec.json.encode(payload), encoded, [(plugin, None)], self.now, due_at
        )
        self._events.append(pending)
        return pending.id

    def after_commit(self, action: Callable[[], Awaitable[None]]) -> None:
        """Run `action` once the commit has succeeded; it must not need this transaction."""
        self._after.append(action)

    async def commit(self, answer: outbox.Answer | None = None) -> None:
        """Write the events and the answer to an idempotency key, commit, give the connection back, run what waited for
        the commit. Only the edge calls this."""
        if self._session is not None:
            await self._session.flush()
        if self._events or answer is not None:
            await outbox.write(self, self._events, answer)
            self._events = []
        if self._open:
            await self.execute("COMMIT")
            self._open = False
        await self._release()
        for action in self._after:
            await action()

    async def close(self) -> None:
        """Roll back whatever was not committed."""
        if self._driver is not None and self._open:
            self._open = False
            try:
                if not self._driver.is_closed():
                    await self.execute("ROLLBACK")
            except Exception:  # noqa: BLE001 -- closing it undoes the transaction just as well
                self._driver.terminate()
        await self._release()

    async def __aenter__(self) -> "Tx":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.commit()
        finally:
            await self.close()

    async def _begin(self) -> asyncpg.Connection:
        try:
            self._pooled = await self._engine.raw_connection()
        except UNREACHABLE as error:
            raise Unavailable("The database cannot be reached; try again in a moment.") from error
        driver: asyncpg.Connection = self._pooled.driver_connection
        self._driver = driver
        await self._begin_transaction(self.scope)
        return driver

    async def _begin_transaction(self, scope: Scope) -> None:
        if scope.kind == "anonymous":
            return
        self._open = True
        self.frames += 1
        try:
            await self.execute(f"BEGIN;{scope.settings()}")
        except asyncpg.PostgresError as error:
            if error.sqlstate == REVOKED:
                raise Unauthorized("This sign-in was ended; sign in again.", code="token_revoked") from None
            raise

    async def _release(self) -> None:
        pooled, self._pooled, self._driver = self._pooled, None, None
        if self._session is not None:
            self._session.sync_session.expunge_all()
            self._session = None
        if pooled is not None:
            pooled.close()
        if Tx.on_end is not None and self.statements > self._reported:
            Tx.on_end(self.statements - self._reported)
            self._reported = self.statements


@runtime_checkable
class TxFactory(Protocol):
    """Opens a transaction of its own in a scope: `async with new_tx(SYSTEM) as t:`."""

    def __call__(self, scope: Scope) -> Tx:
        """A transaction that begins at its first statement."""


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows turned into columns, as `unnest($1::a[], $2::b[])` wants them; `width` empty lists for no rows."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
