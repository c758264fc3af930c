"""A reconciliation as staff sees it: by the API and the command."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from core.command import money
from core.deployment.runtime import Runtime
from core.kit.clock import system_clock
from core.kit.ids import ref
from core.payment.reconcile import CHINA
from core.testkit import Database, Market
from core.testkit.database import KEY
from core.types.scope import SYSTEM
from tests.support.bills import DAY, Books, change

ROOT = Path(__file__).parents[3]


@pytest.fixture
def books(runtime: Runtime, client: httpx.AsyncClient) -> Books:
    """See `Books`."""
    return Books(runtime, client)


async def test_staff_reads_it_by_the_api(market: Market, runtime: Runtime, client: httpx.AsyncClient) -> None:
    shop, buyer, operator = await market.merchant(), await market.buyer(), await market.operator()
    tea = await market.product(shop, price=1_000, on_hand=9)
    trade = await market.purchase(buyer, [(tea, 2)])
    async with runtime.tx(SYSTEM) as tx:
        day = (await tx.fetchval("select paid_at from payment")).astimezone(CHINA).date()
    at = "/api/platform/payments/reconciliation"
    answer = await operator.get(f"{at}?day={day}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"day": str(day), "agreed": 1, "wrong": 0, "open": 0, "items": []}
    change(runtime, "update operation set amount = amount - 1 where account = :account and kind = 'pay'")
    found = (await operator.get(f"{at}?day={day}&provider=sandbox")).json()
    (item,) = found["items"]
    assert (found["wrong"], item["problem"], item["kind"]) == (1, "amount_differs", "pay")
    assert item["amount_here"] == item["amount_there"] + 1 == trade["payable"]
    assert item["merchant_id"] == shop.ref
    for bad in ("", "?day=yesterday", f"?day={day}&provider=nobody", "?day=2130-01-01"):
        assert (await operator.get(at + bad)).status_code in (400, 422), bad
    reviewer = await market.operator("reviewer")
    assert (await reviewer.get(f"{at}?day={day}")).status_code == 403
    assert (await client.get(f"{at}?day={day}")).status_code == 401


async def test_the_command_prints_a_table_and_says_whether_something_is_wrong(books: Books) -> None:
    order = await books.buy()
    assert await money.reconcile(books.runtime, DAY, None) == (
        f"{DAY}: 1 agree, 0 wrong, 0 open.",
        False,
    )
    books.change("update operation set amount = 1999 where account = :account and kind = 'pay'")
    text, wrong = await money.reconcile(books.runtime, DAY, "sandbox")
    assert wrong
    head, row, total = text.splitlines()
    assert head.split() == ["problem", "provider", "kind", "reference", "merchant", "here", "there"]
    assert row.split()[:3] == ["amount_differs", "sandbox", "pay"]
    assert row.split()[4:] == [ref(order.merchant_id), "20.00", "19.99"]
    assert total == f"{DAY}: 0 agree, 1 wrong, 0 open."


async def test_the_command_ends_with_1_when_something_is_wrong(
    books: Books, database: Database, tmp_path: Path
) -> None:
    books.now = system_clock()
    await books.buy()
    async with books.begin() as tx:
        day = (await tx.fetchval("select paid_at from payment")).astimezone(CHINA).date()
    (tmp_path / "secret").write_text(KEY.hex())
    (tmp_path / "secret").chmod(0o600)
    settings = books.runtime.env.settings
    environ = {
        **os.environ,
        "JISHI_DATABASE_URL": database.owner_url,
        "JISHI_APP_DATABASE_URL": database.app_url,
        "JISHI_REDIS_URL": database.redis_url,
        "JISHI_SECRET_FILE": str(tmp_path / "secret"),
        "JISHI_DATA": str(tmp_path / "data"),
        "JISHI_SANDBOX": "true",
        "JISHI_SANDBOX_URL": settings.sandbox_url,
        "JISHI_SANDBOX_ACCOUNT": settings.sandbox_account,
    }

    def said() -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "host.py"), "reconcile", str(day)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()[-1]

    assert await asyncio.to_thread(said) == (0, f"{day}: 1 agree, 0 wrong, 0 open.")
    books.change("delete from operation where account = :account")
    assert await asyncio.to_thread(said) == (1, f"{day}: 0 agree, 1 wrong, 0 open.")
