"""The composition root: settings -> plugins -> hooks -> web, worker or command line.

python host.py run      everything on one machine (what `make run` does)
python host.py web      one web process
python host.py worker   one worker process
"""

import asyncio
import getpass
import logging
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec
import structlog
import uvloop
from cyclopts import App, Parameter

from core import hookspecs
from core.command import config, run
from core.command.children import die_with_parent
from core.command.config import ConfigError
from core.db.migrations import CORE, History
from core.deployment import service as deployment
from core.deployment.runtime import Runtime
from core.embedded import EmbeddedError
from core.kit.errors import JishiError
from core.kit.settings import Env
from core.plugin import Plugin, PluginError, discover
from core.worker.core_plugin import CorePlugin

app = App(name="jishi", help="An open multi-merchant market.")
plugin = App(name="plugin", help="Look at plugins and switch them on or off, live.")
ledger = App(name="ledger", help="Follow the money.")
matrix = App(name="matrix", help="Look at how kinds of offers combine and change it, live.")
app.command(plugin)
app.command(matrix)
app.command(ledger)

Edits = Annotated[
    str,
    Parameter(
        help="JSON as `matrix show --edits` writes it; - is standard input.", allow_leading_hyphen=True
    ),
]


def make_runtime(env: Env, classes: Mapping[str, type[Plugin]] | None = None) -> Runtime:
    """What a process holds; open it before use."""
    found = classes if classes is not None else discover()
    return Runtime(env, found, hookspecs, always=(CorePlugin(),))


async def prepare(
    owner_url: str,
    classes: Mapping[str, type[Plugin]],
    first: Iterable[str],
    pins: Mapping[str, bool] | None = None,
) -> None:
    """Migrate core and plugins; at the first start, switch on the plugins `first`."""
    await deployment.ensure(owner_url, classes, first, hookspecs, pins)


def main() -> None:
    """The command `jishi`."""
    try:
        app()
    except (ConfigError, EmbeddedError, PluginError) as error:
        sys.exit(f"jishi: {error}")


@app.command(name="run")
def run_all() -> None:
    """Run everything on one machine: servers, migrations, demo market, web and worker."""
    _log()
    try:
        settings, given = config.load()
    except ConfigError as error:
        sys.exit(f"jishi cannot start: {error}")
    sys.exit(run.run(settings, given, run.Prepare(_migrate, _seed)))


@app.command
def web(*, fd: int | None = None) -> None:
    """One web process, on the listening socket `fd` or on JISHI_HOST and JISHI_PORT."""
    from core.web.server import serve

    die_with_parent()
    _log()
    env = _env()
    listening = socket.socket(fileno=fd) if fd is not None else run.listen(env.settings)
    uvloop.run(serve(lambda: make_runtime(env), [listening], config.base_url(env.settings)))


@app.command
def worker() -> None:
    """One worker process."""
    from core.worker.main import run_worker

    die_with_parent()
    _log()
    env = _env()
    run_worker(lambda: make_runtime(env), env.settings)


@app.command
def migrate() -> None:
    """Bring the database up to date."""
    _migrate(_env())


@app.command
def seed() -> None:
    """Load the demo market."""
    print(_seed(_env()))


@app.command
def migration(owner: str, name: str) -> None:
    """Write a new revision for OWNER (core or a plugin) from the difference between its models and the database."""
    from core.db import revision
    from core.models import METADATA

    env, classes = _env(), discover()
    if owner == "core":
        history, metadata = CORE, METADATA
    elif owner in classes and classes[owner].metadata is not None and classes[owner].migrations:
        history, metadata = (
            History(owner, classes[owner].migrations or ""),
            classes[owner].metadata or METADATA,
        )
    else:
        sys.exit(f"jishi: {owner} is neither core nor a plugin with tables.")
    print(
        asyncio.run(revision.write(env.settings.database_url, history, metadata, name)) or "Nothing to write."
    )


@app.command
def operator(login: str) -> None:
    """Add an operator with every permission. The password is asked for, or read from standard input."""
    from core.command import people

    asked = sys.stdin.isatty()
    password = getpass.getpass(f"Password for {login}: ") if asked else sys.stdin.readline().rstrip("\n")
    _with_runtime(lambda r: people.add_operator(r, login, password))


@plugin.command(name="list")
def plugin_list() -> None:
    """All installed plugins."""
    from core.command import plugins

    _with_runtime(plugins.show)


@plugin.command
def enable(name: str) -> None:
    """Switch a plugin on, in running processes too."""
    from core.command import plugins

    _with_runtime(lambda r: plugins.enable(r, name))


@plugin.command
def disable(name: str) -> None:
    """Switch a plugin off for new business, in running processes too."""
    from core.command import plugins

    _with_runtime(lambda r: plugins.disable(r, name))


@plugin.command(name="config")
def configure(
    name: str,
    value: Annotated[str | None, Parameter(help="The new config as JSON; without it, show it.")] = None,
) -> None:
    """Show or change a plugin's config, in running processes too."""
    from core.command import plugins

    _with_runtime(lambda r: plugins.configure(r, name, value))


@matrix.command(name="show")
def matrix_show(*, edits: bool = False) -> None:
    """Kinds of offers by phase, and how pairs of them combine; with --edits only the edits, as JSON."""
    from core.command import matrix as command

    _with_runtime(lambda r: command.show(r, edits=edits))


@matrix.command(name="history")
def matrix_history() -> None:
    """What was published, newest first."""
    from core.command import matrix as command

    _with_runtime(command.history)


@matrix.command(name="check")
def matrix_check(file: Edits) -> None:
    """Say what contradicts in the edits in FILE."""
    from core.command import matrix as command

    _with_runtime(lambda r: command.check(r, file))


@matrix.command(name="publish")
def matrix_publish(
    file: Edits,
    *,
    note: Annotated[str, Parameter(help="Why, for the history.")] = "",
    version: Annotated[int | None, Parameter(help="The newest version that was looked at.")] = None,
) -> None:
    """Make the edits in FILE count instead of all earlier ones, in running processes too."""
    from core.command import matrix as command

    _with_runtime(lambda r: command.publish(r, file, note, version))


@matrix.command(name="restore")
def matrix_restore(version: int, *, note: str = "") -> None:
    """Publish the edits of an old version again; 0 is what the plugins declare."""
    from core.command import matrix as command

    _with_runtime(lambda r: command.restore(r, version, note))


@ledger.command
def trace(order: str) -> None:
    """Every fen of an order (id or number), from payment to where it ended."""
    from core.command import money

    _with_runtime(lambda r: money.trace(r, order))


@ledger.command
def check() -> None:
    """Check the ledger's invariants."""
    from core.command import money

    _with_runtime(money.check)


@app.command
def explain(
    trade: str,
    *,
    language: Annotated[Literal["en", "zh"], Parameter(help="In English or Chinese.")] = "en",
) -> None:
    """How the price of a trade (id or number) came about: every discount, who bears it, and what did not apply."""
    from core.command import prices

    _with_runtime(lambda r: prices.explain(r, trade, language))


def _env() -> Env:
    settings, _ = config.load()
    return config.make_env(run.attach(settings))


def _migrate(env: Env) -> None:
    classes = discover()
    first = env.settings.plugins if env.settings.plugins is not None else sorted(classes)
    asyncio.run(run.reachable(prepare(env.settings.database_url, classes, first, env.settings.pins)))


def _seed(env: Env) -> str:
    from core.demo.seed import seed as load

    async def fill() -> str:
        runtime = make_runtime(env)
        await runtime.open()
        try:
            return str(await load(runtime.tx))
        finally:
            await runtime.close()

    return asyncio.run(fill())


def _with_runtime(action: run.Action) -> None:
    env = _env()

    async def act() -> str:
        runtime = make_runtime(env)
        await runtime.open()
        try:
            return await action(runtime)
        finally:
            await runtime.close()

    try:
        print(asyncio.run(run.reachable(act())))
    except JishiError as error:
        fields = "".join(f"\n  {f.field}: {f.detail}" for f in error.extra.get("errors", ()))
        sys.exit(f"jishi: {error.detail}{fields}")


def _log() -> None:
    json_lines = not sys.stderr.isatty() and os.environ.get("JISHI_LOG") == "json"
    renderer = (
        structlog.processors.JSONRenderer(msgspec.json.encode)
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if json_lines
        else structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


if __name__ == "__main__":
    main()
