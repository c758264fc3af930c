"""What pages of orders, counts and an export cost on millions of orders, in the scopes of those who look; plans by EXPLAIN."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from bench import engines, many_orders
from bench.measure import Row
from core import hookspecs
from core.command import config
from core.db import migrations
from core.db.engine import create_engine
from core.db.tx import Tx
from core.embedded import Urls
from core.kit.settings import Settings
from core.orders import counting, export, finding, repository, service
from core.orders.finding import OrderFilter
from core.plugin import Snapshot
from core.types.scope import PLATFORM, Audience, Scope

_TIMES = 20
_PAGE = 21
# A page that looks at more rows than this is no short walk.
_SHORT = 5000


def run(total: int) -> list[Row]:
    """Make a database with `total` orders, measure, throw it away."""
    with engines.temporary() as (urls, folder):
        made = asyncio.run(build(urls, total))
        return [
            ("filled, indexes built", f"{made:.0f} s", "", "", ""),
            *asyncio.run(measured(urls, folder)),
        ]


async def build(urls: Urls, total: int) -> float:
    """Migrate and fill; how many seconds that took."""
    began = time.perf_counter()
    await migrations.upgrade(urls.owner_database_url, [migrations.CORE])
    admin = await asyncpg.connect(_dsn(urls.owner_database_url))
    await many_orders.fill(admin, total, _now_ms())
    await admin.close()
    return time.perf_counter() - began


async def measured(urls: Urls, folder: Path) -> list[Row]:
    """One row for each list: median ms of a page, rows looked at, buffers, the way of the walk."""
    settings = Settings(
        data=str(folder / "data"),
        database_url=urls.owner_database_url,
        app_database_url=urls.app_database_url,
        redis_url=urls.redis_url,
    )
    env = config.make_env(settings)
    engine = create_engine(urls.app_database_url)
    snapshot = Snapshot(0, (), (), hookspecs)

    def begin(scope: Scope) -> Tx:
        return Tx(engine, snapshot, scope, env)

    try:
        async with begin(PLATFORM) as tx:
            known = await _known(tx)
        rows = [await _page(begin, name, scope, which) for name, scope, which in _lists(known)]
        rows += [await _words(begin, known), *[await row for row in _counts(begin, known)]]
        return [*rows, await _export(begin, known)]
    finally:
        await engine.dispose()


class Known(msgspec.Struct):
    """Rows of the database by which the lists are asked for."""

    giant: Any
    small: Any
    buyer: Any
    sku: Any
    number: str
    phone: bytes
    newest: datetime


async def _known(tx: Tx) -> Known:
    """The giant shop is that of every fifth order."""
    rows = await tx.fetch("select * from orders order by id desc limit 5")
    giant = next(row for row in rows if int(row["number"]) % 5 == 0)
    small = next(row for row in rows if int(row["number"]) % 5)
    sku = await tx.fetchval(
        "select sku_id from order_line where merchant_id = $1 and order_id = $2",
        giant["merchant_id"],
        giant["id"],
    )
    return Known(
        giant["merchant_id"],
        small["merchant_id"],
        giant["account_id"],
        sku,
        giant["number"],
        giant["phone_index"],
        rows[0]["created_at"],
    )


def _lists(known: Known) -> Iterator[tuple[str, Scope, OrderFilter]]:
    every = finding.ORDER_STATUSES
    buyer = Scope("buyer", account_id=known.buyer)
    yield "buyer, all", buyer, OrderFilter(account_id=known.buyer)
    yield "buyer, unpaid", buyer, OrderFilter(account_id=known.buyer, statuses=["unpaid"])
    for name, shop in (("giant shop", known.giant), ("small shop", known.small)):
        scope = Scope("merchant", merchant_id=shop)
        old = known.newest - timedelta(days=400)
        yield f"{name}, all", scope, OrderFilter(merchant_id=shop)
        yield f"{name}, paid", scope, OrderFilter(merchant_id=shop, statuses=["paid"])
        yield f"{name}, six statuses", scope, OrderFilter(merchant_id=shop, statuses=every)
        yield f"{name}, paid and closed", scope, OrderFilter(merchant_id=shop, statuses=["paid", "closed"])
        month = OrderFilter(merchant_id=shop, placed_from=old, placed_to=old + timedelta(days=30))
        yield f"{name}, a month a year ago", scope, month
        of_month = msgspec.structs.replace(month, statuses=["closed", "completed"])
        yield f"{name}, the same, two statuses", scope, of_month
        yield f"{name}, number", scope, OrderFilter(merchant_id=shop, number=known.number)
        by_phone = OrderFilter(merchant_id=shop, number="0", phone_index=known.phone)
        yield f"{name}, phone", scope, by_phone
        yield f"{name}, SKU", scope, OrderFilter(merchant_id=shop, sku_ids=[known.sku])
        to_ship = OrderFilter(merchant_id=shop, sku_ids=[known.sku], statuses=["paid", "accepted"])
        yield f"{name}, SKU to ship", scope, to_ship
        yield f"{name}, held", scope, OrderFilter(merchant_id=shop, held=True)
        yield f"{name}, open cases", scope, OrderFilter(merchant_id=shop, in_case=True)
    yield "market, all", PLATFORM, OrderFilter()
    yield "market, unpaid and accepted", PLATFORM, OrderFilter(statuses=["unpaid", "accepted"])
    yield "market, completed", PLATFORM, OrderFilter(statuses=["completed"])
    yield "market, number or phone", PLATFORM, OrderFilter(number="0", phone_index=known.phone)
    yield "market, held", PLATFORM, OrderFilter(held=True)
    yield "market, open cases", PLATFORM, OrderFilter(in_case=True)


Begin = Callable[[Scope], Tx]


async def _page(begin: Begin, name: str, scope: Scope, which: OrderFilter) -> Row:
    async with begin(scope) as tx:
        found, args = finding.ids(which, _PAGE)
        plan = await _plan(tx, found, args)
        first = await _median(lambda: repository.orders(tx, which, _PAGE))
        page = await repository.orders(tx, which, _PAGE)
        deep = ""
        if len(page) == _PAGE:
            following = msgspec.structs.replace(which, before=page[-1]["id"])
            deep = f"next {await _median(lambda: repository.orders(tx, following, _PAGE)):.1f}"
    seen, buffers, ways = _told(plan)
    note = f"{len(page) if len(page) < _PAGE else _PAGE - 1} orders {deep}"
    return name, f"{first:.1f}", str(seen) + (" !" if seen > _SHORT else ""), str(buffers), f"{note}; {ways}"


async def _words(begin: Begin, known: Known) -> Row:
    which = OrderFilter(account_id=known.buyer, words=["火锅", "no1"])
    async with begin(Scope("buyer", account_id=known.buyer)) as tx:
        took = await _median(lambda: service.order_page(tx, which, Audience.SHOP, 20))
    return "buyer, words of a title", f"{took:.1f}", "", "", ""


def _counts(begin: Begin, known: Known) -> Iterator[Awaitable[Row]]:
    async def row(name: str, scope: Scope, count: Callable[[Tx], Awaitable[Any]]) -> Row:
        async with begin(scope) as tx:
            took = await _median(lambda: count(tx))
            counts = await count(tx)
        return name, f"{took:.1f}", "", "", f"completed {counts.completed}, paid {counts.paid}"

    for name, shop in (("giant shop", known.giant), ("small shop", known.small)):
        scope = Scope("merchant", merchant_id=shop)
        yield row(f"{name}, counts", scope, lambda tx, shop=shop: counting.of_shop(tx, shop))  # type: ignore[misc]
    scope = Scope("buyer", account_id=known.buyer)
    yield row("buyer, counts", scope, lambda tx: counting.of_buyer(tx, known.buyer))


async def _export(begin: Begin, known: Known) -> Row:
    """Eight days of the giant shop."""
    scope = Scope("merchant", merchant_id=known.giant)
    which = OrderFilter(
        merchant_id=known.giant, placed_from=known.newest - timedelta(days=8), placed_to=known.newest
    )
    began = time.perf_counter()
    async with begin(scope) as tx:
        which, found = await export.checked(tx, which)
    checked = time.perf_counter() - began
    size = 0
    async for part in export.table(begin, scope, which, Audience.MERCHANT, "zh"):
        size += len(part)
    took = time.perf_counter() - began
    note = f"{found} orders, {size / 1e6:.1f} MB, {found / took:.0f} orders/s; counted in {checked * 1000:.0f} ms"
    return "giant shop, export of 8 days", f"{took * 1000:.0f}", "", "", note


async def _median(work: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds, once warm."""
    await work()
    took = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def _plan(tx: Tx, sql: str, args: list[Any]) -> dict[str, Any]:
    told = await tx.fetchval(f"explain (analyze, buffers, timing off, format json) {sql}", *args)
    return dict((json.loads(told) if isinstance(told, str) else told)[0]["Plan"])


def _told(plan: dict[str, Any]) -> tuple[int, int, str]:
    """The most rows that any step looked at, buffers, and the indexes that were walked."""
    seen, ways = 0, dict[str, None]()
    steps = [plan]
    while steps:
        step = steps.pop()
        steps += step.get("Plans", ())
        looked = (
            step["Actual Rows"]
            + step.get("Rows Removed by Filter", 0)
            + step.get("Rows Removed by Index Recheck", 0)
        )
        seen = max(seen, int(looked * step["Actual Loops"]))
        if "Scan" in step["Node Type"] and step["Actual Loops"]:
            ways[step.get("Index Name") or f"{step['Node Type']} {step.get('Relation Name', '')}".strip()] = (
                None
            )
    buffers = plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
    return seen, buffers, " ".join(ways)


def _dsn(url: str) -> str:
    return url.replace("+asyncpg", "")


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
