"""What balances, pages and the check of the ledger cost on millions of transfers."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from bench import engines
from bench.measure import Row
from core import hookspecs
from core.command import config
from core.db import migrations
from core.db.engine import create_engine
from core.db.tx import Tx
from core.embedded import Urls
from core.kit.ids import MARKET_ID, new_id
from core.kit.settings import Settings
from core.ledger import balances, service
from core.ledger.check import check
from core.ledger.rules import Account, OrderMoney, pay_transfers
from core.plugin import Snapshot
from core.types.scope import PLATFORM, SYSTEM, Scope, merchant

SHOPS = 1_000
_TIMES = 20
_BATCH = 500_000
Begin = Callable[[Scope], Tx]

# Four transfers of each order; every fifth order is that of the first shop.
_FILL = """
insert into ledger_transfer
  (merchant_id, id, debit_owner, debit_kind, credit_owner, credit_kind, amount, code, reference, at)
select s.shop, gen_random_uuid(), case when k.debit = 'subsidy' then $3 else s.shop end, k.debit,
  case when k.credit = 'revenue' then $3 else s.shop end, k.credit, 1 + n % 9000, k.code, md5('order' || n)::uuid,
  timestamptz '2026-01-01' + n * interval '1 second'
from generate_series($1::bigint, $2::bigint) n
cross join lateral (select md5('shop' || case when n % 5 = 0 then 0 else n % $4 end)::uuid as shop) s
cross join (values ('gateway', 'frozen', 'pay.buyer'), ('subsidy', 'frozen', 'pay.subsidy'),
  ('frozen', 'revenue', 'release.commission'), ('frozen', 'payable', 'release.payable')) k(debit, credit, code)
"""
_ROLL = """
insert into ledger_balance (merchant_id, owner, kind, debit, credit)
select merchant_id, owner, kind, sum(debit), sum(credit) from (
  select merchant_id, debit_owner as owner, debit_kind as kind, amount as debit, 0 as credit from ledger_transfer
  union all select merchant_id, credit_owner, credit_kind, 0, amount from ledger_transfer
) s group by merchant_id, owner, kind
"""


def run(total: int) -> list[Row]:
    """Make a database with `total` transfers, measure, throw it away."""
    with engines.temporary() as (urls, folder):
        began = time.perf_counter()
        asyncio.run(_fill(urls, total))
        filled = ("filled", f"{time.perf_counter() - began:.0f} s", "")
        return [filled, *asyncio.run(_measured(urls, folder))]


async def _fill(urls: Urls, total: int) -> None:
    await migrations.upgrade(urls.owner_database_url, [migrations.CORE])
    admin = await asyncpg.connect(urls.owner_database_url.replace("+asyncpg", ""))
    await admin.execute("set jishi.scope = 'system'; set synchronous_commit = off")
    orders = total // 4
    for first in range(0, orders, _BATCH // 4):
        last = min(orders, first + _BATCH // 4) - 1
        await admin.execute(_FILL, first, last, MARKET_ID, SHOPS)
    await admin.execute(_ROLL)
    await admin.execute("vacuum analyze ledger_transfer")
    await admin.execute("vacuum analyze ledger_balance")
    await admin.close()


async def _measured(urls: Urls, folder: Path) -> list[Row]:
    settings = Settings(
        data=str(folder / "data"),
        database_url=urls.owner_database_url,
        app_database_url=urls.app_database_url,
        redis_url=urls.redis_url,
    )
    env, engine = config.make_env(settings), create_engine(urls.app_database_url)
    snapshot = Snapshot(0, (), (), hookspecs)

    def begin(scope: Scope) -> Tx:
        return Tx(engine, snapshot, scope, env)

    try:
        return await _rows(begin)
    finally:
        await engine.dispose()


async def _rows(begin: Begin) -> list[Row]:
    async with begin(SYSTEM) as tx:
        shop = await tx.fetchval(
            "select merchant_id from ledger_balance group by 1 order by sum(credit) desc limit 1"
        )
    rows = [await _post(begin, shop)]
    rows += await _reads(begin, shop)
    began = time.perf_counter()
    async with begin(SYSTEM) as tx:
        moved = await balances.roll_up(tx)
    rows.append(("roll up once", _ms(time.perf_counter() - began), f"{moved:,} sides"))
    rows += await _reads(begin, shop)
    for sums in (False, True):
        began = time.perf_counter()
        async with begin(SYSTEM) as tx:
            await check(tx, sums=sums)
        name = "check, with the sums of all transfers" if sums else "check, without them"
        rows.append((name, f"{time.perf_counter() - began:.1f} s", ""))
    return rows


async def _post(begin: Begin, shop: Any, orders: int = 2_000) -> Row:
    began = time.perf_counter()
    for _ in range(orders):
        async with begin(SYSTEM) as tx:
            await service.post(tx, pay_transfers(OrderMoney(shop, new_id(), 900, 100)))
    took = (time.perf_counter() - began) / orders
    return ("post an order's payment (2 transfers)", _ms(took), "a transaction each")


async def _reads(begin: Begin, shop: Any) -> list[Row]:
    payable = [Account(shop, "payable"), Account(shop, "debt")]

    async def accounts(tx: Tx) -> Any:
        return await service.accounts(tx)

    async def own(tx: Tx) -> Any:
        return await service.accounts(tx, shop, owner=shop)

    async def held(tx: Tx) -> Any:
        await balances.lock(tx, [shop])
        return await balances.held(tx, payable)

    async def page(tx: Tx) -> Any:
        return await service.page(tx, merchant_id=shop, references=None, before=None, limit=21)

    return [
        await _timed(begin, "balances of all accounts", PLATFORM, accounts),
        await _timed(begin, "balances of the giant shop", merchant(shop), own),
        await _timed(begin, "payable and debt, locked", SYSTEM, held),
        await _timed(begin, "page of the giant shop's transfers", merchant(shop), page),
    ]


async def _timed(begin: Begin, name: str, scope: Scope, read: Callable[[Tx], Awaitable[Any]]) -> Row:
    took, found = [], 0
    for _ in range(_TIMES):
        async with begin(scope) as tx:
            began = time.perf_counter()
            found = len(await read(tx))
            took.append(time.perf_counter() - began)
    return (name, _ms(statistics.median(took)), f"{found} rows")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
