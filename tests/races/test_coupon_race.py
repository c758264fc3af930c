"""60 buyers at once on 50 coupons, on a real server; and the control that hands out too many."""

import asyncio

import httpx
import pytest

from core.api import Conflict, Tx, new_id, parse_pair
from core.deployment.runtime import Runtime
from core.testkit import Server
from core.types.scope import SYSTEM
from plugins.coupons import claiming, handing
from tests.support.coupons import issue
from tests.support.market import Session, a_buyer, add_product, open_shop


async def _count(runtime: Runtime, template_id: str) -> tuple[int, int]:
    """(claimed by the template's own count, coupons there are)."""
    async with runtime.tx(SYSTEM) as tx:
        key = parse_pair(template_id)
        sql = "select claimed from coupons_template where merchant_id = $1 and id = $2"
        claimed = await tx.fetchval(sql, *key)
        return claimed, await tx.fetchval(
            "select count(*) from coupons_coupon where template_id = $1", key[1]
        )


async def test_60_buyers_on_50_coupons_claim_exactly_50(server: Server, runtime: Runtime) -> None:
    template = await issue(runtime, total=50)
    people = [await a_buyer(runtime) for _ in range(60)]
    async with httpx.AsyncClient(
        base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=60)
    ) as client:
        path = f"/api/shop/coupons/templates/{template}/claim"
        answers = await asyncio.gather(*(Session(client, runtime, me).post(path) for me in people))
    codes = [a.status_code for a in answers]
    assert (codes.count(201), codes.count(409)) == (50, 10), {a.text for a in answers}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"sold_out"}
    assert await _count(runtime, template) == (50, 50)


_UNLOCKED = """
select t.*, t.terms::text as terms_json from coupons_template t where merchant_id = $1 and id = $2
  and total > (select count(*) from coupons_coupon c where c.merchant_id = $1 and c.template_id = $2)
"""


async def test_control_counting_before_writing_hands_out_too_many(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race without the row lock of the conditional update."""

    async def take(tx: Tx, key: handing.Key, claims: object) -> object:
        row = await tx.fetchrow(_UNLOCKED, *key)
        await asyncio.sleep(0.01)
        return row

    monkeypatch.setattr(handing, "take", take)
    template = await issue(runtime, total=50)

    async def claim() -> None:
        try:
            async with runtime.tx(SYSTEM) as tx:
                await claiming.claim(tx, new_id(), template)
        except Conflict:
            pass

    await asyncio.gather(*(claim() for _ in range(60)))
    assert (await _count(runtime, template))[1] > 50


async def test_one_coupon_in_many_checkouts_at_once_is_used_once(server: Server, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"), price=2000)
    me = await a_buyer(runtime)
    template = await issue(runtime, amount=500)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        session = Session(client, runtime, me)
        assert (await session.post(f"/api/shop/coupons/templates/{template}/claim")).status_code == 201
        lines = {"lines": [{"sku_id": sku, "quantity": 1}]}
        payable = (await session.post("/api/shop/quote", lines)).json()["payable"]
        body = lines | {"expected_payable": payable}
        answers = await asyncio.gather(*(session.post("/api/shop/checkout", body) for _ in range(8)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"coupon_used", "price_changed"}
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from coupons_use") == 1
