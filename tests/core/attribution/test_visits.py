"""Where buyers come from: visits under a pseudonym, first and last touch, guests who sign in."""

from typing import Any

import msgspec

from core.attribution import service
from core.testkit.market import Market
from core.types.attribution import Source
from core.types.scope import SYSTEM


def visit(kind: str, reference: str = "", **more: Any) -> dict[str, Any]:
    """A visit's body."""
    return {"source": {"kind": kind, "reference": reference}, **more}


async def test_the_first_touch_stays_and_the_last_moves_but_not_with_a_direct_visit(market: Market) -> None:
    buyer = await market.buyer()
    for body in (visit("direct"), visit("share", "abc"), visit("ad", "7"), visit("direct")):
        assert (await buyer.post("/api/shop/visits", body)).status_code == 204
    async with market.runtime.tx(SYSTEM) as tx:
        found = await service.touches(tx, buyer.me.account_id)
        rows = await tx.fetch("select pseudonym, kind from visit order by id")
        pseudonym = await tx.fetchval("select pseudonym from account where id = $1", buyer.me.account_id)
    assert (found.first, found.last) == (Source("share", "abc"), Source("ad", "7"))
    assert [r["kind"] for r in rows] == ["direct", "share", "ad", "direct"]
    assert {r["pseudonym"] for r in rows} == {pseudonym}


async def test_what_cannot_be_is_refused(market: Market) -> None:
    buyer = await market.buyer()
    assert (await buyer.post("/api/shop/visits", visit("telepathy"))).status_code == 422
    assert (await buyer.post("/api/shop/visits", visit("share", "x" * 65))).status_code == 422
    assert (await buyer.post("/api/shop/visits", visit("shop", merchant_id="nonsense"))).status_code == 404
    assert (await market.client.post("/api/shop/visits", json=visit("share"))).status_code == 401


async def test_what_brought_a_guest_brought_the_account(market: Market) -> None:
    guest, buyer = await market.buyer(), await market.buyer()
    await guest.post("/api/shop/visits", visit("qr", "poster"))
    await buyer.post("/api/shop/visits", visit("search", "tea"))
    async with market.runtime.tx(SYSTEM) as tx:
        await service.merge(tx, buyer.me.account_id, guest.me.account_id)
    async with market.runtime.tx(SYSTEM) as tx:
        found = await service.touches(tx, buyer.me.account_id)
    assert (found.first, found.last) == (Source("qr", "poster"), Source("search", "tea"))


async def test_orders_carry_what_brought_the_buyer_and_lines_their_own_source(market: Market) -> None:
    buyer, shop = await market.buyer(), await market.merchant("tea-house")
    tea, cup = await market.product(shop), await market.product(shop)
    await buyer.post("/api/shop/visits", visit("share", "abc"))
    await buyer.post("/api/shop/visits", visit("ad", "7"))
    source = {"kind": "search", "reference": "tea"}
    lines = [{"sku_id": tea.ref, "quantity": 1, "source": source}, {"sku_id": cup.ref, "quantity": 1}]
    quote = (await buyer.post("/api/shop/quote", {"lines": lines})).json()
    placed = await buyer.post("/api/shop/checkout", {"lines": lines, "expected_payable": quote["payable"]})
    assert placed.status_code == 201
    async with market.runtime.tx(SYSTEM) as tx:
        touch = await tx.fetchval("select touch::text from orders")
        sources = {
            r["sku_id"]: r["source"] for r in await tx.fetch("select sku_id, source::text from order_line")
        }
    assert msgspec.json.decode(touch) == {
        "first": {"kind": "share", "reference": "abc"},
        "last": {"kind": "ad", "reference": "7"},
    }
    assert msgspec.json.decode(sources[tea.sku_id]) == source
    assert sources[cup.sku_id] is None
