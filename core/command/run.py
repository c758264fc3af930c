"""`jishi run`: everything on one machine. Engines, migrations, the demo market once, web and worker processes."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TypeVar
from urllib.error import URLError
from uuid import UUID

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from core.command import config, sandbox
from core.command.children import STOP_WITHIN, Child
from core.command.config import ConfigError
from core.db.engine import UNREACHABLE
from core.deployment import following
from core.deployment.runtime import Runtime
from core.embedded import EmbeddedError, Engines
from core.kit.settings import Env, Settings
from core.kit.sockets import listening
from core.sandbox.address import url_of

_HOST = Path(__file__).parents[2] / "host.py"
_OVER = object()
_RUNNING = "running.json"
T = TypeVar("T")
Action = Callable[[Runtime], Awaitable[str]]
console = Console(highlight=False, soft_wrap=True)


class Prepare(msgspec.Struct, frozen=True):
    """What the host does before processes start: migrations and first plugins, then the demo market."""

    migrate: Callable[[Env], None]
    seed: Callable[[Env], str]


def run(settings: Settings, given: frozenset[str], prepare: Prepare) -> int:
    """Run until SIGINT or SIGTERM. The exit code: 0 after a clean stop, 1 when it could not start."""
    stop = _Stop()
    try:
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(listen(settings))
            settings, engines = _engines(settings, given, stack)
            settings, payments = _payments(settings, stack)
            env = config.make_env(settings)
            _remember(env.settings, stack)
            _step("Migrations", lambda: prepare.migrate(env))
            if settings.demo and not stop.asked:
                _step("Demo market", lambda: prepare.seed(env))
            children = _children(env.settings, listening)
            # Started by the first look at all of them: the market is there first, and until then calls wait in the socket.
            later = [] if payments is None else [_sandbox(env.settings, payments)]
            stack.callback(_stop_all, [*children, *later])
            for child in children:
                child.start()
            _announce(env.settings, stop)
            children += later
            _watch(stop, engines, children)
            console.print("Stopping ...")
    except (ConfigError, EmbeddedError) as error:
        console.print(f"[bold red]jishi cannot start:[/] {error}")
        return 1
    console.print("Stopped.")
    return 0


def _watch(stop: "_Stop", engines: Engines | None, children: list[Child]) -> None:
    """Keep all running until asked to stop; on SIGHUP replace one after another."""
    rolling: Iterator[None] | None = None
    while not stop.asked:
        if engines is not None:
            engines.poll()
        for child in children:
            child.keep()
        if stop.take_roll() and rolling is None:
            console.print("Restarting one process after another ...")
            rolling = (step for child in children for step in child.roll())
        if rolling is not None and next(rolling, _OVER) is _OVER:
            rolling = None
            console.print("Restarted.")
        time.sleep(0.2 if rolling is None else 0.05)


async def reachable(work: Awaitable[T]) -> T:
    """Do `work` on the database; a database that does not answer becomes one sentence. Raises `ConfigError`."""
    try:
        return await work
    except UNREACHABLE as error:
        raise ConfigError(_sentence(_driver_error(error))) from None


def _driver_error(error: BaseException) -> BaseException:
    """What the driver said, below SQLAlchemy's own words around it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, asyncpg.PostgresError | OSError):
            return seen
        seen = getattr(seen, "orig", None) or seen.__cause__
    return error


def _sentence(error: BaseException) -> str:
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return f"JISHI_DATABASE_URL is refused by the server: {error}."
        case asyncpg.InvalidCatalogNameError():
            return f"JISHI_DATABASE_URL names what the server does not have: {error}."
        case asyncpg.InsufficientPrivilegeError():
            return (
                f"The database refuses: {error}. The user of JISHI_DATABASE_URL must own the database and be a member of "
                "the role jishi_app (grant jishi_app to <user>), or give JISHI_APP_DATABASE_URL."
            )
        case _:
            return (
                "The database of JISHI_DATABASE_URL does not answer; it is of the form "
                f"postgresql+asyncpg://user:password@host:5432/database ({error})."
            )


def attach(settings: Settings) -> Settings:
    """Settings for a command beside a running `jishi run`, which leaves its own in the data folder.

    Raises `ConfigError` when there is neither a running deployment in the folder nor a database URL.
    """
    if settings.database_url and settings.redis_url:
        return settings
    path = Path(settings.data) / _RUNNING
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        raise ConfigError(
            f"Nothing runs on the folder {settings.data}: start it with jishi run, or set JISHI_DATABASE_URL "
            "and JISHI_REDIS_URL."
        ) from None


def _remember(settings: Settings, stack: contextlib.ExitStack) -> None:
    path = Path(settings.data) / _RUNNING
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(settings))
    stack.callback(path.unlink, missing_ok=True)


class _Stop:
    """Remembers that SIGINT or SIGTERM came, and that SIGHUP did: it asks for new processes, but to stop when it comes from
    the terminal that was closed."""

    def __init__(self) -> None:
        self.asked = self._roll = False
        terminal = sys.stdin is not None and sys.stdin.isatty()
        signal.signal(signal.SIGHUP, self._ask if terminal else self._ask_roll)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.asked = True

    def _ask_roll(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._roll = True

    def take_roll(self) -> bool:
        """Whether SIGHUP came since the last look."""
        asked, self._roll = self._roll, False
        return asked


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises `ConfigError` when the address is taken or not ours."""
    try:
        return listening(settings.host, settings.port, 2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"Port {settings.port} on {settings.host} is taken; stop the program that has it, "
                "or choose another with JISHI_PORT."
            ) from None
        raise ConfigError(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}; "
            "set JISHI_HOST and JISHI_PORT."
        ) from None


def _engines(
    settings: Settings, given: frozenset[str], stack: contextlib.ExitStack
) -> tuple[Settings, Engines | None]:
    postgres, valkey = not settings.database_url, not settings.redis_url
    if not postgres and not valkey:
        return settings, None
    engines = Engines(Path(settings.data), postgres=postgres, valkey=valkey)
    stack.callback(engines.stop)
    urls = _step("Servers", engines.start)
    if postgres:
        # A market on our own engines is for trying out: unless told otherwise it takes sandbox payments, has a demo, and
        # lets money become payable after seconds instead of a week.
        tryout: dict[str, object] = {"sandbox": True, "demo": True, "aftersales_window": 10}
        settings = config.resolve(
            settings,
            database_url=urls.owner_database_url,
            app_database_url=urls.app_database_url,
            **{name: value for name, value in tryout.items() if name not in given},
        )
    if valkey:
        settings = config.resolve(settings, redis_url=urls.redis_url)
    return settings, engines


def _children(settings: Settings, listening: socket.socket) -> list[Child]:
    environ: Mapping[str, str] = {**os.environ, config.RESOLVED: msgspec.json.encode(settings).decode()}
    python = [sys.executable, str(_HOST)]
    died = _forgetting(settings.app_database_url)
    webs = [
        Child(
            f"web {n + 1}",
            [*python, "web", "--fd", str(listening.fileno())],
            environ,
            [listening.fileno()],
            ready=True,
            stop=signal.SIGUSR1,
            died=died,
        )
        for n in range(settings.web_processes)
    ]
    return [*webs, Child("worker", [*python, "worker"], environ, died=died)]


def _forgetting(app_database_url: str) -> Callable[[UUID], None]:
    """Takes a process off the list of those that live, beside the watching, which must not wait for the database."""

    def forget(process_id: UUID) -> None:
        with contextlib.suppress(TimeoutError):
            asyncio.run(following.forget(app_database_url, process_id))

    return lambda process_id: threading.Thread(target=forget, args=(process_id,), daemon=True).start()


def _payments(settings: Settings, stack: contextlib.ExitStack) -> tuple[Settings, socket.socket | None]:
    """Where the sandbox payment service is to listen, if it is ours to run. Raises `ConfigError`."""
    if not settings.sandbox or settings.sandbox_url:
        return settings, None
    listening = stack.enter_context(sandbox.listen(settings))
    return config.resolve(settings, sandbox_url=url_of(listening)), listening


def _sandbox(settings: Settings, listening: socket.socket) -> Child:
    path = os.pathsep.join(filter(None, (str(_HOST.parent), os.environ.get("PYTHONPATH"))))
    environ = {
        **os.environ, "PYTHONPATH": path, config.RESOLVED: msgspec.json.encode(settings).decode(),
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "core.command.sandbox", str(listening.fileno())]
    return Child("sandbox", command, environ, [listening.fileno()])


def _stop_all(children: list[Child]) -> None:
    for child in children:
        child.ask_to_stop()
    until = time.monotonic() + STOP_WITHIN
    for child in children:
        child.wait(until)


def _step(title: str, action: Callable[[], T]) -> T:
    began = time.monotonic()
    with console.status(f"{title} ..."):
        found = action()
    console.print(f"{title:<12} ready [dim]{time.monotonic() - began:.1f} s[/]")
    return found


def _announce(settings: Settings, stop: _Stop) -> None:
    url = f"http://{'127.0.0.1' if settings.host in ('0.0.0.0', '::') else settings.host}:{settings.port}"  # noqa: S104
    until = time.monotonic() + 60
    while not stop.asked and time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=1).close()  # noqa: S310
            break
        except (URLError, OSError):
            time.sleep(0.05)
    if stop.asked:
        return
    table = Table(title="jishi 集市 is open", title_justify="left", show_header=False)
    for name, value in (
        ("Market", url + "/"),
        ("API", url + "/api/docs"),
        ("Health", url + "/readyz"),
        *([("Payments", settings.sandbox_url + "/")] if settings.sandbox_url else []),
        ("Data", str(Path(settings.data).absolute())),
    ):
        table.add_row(name, value)
    if settings.demo:
        table.add_section()
        table.add_row("Operator", "operator")
        table.add_row("Merchants", ", ".join(_merchants()))
        table.add_row("Buyers", "buyer1 ... buyer9")
        table.add_row("Password", "demo-pass-1  (of all of them; for trying out only)")
    console.print(table)
    console.print("Ctrl-C stops everything; the data stays.")


def _merchants() -> list[str]:
    import core.demo

    market = msgspec.json.decode((Path(next(iter(core.demo.__path__))) / "market.json").read_bytes())
    return [m["slug"] for m in market["merchants"]]
