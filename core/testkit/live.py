"""A real HTTP server for tests of races: a thread with an event loop and a runtime of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from core.db import calls
from core.deployment.runtime import Runtime
from core.kit.sockets import listening
from core.testkit.sandbox import reached
from core.web.server import SwapApp, http_client


class Server:
    """Answers at `url` from `start` to `stop`."""

    def __init__(self, make_runtime: Callable[[], Runtime]) -> None:
        self.socket = listening("127.0.0.1", 0, 512)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self._make_runtime = make_runtime
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._stop: Callable[[], Any] = lambda: None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Wait until it answers."""
        self._thread.start()
        if not self._up.wait(20) or self._failed is not None:
            raise RuntimeError("The server did not start.") from self._failed

    def stop(self) -> None:
        """Wait until it is gone."""
        self._stop()
        self._thread.join(15)

    def _serve(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 -- told to the thread that waits
            self._failed = error
        finally:
            self._up.set()

    async def _run(self) -> None:
        runtime = self._make_runtime()
        await runtime.open()
        async with http_client(self.url) as http:
            app: Any = SwapApp(runtime, http)
            config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, http="httptools")
            server = uvicorn.Server(config)
            loop = asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(_end, server)
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            task = asyncio.create_task(server._serve(sockets=[self.socket]))  # noqa: SLF001
            while not server.started and not task.done():  # noqa: ASYNC110 -- uvicorn offers nothing to wait for
                await asyncio.sleep(0.01)
            self._up.set()
            with reached(runtime, app):
                await task
        await runtime.close()


def _end(server: uvicorn.Server) -> None:
    server.should_exit = True


@asynccontextmanager
async def client_of(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app in this process; outside calls to our own address come back to it too. Both clients reach the
    sandbox payment service as well."""
    transport = httpx.ASGITransport(app=_late(lambda: app), client=("127.0.0.1", 1234))
    inside = calls.client(base_url="http://test", mounts={"all://test": transport}, trust_env=False)
    mounts = {"all://127.0.0.1": httpx.AsyncHTTPTransport(verify=calls.tls())}
    app: Any = SwapApp(runtime, inside)
    try:
        with reached(runtime, app):
            async with httpx.AsyncClient(
                transport=transport, mounts=mounts, base_url="http://test", timeout=30
            ) as outside:
                yield outside
    finally:
        await inside.aclose()


def _late(app: Callable[[], Any]) -> Any:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app()(scope, receive, send)

    return call
