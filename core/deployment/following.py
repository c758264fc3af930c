"""How a live process takes part: it says that it lives, answers to proposed generations and takes over active ones.

One connection listens and beats every two seconds; a row of `process` that was not renewed for ten counts as dead. Who has
started a process and sees it die takes its row away at once (`forget`).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy.engine import make_url

from core.db.engine import UNREACHABLE
from core.kit.errors import Unavailable
from core.kit.ids import new_id
from core.kit.tasks import cancelled

if TYPE_CHECKING:
    from core.deployment.runtime import Runtime

CHANNEL = "jishi_generation"
# Under which id a process is listed, when whoever starts it wants to know.
PROCESS = "JISHI_PROCESS"
BEAT = 2.0
# Seconds after which a process that was not seen counts as dead.
DEAD = 10.0
_RECONNECT = (0.2, 0.5, 1.0, 2.0)
_LEAVE = 1.0

_log = structlog.get_logger("jishi.deployment")

# Times of processes are the database's: those of their hosts may differ. Rows of the dead go after a minute.
_SEEN = """
with gone as (
  delete from process where id in (
    select id from process where seen_at < now() - interval '60 seconds' and id <> $1 for update skip locked)
), seen as (
  insert into process (id, kind, host, pid, started_at, seen_at, generation) values ($1, $2, $3, $4, now(), now(), $5)
  on conflict (id) do update set seen_at = now(), generation = $5
), late as (
  update generation set status = 'withdrawn', reason = 'Whoever made this change was gone before it was decided.'
  where status = 'proposed' and until < now() returning id
)
select (select coalesce(max(id), 0) from generation where status = 'active') as active,
  (select max(id) from generation where status = 'proposed' and until >= now()) as proposed
"""
_ANSWER = """
insert into acknowledgement (generation, process_id, problem, at)
select $1, $2, $3, now() where exists (select from generation where id = $1 and status = 'proposed')
on conflict do nothing
"""
_GONE = "delete from process where id = $1"


async def listen(runtime: "Runtime", kind: str) -> None:
    """Take part until cancelled, however often the database goes away and comes back."""
    failures, process_id = 0, _own_id()
    while not cancelled():
        began = asyncio.get_running_loop().time()
        try:
            await _follow(runtime, kind, process_id)
        except (Unavailable, *UNREACHABLE) as error:
            if asyncio.get_running_loop().time() - began > BEAT:
                failures = 0
            if failures == 0:
                _log.warning("the database is away; trying again", reason=str(error) or type(error).__name__)
            await asyncio.sleep(_RECONNECT[min(failures, len(_RECONNECT) - 1)])
            failures += 1


def _own_id() -> UUID:
    given = os.environ.pop(PROCESS, None)
    return UUID(given) if given is not None else new_id()


async def forget(app_database_url: str, process_id: UUID) -> None:
    """Take a process that has died off the list, so that no change waits for it. Raises `TimeoutError` when the database
    stays away for so long that the silence has told everybody."""
    async with asyncio.timeout(DEAD):
        while True:
            try:
                await _removed(app_database_url, process_id)
            except UNREACHABLE:
                await asyncio.sleep(_RECONNECT[1])
            else:
                return


async def _removed(app_database_url: str, process_id: UUID) -> None:
    connection = await _connect(app_database_url, "jishi")
    try:
        await connection.execute(_GONE, process_id)
    finally:
        connection.terminate()


async def _follow(runtime: "Runtime", kind: str, process_id: UUID) -> None:
    """Take part on one connection for as long as it lives."""
    announced = asyncio.Event()
    settings = runtime.env.settings
    connection = await _connect(settings.app_database_url, f"{runtime.app_name} listener")
    try:
        connection.add_termination_listener(lambda _: announced.set())
        await connection.add_listener(CHANNEL, lambda *_: announced.set())
        beat = _Beat(runtime, connection, kind, process_id)
        while not connection.is_closed():
            await beat.once()
            runtime.followed.set()
            if cancelled():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(announced.wait(), BEAT)
            announced.clear()
        raise ConnectionResetError("The listening connection was closed.")
    finally:
        if cancelled():
            await _leave(connection, process_id)
        connection.terminate()


async def _connect(app_database_url: str, name: str) -> asyncpg.Connection:
    url = make_url(app_database_url)
    role = url.query.get("role")
    plain = url.set(drivername="postgresql").difference_update_query(["role"])
    return await asyncpg.connect(
        plain.render_as_string(hide_password=False),
        timeout=5,
        command_timeout=10,
        # It carries nothing but the rows of processes and generations.
        server_settings={"application_name": name, "jishi.scope": "system"}
        | ({"role": str(role)} if role else {}),
    )


class _Beat:
    """What one live process does at each beat and announcement."""

    def __init__(
        self, runtime: "Runtime", connection: asyncpg.Connection, kind: str, process_id: UUID
    ) -> None:
        self._runtime, self._connection = runtime, connection
        self._row: Callable[[], tuple[object, ...]] = lambda: (
            process_id,
            kind,
            socket.gethostname(),
            os.getpid(),
            runtime.snapshot.generation,
        )
        self._process_id = process_id
        self._answered = 0

    async def once(self) -> None:
        """Say that the process lives, answer to what is proposed, take over what is active and say so."""
        reported = self._runtime.snapshot.generation
        found = await self._connection.fetchrow(_SEEN, *self._row())
        if found["proposed"] is not None and found["proposed"] > self._answered:
            await self._answer(found["proposed"])
        if found["active"] != self._runtime.snapshot.generation:
            await self._runtime.reload()
        # A request of this process that made the change may have taken it over meanwhile.
        if self._runtime.snapshot.generation != reported:
            await self._connection.fetchrow(_SEEN, *self._row())

    async def _answer(self, number: int) -> None:
        problem = None
        try:
            await self._runtime.prepare(number)
        except (Unavailable, *UNREACHABLE):
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a plugin does wrong is the answer
            problem = f"{type(error).__name__}: {error}"[:2000]
            _log.warning("generation refused", generation=number, reason=problem)
        await self._connection.execute(_ANSWER, number, self._process_id, problem)
        self._answered = number


async def _leave(connection: asyncpg.Connection, process_id: UUID) -> None:
    """Nobody need wait for this process any more."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        async with asyncio.timeout(_LEAVE):
            await connection.execute(_GONE, process_id)
