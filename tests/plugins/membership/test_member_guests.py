"""What becomes of a guest's points, growth and levels when the guest signs in. Two accounts that may buy stand for both, since
guests themselves cannot."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core.api import MARKET_ID, Grant, Merging, hookspecs, new_id, parse_ref
from core.testkit import Market
from core.testkit.market import Article, Person
from core.types.scope import SYSTEM
from plugins.membership import books
from plugins.membership.benefits import PointsBenefits
from plugins.membership.books import Entry
from plugins.membership.schemas import Sale
from tests.support.membership import balance, balanced, buy, give, growth, journal, level, me, receive, refund


async def merge(runtime: Any, guest: UUID, account: UUID) -> int:
    """As signing in does; the statements it took."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.fetchval("select 1")
        before: int = tx.statements
        await dict(tx.hooks.of(hookspecs.account_merging))["membership"](tx, Merging(guest, account))
        return int(tx.statements) - before


async def owe(runtime: Any, account: UUID, points: int) -> None:
    """Points are taken that are not there."""
    async with runtime.tx(SYSTEM) as tx:
        book = (await books.opened(tx, [account]))[account]
        book.purse.take(points)
        book.note(Entry(MARKET_ID, "points", -points, "revoked", f"owed:{new_id()}"))
        await books.write(tx, [book])


async def left(runtime: Any, account: UUID) -> dict[str, Any]:
    """All of an account's rows but its journal."""
    async with runtime.tx(SYSTEM) as tx:
        return {
            name: await tx.fetchval(f"select count(*) from membership_{name} where account_id = $1", account)
            for name in ("lot", "member", "order", "term")
        }


async def time_left(market: Market, account: UUID) -> timedelta:
    async with market.runtime.tx(SYSTEM) as tx:
        sql = "select until from membership_term where account_id = $1"
        rows = await tx.fetch(sql, account)
    return sum([max(timedelta(), row["until"] - market.runtime.clock()) for row in rows], timedelta())


async def test_a_guest_who_registers_keeps_points(market: Market) -> None:
    given = (await market.client.post("/api/auth/guests")).json()
    guest = parse_ref(given["account"]["id"])
    await give(market.runtime, guest, 70)
    body = {
        "login": "new",
        "password": "correct horse battery",
        "nickname": "x",
        "guest_token": given["access_token"],
    }
    made = (await market.client.post("/api/auth/accounts", json=body)).json()
    assert made["cart_merged"] is True
    headers = {"Authorization": f"Bearer {made['access_token']}"}
    mine = (await market.client.get("/api/shop/membership", headers=headers)).json()
    assert (mine["points"], [e["points"] for e in mine["expiring"]]) == (70, [70])
    (line,) = (await market.client.get("/api/shop/membership/points", headers=headers)).json()["items"]
    assert (line["kind"], line["amount"]) == ("merged", 70)
    account = parse_ref(made["account"]["id"])
    assert await balance(market.runtime, account) == (70, 0)
    async with market.runtime.tx(SYSTEM) as tx:
        sql = "select count(*) from holding where account_id = $1 and plugin = 'membership'"
        assert await tx.fetchval(sql, account) == 1


async def test_account_merging_costs_a_guest_without_anything_one_statement(market: Market) -> None:
    guest, account = new_id(), new_id()
    assert await merge(market.runtime, guest, account) == 1
    # What comes later comes to the account, and counts once for both.
    for who in (guest, account, guest):
        async with market.runtime.tx(SYSTEM) as tx:
            await PointsBenefits().grant(tx, [Grant(who, "50", "draw")])
    assert await balance(market.runtime, account) == (50, 0)
    assert await balance(market.runtime, guest) == (0, 0)
    assert await left(market.runtime, guest) == {"lot": 0, "member": 0, "order": 0, "term": 0}


@pytest.mark.parametrize(
    ("theirs", "mine", "both"),
    [(70, 30, (100, 0)), (70, -30, (40, 0)), (-70, 30, (0, 40)), (-70, -30, (0, 100)), (20, -50, (0, 30))],
)
async def test_points_and_debt_pay_each_other_once(
    market: Market, theirs: int, mine: int, both: tuple[int, int]
) -> None:
    runtime, guest, account = market.runtime, new_id(), new_id()
    for who, points in ((guest, theirs), (account, mine)):
        await (give(runtime, who, points) if points > 0 else owe(runtime, who, -points))
    await merge(runtime, guest, account)
    assert await balance(runtime, account) == both
    assert await balance(runtime, guest) == (0, 0)
    assert (await journal(runtime, guest))[-1] == ("merged", -theirs)
    assert (await journal(runtime, account))[-1] == ("merged", theirs)
    await merge(runtime, guest, account)
    await merge(runtime, guest, new_id())
    assert await balance(runtime, account) == both


async def test_what_was_granted_to_a_guest_is_taken_back_from_the_account(market: Market) -> None:
    runtime, guest, account = market.runtime, new_id(), new_id()
    await give(runtime, guest, 100, "gift")
    await merge(runtime, guest, account)
    for who in (guest, account):
        async with runtime.tx(SYSTEM) as tx:
            assert await PointsBenefits().revoke(tx, who, "gift") == []
    assert await balance(runtime, account) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
async def test_all_that_a_guest_had_is_the_accounts_and_orders_go_on(market: Market, seed: int) -> None:
    """Random purchases, levels, gifts and debts of both; then the guest's orders are closed, delivered and refunded."""
    runtime, chance = market.runtime, random.Random(seed)
    guest, account = await market.buyer(), await market.buyer()
    shops = [await market.merchant(slug) for slug in ("one", "two")]
    goods = [await market.product(shop, price=chance.randint(500, 9999), on_hand=999) for shop in shops]
    card = await market.product(shops[0], price=3000, on_hand=999)
    await level(
        runtime, shops[0].id, growth=None, gained_by="purchase", sold_by=(Sale(card.ref, 3),), discount_bp=0
    )
    trades: list[tuple[Person, dict[str, Any]]] = []
    received: list[Any] = []
    gifts = 0
    for turn in range(12):
        who = chance.choice([guest, account])
        step = chance.choice(["give", "buy", "buy", "card", "later"])
        if step == "give":
            points = chance.randint(1, 900)
            await give(runtime, me(who), points, f"{who is guest} {turn}")
            gifts += points
        elif step in ("buy", "card"):
            chosen: list[tuple[Article, int]] = [
                (a, chance.randint(1, 2)) for a in ([card] if step == "card" else goods)
            ]
            trade = await buy(market, who, chosen, points="max" if chance.random() < 0.7 else 0)
            trades.append((who, trade))
            await market.drain()
            if chance.random() < 0.4:
                await receive(market, who, trade)
                received.append(trade["id"])
        else:
            runtime.clock.advance(hours=chance.randint(1, 30))
    open_trade = await guest.checkout(*[(a.ref, 1) for a in goods], options={"membership": {"points": "max"}})

    async def sums() -> list[Any]:
        await balanced(runtime)
        found: list[Any] = []
        for who in (guest, account):
            points, debt = await balance(runtime, me(who))
            grown = [await growth(runtime, me(who), s) for s in (MARKET_ID, *[x.id for x in shops])]
            months = sum(n for _, n in await journal(runtime, me(who), "level"))
            found.append([points - debt, months, await time_left(market, me(who)), *grown])
        return [a + b for a, b in zip(*found, strict=True)]

    before = await sums()
    await merge(runtime, me(guest), me(account))
    after = await sums()
    assert [after[n] for n in range(len(after)) if n != 2] == [
        before[n] for n in range(len(before)) if n != 2
    ]
    assert abs(after[2] - before[2]) < timedelta(minutes=5)
    assert await left(runtime, me(guest)) == {"lot": 0, "member": 0, "order": 0, "term": 0}
    await merge(runtime, me(guest), me(account))
    assert (await sums())[0] == after[0]
    if open_trade.status_code == 201:
        await guest.post(f"/api/shop/trades/{open_trade.json()['id']}/close")
    for who, trade in trades:
        if trade["id"] not in received and chance.random() < 0.5:
            await receive(market, who, trade)
        for order in trade["orders"]:
            await refund(market, order)
            await balanced(runtime)
    assert await balance(runtime, me(account)) == (gifts, 0)
    assert await growth(runtime, me(account)) == 0
    assert sum(n for _, n in await journal(runtime, me(account), "level")) == 0
    assert await time_left(market, me(account)) < timedelta(days=1)
    assert await left(runtime, me(guest)) == {"lot": 0, "member": 0, "order": 0, "term": 0}


async def test_a_running_purchase_and_gifts_of_the_guest_meet_the_merging(market: Market) -> None:
    runtime, shop = market.runtime, await market.merchant()
    article = await market.product(shop, price=1000, on_hand=999)
    for turn in range(4):
        guest, account = await market.buyer(), await market.buyer()
        await give(runtime, me(guest), 300, "start")
        await give(runtime, me(account), 10, "own")
        answers: list[Any] = await asyncio.gather(
            guest.checkout((article.ref, 1), options={"membership": {"points": 200}}),
            *(give(runtime, me(guest), 5, f"gift {n}") for n in range(4)),
            merge(runtime, me(guest), me(account)),
            merge(runtime, me(guest), me(account)),
        )
        placed = answers[0]
        assert placed.status_code in (201, 409), placed.text
        used = 200 if placed.status_code == 201 else 0
        assert await balance(runtime, me(account)) == (330 - used, 0), turn
        assert await balance(runtime, me(guest)) == (0, 0)
        assert await left(runtime, me(guest)) == {"lot": 0, "member": 0, "order": 0, "term": 0}
        if used:
            await guest.post(f"/api/shop/trades/{placed.json()['id']}/close")
            assert await balance(runtime, me(account)) == (330, 0)


async def test_the_merging_waits_for_a_purchase_that_began_before_and_takes_what_is_left(
    market: Market,
) -> None:
    """The guest's book is open while the merging begins: the merging waits, and takes what is left."""
    runtime, guest, account = market.runtime, new_id(), new_id()
    await give(runtime, guest, 100)
    async with runtime.tx(SYSTEM) as tx:
        book = (await books.opened(tx, [guest]))[guest]
        book.purse.spend(40, tx.now)
        book.note(Entry(MARKET_ID, "points", -40, "used", "somewhere"))
        waiting = asyncio.create_task(merge(runtime, guest, account))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await books.write(tx, [book])
    await waiting
    assert await balance(runtime, account) == (60, 0)
