"""A trade paid and closed at the same moment ends as one of both, with stock and money to match."""

import asyncio
from datetime import timedelta

import httpx

from core.deployment.runtime import Runtime
from core.kit.ids import parse_pair
from core.testkit import Server
from core.types.scope import SYSTEM
from core.worker.inline import drain
from tests.support.market import Session, a_buyer, add_product, an_operator, open_shop


async def test_paying_and_closing_at_once_never_does_both(server: Server, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        shopper = Session(client, runtime, await a_buyer(runtime))
        trades = [(await shopper.checkout((sku, 1))).json()["id"] for _ in range(16)]
        payments = [
            (await shopper.post(f"/api/shop/trades/{t}/payments", {"provider": "sandbox"})).json()["id"]
            for t in trades
        ]
        both = [
            step
            for trade, payment in zip(trades, payments, strict=True)
            for step in (
                shopper.post(f"/api/payments/sandbox/{payment}/pay"),
                shopper.post(f"/api/shop/trades/{trade}/close"),
                shopper.post(f"/api/payments/sandbox/{payment}/pay"),
            )
        ]
        answers = await asyncio.gather(*both)
        assert all(a.status_code in (200, 409) for a in answers), [
            a.text for a in answers if a.status_code not in (200, 409)
        ]
        for _ in range(3):
            await drain(runtime, until=runtime.clock() + timedelta(minutes=20), strict=True)
        found = [(await shopper.get(f"/api/shop/trades/{t}")).json()["status"] for t in trades]
        operator = Session(client, runtime, await an_operator(runtime))
        check = (await operator.get("/api/platform/ledger/check")).json()
    assert set(found) <= {"paid", "closed"}
    assert check == {"balanced": True, "problems": []}
    async with runtime.tx(SYSTEM) as tx:
        reserved = await tx.fetchval("select reserved from stock where sku_id = $1", parse_pair(sku)[1])
        statuses = {
            r["status"]: r["n"] for r in await tx.fetch("select status, count(*) n from payment group by 1")
        }
    assert reserved == found.count("paid") == statuses.get("paid", 0)
    assert statuses.get("refunded", 0) == found.count("closed")
