"""Shop and market act at once on what was handed in; and the controls that tear it apart."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from core.api import JishiError, Tx, new_id, parse_pair
from core.kit.ids import ref
from core.testkit.market import Market
from core.types.scope import SYSTEM
from plugins.group_buy import entries, event_repository, events, offers
from plugins.group_buy.event_schemas import EntryIn
from plugins.group_buy.repository import Key
from tests.plugins.group_buy.market_events import begin_event, good, offer, sign_up
from tests.support.groups import PRICE

Act = Callable[[Tx], Awaitable[Any]]


class Offered:
    """An entry of a new shop that waits, and what may happen to it."""

    def __init__(self, market: Market, event: str, entry: str, body: dict[str, Any]) -> None:
        self.market, self.event, self.entry, self.body = market, event, entry, body
        self.key: Key = parse_pair(entry)

    async def approve(self, tx: Tx) -> None:
        """By the market, as it read the first version."""
        await entries.approve(tx, new_id(), self.entry, 1)

    async def change(self, tx: Tx) -> None:
        """By the shop, for one fen."""
        skus = [self.body["skus"][0] | {"price": 1}]
        data = msgspec.convert(self.body | {"skus": skus}, EntryIn)
        await entries.change(tx, self.key[0], self.entry, data)

    async def withdraw(self, tx: Tx) -> None:
        """By the shop."""
        await entries.withdraw(tx, self.key[0], self.entry)

    async def stop(self, tx: Tx) -> None:
        """The event, by the market."""
        await events.stop(tx, self.event)

    async def run(self, *acts: Act) -> Counter[str]:
        """All of these at once, each in a transaction of its own."""

        async def one(act: Act) -> str:
            try:
                async with self.market.runtime.tx(SYSTEM) as tx:
                    await act(tx)
            except JishiError as error:
                return error.code
            return "done"

        return Counter(await asyncio.gather(*map(one, acts)))

    async def state(self) -> asyncpg.Record:
        """(status, version, price, whether the activity runs, whether the calendar has its SKU)."""
        async with self.market.runtime.tx(SYSTEM) as tx:
            row = await tx.fetchrow(
                "select n.status, n.version, p.price, a.stopped_at is null and a.id is not null as runs,"
                " exists (select from activity_sku s where s.merchant_id = n.merchant_id) as planned"
                " from group_buy_entry n"
                " left join group_buy_activity a on a.merchant_id = n.merchant_id and a.id = n.id"
                " left join group_buy_price p on p.merchant_id = n.merchant_id and p.activity_id = n.id"
                " where n.merchant_id = $1 and n.id = $2",
                *self.key,
            )
        assert row is not None
        return row


async def offered(market: Market, event: str | None = None) -> Offered:
    """In this event, or one of its own."""
    found = event or (await begin_event(market))["id"]
    shop = await market.merchant("shop-" + new_id().hex[-8:])
    article = await market.product(shop, price=PRICE)
    entry = await good(await sign_up(market, {"id": found}, article))
    return Offered(market, found, entry["id"], offer(article))


async def test_what_was_handed_in_is_approved_changed_and_withdrawn_in_some_order(market: Market) -> None:
    event = (await begin_event(market))["id"]
    for n in range(10):
        at = await offered(market, event)
        acts = [at.approve, at.approve, at.change, at.withdraw]
        codes = await at.run(*(acts[n % 4 :] + acts[: n % 4]))
        assert codes.keys() <= {"done", "wrong_status", "changed_meanwhile"}, codes
        row = await at.state()
        assert row["status"] == "withdrawn"
        assert (row["runs"], row["planned"], row["price"] in (None, 7_000)) == (False, False, True)


async def test_two_operators_approve_once(market: Market) -> None:
    at = await offered(market)
    assert await at.run(*[at.approve] * 5) == {"done": 1, "wrong_status": 4}
    row = await at.state()
    assert (row["status"], row["runs"], row["planned"]) == ("approved", True, True)


async def test_approving_and_changing_at_once_never_sells_what_was_not_read(market: Market) -> None:
    event = (await begin_event(market))["id"]
    for n in range(10):
        at = await offered(market, event)
        acts = [at.approve, at.change]
        codes = await at.run(*(acts if n % 2 else acts[::-1]))
        row = await at.state()
        assert codes["done"] == 1
        assert tuple(row) in {("approved", 1, 7_000, True, True), ("waiting", 2, None, False, False)}


async def test_control_without_the_lock_what_is_sold_differs_from_what_the_entry_says(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await offered(market)
    read, changed, real = asyncio.Event(), asyncio.Event(), offers.checked

    async def unlocked(tx: Tx, key: Key) -> asyncpg.Record | None:
        sql = "select *, terms::text as terms_json from group_buy_entry where merchant_id = $1 and id = $2"
        return await tx.fetchrow(sql, *key)

    async def waiting(tx: Tx, merchant_id: UUID, data: Any) -> offers.Goods:
        if data.skus[0].price != 1:
            read.set()
            await changed.wait()
        return await real(tx, merchant_id, data)

    async def change() -> None:
        await read.wait()
        async with market.runtime.tx(SYSTEM) as tx:
            await at.change(tx)
        changed.set()

    monkeypatch.setattr(event_repository, "locked_entry", unlocked)
    monkeypatch.setattr(offers, "checked", waiting)
    await asyncio.gather(at.run(at.approve), change())
    assert tuple(await at.state()) == ("approved", 2, 7_000, True, True)


async def test_an_event_stopped_while_its_entries_are_approved_has_nothing_that_runs(market: Market) -> None:
    for n in range(6):
        event = (await begin_event(market))["id"]
        found = [await offered(market, event) for _ in range(3)]
        acts: list[Act] = [*(at.approve for at in found)]
        codes = await found[0].run(*([*acts, found[0].stop] if n % 2 else [found[0].stop, *acts]))
        assert codes.keys() <= {"done", "event_over", "activity_over"}, codes
        assert not [at.entry for at in found if (await at.state())["runs"]]


async def test_control_without_the_lock_of_the_event_an_activity_outlives_it(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await offered(market)
    written, stopped, real = asyncio.Event(), asyncio.Event(), offers.put

    async def slow(*args: Any) -> None:
        await real(*args)
        written.set()
        await stopped.wait()

    async def stop() -> None:
        await written.wait()
        async with market.runtime.tx(SYSTEM) as tx:
            await at.stop(tx)
        stopped.set()

    monkeypatch.setattr(event_repository, "event_to_join", event_repository.event)
    monkeypatch.setattr(offers, "put", slow)
    await asyncio.gather(at.run(at.approve), stop())
    assert (await at.state())["runs"]


async def test_of_two_entries_with_one_sku_approved_at_once_one_is_in_the_calendar(market: Market) -> None:
    for _ in range(5):
        one = await offered(market)
        merchant_id = one.key[0]
        second = (await begin_event(market, name="另一场"))["id"]
        staff = await market.staff(merchant_id)
        path = f"/api/merchant/group_buy/market_events/{second}/entries"
        entry = await good(await staff.post(path, one.body))
        two = Offered(market, second, entry["id"], one.body)
        assert await one.run(one.approve, two.approve) == {"done": 1, "activity_overlap": 1}
        assert {(await at.state())["status"] for at in (one, two)} == {"approved", "waiting"}
        assert ref(merchant_id) in entry["merchant_id"]
