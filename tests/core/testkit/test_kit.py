"""The test kit does what docs/testing.md says."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import core.types.scope
from core.kit.clock import system_clock
from core.testkit import Database, Market, Plugins, Server, TestClock, basket, line, rule_kinds, take
from core.testkit import plugin as fixtures
from core.testkit.contracts import CHECKS
from core.testkit.database import fresh
from core.testkit.servers import URLS, Servers, servers
from plugins.coupons.plugin import CouponsPlugin

ROOT = Path(__file__).parents[3]

DYING = """
import os, signal
from core.testkit.servers import servers
servers()
print(os.environ["JISHI_TEST_RUN"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def pytest_in(folder: Path, test: str, *options: str, **environ: str) -> tuple[str, float]:
    """A run of its own in a folder with one test module; output and seconds."""
    (folder / "test_it.py").write_text(test)
    began = time.monotonic()
    own = {k: v for k, v in os.environ.items() if not k.startswith(("JISHI", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", *options],
        cwd=folder,
        env=own | {"PYTHONPATH": str(ROOT)} | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - began


def test_a_run_without_a_market_loads_nothing_and_starts_nothing(tmp_path: Path) -> None:
    pytest_in(
        tmp_path,
        "import os, sys\nfrom pathlib import Path\n"
        "def test_it():\n"
        "    loaded = {m for m in sys.modules if m.startswith(('core.', 'sqlalchemy', 'litestar', 'asyncpg', 'msgspec'))}\n"
        "    assert loaded == {'core.testkit', 'core.testkit.plugin', 'core.testkit.place'}\n"
        "    assert not Path(os.environ['JISHI_TEST_RUN']).exists()\n",
    )


def test_processes_of_a_run_share_servers_that_end_with_it(tmp_path: Path) -> None:
    pytest_in(
        tmp_path,
        "import os\nfrom pathlib import Path\nimport pytest\n"
        "@pytest.mark.parametrize('n', range(4))\n"
        "def test_it(n, jishi_servers):\n"
        f"    Path({str(tmp_path)!r}, f'seen-{{n}}').write_text(os.environ['JISHI_TEST_RUN'])\n",
        "-n",
        "2",
    )
    runs = {path.read_text() for path in tmp_path.glob("seen-*")}
    assert len(runs) == 1
    assert not Path(runs.pop()).exists()


def test_servers_end_when_the_run_is_killed() -> None:
    own = {k: v for k, v in os.environ.items() if not k.startswith("JISHI")}
    done = subprocess.run(
        [sys.executable, "-c", DYING],
        env=own | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    run, until = Path(done.stdout.strip()), time.monotonic() + 30
    assert run.name.startswith("jishi-test-"), done.stderr
    while run.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not run.exists()


async def test_servers_may_be_given(jishi_servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    redis = jishi_servers.redis_url.partition("?")[0]
    monkeypatch.setenv(URLS, json.dumps([jishi_servers.owner_url, jishi_servers.app_url, redis]))
    given = servers()
    assert given == msgspec.structs.replace(jishi_servers, lasting=True)
    async with fresh(given, Plugins()) as database:
        assert database.redis_url == jishi_servers.redis_url


async def test_a_database_takes_milliseconds(jishi_servers: Servers) -> None:
    async with fresh(jishi_servers, Plugins()):
        pass
    taken = []
    for _ in range(5):
        began = time.monotonic()
        async with fresh(jishi_servers, Plugins()):
            taken.append(time.monotonic() - began)
    assert min(taken) < 0.25, taken


class TestPlugins:
    """A class may say which plugins its market has."""

    @pytest.fixture
    def jishi_plugins(self) -> Plugins:
        return Plugins(on=["coupons", "express_delivery"], config={"coupons": {"remind_days": 5}})

    async def test_those_named_are_on_with_their_configs(self, market: Market) -> None:
        snapshot = market.runtime.snapshot
        assert sorted(p for p in snapshot.active if p != "core") == ["coupons", "express_delivery"]
        assert "commission" not in snapshot.installed
        config: Any = snapshot.active["coupons"].config
        assert config.remind_days == 5


async def test_a_purchase_goes_through_the_real_flow(
    market: Market, purchase: Callable[..., Any], drain: Callable[..., Any]
) -> None:
    shop = await market.merchant("tea")
    tea = await market.product(shop, price=1234, on_hand=3)
    buyer = await market.buyer()
    trade = await purchase(buyer, [(tea, 2)])
    assert (trade["status"], trade["goods_amount"]) == ("paid", 2468)
    await drain()
    await market.fulfil(buyer, trade)
    order = (await buyer.get(f"/api/shop/orders/{trade['orders'][0]['id']}")).json()
    assert order["status"] == "completed"


async def test_time_passes_when_told(market: Market, clock: TestClock, drain: Callable[..., Any]) -> None:
    tea = await market.product(await market.merchant("tea"))
    buyer = await market.buyer()
    trade = (await buyer.checkout((tea.ref, 1))).json()["id"]
    before = clock()
    await drain(minutes=29)
    assert (await buyer.get(f"/api/shop/trades/{trade}")).json()["status"] == "unpaid"
    await drain(minutes=31)
    assert (await buyer.get(f"/api/shop/trades/{trade}")).json()["status"] == "closed"
    assert clock() - before < timedelta(minutes=1)
    clock.advance(days=8)
    async with market.runtime.tx(core.types.scope.SYSTEM) as tx:
        assert tx.now > before + timedelta(days=8)


def test_the_clock_stands_still_when_told() -> None:
    clock = TestClock()
    clock.advance(days=1)
    assert clock() > system_clock() + timedelta(hours=23)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.freeze(at) == clock() == at
    assert clock.advance(days=8) == datetime(2026, 1, 9, tzinfo=UTC)


async def test_a_real_server_answers_on_the_same_database(market: Market, server: Server) -> None:
    import httpx

    buyer = await market.buyer()
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.get("/api/shop/cart", headers=buyer.headers)
    assert answer.status_code == 200


async def test_statements_are_counted(
    database: Database, runtime: Any, statements: Callable[..., Any]
) -> None:
    with statements() as seen:
        async with runtime.tx(core.types.scope.SYSTEM) as tx:
            await tx.fetchval("select 1")
    assert seen.sql == ["select 1"]
    assert len(seen) == 1
    assert {sql[:5] for sql in seen.sent} == {"BEGIN", "selec", "COMMI"}


def test_baskets_need_no_servers() -> None:
    quote = take(basket(line(1000, 2), line(500, shop=2)), [], rule_kinds(CouponsPlugin))
    assert quote.goods_amount == 2500
    assert len(quote.merchants) == 2


def test_only_the_kit_imports_pytest() -> None:
    faults = [
        str(path.relative_to(ROOT))
        for folder in ("core", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        if "testkit" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(a.name for a in node.names)]
        if name and name.startswith(("pytest", "core.testkit", "_pytest"))
    ]
    assert faults == []


def test_the_page_names_every_fixture_and_every_check() -> None:
    page = (ROOT / "docs/testing.md").read_text()
    source = (ROOT / "core/testkit/plugin.py").read_text()
    names = re.findall(r"fixture(?:\([^)]*\))?\n(?:async )?def (\w+)", source)
    assert len(names) > 10
    assert set(names) <= set(vars(fixtures))
    assert [n for n in (*names, *CHECKS) if f"`{n}`" not in page] == []
