"""A web process that leaves without anybody noticing.

SIGTERM: readiness turns false, the share in the listening socket is given up, every answer from now on says
`Connection: close`, idle connections get their keep-alive time to end by themselves, requests under way are finished.
SIGINT and SIGUSR1 do without the patience for idle connections: then the whole deployment stops.
"""

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from core.deployment import ready

# Seconds for requests under way to end.
PATIENCE = 20
# What `jishi run` sends when everything stops. Unlike SIGINT it also ends a process quietly that is still starting.
HURRY = signal.SIGUSR1
_LOOK = 0.05


class DrainingServer(uvicorn.Server):
    """uvicorn's server with that manner; `leaving` is called when the process is asked to stop."""

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], None]) -> None:
        super().__init__(config)
        self._leaving, self._gently = leaving, False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again at the end: what the process holds is still to be given back."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {n: signal.signal(n, self.handle_exit) for n in (signal.SIGTERM, signal.SIGINT, HURRY)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came; the second SIGINT ends all at once."""
        self._leaving()
        if not self.should_exit:
            self._gently = sig == signal.SIGTERM
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, and say so to whoever started this process."""
        await super().startup(sockets)
        ready.announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Give up the share in the listening socket, let connections end, then stop."""
        began = time.monotonic()
        ready.notify("STOPPING=1")
        for server in self.servers:
            server.close()
        if self._gently:
            await self._drained(began + self.config.timeout_keep_alive + 0.5)
        left = began + PATIENCE - time.monotonic()
        self.config.timeout_graceful_shutdown = max(1, round(left))
        await super().shutdown(sockets)

    async def _drained(self, until: float) -> None:
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        for connection in list(state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                connection.shutdown()
        while state.connections and time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110 -- uvicorn's set
            await asyncio.sleep(_LOOK)
