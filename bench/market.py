"""A market to measure: merchants and products by SQL, buyers with an address, all on embedded engines of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

import host
from core.command import config
from core.demo.seed import seed
from core.embedded import Urls
from core.identity import tokens
from core.kit.ids import new_id, ref
from core.kit.settings import Env, Settings
from core.kit.text import grams
from core.plugin import discover
from core.types.scope import SYSTEM, Audience, Principal

_ROOT = Path(__file__).parents[1]
_WORDS = ("火锅", "咖啡", "瓷器", "脐橙", "书签", "辣椒", "面条", "茶杯", "围巾", "修车", "保洁", "画册")

_FILLED = "merchant, product, sku, stock, listing, listing_sku, account, session, address"

_MERCHANTS = """
insert into merchant (id, slug, name, status, location, created_at, opened_at)
select id, 'bench-' || n, '商户 ' || n, 'open', point(106.4 + (n % 20) * 0.02, 29.4 + (n / 20) * 0.02), now(), now()
from unnest($1::uuid[]) with ordinality m(id, n)
"""
_PRODUCTS = """
with p as (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::float8[], $8::float8[])
  x(merchant_id, product_id, sku_id, title, grams, price, lng, lat)),
a as (insert into product (merchant_id, id, handle, title, status, created_at, updated_at)
  select merchant_id, product_id, product_id::text, title, 'listed', now(), now() from p),
b as (insert into sku (merchant_id, id, product_id, price, weight_g, created_at)
  select merchant_id, sku_id, product_id, price, 500, now() from p),
c as (insert into stock (merchant_id, sku_id, on_hand) select merchant_id, sku_id, 1000000 from p),
d as (insert into listing (merchant_id, product_id, merchant_name, title, price, location, grams, live, description, listed_at, images)
  select merchant_id, product_id, '商户', title, price, point(lng, lat), string_to_array(grams, ' '), true, title, now(),
    array['/static/demo/wudu-coffee.svg'] from p)
insert into listing_sku (merchant_id, sku_id, product_id, title, price, weight_g, volume_cm3, requires_shipping, merchant_name, live)
select merchant_id, sku_id, product_id, title, price, 500, 0, true, '商户', true from p
"""


class Market(msgspec.Struct):
    """What is measured."""

    env: Env
    skus: list[tuple[UUID, UUID]]
    products: list[str]
    buyers: list[str]
    accounts: list[UUID]


async def build(
    urls: Urls,
    data: Path,
    port: int,
    payments: str,
    *,
    products: int,
    buyers: int,
    plugins: Iterable[str] | None = None,
) -> Market:
    """Migrate, load the demo market for its accounts, add merchants and products, sign `buyers` in. `plugins` are those that
    are on, by default all."""
    settings = Settings(
        data=str(data),
        port=port,
        database_url=urls.owner_database_url,
        app_database_url=urls.app_database_url,
        redis_url=urls.redis_url,
        sandbox=True,
        sandbox_url=payments,
        rate_limits=False,
        unpaid_trades_per_account=10**6,
    )
    env = config.make_env(settings)
    classes = discover()
    await host.prepare(urls.owner_database_url, classes, sorted(classes) if plugins is None else plugins)
    runtime = host.make_runtime(env)
    await runtime.open()
    await seed(runtime.tx, tools=False)
    await runtime.close()
    admin = await asyncpg.connect(urls.owner_database_url.replace("+asyncpg", ""))
    await admin.execute("set jishi.scope = 'system'")
    skus, refs = await _fill(admin, products)
    signed = [await _buyer(admin, env) for _ in range(buyers)]
    # Not the empty tables: once told that they are empty, the planner keeps reading them from end to end as they fill.
    await admin.execute(f"vacuum analyze {_FILLED}")
    await admin.close()
    return Market(env, skus, refs, [token for _, token in signed], [account for account, _ in signed])


async def _fill(admin: asyncpg.Connection, count: int) -> tuple[list[tuple[UUID, UUID]], list[str]]:
    merchants = [new_id() for _ in range(200)]
    await admin.execute(_MERCHANTS, merchants)
    skus: list[tuple[UUID, UUID]] = []
    refs: list[str] = []
    for start in range(0, count, 10_000):
        rows = [_product(merchants, n) for n in range(start, min(start + 10_000, count))]
        await admin.execute(_PRODUCTS, *(list(c) for c in zip(*rows, strict=True)))
        skus += [(r[0], r[2]) for r in rows[:500]]
        refs += [ref(r[0], r[1]) for r in rows[:500]]
    return skus, refs


def _product(merchants: Sequence[UUID], n: int) -> tuple[UUID, UUID, UUID, str, str, int, float, float]:
    title = f"{_WORDS[n % 12]} {_WORDS[n // 12 % 12]} No{n}"
    return (
        merchants[n % len(merchants)],
        new_id(),
        new_id(),
        title,
        " ".join(grams(title)),
        500 + n * 7919 % 20_000,
        106.4 + n % 997 / 2000,
        29.4 + n % 991 / 2000,
    )


async def _buyer(admin: asyncpg.Connection, env: Env) -> tuple[UUID, str]:
    account, session = new_id(), new_id()
    await admin.execute(
        "insert into account (id, login, password_hash, nickname, pseudonym, created_at)"
        " values ($1, $2, '', 'bench', $1, now())",
        account,
        str(account),
    )
    await admin.execute(
        "insert into session (id, account_id, audience, refresh_hash, created_at, expires_at)"
        " values ($1, $2, 'shop', $3, now(), now() + interval '1 day')",
        session,
        account,
        session.bytes,
    )
    seal = env.vault.seal
    await admin.execute(
        "insert into address (account_id, id, recipient, phone, phone_index, street, province, city, district, location,"
        " is_default, created_at) values ($1, $2, $3, $4, $5, $6, '重庆市', '重庆市', '渝中区', point(106.5, 29.5), true, now())",
        account,
        new_id(),
        seal("张三", f"address.recipient:{account}"),
        seal("13800000000", f"address.phone:{account}"),
        env.vault.blind("13800000000"),
        seal("解放碑 1 号", f"address.street:{account}"),
    )
    me = Principal(account, session, Audience.SHOP)
    return account, tokens.issue(env.vault, me, datetime.now(UTC) + timedelta(hours=5))


def start_web(env: Env) -> subprocess.Popen[bytes]:
    """One web process; waits until it answers."""
    environ = {**os.environ, config.RESOLVED: msgspec.json.encode(env.settings).decode()}
    process = subprocess.Popen([sys.executable, str(_ROOT / "host.py"), "web"], env=environ, cwd=_ROOT)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{env.settings.port}/readyz", timeout=2).close()
            return process
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise SystemExit("the web process did not start")


def start_payments(env: Env, listening: socket.socket) -> subprocess.Popen[bytes]:
    """The sandbox payment service on a listening socket; calls wait in it until it is up."""
    environ = {**os.environ, config.RESOLVED: msgspec.json.encode(env.settings).decode()}
    command = [sys.executable, "-m", "core.command.sandbox", str(listening.fileno())]
    return subprocess.Popen(command, env=environ, cwd=_ROOT, pass_fds=[listening.fileno()])


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def set_stock(env: Env, sku: tuple[UUID, UUID], on_hand: int) -> None:
    """Give one SKU exactly this much."""
    runtime = host.make_runtime(env)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "update stock set on_hand = $3, reserved = 0 where merchant_id = $1 and sku_id = $2",
            *sku,
            on_hand,
        )
    await runtime.close()
