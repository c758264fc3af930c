"""CPU time of processes, as the kernel accounts it."""

import asyncio
import os
import re
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_ms(pid: int) -> float:
    """User and system time of one process, and of its children that have ended, in ms."""
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(int(x) for x in fields[11:15]) * 1000 / _TICK


def tree_cpu_ms(pid: int) -> float:
    """The same over a process and all below it."""
    total = cpu_ms(pid)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(pid):
                    total += tree_cpu_ms(int(folder.name))
            except OSError:
                continue
    return total


def rss_mb(pid: int) -> float:
    """Resident memory."""
    match = re.search(r"VmRSS:\s+(\d+)", (Path("/proc") / str(pid) / "status").read_text())
    return int(match[1]) / 1024 if match else 0.0


class Counted(msgspec.Struct):
    """SQL statements so far: of the whole web process, and per route (answers, statements of the request's own
    transaction)."""

    total: float = 0.0
    routes: dict[str, tuple[float, float]] = {}


def statements(port: int) -> Counted:
    """What the web process has counted."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    counted = Counted()
    for name, labels, value in re.findall(r"^(jishi_\w+_total)(?:\{(.*)\})? (\S+)$", text, re.M):
        if name == "jishi_sql_total":
            counted.total = float(value)
            continue
        named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if "route" not in named:
            continue
        key = f"{named['method']} {named['route'].partition(':')[2]}"
        calls, sent = counted.routes.get(key, (0.0, 0.0))
        if name == "jishi_requests_total":
            calls += float(value)
        else:
            sent += float(value)
        counted.routes[key] = (calls, sent)
    return counted


Row = tuple[str, ...]


class Cost(NamedTuple):
    """What one piece of work costs: CPU of the web process and of PostgreSQL in ms, statements, and seconds by the clock."""

    web: float
    postgres: float
    statements: float
    took: float

    def row(self, name: str, last: str = "") -> Row:
        """The row of a table; the last column is how many there were a second, unless given."""
        rate = f"{1 / self.took:.0f}/s" if self.took else ""
        return name, f"{self.web:.2f}", f"{self.postgres:.2f}", f"{self.statements:.1f}", last or rate


class Meter:
    """What a piece of work costs the web process and PostgreSQL, done by `concurrency` workers at once."""

    def __init__(self, web: int, postgres: int, port: int, concurrency: int) -> None:
        self.web, self.postgres, self.port, self.concurrency = web, postgres, port, concurrency

    async def measured(self, name: str, count: int, work: Callable[[int], Awaitable[None]]) -> Row:
        """The row of a table; `work(n)` is one worker's part of `count` times, done once before to be warm."""
        await asyncio.gather(*(work(n) for n in range(self.concurrency)))
        return (await self.cost(count, work)).row(name)

    async def cost(self, count: int, work: Callable[[int], Awaitable[None]]) -> Cost:
        """The cost of one of `count`; `work(n)` is one worker's part of them."""
        before = cpu_ms(self.web), tree_cpu_ms(self.postgres), statements(self.port).total
        began = time.perf_counter()
        await asyncio.gather(*(work(n) for n in range(self.concurrency)))
        took = (time.perf_counter() - began) / count
        web = (cpu_ms(self.web) - before[0]) / count
        postgres = (tree_cpu_ms(self.postgres) - before[1]) / count
        return Cost(web, postgres, (statements(self.port).total - before[2]) / count, took)
