"""Coupons under load: a rush on one template, and what holding coupons costs a quote."""

import asyncio
import time
from collections import Counter
from typing import Any
from uuid import UUID

import host
from bench.client import Buyer, Connection
from bench.market import Market
from bench.measure import Meter, Row, cpu_ms, statements, tree_cpu_ms
from core.kit.ids import MARKET_ID, parse_pair, ref
from core.types import scope as scopes
from plugins.coupons import templates
from plugins.coupons.schemas import TemplateIn, Valid

EACH = 5
QUOTING = 8
_CONNECTIONS = 200


async def run(built: Market, meter: Meter, total: int, quotes: int) -> list[Row]:
    """The rows of the table."""
    quoting, claiming = built.buyers[:QUOTING], built.buyers[QUOTING:]
    meter.concurrency = QUOTING
    rows = [await _quotes(built, meter, "quote of 3 lines, no coupon held", quoting, quotes)]
    await _hold_twenty(built, meter.port, quoting)
    rows.append(await _quotes(built, meter, "quote of 3 lines, 20 coupons held", quoting, quotes))
    return rows + await _rush(built, meter, claiming, total)


async def _issue(built: Market, merchant_id: UUID, **more: Any) -> str:
    given: dict[str, Any] = {"name": "券", "kind": "amount", "total": 1000, "valid": Valid(days=7)}
    runtime = host.make_runtime(built.env)
    await runtime.open()
    scope = scopes.PLATFORM if merchant_id == MARKET_ID else scopes.merchant(merchant_id)
    async with runtime.tx(scope) as tx:
        made = await templates.issue(tx, merchant_id, TemplateIn(**(given | more)))
    await runtime.close()
    return made.id


async def _quotes(built: Market, meter: Meter, name: str, tokens: list[str], count: int) -> Row:
    body = {"lines": [{"sku_id": ref(*sku), "quantity": 1} for sku in built.skus[:3]]}

    async def buyer(start: int) -> None:
        who = Buyer(meter.port, tokens[start])
        for _ in range(start, count, meter.concurrency):
            await who.call("POST", "/api/shop/quote", body)
        who.connection.close()

    return await meter.measured(name, count, buyer)


async def _hold_twenty(built: Market, port: int, tokens: list[str]) -> None:
    """Eight coupons of the market and four of each of the three shops: amounts, rates and free shipping."""
    issuers = [(MARKET_ID, n) for n in range(8)]
    issuers += [(merchant_id, n) for merchant_id, _ in built.skus[:3] for n in range(4)]
    issued = [await _issue(built, issuer, **_worth(n)) for issuer, n in issuers]
    for token in tokens:
        who = Buyer(port, token)
        for template in issued:
            await who.call("POST", f"/api/shop/coupons/templates/{template}/claim")
        who.connection.close()


def _worth(n: int) -> dict[str, Any]:
    if n % 4 == 3:
        return {"kind": "free_shipping", "threshold": 100 * n}
    if n % 4 == 2:
        return {"kind": "rate", "rate_bp": 100 * (n + 1), "cap": 300}
    return {"amount": 100 + n, "threshold": 500 * n}


async def _rush(built: Market, meter: Meter, tokens: list[str], total: int) -> list[Row]:
    """All at once, each one time more than allowed."""
    template = await _issue(built, MARKET_ID, amount=500, total=total, per_account=EACH)
    path = f"/api/shop/coupons/templates/{template}/claim"
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        free.put_nowait(Connection("127.0.0.1", meter.port))
    answers: Counter[str] = Counter()

    async def account(token: str) -> None:
        who = Buyer(meter.port, token)
        for _ in range(EACH + 1):
            who.connection = await free.get()
            status, body = await who.attempt("POST", path)
            free.put_nowait(who.connection)
            answers["claimed" if status == 201 else body["code"]] += 1

    before = cpu_ms(meter.web), tree_cpu_ms(meter.postgres), statements(meter.port).total
    began = time.perf_counter()
    await asyncio.gather(*(account(token) for token in tokens))
    took = time.perf_counter() - began
    asked = answers.total()
    web = (cpu_ms(meter.web) - before[0]) / asked
    postgres = (tree_cpu_ms(meter.postgres) - before[1]) / asked
    sent = (statements(meter.port).total - before[2]) / asked
    while not free.empty():
        free.get_nowait().close()
    claimed, most = await _claimed(built, template)
    assert claimed == answers["claimed"] == total, (claimed, answers)
    assert most == EACH, most
    refused = ", ".join(f"{n:,} {code}" for code, n in sorted(answers.items()) if code != "claimed")
    return [
        ("claim, all at once", f"{web:.2f}", f"{postgres:.2f}", f"{sent:.1f}", f"{asked / took:.0f}/s"),
        (f"{len(tokens):,} accounts on {total:,} coupons", "", "", "", f"{claimed:,} claimed, {took:.1f} s"),
        ("  refused", "", "", "", refused),
    ]


async def _claimed(built: Market, template: str) -> tuple[int, int]:
    """(coupons there are of the template, the most that one account has)."""
    runtime = host.make_runtime(built.env)
    async with runtime.tx(scopes.SYSTEM) as tx:
        row = await tx.fetchrow(
            "select sum(n)::int as n, max(n)::int as most from"
            " (select count(*) as n from coupons_coupon where template_id = $1 group by account_id) held",
            parse_pair(template)[1],
        )
    await runtime.close()
    assert row is not None
    return row["n"], row["most"]
