"""Plugins switched and reconfigured in the middle of a rush: two web processes behind one port, a worker, buyers at once.

Nobody notices but the buyers who had coupons: no request fails, no answer is of an old generation, memory stays bounded.
"""

import asyncio
import itertools
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.deployment import Deployment, _children
from tests.support.walk import Walker, sellable

CHANGES = 50
WARM = 14
BUYERS = 4
# Seconds between two requests of one buyer: the buyers share the machine with the servers.
_PAUSE = 0.1
GENERATION = "X-Jishi-Generation"
PLUGINS = "/api/platform/plugins"
# Of a process, over the changes after the warm-up: an application that stays behind takes about 3 MB each time.
GROWTH = 40 * 1024 * 1024
# What checkout may answer when prices or stock moved meanwhile.
BUSINESS = {"price_changed", "out_of_stock", "too_many_unpaid", "in_progress", "insufficient_stock"}


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    folder = Path(tempfile.mkdtemp(prefix="jishi-rush-"))
    running = Deployment(
        folder,
        JISHI_WEB_PROCESSES="2",
        JISHI_RATE_LIMITS="0",
        JISHI_UNPAID_TRADES_PER_ACCOUNT="100000",
    ).start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Rush:
    """Buyers who look, quote and check out on and on; each answer's generation is held against the newest announced."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.announced = 0
        self.statuses, self.faults = Counter[str](), list[str]()
        self.seconds: list[float] = []
        self.over = False

    async def buyer(self, token: str, skus: list[str]) -> None:
        """One buyer; every third request on a new connection, so that both processes are asked."""
        for sku in itertools.cycle(skus):
            if self.over:
                return
            wanted = {"lines": [{"sku_id": sku, "quantity": 1}]}
            async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
                http.headers["Authorization"] = f"Bearer {token}"
                await self.ask(http, "GET", "/api/shop/products?limit=5")
                quote = await self.ask(http, "POST", "/api/shop/quote", wanted)
                if quote is not None and "payable" in quote:
                    await self.ask(
                        http, "POST", "/api/shop/checkout", wanted | {"expected_payable": quote["payable"]}
                    )

    async def ask(self, http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
        """One request, judged."""
        await asyncio.sleep(_PAUSE)
        newest, began = self.announced, time.perf_counter()
        keyed = {"Idempotency-Key": uuid4().hex} if method == "POST" else {}
        try:
            answer = await http.request(method, path, json=body, headers=keyed)
        except httpx.HTTPError as error:
            self.faults.append(f"{method} {path}: {error!r}")
            return None
        self.seconds.append(time.perf_counter() - began)
        code = "" if answer.status_code < 400 else answer.json().get("code", "?")
        self.statuses[f"{answer.status_code} {code}".strip()] += 1
        if answer.status_code >= 400 and code not in BUSINESS:
            self.faults.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        if int(answer.headers[GENERATION]) < newest:
            self.faults.append(f"{method} {path}: generation {answer.headers[GENERATION]} after {newest}")
        return answer.json()


def _memory(deployment: Deployment) -> dict[int, int]:
    """Bytes resident by process, of webs and worker."""
    assert deployment.process is not None
    found = {}
    for pid, words in _children(deployment.process.pid):
        if "host.py web" in " ".join(words) or "host.py worker" in " ".join(words):
            status = Path(f"/proc/{pid}/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
            found[pid] = int(line.split()[1]) * 1024
    return found


async def _change(rush: Rush, operator: Walker, number: int) -> float:
    """The next of the changes; seconds until it was answered."""
    calls = (
        ("POST", f"{PLUGINS}/coupons/disable", {}),
        ("PUT", f"{PLUGINS}/commission/config", {"rate_bp": 500 + number}),
        ("POST", f"{PLUGINS}/coupons/enable", {}),
        ("PUT", f"{PLUGINS}/commission/config", {"rate_bp": 400 + number}),
    )
    method, path, body = calls[number % len(calls)]
    began = time.perf_counter()
    answer = await asyncio.to_thread(operator.call, method, path, json=body)
    assert answer.status_code == 200, answer.text
    took = time.perf_counter() - began
    page = await asyncio.to_thread(operator.get, f"{PLUGINS}/history", limit=1)
    rush.announced = page["items"][0]["number"]
    return took


async def test_plugins_toggle_in_a_rush_and_nobody_notices(deployment: Deployment) -> None:
    operator = Walker(deployment.url, "operator", "platform")
    buyers = [Walker(deployment.url, f"buyer{n + 1}", "shop") for n in range(BUYERS)]
    merchants = buyers[0].get("/api/shop/merchants")["items"]
    skus = [s["id"] for m in merchants for s in sellable(buyers[0], m["id"], 2, at_least=20)]
    rush = Rush(deployment.url)
    tasks = [asyncio.create_task(rush.buyer(b.token, skus[n:] + skus[:n])) for n, b in enumerate(buyers)]
    took, warm = [], {}
    for number in range(CHANGES):
        took.append(await _change(rush, operator, number))
        if number == WARM:
            warm = _memory(deployment)
    after = _memory(deployment)
    rush.over = True
    await asyncio.gather(*tasks)
    times = sorted(rush.seconds)
    print(
        f"\n{CHANGES} changes, each answered within {max(took):.2f} s (median {sorted(took)[CHANGES // 2]:.2f} s); "
        f"{len(times)} requests, p50 {times[len(times) // 2] * 1000:.0f} ms, p99 "
        f"{times[int(len(times) * 0.99)] * 1000:.0f} ms; {dict(rush.statuses)}; "
        f"growth in MB {[round((after[p] - warm[p]) / 2**20, 1) for p in warm]}"
    )
    assert rush.faults == []
    assert after.keys() == warm.keys(), "no process was replaced"
    assert len(after) == 3
    assert max(after[p] - warm[p] for p in warm) < GROWTH
    assert len(times) > 200
    assert "PARKED" not in deployment.log.read_text().upper()
    history = operator.get(f"{PLUGINS}/history", limit=CHANGES)["items"]
    assert {g["outcome"] for g in history} == {"active"}
