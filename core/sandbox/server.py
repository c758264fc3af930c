"""The sandbox as a process: on a listening socket until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import socket
from pathlib import Path

import uvicorn

from core.kit.crypto import Vault
from core.sandbox.app import FILE, opened


async def serve(data: Path, vault: Vault, listening: socket.socket) -> None:
    """Serve with the books in the folder `data`."""
    # An answer that was to be lost is not worth a line.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    async with opened(data / FILE, vault.sandbox_sign) as app:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            backlog=512,
        )
        server, loop = uvicorn.Server(config), asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        # Not `serve`, which ends the process by the signal before the books are closed.
        await server._serve(sockets=[listening])  # noqa: SLF001
