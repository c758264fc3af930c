"""Millions of orders by SQL, in tables without indexes that are built afterwards; about two years of a market's business."""

import asyncpg

# Of five orders one is the giant shop's; the others are spread over the rest.
SHOPS = 2000
_TABLES = "orders, order_line, order_hold, aftersale"
_STEP = """
create or replace function pg_temp.key(kind text, n bigint) returns uuid language sql immutable as $$
  select ('00000000-0000-7000-8000-' || substr(md5(kind || n), 1, 12))::uuid
$$;
create or replace function pg_temp.at_ms(n bigint, total bigint, until_ms bigint) returns bigint language sql immutable as $$
  select until_ms - ((total - n) * 63072000000.0 / total)::bigint
$$;
create or replace function pg_temp.order_key(n bigint, total bigint, until_ms bigint) returns uuid language sql immutable as $$
  select (lpad(to_hex(pg_temp.at_ms(n, total, until_ms)), 12, '0') || '7000' || '8' || substr(md5('o' || n), 1, 15))::uuid
$$;
create or replace function pg_temp.shop(n bigint) returns uuid language sql immutable as $$
  select pg_temp.key('shop', case when n % 5 = 0 then 0 else 1 + n * 7919 % 1999 end)
$$;
"""
# The newest of a thousand orders await something; of the older ones nine of ten are completed.
_ORDERS = """
insert into orders (merchant_id, id, trade_id, account_id, number, merchant_name, status, goods_amount, discount_amount,
  shipping_amount, payable, market_borne, commission, commission_rule, province, city, district, phone_index, created_at,
  paid_at)
select pg_temp.shop(n), pg_temp.order_key(n, $1, $2), pg_temp.key('trade', n), pg_temp.key('buyer', n * 7907 % ($1 / 10)),
  lpad(n::text, 22, '0'), '商户', case
    when n > $1 - $1 / 1000 then (array['unpaid', 'paid', 'accepted', 'shipped'])[1 + n % 4]
    when n % 100000 = 0 then 'accepted' when n % 11 = 0 then 'closed' else 'completed' end,
  5000, 0, 0, 5000, 0, 0, 'none', '重庆市', '重庆市', '渝中区', decode(md5('p' || n * 7907 % ($1 / 10)), 'hex'),
  to_timestamp(pg_temp.at_ms(n, $1, $2) / 1000.0), to_timestamp(pg_temp.at_ms(n, $1, $2) / 1000.0)
from generate_series($3::bigint, $4::bigint) n
"""
_LINES = """
insert into order_line (merchant_id, id, order_id, account_id, sku_id, product_id, title, specs, quantity, unit_price,
  amount, payable)
select pg_temp.shop(n), pg_temp.key('line', n), pg_temp.order_key(n, $1, $2), pg_temp.key('buyer', n * 7907 % ($1 / 10)),
  pg_temp.key('sku', n % 200), pg_temp.key('sku', n % 200), '火锅底料 No' || n % 200, '{500克}', 1, 5000, 5000, 5000
from generate_series($3::bigint, $4::bigint) n
"""
_HOLDS = """
insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)
select pg_temp.shop(n), pg_temp.order_key(n, $1, $2), 'group_buy', pg_temp.key('buyer', n * 7907 % ($1 / 10)), 'bench', now()
from generate_series($1::bigint - $1 / 1000, $1) n where n % 7 = 0
"""
_CASES = """
insert into aftersale (merchant_id, id, order_id, trade_id, account_id, number, kind, status, reason, created_at, updated_at,
  closed_at)
select pg_temp.shop(n), pg_temp.key('case', n), pg_temp.order_key(n, $1, $2), pg_temp.key('trade', n),
  pg_temp.key('buyer', n * 7907 % ($1 / 10)), lpad(n::text, 22, '0'), 'refund_only',
  case when n % 20000 = 0 then 'applied' else 'done' end, 'bench', now(), now(), case when n % 20000 > 0 then now() end
from generate_series(1, $1::bigint) n where n % 100 = 0
"""
_RULES = """
select conrelid::regclass::text as tab, conname as name, pg_get_constraintdef(oid) as def, contype::text as kind
from pg_constraint where connamespace = 'public'::regnamespace and contype in ('f', 'p', 'u')
  and (contype = 'f' or conrelid = any($1::regclass[])) order by contype = 'f' desc
"""
_INDEXES = """
select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as def from pg_index
where indrelid = any($1::regclass[])
"""


async def fill(admin: asyncpg.Connection, total: int, until_ms: int) -> None:
    """`total` orders with a line each; a share of them held or with a case. The connection is the owner's."""
    tables = _TABLES.split(", ")
    await admin.execute("set jishi.scope = 'system'; set maintenance_work_mem = '768MB'; set jit = off")
    rules = await admin.fetch(_RULES, tables)
    for rule in rules:
        await admin.execute(f"alter table {rule['tab']} drop constraint {rule['name']}")
    indexes = await admin.fetch(_INDEXES, tables)
    for index in indexes:
        await admin.execute(f"drop index {index['name']}")
    for table in tables:
        await admin.execute(f"alter table {table} set unlogged")
    await admin.execute(_STEP)
    for start in range(1, total + 1, 500_000):
        until = min(start + 499_999, total)
        for sql in (_ORDERS, _LINES):
            await admin.execute(sql, total, until_ms, start, until)
    for sql in (_HOLDS, _CASES):
        await admin.execute(sql, total, until_ms)
    # Foreign keys cost nothing in reading; the others are the indexes that are measured.
    for rule in rules:
        if rule["kind"] != "f":
            await admin.execute(f"alter table {rule['tab']} add constraint {rule['name']} {rule['def']}")
    for index in indexes:
        await admin.execute(index["def"])
    await admin.execute(f"vacuum analyze {_TABLES}")
