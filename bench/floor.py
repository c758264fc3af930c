"""The bare SQL of the same purchase, straight through asyncpg: no HTTP, no checks, no plugins. The database's own floor."""

import asyncio
import time
from uuid import UUID

import asyncpg

from core.kit.ids import new_id, new_number

_PLACE = """
with want as (select * from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[]) w(merchant_id, sku_id, order_id, move_id, number)),
held as (update stock s set reserved = reserved + 1 from want w where s.merchant_id = w.merchant_id and s.sku_id = w.sku_id
  and s.on_hand > s.reserved returning s.sku_id),
t as (insert into trade (account_id, id, number, created_at, expires_at, goods_amount, discount_amount, shipping_amount, payable)
  select $1, $2, $8, now(), now(), 3000, 0, 0, 3000 from (select count(*) n from held) h where h.n = 3),
m as (insert into stock_move (merchant_id, id, sku_id, on_hand_delta, reserved_delta, reason, reference, at)
  select merchant_id, move_id, sku_id, 0, 1, 'placed', $2, now() from want),
o as (insert into orders (merchant_id, id, trade_id, account_id, number, merchant_name, goods_amount, discount_amount,
  shipping_amount, payable, market_borne, commission, commission_rule, created_at)
  select merchant_id, order_id, $2, $1, number, '', 1000, 0, 0, 1000, 0, 50, '', now() from want)
insert into order_line (merchant_id, id, order_id, account_id, sku_id, product_id, title, quantity, unit_price, amount, payable)
select merchant_id, move_id, order_id, $1, sku_id, sku_id, '', 1, 1000, 1000, 1000 from want
"""
_PAY = """
with t as (update trade set status = 'paid', paid_at = now() where account_id = $1 and id = $2 and status = 'unpaid'),
o as (update orders set status = 'paid', paid_at = now() where trade_id = $2 and status = 'unpaid' returning merchant_id, id),
p as (insert into payment (account_id, id, subject_kind, subject_id, provider, amount, created_at, expires_at, status)
  values ($1, $3, 'trade', $2, 'sandbox', 3000, now(), now(), 'paid'))
insert into ledger_transfer (merchant_id, id, debit_owner, debit_kind, credit_owner, credit_kind, amount, code, reference, at)
select merchant_id, id, merchant_id, 'gateway', merchant_id, 'frozen', 1000, 'pay.buyer', id, now() from o
"""


async def run(dsn: str, skus: list[tuple[UUID, UUID]], purchases: int, concurrency: int) -> float:
    """Do them; our own CPU time in ms for each."""
    pool = await asyncpg.create_pool(dsn, min_size=4, max_size=4)
    account = new_id()

    async def buyer(start: int) -> None:
        for n in range(start, purchases, concurrency):
            await _purchase(pool, account, [skus[(n * 3 + i) % len(skus)] for i in range(3)])

    began = time.process_time()
    await asyncio.gather(*(buyer(n) for n in range(concurrency)))
    spent = (time.process_time() - began) * 1000 / purchases
    await pool.close()
    return spent


async def _purchase(pool: asyncpg.Pool, account: UUID, skus: list[tuple[UUID, UUID]]) -> None:
    trade = new_id()
    ordered = sorted(skus)
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("set local jishi.scope = 'system'")
            await connection.execute(
                _PLACE,
                account,
                trade,
                [m for m, _ in ordered],
                [s for _, s in ordered],
                [new_id() for _ in ordered],
                [new_id() for _ in ordered],
                [new_number() for _ in ordered],
                new_number(),
            )
        async with connection.transaction():
            await connection.execute("set local jishi.scope = 'system'")
            await connection.execute(_PAY, account, trade, new_id())
