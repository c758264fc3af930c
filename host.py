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
from datetime import date
from typing import Annotated, Literal

import msgspec
import uvloop
from cyclopts import App, Parameter

from core import hookspecs
from core.command import config, observe, run
from core.command.children import die_with_parent
from core.command.composed import environment, make_runtime, with_runtime
from core.command.config import ConfigError
from core.command.groups import events, ledger, matrix, plugin
from core.db.migrations import CORE, History
from core.deployment import service as deployment
from core.deployment.runtime import Runtime
from core.embedded import EmbeddedError
from core.kit.settings import Env
from core.plugin import Plugin, PluginError, discover
from core.sandbox.address import url_of

app = App(name="jishi", help="An open multi-merchant market.")
app.command(plugin)
app.command(events)
app.command(matrix)
app.command(ledger)


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
    env = environment()
    observe.trace(env.settings, "jishi-web")
    listening = socket.socket(fileno=fd) if fd is not None else run.listen(env.settings)
    uvloop.run(serve(lambda: make_runtime(env), [listening], config.base_url(env.settings)))


@app.command
def worker() -> None:
    """One worker process."""
    from core.worker.main import run_worker, sized

    die_with_parent()
    observe.log()
    env = environment()
    env = msgspec.structs.replace(env, settings=sized(env.settings))
    observe.trace(env.settings, "jishi-worker")
    run_worker(lambda: make_runtime(env), env.settings)


@app.command
def sandbox() -> None:
    """The sandbox payment service alone, on JISHI_SANDBOX_PORT of this machine, with its books in the data folder. A market
    finds it by JISHI_SANDBOX_URL and must have the same secret file."""
    from core.command import sandbox as command

    observe.log()
    settings, _ = config.load()
    listening = command.listen(settings)
    print(f"Payments on {url_of(listening)}/", flush=True)
    command.serve(settings, listening)


@app.command
def migrate() -> None:
    """Bring the database up to date."""
    _migrate(environment())


@app.command
def seed() -> None:
    """Load the demo market."""
    print(_seed(environment()))


@app.command
def migration(owner: str, name: str) -> None:
    """Write a new revision for OWNER (core or a plugin) from the difference between its models and the database."""
    from core.db import revision
    from core.models import METADATA

    env, classes = environment(), discover()
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
    with_runtime(lambda r: people.add_operator(r, login, password))


@app.command
def explain(
    trade: str,
    *,
    language: Annotated[Literal["en", "zh"], Parameter(help="In English or Chinese.")] = "en",
) -> None:
    """How the price of a trade (id or number) came about: every discount, who bears it, and what did not apply."""
    from core.command import prices

    with_runtime(lambda r: prices.explain(r, trade, language))


@app.command
def reconcile(
    day: date,
    *,
    provider: Annotated[str | None, Parameter(help="Only this payment service's bill.")] = None,
) -> None:
    """Compare the books of a DAY (of UTC+8) with the payment services' bills. Exit code 1 when something is wrong."""
    from core.command import money

    wrong = False

    async def compare(runtime: Runtime) -> str:
        nonlocal wrong
        text, wrong = await money.reconcile(runtime, day, provider)
        return text

    with_runtime(compare)
    sys.exit(wrong)


@app.command
def doctor(*, json: Annotated[bool, Parameter(help="As JSON.")] = False) -> None:
    """Look at the whole deployment: what is wrong and how to mend it. Exit code 1 when something fails."""
    from core.command import doctor as command

    observe.log()
    settings, _ = config.load()
    found = asyncio.run(command.doctor(run.attach(settings), make_runtime))
    print(command.as_json(found) if json else command.as_text(found))
    sys.exit(found.status == "failing")


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


if __name__ == "__main__":
    main()
