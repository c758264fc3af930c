"""The web process: one ASGI application whose inside is replaced when the operator changes plugins."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import structlog
import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send

from core.deployment.runtime import Runtime
from core.web.app import build_app

_log = structlog.get_logger("jishi.web")


class SwapApp:
    """Hands each request to the application of the present generation; requests under way keep the one they began with."""

    def __init__(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        self._runtime, self._http = runtime, http
        self.current: ASGIApp = build_app(runtime, http)
        runtime.on_change(self.rebuild)

    async def rebuild(self) -> None:
        """Build the new application beside the old one, then swap. A failure leaves the old one in place."""
        snapshot = self._runtime.snapshot
        self.current = await asyncio.to_thread(build_app, self._runtime, self._http, snapshot)
        _log.info("plugins changed", generation=snapshot.generation, active=list(snapshot.active))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        await self.current(scope, receive, send)


def http_client(base_url: str) -> httpx.AsyncClient:
    """The process's one client for outside calls."""
    return httpx.AsyncClient(
        base_url=base_url, timeout=httpx.Timeout(10, connect=3), limits=httpx.Limits(max_connections=50)
    )


@asynccontextmanager
async def opened(runtime: Runtime, base_url: str) -> AsyncIterator[SwapApp]:
    """The application on an opened runtime, listening for changes until the block ends."""
    await runtime.open()
    listener = asyncio.create_task(runtime.listen())
    async with http_client(base_url) as http:
        try:
            yield SwapApp(runtime, http)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await runtime.close()


async def serve(make_runtime: Callable[[], Runtime], sockets: list[socket.socket], base_url: str) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    async with opened(make_runtime(), base_url) as app:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            http="httptools",
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=10,
            backlog=2048,
        )
        server = uvicorn.Server(config)
        await server.serve(sockets=sockets)
