"""The sandbox payment service of a test process: a real server in a thread, started when a market first needs it.

Markets under test do not listen (`client_of`), so the server's notifications go straight into their applications, in
the loop that they run in. Each market is an account of its own, the name of its database.
"""

import asyncio
import contextlib
import shutil
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from core.deployment.runtime import Runtime
from core.kit.clock import Clock, system_clock
from core.kit.crypto import Vault
from core.sandbox.address import listen, url_of
from core.sandbox.app import FILE, opened
from core.sandbox.signing import ACCOUNT
from core.testkit.database import KEY

_PATIENCE = 20.0


class _Market:
    """An application that notifications reach: its loop, and the present as it sees it."""

    def __init__(self, app: Any, clock: Clock) -> None:
        self.loop, self.clock = asyncio.get_running_loop(), clock
        self.transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))


class _Into(httpx.AsyncBaseTransport):
    """Requests into the market that their account names."""

    def __init__(self, markets: dict[str, _Market]) -> None:
        self._markets = markets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Called in the server's thread; the market answers in its own."""
        market = self._markets.get(request.headers.get(ACCOUNT, ""))
        if market is None or market.loop.is_closed():
            raise httpx.ConnectError("This market is not there.", request=request)
        answering = asyncio.run_coroutine_threadsafe(_answer(market, request), market.loop)
        return await asyncio.wrap_future(answering)


async def _answer(market: _Market, request: httpx.Request) -> httpx.Response:
    found = await market.transport.handle_async_request(request)
    return httpx.Response(found.status_code, headers=found.headers, content=await found.aread())


class Sandbox:
    """Answers at `url` for as long as the process lives."""

    def __init__(self) -> None:
        self._socket: socket.socket = listen(0)
        self.url = url_of(self._socket)
        self.markets: dict[str, _Market] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="jishi-sandbox-"))
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._end: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self._thread.start()
        if not self._up.wait(_PATIENCE) or self._failed is not None:
            raise RuntimeError("The sandbox payment service did not start.") from self._failed

    def rows(self, account: str, sql: str) -> list[tuple[Any, ...]]:
        """A look into its books; `:account` in the SQL is the account."""
        with contextlib.closing(sqlite3.connect(self._folder / FILE)) as db:
            return db.execute(sql, {"account": account}).fetchall()

    def stop(self) -> None:
        """Wait until it is gone."""
        self._end()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 -- told to the thread that waits
            self._failed = error
        finally:
            self._up.set()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _serve(self) -> None:
        sign = Vault(KEY).sandbox_sign
        opening = opened(
            self._folder / FILE, sign, transport=_Into(self.markets), clock=self._present, synchronous="off"
        )
        loop = asyncio.get_running_loop()
        async with opening as app:
            config = uvicorn.Config(
                app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
            server = uvicorn.Server(config)
            self._end = lambda: loop.call_soon_threadsafe(_end, server)
            task = asyncio.create_task(server._serve(sockets=[self._socket]))  # noqa: SLF001 -- without signal handlers
            while not server.started and not task.done():  # noqa: ASYNC110 -- uvicorn offers nothing to wait for
                await asyncio.sleep(0.005)
            self._up.set()
            await task

    def _present(self, account: str) -> datetime:
        market = self.markets.get(account)
        return system_clock() if market is None else market.clock()


def _end(server: uvicorn.Server) -> None:
    server.should_exit = True


_running: list[Sandbox] = []


def sandbox() -> Sandbox:
    """That of this process."""
    if not _running:
        _running.append(Sandbox())
    return _running[0]


def stop() -> None:
    """End that of this process, if there is one."""
    while _running:
        _running.pop().stop()


@contextmanager
def reached(runtime: Runtime, app: Any) -> Iterator[None]:
    """Notifications for the runtime's market go to `app`, in the running loop, until the block ends."""
    settings = runtime.env.settings
    if not settings.sandbox_url:
        yield
        return
    markets, account = sandbox().markets, settings.sandbox_account
    before = markets.get(account)
    markets[account] = mine = _Market(app, lambda: runtime.clock())
    try:
        yield
    finally:
        if markets.get(account) is mine:
            markets.pop(account)
            if before is not None:
                markets[account] = before
