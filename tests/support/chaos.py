"""A market in which everything is killed: who asks for events, who kills, the peer outside, and the verdict at the end."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
from redis.exceptions import RedisError

from core import hookspecs
from core.command import config
from core.command.children import Child
from core.deployment.runtime import AWAY, Runtime
from core.kit.settings import Settings
from core.plugin import discover
from core.types.scope import SYSTEM
from tests.support.chaos_plugins import CLASSES, FAILED, PEER, Marked, ask, install, wanted
from tests.support.deployment import ROOT, Deployment

PARTS = ("web", "worker", "postgres", "valkey", "flush")
LANES = 100
_BATCH = 25


class Step(msgspec.Struct, frozen=True):
    """After `pause` seconds more is asked for, and `lead` seconds into that `part` is killed or flushed; `pick` chooses
    among several processes of that part."""

    pause: float
    lead: float
    part: str
    pick: float


def plan(seed: int, times: int) -> list[Step]:
    """Each part `times` times, in an order and at moments that the seed gives."""
    chance = random.Random(seed)
    parts = [part for part in PARTS for _ in range(times)]
    chance.shuffle(parts)
    return [
        Step(chance.uniform(0.2, 1.6), chance.uniform(0.02, 0.3), part, chance.random()) for part in parts
    ]


class Peer:
    """Somebody outside who counts calls by idempotency key. The first call of some keys fails, others answer late."""

    def __init__(self) -> None:
        self.calls: defaultdict[str, list[int]] = defaultdict(list)
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Peer"]:
        """Answer at `url` until the block ends."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server:
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if line)
            event = msgspec.json.decode(await reader.readexactly(int(fields["content-length"])), type=Marked)
            made = self.calls[fields["idempotency-key"]]
            made.append(event.n)
            await asyncio.sleep(0.02 * (event.n % 3))
            status = b"503 Busy" if len(made) == 1 and event.n % 40 == 0 else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        writer.close()


class Asking:
    """Asks for the numbers from 1 to `total`, never more than `allowed` of them so far."""

    def __init__(self, runtime: Runtime, total: int, over_http: int) -> None:
        self.runtime, self.allowed, self.made = runtime, 0, 0
        self._first_http = total - over_http + 1
        self._http = iter(range(self._first_http, total + 1))
        # Of the requests: those that were answered as done, and those of which nobody knows.
        self.answered, self.unknown = set[int](), set[int]()
        self.statuses = Counter[str | int]()

    async def _room(self, size: int) -> None:
        while self.made >= self.allowed:
            await asyncio.sleep(0.01)
        self.made += size

    async def directly(self, part: int, parts: int) -> None:
        """Transactions of our own, one after another, each again and again until it is in."""
        numbers = iter(range(1 + part, self._first_http, parts))
        while batch := list(islice(numbers, _BATCH)):
            await self._room(len(batch))
            while not await self._written([Marked(n, f"direct {part} {n % LANES}") for n in batch]):
                await asyncio.sleep(0.1)

    async def _written(self, batch: Sequence[Marked]) -> bool:
        """One that was cut off may yet be committed: then the table's key makes this one wait for it, and fail."""
        try:
            async with self.runtime.tx(SYSTEM) as tx:
                if await tx.fetchval("select exists (select from chaos_asked where n = $1)", batch[0].n):
                    return True
                for event in batch:
                    await ask(tx, event, "direct")
        except AWAY:
            return False
        return True

    async def over_http(self, url: str, token: str, name: str, chance: random.Random) -> None:
        """Requests, one after another. Without an answer it is sent again under its key, or given up for good."""
        http, breaks = httpx.AsyncClient(base_url=url, timeout=20), 0
        for n in self._http:
            await self._room(1)
            key = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{name} {n}"}
            asked = {"n": n, "lane": f"{name} {n // 4 % 5} {breaks}"}
            while (status := await self._status(http, asked, key)) != 201:
                self.statuses[status or "lost"] += 1
                if status is None:
                    await http.aclose()
                    http = httpx.AsyncClient(base_url=url, timeout=20)
                if status is None and chance.random() < 0.5:
                    # It may still come in, beside the next one: that one takes another lane.
                    breaks += 1
                    self.unknown.add(n)
                    break
                await asyncio.sleep(0.1)
            else:
                self.answered.add(n)
        await http.aclose()

    async def _status(
        self, http: httpx.AsyncClient, asked: dict[str, Any], headers: dict[str, str]
    ) -> int | None:
        try:
            answer = await http.post("/api/shop/chaos/marks", json=asked, headers=headers)
        except httpx.TransportError:
            return None
        return answer.status_code


class Supervised:
    """`jishi run` with two web processes and a worker, one more worker beside it, and the plugins of the chaos on."""

    def __init__(self, folder: Path, peer: str, **environ: str) -> None:
        install(folder / "plugins")
        (folder / "failed").mkdir()
        self._environ = {
            "PYTHONPATH": os.pathsep.join([str(folder / "plugins"), os.environ.get("PYTHONPATH", "")]),
            PEER: peer,
            FAILED: str(folder / "failed"),
            "JISHI_WEB_PROCESSES": "2",
            "JISHI_RATE_LIMITS": "0",
            **environ,
        }
        self.deployment = Deployment(folder, **self._environ)
        self._second: Child | None = None
        self.kills = Counter[str]()

    def start(self) -> Settings:
        """Wait until it serves; how to reach it."""
        self.deployment.start()
        resolved = (self.deployment.folder / "data" / "running.json").read_text()
        log = self.deployment.folder / "worker2.log"
        self._second = Child(
            "worker 2",
            ["sh", "-c", 'exec "$@" >>"$0" 2>&1', str(log), sys.executable, str(ROOT / "host.py"), "worker"],
            {**os.environ, **self._environ, config.RESOLVED: resolved},
        )
        self._second.start()
        return msgspec.json.decode(resolved, type=Settings)

    def stop(self) -> None:
        """End what still runs."""
        if self._second is not None:
            self._second.ask_to_stop()
            self._second.wait(time.monotonic() + 15)
        if self.deployment.process is not None and self.deployment.process.poll() is None:
            self.deployment.stop()

    def keep(self) -> None:
        """Bring up what the supervisor does not look after; call it often."""
        assert self._second is not None
        self._second.keep()

    async def strike(self, step: Step, runtime: Runtime, patience: float = 40) -> None:
        """Do what the step says, as soon as there is something to do it to."""
        until = time.monotonic() + patience
        while not await (self._flush(runtime) if step.part == "flush" else self._kill(step)):
            assert time.monotonic() < until, f"{step.part} did not come up again"
            self.keep()
            await asyncio.sleep(0.02)
        self.kills[step.part] += 1

    async def _flush(self, runtime: Runtime) -> bool:
        try:
            await runtime.redis.flushall()
        except RedisError:
            return False
        return True

    async def _kill(self, step: Step) -> bool:
        pids = self.deployment.parts()[step.part]
        second = self._second.process if self._second is not None else None
        if step.part == "worker" and second is not None and second.poll() is None:
            pids.append(second.pid)
        if not pids:
            return False
        try:
            os.kill(pids[int(step.pick * len(pids))], signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True


def connected(settings: Settings) -> Runtime:
    """A process of our own on the deployment's servers, which knows all plugins. Open it before use."""
    return Runtime(config.make_env(settings), {**discover(), **CLASSES}, hookspecs)


async def fetch(runtime: Runtime, sql: str) -> list[asyncpg.Record]:
    """All rows, waiting for a database that is away."""
    while True:
        try:
            async with runtime.tx(SYSTEM) as tx:
                return await tx.fetch(sql)
        except AWAY:
            await asyncio.sleep(0.1)


def faults(asked: Iterable[int], effects: Sequence[tuple[str, int, str]]) -> list[str]:
    """What is wrong with the effects (what, number, lane; oldest first) of the numbers that were asked for."""
    done = Counter((what, n) for what, n, _ in effects)
    due = {(what, n) for n in asked for what in wanted(n)}
    found = [f"{what} of {n} was done {times} times" for (what, n), times in done.items() if times > 1]
    found += [f"{what} of {n} was not done" for what, n in due - done.keys()]
    found += [f"{what} of {n} was done though nobody asked" for what, n in done.keys() - due]
    lanes = defaultdict[str, list[int]](list)
    for what, n, lane in effects:
        if what == "ordered":
            lanes[lane].append(n)
    found += [
        f"in lane {lane} {b} came after {a}"
        for lane, order in lanes.items()
        for a, b in pairwise(order)
        if b < a
    ]
    return sorted(found)
