"""What a process holds for as long as it lives: pool, Redis, settings, and the plugins of the present generation.

Web and worker processes alike follow the database (`core.deployment.following`). A proposed generation is built beside the
present one; once it is active, snapshot and app are replaced by one assignment each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import ModuleType

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.engine import URL

from core.db.engine import UNREACHABLE, create_engine
from core.db.migrations import History
from core.db.tx import Tx
from core.deployment import following
from core.deployment import state as states
from core.deployment.state import State
from core.kit.clock import Clock, system_clock
from core.kit.errors import Unavailable
from core.kit.settings import Env
from core.plugin import Plugin, PluginError, Snapshot, build
from core.types.scope import ANONYMOUS, Scope

# How a database that went away shows; the last while it is still starting.
AWAY = (Unavailable, *UNREACHABLE)

_log = structlog.get_logger("jishi.deployment")

# Builds whatever hangs on the plugins for a snapshot, beside the present one; what it answers puts that into force.
Builder = Callable[[Snapshot], Awaitable[Callable[[], None]]]


class Built(msgspec.Struct, frozen=True):
    """A generation that is ready to be put into force."""

    snapshot: Snapshot
    left_out: Mapping[str, str]
    swaps: Sequence[Callable[[], None]]


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
        self.leaving = False
        self.snapshot: Snapshot = build(
            classes, specs, generation=-1, enabled={}, winding_down={}, always=always
        )
        self.app_name = app_name
        self.followed = asyncio.Event()
        self._builders: list[Builder] = []
        self._changed: list[Callable[[], Awaitable[None]]] = []
        self._prepared: Built | None = None
        self._reloading = asyncio.Lock()

    def tx(self, scope: Scope, snapshot: Snapshot | None = None) -> Tx:
        """A transaction of its own, with the present snapshot unless one is given."""
        return Tx(self.engine, snapshot or self.snapshot, scope, self.env, self.clock)

    def on_build(self, builder: Builder) -> None:
        """Have `builder` called for each generation before it comes into force; what it raises refuses the generation."""
        self._builders.append(builder)

    def on_change(self, action: Callable[[], Awaitable[None]]) -> None:
        """Have `action` awaited after each change of the snapshot."""
        self._changed.append(action)

    def histories(self) -> list[History]:
        """Migrations of the plugins whose tables exist."""
        return histories(self.classes, self.snapshot.installed)

    async def open(self) -> None:
        """Load the active generation. Raises `Unavailable`, or `PluginError` when the plugins do not fit together."""
        self._swap(await self._build(await self._read()))

    async def prepare(self, number: int) -> None:
        """Build the proposed generation `number` beside the present one; nothing happens if it is decided already.

        Raises `PluginError`, and whatever a plugin raises, when this process cannot run it.
        """
        async with self._reloading:
            self._prepared = None
            async with self.tx(ANONYMOUS) as tx:
                state = await states.proposed(tx, number, self.env.settings.pins)
            if state is None:
                return
            built = await self._build(state)
            worse = [reason for name, reason in built.left_out.items() if name not in self.left_out]
            if worse:
                raise PluginError("\n".join(worse))
            self._prepared = built

    async def reload(self) -> bool:
        """Follow the database; whether anything changed. What cannot be built is logged and the present snapshot stays.

        Raises `Unavailable` or a driver's error when the database is away.
        """
        async with self._reloading:
            state, before = await self._read(), self.snapshot
            if state.generation == before.generation:
                return False
            try:
                prepared, self._prepared = self._prepared, None
                ready = prepared is not None and prepared.snapshot.generation == state.generation
                self._swap(prepared if ready and prepared else await self._build(state))
            except Exception:  # noqa: BLE001 -- whatever a plugin does wrong, the process stays
                # Tried again at the next announcement or poll; until then this process stays as it was.
                _log.exception(
                    "generation not taken over", generation=state.generation, present=before.generation
                )
                return False
        for action in self._changed:
            await action()
        return True

    async def settle(self) -> None:
        """`reload` for after a commit: what fails now is made up for by the listener."""
        try:
            await self.reload()
        except AWAY:
            _log.warning("the change is made, but not yet seen here", exc_info=True)

    async def listen(self, kind: str = "web") -> None:
        """Be one of the deployment's live processes (`web` or `worker`) until cancelled, however often the database goes
        away and comes back. `followed` is set once the first look at it has been taken."""
        await following.listen(self, kind)

    def leave(self) -> None:
        """The process was asked to stop: from now on it is not ready."""
        self.leaving = True

    async def close(self) -> None:
        """Give connections back."""
        await self.engine.dispose()
        await self.redis.aclose()

    async def _read(self) -> State:
        async with self.tx(ANONYMOUS) as tx:
            return await states.read(tx, self.env.settings.pins)

    async def _build(self, state: State) -> Built:
        left_out = states.unusable(state, self.classes)
        for name, reason in left_out.items():
            _log.error("plugin left out", plugin=name, reason=reason)
        made = await asyncio.to_thread(
            states.snapshot, state, self.classes, self.specs, self.always, left_out
        )
        return Built(made, left_out, [await builder(made) for builder in self._builders])

    def _swap(self, built: Built) -> None:
        """Without a pause in between: no request sees the one new and the other old."""
        self.snapshot, self.left_out = built.snapshot, built.left_out
        for swap in built.swaps:
            swap()


def histories(classes: Mapping[str, type[Plugin]], names: Iterable[str]) -> list[History]:
    """The migrations of those of the named plugins that have any."""
    return [History(n, m) for n in sorted(names) if n in classes and (m := classes[n].migrations) is not None]


def dsn(url: URL) -> str:
    """What plain asyncpg takes for a SQLAlchemy URL."""
    plain = url.set(drivername="postgresql").difference_update_query(["role"])
    return plain.render_as_string(hide_password=False)
