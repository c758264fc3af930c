"""Two web processes behind one port, replaced one after another under load: no request fails."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.deployment import Deployment, _children
from tests.support.walk import wait_for


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """One for all: each test finds two web processes and leaves two, others."""
    folder = Path(tempfile.mkdtemp(prefix="jishi-roll-"))
    running = Deployment(folder, JISHI_WEB_PROCESSES="2", JISHI_DEMO="0").start()
    assert httpx.get(f"{running.url}/api/shop/merchants").json()["items"] == []
    yield running
    processes = _pids(running, "web") | _pids(running, "worker")
    assert running.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
    shutil.rmtree(folder, ignore_errors=True)


def _pids(deployment: Deployment, part: str) -> set[int]:
    assert deployment.process is not None
    return {p for p, words in _children(deployment.process.pid) if f"host.py {part}" in " ".join(words)}


def _sockets(pid: int) -> int:
    return sum(str(link.readlink()).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


def _busy(pid: int) -> float:
    """CPU seconds a process has used."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


class Load:
    """Clients that ask on and on, some keeping their connection, some not."""

    def __init__(self, url: str) -> None:
        self.url, self.answers, self.faults = url, Counter[int](), list[str]()
        self._over = False

    async def run(self, seconds: float, until: asyncio.Event) -> None:
        """Ask for at least `seconds` and until the event."""
        kept = [self._client(keep=True) for _ in range(4)]
        fresh = [self._client(keep=False) for _ in range(2)]
        tasks = [asyncio.create_task(t) for t in (*kept, *fresh)]
        await asyncio.sleep(seconds)
        await until.wait()
        self._over = True
        await asyncio.gather(*tasks)

    async def _client(self, *, keep: bool) -> None:
        limits = httpx.Limits(max_keepalive_connections=1 if keep else 0)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=30) as http:
            while not self._over:
                try:
                    answer = await http.get("/api/shop/products", params={"limit": 5})
                    self.answers[answer.status_code] += 1
                except httpx.HTTPError as error:
                    self.faults.append(repr(error))
                await asyncio.sleep(0.03)


async def test_a_rolling_restart_under_load_fails_no_request(deployment: Deployment) -> None:
    before, workers = _pids(deployment, "web"), _pids(deployment, "worker")
    assert len(before) == 2
    load, rolled = Load(deployment.url), asyncio.Event()
    running = asyncio.create_task(load.run(1, rolled))
    await asyncio.sleep(1)
    used = {pid: _busy(pid) for pid in before}
    await asyncio.sleep(1.5)
    assert all(_busy(pid) > used[pid] for pid in before), "both serve"
    assert deployment.process is not None
    deployment.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(
        wait_for, lambda: deployment.log.read_text(), lambda text: "Restarted." in text, seconds=90
    )
    after = _pids(deployment, "web")
    await asyncio.sleep(1)
    rolled.set()
    await running
    assert len(after) == 2
    assert not after & before, "new processes"
    assert not _pids(deployment, "worker") & workers
    assert load.faults == []
    assert set(load.answers) == {200}, load.answers
    assert load.answers[200] > 200
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)


def test_a_web_process_that_is_asked_to_leave_finishes_what_it_does(deployment: Deployment) -> None:
    """An idle kept connection is answered once more, with `Connection: close`; the process ends by itself."""
    before = {pid: _sockets(pid) for pid in _pids(deployment, "web")}
    connections = [_Kept(deployment.port) for _ in range(8)]
    for one in connections:
        assert b"connection: close" not in one.ask("/healthz").lower()
    victim = max(before, key=lambda pid: _sockets(pid) - before[pid])
    os.kill(victim, signal.SIGTERM)
    time.sleep(0.3)
    answers = [one.ask("/readyz").lower() for one in connections]
    for one in connections:
        one.close()
    last = [a for a in answers if b"connection: close" in a]
    assert last, "one process took most of them"
    assert all(a.startswith(b"http/1.1 503") and b'"stopping"' in a for a in last)
    assert all(a.startswith(b"http/1.1 200") for a in answers if a not in last)
    wait_for(lambda: _pids(deployment, "web"), lambda now: victim not in now and len(now) == 2, seconds=30)
    assert httpx.get(f"{deployment.url}/readyz").status_code == 200


class _Kept:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, path: str) -> bytes:
        """The whole answer to a GET."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        found = b""
        while b"\r\n\r\n" not in found:
            piece = self._socket.recv(65536)
            assert piece, "the connection was closed without an answer"
            found += piece
        head, _, body = found.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        while len(body) < length:
            body += self._socket.recv(65536)
        return head + b"\r\n\r\n" + body


def test_a_change_of_plugins_does_not_wait_for_a_process_that_was_killed(deployment: Deployment) -> None:
    for part in ("web", "worker"):
        # Whoever is only starting would be waited for as well.
        wait_for(
            lambda: len(_pids(deployment, "web") | _pids(deployment, "worker")), lambda n: n == 3, seconds=30
        )
        assert deployment.kill(part)
        # Whoever is only silent is waited for, and the change withdrawn.
        deployment.command("plugin", "disable" if part == "web" else "enable", "coupons")
    outcomes = [line for line in deployment.command("plugin", "history").splitlines() if "coupons" in line]
    assert len(outcomes) == 2
    assert not any("withdrawn" in line for line in outcomes), outcomes
