"""A server that is asked to leave: takes nobody new, finishes what it does, says goodbye on every connection."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from core.deployment import ready
from core.web.draining import HURRY, DrainingServer


async def _slow(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.6)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Running:
    """A server on a free port, in this process."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        config = uvicorn.Config(
            _slow, lifespan="off", log_config=None, http="httptools", timeout_keep_alive=1
        )
        self.server = DrainingServer(config, lambda: self.asked.append(time.monotonic()))

    async def start(self) -> None:
        """Wait until it serves."""
        self.task = asyncio.create_task(self.server.serve(sockets=[self.listening]))
        while not self.server.started:
            await asyncio.sleep(0.01)

    async def ask(self, path: str) -> tuple[Any, Any]:
        """An open connection with a request under way."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return reader, writer


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    running = Running()
    await running.start()
    yield running
    running.server.should_exit = running.server.force_exit = True
    await running.task


async def _answer(reader: Any) -> bytes:
    return bytes(await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 5)).lower()


async def test_sigterm_lets_everybody_finish_and_nobody_in(running: Running) -> None:
    busy, writer = await running.ask("/slow")
    idle, second = await running.ask("/")
    assert b"connection: close" not in await _answer(idle)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.3)
    assert running.asked, "readiness turned false"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", running.port)
    second.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"connection: close" in await _answer(idle), "one more answer, then goodbye"
    assert (await _answer(busy)).startswith(b"http/1.1 200")
    await asyncio.wait_for(running.task, 5)
    for one in (writer, second):
        one.close()


@pytest.mark.parametrize("number", [signal.SIGINT, HURRY])
async def test_when_all_stops_idle_connections_are_not_waited_for(running: Running, number: int) -> None:
    idle, writer = await running.ask("/")
    busy, second = await running.ask("/slow")
    await _answer(idle)
    began = time.monotonic()
    os.kill(os.getpid(), number)
    assert (await _answer(busy)).startswith(b"http/1.1 200")
    await asyncio.wait_for(running.task, 5)
    assert time.monotonic() - began < 1.5
    for one in (writer, second):
        one.close()


def test_readiness_is_told_to_the_parent_and_to_systemd_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv(ready.READY_FD, str(writing))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        ready.announce()
        ready.announce()
        assert os.read(reading, 10) == b"1"
        assert os.read(reading, 10) == b"", "closed"
        assert systemd.recv(100) == b"READY=1"
    os.close(reading)
    ready.notify("STOPPING=1")
