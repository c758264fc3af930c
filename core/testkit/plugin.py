"""What pytest gets from an installed jishi: the fixtures of `docs/testing.md`.

Only pytest is imported here; what a fixture needs is loaded, and servers are started, once a test asks for it.
"""

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.testkit.place import RUN, new_folder

try:
    from pytest_asyncio import fixture as async_fixture
except ImportError:
    # Without it there are no async tests, which alone can use these.
    async_fixture = pytest.fixture  # type: ignore[assignment]

if TYPE_CHECKING:
    import httpx

    from core.deployment.runtime import Runtime
    from core.kit.settings import Env, Settings
    from core.testkit import Database, Market, Plugins, Server, TestClock
    from core.testkit.counting import Statements
    from core.testkit.servers import Servers
    from core.types.pricing import Basket

_ours: list[str] = []


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Agree on a folder for the servers of this run before pytest-xdist starts its processes, which inherit it."""
    if RUN not in os.environ and not hasattr(session.config, "workerinput"):
        os.environ[RUN] = new_folder()
        _ours.append(os.environ[RUN])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:  # noqa: ARG001
    """End the sandbox payment service of this process, if a market needed it."""
    found = sys.modules.get("core.testkit.sandbox")
    if found is not None:
        found.stop()


def pytest_unconfigure(config: pytest.Config) -> None:  # noqa: ARG001
    """End the servers of this run, if any test asked for them."""
    for run in _ours:
        os.environ.pop(RUN, None)
        if Path(run).is_dir():
            from core.testkit.servers import stop

            stop(Path(run))
    _ours.clear()


@pytest.fixture(scope="session")
def jishi_servers() -> "Servers":
    """Real PostgreSQL and Valkey: those in JISHI_TEST_URLS (JSON: owner's, app's and Redis's URL), or embedded ones, started
    once for all processes of the run."""
    from core.testkit.servers import servers

    return servers()


@pytest.fixture
def jishi_plugins() -> "Plugins":
    """Override it to say which plugins the market has; as it is, all that are installed are on."""
    from core.testkit import Plugins

    return Plugins()


@async_fixture
async def database(jishi_servers: "Servers", jishi_plugins: "Plugins") -> "AsyncIterator[Database]":
    """A fresh migrated database; dropped afterwards."""
    from core.testkit.database import fresh

    async with fresh(jishi_servers, jishi_plugins) as made:
        yield made


@pytest.fixture
def settings(database: "Database") -> "Settings":
    """Settings of the deployment under test; override it to change some."""
    return database.settings()


@pytest.fixture
def env(settings: "Settings") -> "Env":
    """What transactions ask their host for."""
    from core.testkit.database import env_of

    return env_of(settings)


@pytest.fixture
def clock() -> "TestClock":
    """The present of the market: `clock.advance(days=8)`, `clock.freeze()`."""
    from core.testkit import TestClock

    return TestClock()


@async_fixture
async def runtime(env: "Env", jishi_plugins: "Plugins", clock: "TestClock") -> "AsyncIterator[Runtime]":
    """A process's runtime on a fresh database; `runtime.tx(scope)` opens a transaction."""
    made = jishi_plugins.runtime(env, clock)
    await made.open()
    await made.redis.flushdb()
    yield made
    await made.close()


@async_fixture
async def client(runtime: "Runtime") -> "AsyncIterator[httpx.AsyncClient]":
    """A client of the whole application, in this process."""
    from core.testkit.live import client_of

    async with client_of(runtime) as made:
        yield made


@async_fixture
async def server(env: "Env", jishi_plugins: "Plugins", clock: "TestClock") -> "AsyncIterator[Server]":
    """A real HTTP server on the same database, for races: `server.url`."""
    import asyncio

    from core.testkit import Server

    made = Server(lambda: jishi_plugins.runtime(env, clock))
    made.start()
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
def market(runtime: "Runtime", client: "httpx.AsyncClient") -> "Market":
    """Makes people, shops and goods: see `core.testkit.Market`."""
    from core.testkit import Market

    return Market(runtime, client)


@pytest.fixture
def purchase(market: "Market") -> Callable[..., Awaitable[dict[str, Any]]]:
    """`await purchase(buyer, [(article, 2)], options={...})`: a trade that was paid; see `Market.purchase`."""
    return market.purchase


@pytest.fixture
def drain(market: "Market") -> Callable[..., Awaitable[Any]]:
    """`await drain()`: run effects and timers that are due; `await drain(days=8)` lets time pass; see `Market.drain`."""
    return market.drain


@pytest.fixture
def basket() -> "Callable[..., Basket]":
    """Builds baskets for tests of rules; needs no servers: see `core.testkit.basket`."""
    from core.testkit import basket

    return basket


@pytest.fixture
def statements() -> "Callable[[], AbstractContextManager[Statements]]":
    """`with statements() as seen:` counts what is sent to the database meanwhile."""
    from core.testkit import statements

    return statements
