"""What a process holds for as long as it lives: pool, Redis, settings, and the plugins of the present generation.

Web and worker processes alike follow the database: a change of plugins is announced with NOTIFY, a poll every five
seconds makes up for announcements that were missed, and the new snapshot replaces the old one by one assignment.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import ModuleType

import asyncpg
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.engine import URL, make_url

from core.db.engine import UNREACHABLE, create_engine
from core.db.migrations import History
from core.db.tx import Tx
from core.deployment import state as states
from core.deployment.state import State
from core.kit.clock import Clock, system_clock
from core.kit.errors import Unavailable
from core.kit.settings import Env
from core.plugin import Plugin, Snapshot, build
from core.types.scope import ANONYMOUS, Scope

CHANNEL = "jishi_generation"
_POLL = 5.0
_RECONNECT = (0.2, 0.5, 1.0, 2.0)

# How a database that went away shows; the last while it is still starting.
AWAY = (Unavailable, *UNREACHABLE)

_log = structlog.get_logger("jishi.deployment")


class Runtime:
    """One per process, used on one event loop. `always` are core's own subscribers; `classes` all installed plugins.

    A plugin whose code is missing, whose stored config no longer parses, or that lost what it requires is left out
    (`left_out` says why, the log too) instead of keeping the whole market from starting.
    """

    def __init__(
        self,
        env: Env,
        classes: Mapping[str, type[Plugin]],
        specs: ModuleType,
        *,
        always: Sequence[Plugin] = (),
        clock: Clock = system_clock,
        app_name: str = "jishi",
    ) -> None:
        settings = env.settings
        self.env, self.classes, self.specs, self.always, self.clock = env, classes, specs, always, clock
        self.engine = create_engine(
            settings.app_database_url, pool_size=settings.pool_size, app_name=app_name
        )
        self.redis: Redis = Redis.from_url(
            settings.redis_url, socket_timeout=5, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1)
        )
        self.left_out: Mapping[str, str] = {}
        self.snapshot: Snapshot = build(
            classes, specs, generation=-1, enabled={}, winding_down={}, always=always
        )
        self._app_name = app_name
        self._changed: list[Callable[[], Awaitable[None]]] = []
        self._reloading = asyncio.Lock()

    def tx(self, scope: Scope, snapshot: Snapshot | None = None) -> Tx:
        """A transaction of its own, with the present snapshot unless one is given."""
        return Tx(self.engine, snapshot or self.snapshot, scope, self.env, self.clock)

    def on_change(self, action: Callable[[], Awaitable[None]]) -> None:
        """Have `action` awaited after each change of the snapshot."""
        self._changed.append(action)

    def histories(self) -> list[History]:
        """Migrations of the plugins whose tables exist."""
        return histories(self.classes, self.snapshot.installed)

    async def open(self) -> None:
        """Load the present generation. Raises `Unavailable`, or `PluginError` when the plugins do not fit together."""
        self._load(await self._read())

    async def reload(self) -> bool:
        """Follow the database; whether anything changed. What cannot be built is logged and the present snapshot stays.

        Raises `Unavailable` or a driver's error when the database is away.
        """
        async with self._reloading:
            state, before = await self._read(), self.snapshot
            if state.generation == before.generation:
                return False
            try:
                self._load(state)
                for action in self._changed:
                    await action()
            except Exception:  # noqa: BLE001 -- whatever a plugin does wrong, the process stays
                # Tried again at the next announcement or poll; until then this process stays as it was.
                self.snapshot = before
                _log.exception(
                    "generation not taken over", generation=state.generation, present=before.generation
                )
                return False
            return True

    async def settle(self) -> None:
        """`reload` for after a commit: what fails now is made up for by the listener."""
        try:
            await self.reload()
        except AWAY:
            _log.warning("the change is made, but not yet seen here", exc_info=True)

    async def listen(self) -> None:
        """Follow the database until cancelled, however often it goes away and comes back."""
        failures = 0
        while not cancelled():
            began = asyncio.get_running_loop().time()
            try:
                await self._follow()
            except AWAY as error:
                if asyncio.get_running_loop().time() - began > _POLL:
                    failures = 0
                if failures == 0:
                    _log.warning(
                        "the database is away; trying again", reason=str(error) or type(error).__name__
                    )
                await asyncio.sleep(_RECONNECT[min(failures, len(_RECONNECT) - 1)])
                failures += 1

    async def close(self) -> None:
        """Give connections back."""
        await self.engine.dispose()
        await self.redis.aclose()

    async def _read(self) -> State:
        async with self.tx(ANONYMOUS) as tx:
            return await states.read(tx, self.env.settings.pins)

    def _load(self, state: State) -> None:
        left_out = states.unusable(state, self.classes)
        for name, reason in left_out.items():
            _log.error("plugin left out", plugin=name, reason=reason)
        self.snapshot = states.snapshot(state, self.classes, self.specs, self.always, left_out)
        self.left_out = left_out

    async def _follow(self) -> None:
        """Listen on one connection for as long as it lives."""
        url = make_url(self.env.settings.app_database_url)
        announced = asyncio.Event()
        connection = await asyncpg.connect(
            dsn(url), timeout=5, server_settings={"application_name": f"{self._app_name} listener"}
        )
        try:
            connection.add_termination_listener(lambda _: announced.set())
            await connection.add_listener(CHANNEL, lambda *_: announced.set())
            while not connection.is_closed():
                await self.reload()
                if cancelled():
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(announced.wait(), _POLL)
                announced.clear()
            raise ConnectionResetError("The listening connection was closed.")
        finally:
            connection.terminate()


def cancelled() -> bool:
    """Whether this task was asked to end. Loops look, for redis-py often swallows the cancellation itself (Python 3.11)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def histories(classes: Mapping[str, type[Plugin]], names: Iterable[str]) -> list[History]:
    """The migrations of those of the named plugins that have any."""
    return [History(n, m) for n in sorted(names) if n in classes and (m := classes[n].migrations) is not None]


def dsn(url: URL) -> str:
    """What plain asyncpg takes for a SQLAlchemy URL."""
    plain = url.set(drivername="postgresql").difference_update_query(["role"])
    return plain.render_as_string(hide_password=False)
