"""Real servers for all tests: embedded PostgreSQL and Valkey, started once and shared by all test processes.

Every test that asks for `database` gets a fresh copy of a migrated template.
"""

import asyncio
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import uvicorn

import host
from core.db import migrations
from core.deployment.runtime import Runtime
from core.embedded import Engines
from core.kit.crypto import Vault
from core.kit.settings import Env, Settings
from core.plugin import discover
from core.web.server import SwapApp, http_client
from tests.support.database import Database, on, plain

_URLS = "JISHI_TEST_URLS"
_TEMPLATE = "jishi_template"
_running: dict[str, Any] = {}


def pytest_configure(config: pytest.Config) -> None:
    """Start the engines in the first process only; test processes started by it inherit the addresses."""
    if _URLS in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="jishi-test-"))
    folder.chmod(0o755)
    engines = Engines(folder)
    urls = engines.start()
    _running.update(engines=engines, folder=folder)
    os.environ[_URLS] = json.dumps([urls.owner_database_url, urls.app_database_url, urls.redis_url])
    asyncio.run(_make_template(urls.owner_database_url))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what this process started."""
    if _running:
        _running["engines"].stop()
        shutil.rmtree(_running["folder"], ignore_errors=True)
        os.environ.pop(_URLS, None)
        _running.clear()


async def _make_template(owner_url: str) -> None:
    admin = await asyncpg.connect(plain(owner_url))
    await admin.execute(f"create database {_TEMPLATE}")
    await admin.close()
    classes = discover()
    await host.prepare(on(owner_url, _TEMPLATE), classes, sorted(classes))


@pytest.fixture(scope="session")
def urls() -> tuple[str, str, str]:
    """Owner, app and Redis URLs of the engines."""
    owner, app, redis = json.loads(os.environ[_URLS])
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return owner, app, f"{redis}?db={int(worker) % 15 + 1}"


@pytest.fixture
async def database(urls: tuple[str, str, str]) -> AsyncIterator[Database]:
    """A fresh migrated database; dropped afterwards."""
    owner, app, redis = urls
    name = f"t_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(plain(owner))
    try:
        await admin.execute(f"create database {name} template {_TEMPLATE}")
        yield Database(on(owner, name), on(app, name), redis)
        await _drop(admin, name)
    finally:
        await admin.close()


async def _drop(admin: asyncpg.Connection, name: str) -> None:
    """An autovacuum worker is the superuser's and leaves by itself in a moment."""
    for _ in range(50):
        try:
            await admin.execute(f"drop database {name} with (force)")
        except asyncpg.InsufficientPrivilegeError:
            await asyncio.sleep(0.1)
        else:
            return


@pytest.fixture
def settings(database: Database) -> Settings:
    """Settings of the deployment under test; a test module may override this fixture."""
    return Settings(
        database_url=database.owner_url,
        app_database_url=database.app_url,
        redis_url=database.redis_url,
        sandbox=True,
        aftersales_window=0,
        rate_limits=False,
        public_url="http://test",
    )


@pytest.fixture
def env(settings: Settings) -> Env:
    """What transactions ask their host for."""
    return Env(settings, Vault(b"0123456789abcdef" * 2))


@pytest.fixture
async def runtime(env: Env) -> AsyncIterator[Runtime]:
    """A process's runtime on a fresh database with all built-in plugins on."""
    runtime = host.make_runtime(env)
    await runtime.open()
    await runtime.redis.flushdb()
    yield runtime
    await runtime.close()


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the real app in this process; outside calls to our own address come back to it too."""
    inside = httpx.AsyncClient(base_url="http://test")
    app = SwapApp(runtime, inside)
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1234))
    inside._transport = transport
    inside._mounts = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as outside:
        yield outside
    await inside.aclose()


class Server:
    """A real HTTP server in a thread with an event loop of its own."""

    def __init__(self, env: Env) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self._env = env
        self._up = threading.Event()
        self._stop: Any = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Wait until it answers."""
        self._thread.start()
        assert self._up.wait(20)

    def stop(self) -> None:
        """Wait until it is gone."""
        self._stop()
        self._thread.join(15)

    async def _run(self) -> None:
        runtime = host.make_runtime(self._env)
        await runtime.open()
        async with http_client(self.url) as http:
            app = SwapApp(runtime, http)
            config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, http="httptools")
            server = uvicorn.Server(config)
            loop = asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(setattr, server, "should_exit", True)
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            task = asyncio.create_task(server._serve(sockets=[self.socket]))
            while not server.started:
                await asyncio.sleep(0.01)
            self._up.set()
            await task
        await runtime.close()


@pytest.fixture
async def server(env: Env) -> AsyncIterator[Server]:
    """A real server, for races."""
    server = Server(env)
    server.start()
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture(scope="session")
def core_history() -> migrations.History:
    """Core's migrations."""
    return migrations.CORE


@pytest.fixture
def owner(database: Database) -> str:
    """The owner's DSN for raw looks at the tables; remember that row-level security is forced on it too."""
    return database.owner_dsn
