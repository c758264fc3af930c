"""The web process: one ASGI application whose inside is replaced when the operator changes plugins."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import structlog
import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send

from core.db import calls
from core.deployment.runtime import Runtime
from core.plugin import Snapshot
from core.web.app import build_app
from core.web.draining import PATIENCE, DrainingServer
from core.web.edge import HOST, Host

# Seconds to wait for the first look at the generations; a database that is away by then must not keep the process down.
_PATIENCE = 5.0

_log = structlog.get_logger("jishi.web")


class SwapApp:
    """Hands each request to the application of the present generation; requests under way keep the one they began with,
    which is gone when the last of them has ended."""

    def __init__(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        self._runtime, self._http = runtime, http
        self._present = self._built(runtime.snapshot)
        runtime.on_build(self.build)

    async def build(self, snapshot: Snapshot) -> Callable[[], None]:
        """Build the application of `snapshot` beside the present one; what this answers puts it in its place."""
        built = await asyncio.to_thread(self._built, snapshot)

        def swap() -> None:
            self._present = built
            _log.info("plugins changed", generation=snapshot.generation, active=list(snapshot.active))

        return swap

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        app, host = self._present
        scope[HOST] = host  # type: ignore[literal-required]
        await app(scope, receive, send)

    def _built(self, snapshot: Snapshot) -> tuple[ASGIApp, Host]:
        plugins = tuple(type(plugin) for plugin in snapshot.active.values())
        app = build_app(plugins, self._runtime.env.settings.sandbox)
        return app, Host(self._runtime, self._http, snapshot)


def http_client(base_url: str) -> httpx.AsyncClient:
    """The process's one client for outside calls. No proxy stands between it and this machine."""
    return calls.client(
        base_url=base_url,
        timeout=httpx.Timeout(10, connect=3),
        limits=httpx.Limits(max_connections=50),
        mounts={"all://127.0.0.1": None, "all://localhost": None},
    )


@asynccontextmanager
async def opened(runtime: Runtime, base_url: str) -> AsyncIterator[SwapApp]:
    """The application on an opened runtime, listening for changes until the block ends."""
    await runtime.open()
    async with http_client(base_url) as http:
        app = SwapApp(runtime, http)
        listener = asyncio.create_task(runtime.listen("web"))
        try:
            # From then on every change waits for this process, so it never serves an old generation beside others.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(runtime.followed.wait(), _PATIENCE)
            yield app
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await runtime.close()


async def serve(make_runtime: Callable[[], Runtime], sockets: list[socket.socket], base_url: str) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished (`core.web.draining`)."""
    runtime = make_runtime()
    async with opened(runtime, base_url) as app:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            http="httptools",
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=PATIENCE,
            backlog=2048,
        )
        await DrainingServer(config, runtime.leave).serve(sockets=sockets)
