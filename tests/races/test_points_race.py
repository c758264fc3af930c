"""Several checkouts at once on the same points, on a real server; and the control that spends them twice."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.api import (
    Conflict,
    OrderEvent,
    PlacedOrder,
    Placement,
    Tx,
    hookspecs,
    new_id,
    parse_pair,
    parse_ref,
    ref,
)
from core.deployment.runtime import Runtime
from core.testkit import Market, Server
from core.types.pricing import Adjustment, Bearer, Quote, QuoteLine, QuoteMerchant
from core.types.scope import SYSTEM
from plugins.membership import books
from tests.support.market import Session, a_buyer, add_product, open_shop
from tests.support.membership import balance, give, journal


async def test_the_same_points_in_many_checkouts_at_once_are_spent_once(
    server: Server, runtime: Runtime
) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"), price=2000)
    me = await a_buyer(runtime)
    await give(runtime, me.account_id, 1000)
    wish = {"lines": [{"sku_id": sku, "quantity": 1}], "options": {"membership": {"points": 400}}}
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        session = Session(client, runtime, me)
        payable = (await session.post("/api/shop/quote", wish)).json()["payable"]
        answers = await asyncio.gather(
            *(session.post("/api/shop/checkout", wish | {"expected_payable": payable}) for _ in range(6))
        )
    assert sorted(a.status_code for a in answers) == [201] * 2 + [409] * 4
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"points_short", "price_changed"}
    assert await balance(runtime, me.account_id) == (200, 0)


def placement(account_id: UUID, points: int) -> Placement:
    """An order that used so many points."""
    shop, sku = new_id(), new_id()
    cut = Adjustment("membership", "points", "membership.points", "积分", points, Bearer(points, 0))
    line = QuoteLine(
        "k", "sale", ref(shop, sku), ref(shop, sku), "", (), 1, 2000, 2000, 2000 - points, (cut,)
    )
    part = QuoteMerchant(ref(shop), 2000, points, 0, 2000 - points, (), (), (line,))
    quote = Quote((part,), 2000, points, 0, 2000 - points)
    return Placement(new_id(), account_id, (PlacedOrder(new_id(), shop, "n", part, 0, ""),), quote, None)  # type: ignore[arg-type]


async def place(runtime: Runtime, account_id: UUID, points: int) -> str:
    """`placed`, or why not."""
    try:
        async with runtime.tx(SYSTEM) as tx:
            await dict(tx.hooks.of(hookspecs.order_placing))["membership"](tx, placement(account_id, points))
    except Conflict as refusal:
        return refusal.code
    return "placed"


async def spent(runtime: Runtime, account_id: UUID) -> int:
    async with runtime.tx(SYSTEM) as tx:
        sql = "select coalesce(sum(used_points), 0)::bigint from membership_order where account_id = $1"
        return int(await tx.fetchval(sql, account_id))


async def test_two_placements_of_the_last_points(runtime: Runtime) -> None:
    me = new_id()
    await give(runtime, me, 100)
    found = await asyncio.gather(*(place(runtime, me, 100) for _ in range(5)))
    assert sorted(found) == ["placed"] + ["points_short"] * 4
    assert await spent(runtime, me) == 100
    assert await balance(runtime, me) == (0, 0)


_UNLOCKED = (
    "select account_id, points, debt, merged_into from membership_account where account_id = any($1::uuid[])"
)


def _together(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Nobody writes before `size` have read."""
    read, readers, all_there = books._read, [], asyncio.Event()

    async def later(tx: Tx, *args: Any) -> Any:
        found = await read(tx, *args)
        readers.append(tx)
        if len(readers) >= size:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), 20)
        return found

    monkeypatch.setattr(books, "_read", later)
    monkeypatch.setattr(books, "_LOCK", _UNLOCKED)


async def test_control_reading_before_writing_spends_the_points_again(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without the lock, and without the condition of the statement that writes."""
    condition = " and t.points = n.was_points and t.debt = n.was_debt"
    assert condition in books._WRITE
    me = new_id()
    await give(runtime, me, 100)
    monkeypatch.setattr(books, "_WRITE", books._WRITE.replace(condition, ""))
    _together(monkeypatch, 2)
    found = await asyncio.gather(*(place(runtime, me, 100) for _ in range(5)))
    assert found.count("placed") > 1
    assert await spent(runtime, me) > 100


async def test_without_the_lock_the_condition_alone_keeps_the_points_from_being_spent_twice(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = new_id()
    await give(runtime, me, 100)
    _together(monkeypatch, 2)
    found = await asyncio.gather(*(place(runtime, me, 100) for _ in range(5)))
    assert found.count("placed") == 1
    assert set(found) <= {"placed", "points_changed", "points_short"}
    assert await spent(runtime, me) == 100


async def test_an_order_completed_many_times_at_once_brings_its_points_once(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    trade = await market.purchase(person, [(await market.product(shop, price=5000), 1)])
    await market.fulfil(person, trade)
    merchant_id, order_id = parse_pair(trade["orders"][0]["id"])
    account_id = person.me.account_id
    about = OrderEvent(merchant_id, order_id, parse_ref(trade["id"]), account_id)

    async def complete() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await dict(tx.hooks.of(hookspecs.order_completed))["membership"](tx, about)

    await asyncio.gather(*(complete() for _ in range(5)), market.drain())
    assert await balance(runtime, account_id) == (50, 0)
    assert await journal(runtime, account_id) == [("earned", 50)]


async def test_many_grants_for_one_cause_at_once_give_once(runtime: Runtime) -> None:
    me = new_id()
    await asyncio.gather(*(give(runtime, me, 70, "draw") for _ in range(6)))
    assert await balance(runtime, me) == (70, 0)
