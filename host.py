"""The composition root: settings -> plugins -> hooks -> web, worker or command line.

python host.py run      everything on one machine (what `make run` does)
python host.py web      one web process
python host.py worker   one worker process
"""

import asyncio
import getpass
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec
import uvloop
from cyclopts import App, Parameter

from core import hookspecs
from core.command import config, observe, run
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
events = App(name="events", help="Look at effects, timers and outside calls; try them again or drop them.")
app.command(plugin)
app.command(events)
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
    observe.log()
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
    observe.log()
    env = _env()
    observe.trace(env.settings, "jishi-web")
    listening = socket.socket(fileno=fd) if fd is not None else run.listen(env.settings)
    uvloop.run(serve(lambda: make_runtime(env), [listening], config.base_url(env.settings)))


@app.command
def worker() -> None:
    """One worker process."""
    from core.worker.main import run_worker, sized

    die_with_parent()
    observe.log()
    env = _env()
    env = msgspec.structs.replace(env, settings=sized(env.settings))
    observe.trace(env.settings, "jishi-worker")
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


@plugin.command
def quarantine(name: str, *, reason: str) -> None:
    """Let nothing of a plugin run any more, not even what it has begun, until it is released."""
    from core.command import plugins

    _with_runtime(lambda r: plugins.quarantine(r, name, reason))


@plugin.command
def release(name: str) -> None:
    """Take a plugin out of quarantine, as it was before."""
    from core.command import plugins

    _with_runtime(lambda r: plugins.release(r, name))


@plugin.command
def purge(name: str, *, yes: bool = False) -> None:
    """Remove the tables and rows of a plugin that is off, for good. Past orders keep what it took off."""
    from core.command import plugins

    if not yes:
        sys.exit(f"jishi: this removes everything that {name} has stored, for good; say --yes.")
    _with_runtime(lambda r: plugins.purge(r, name))


@plugin.command(name="history")
def plugin_history() -> None:
    """Every change of plugins and matrix, newest first: who, when, what, and with what outcome."""
    from core.command import plugins

    _with_runtime(plugins.history)


@plugin.command(name="undo")
def plugin_undo(generation: int | None = None) -> None:
    """Back to before the newest change; with GENERATION only if that is still the newest."""
    from core.command import plugins

    _with_runtime(lambda r: plugins.undo(r, generation))


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


@events.command(name="list")
def events_list(
    *,
    status: Literal["new", "sent", "failed", "parked", "dropped", "done"] | None = None,
    plugin: str | None = None,
    event: str | None = None,
    limit: int = 100,
) -> None:
    """Deliveries, the newest event first."""
    from core.command import events as command
    from core.events.schemas import Status

    wanted = Status(status) if status else None
    _with_runtime(lambda r: command.show_list(r, wanted, plugin, event, limit))


@events.command(name="show")
def events_show(event_id: str) -> None:
    """One event, its payload and its deliveries."""
    from core.command import events as command

    _with_runtime(lambda r: command.show(r, event_id))


@events.command(name="retry")
def events_retry(
    event_id: str | None = None,
    to: Annotated[str | None, Parameter(help="The plugin it is delivered to.")] = None,
    *,
    plugin: Annotated[str | None, Parameter(help="Without EVENT-ID: only this plugin's.")] = None,
    event: Annotated[str | None, Parameter(help="Without EVENT-ID: only this event.")] = None,
) -> None:
    """Try the delivery of EVENT-ID to a plugin at once; without EVENT-ID, everything that is parked."""
    from core.command import events as command

    if event_id is None:
        _with_runtime(lambda r: command.retry_parked(r, plugin, event))
    elif to is None:
        sys.exit("jishi: say which plugin it is delivered to: jishi events retry EVENT-ID PLUGIN.")
    else:
        _with_runtime(lambda r: command.retry(r, event_id, to))


@events.command(name="drop")
def events_drop(
    event_id: str, plugin: str, reason: Annotated[str, Parameter(help="Why, for the record.")]
) -> None:
    """Never deliver EVENT-ID to PLUGIN."""
    from core.command import events as command

    _with_runtime(lambda r: command.drop(r, event_id, plugin, reason))


@events.command(name="summary")
def events_summary() -> None:
    """What waits, failed or is parked, by plugin and event."""
    from core.command import events as command

    _with_runtime(command.summary)


@app.command
def explain(
    trade: str,
    *,
    language: Annotated[Literal["en", "zh"], Parameter(help="In English or Chinese.")] = "en",
) -> None:
    """How the price of a trade (id or number) came about: every discount, who bears it, and what did not apply."""
    from core.command import prices

    _with_runtime(lambda r: prices.explain(r, trade, language))


@app.command
def doctor(*, json: Annotated[bool, Parameter(help="As JSON.")] = False) -> None:
    """Look at the whole deployment: what is wrong and how to mend it. Exit code 1 when something fails."""
    from core.command import doctor as command

    observe.log()
    settings, _ = config.load()
    found = asyncio.run(command.doctor(run.attach(settings), make_runtime))
    print(command.as_json(found) if json else command.as_text(found))
    sys.exit(found.status == "failing")


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


if __name__ == "__main__":
    main()
