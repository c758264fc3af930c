"""kill -9 loses nothing that was acknowledged, and what is to be told is told by the next process."""

import asyncio
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from core.command.config import open_vault
from core.kit.ids import new_id
from core.kit.settings import Settings
from core.sandbox.address import listen, url_of
from core.sandbox.app import FILE
from core.sandbox.store import Store
from tests.core.sandbox.conftest import Caller

ROOT = Path(__file__).parents[3]


class Process:
    """The service as `jishi run` starts it, on a socket that outlives it."""

    def __init__(self, data: Path) -> None:
        self.data, self.socket = data, listen(0)
        self.url = url_of(self.socket)
        self._settings = Settings(data=str(data), sandbox=True)
        self.key = open_vault(self._settings)
        self.start()

    def start(self) -> None:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JISHI_RESOLVED": msgspec.json.encode(self._settings).decode(),
        }
        command = [sys.executable, "-P", "-m", "core.command.sandbox", str(self.socket.fileno())]
        self.process = subprocess.Popen(command, env=environ, pass_fds=[self.socket.fileno()])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0
        self.socket.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.end()


@contextmanager
def post_box() -> Iterator[tuple[str, list[bytes]]]:
    """An address where notifications arrive, and what arrived."""
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()


def caller_of(process: Process, client: httpx.AsyncClient) -> Caller:
    made = Caller(client)
    made.sign = process.key.sandbox_sign
    return made


async def test_what_was_acknowledged_is_there_after_kill_9(process: Process) -> None:
    acknowledged: list[Any] = []
    async with httpx.AsyncClient(base_url=process.url, timeout=20) as client:
        caller = caller_of(process, client)
        payment, (shop,) = await caller.paid(1_000_000)

        async def refund_until(end: asyncio.Event) -> None:
            while not end.is_set():
                order = {"id": new_id(), "payment_id": payment, "merchant_id": shop, "amount": 1}
                try:
                    await caller.ask("POST", "/refunds", order)
                except httpx.HTTPError:
                    continue
                acknowledged.append(order)

        for _ in range(3):
            wanted, end = len(acknowledged) + 40, asyncio.Event()
            refunding = [asyncio.create_task(refund_until(end)) for _ in range(4)]
            while len(acknowledged) < wanted:
                await asyncio.sleep(0.005)
            process.kill()
            process.start()
            end.set()
            await asyncio.gather(*refunding)
        books = await caller.books()
        for order in acknowledged:
            assert await caller.ask("POST", "/refunds", order) == {"status": "done"}
        assert await caller.books() == books
    store = Store(process.data / FILE)
    booked = {row["id"] for row in store.rows("select id from operation where kind = 'refund'")}
    assert {str(order["id"]) for order in acknowledged} <= booked
    assert books["buyers"] == 1_000_000 - len(booked)
    assert store.value("select sum(amount) from balance") == 0
    store.close()


async def test_a_notification_is_sent_by_the_process_that_comes_after(process: Process) -> None:
    with post_box() as (url, got):
        async with httpx.AsyncClient(base_url=process.url, timeout=20) as client:
            caller = caller_of(process, client)
            await caller.behave(notify_delay=400)
            payment, _ = await caller.open(100, url=url)
            assert await caller.pay(payment) == {"status": "paid", "notified": False}
        process.kill()
        assert got == []
        process.start()
        end = time.monotonic() + 15
        while not got:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
    assert msgspec.json.decode(got[0])["amount"] == 100
