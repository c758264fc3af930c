"""200 buyers at once on 20 pieces of a flash sale, on a real server, with Redis and without; and the control that sells
more."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import pytest
from msgspec.structs import replace
from redis.exceptions import TimeoutError as RedisTimeout

from core.deployment.runtime import Runtime
from core.kit.settings import Settings
from core.testkit import Database, Market, Plugins, Server
from core.testkit.market import Article, Person
from plugins.flash_sale import usage
from tests.support.flash_sales import choice, goods, installed, shop_sale, standing

PIECES, BUYERS = 20, 200


@pytest.fixture
def jishi_plugins() -> Plugins:
    """Flash sales and coupons."""
    return installed()


class _Crowd:
    """Buyers who press the button at the same moment."""

    def __init__(self, market: Market, article: Article, activity: str) -> None:
        self.market, self.article, self.activity = market, article, activity
        self.people: list[Person] = []
        self.slowest = 0.0

    async def gather(self, count: int, client: httpx.AsyncClient) -> "_Crowd":
        """So many accounts."""
        made = [await self.market.buyer() for _ in range(count)]
        self.people = [Person(client, self.market.runtime, person.me) for person in made]
        return self

    async def rush(self) -> Counter[str]:
        """What became of each."""
        return Counter(await asyncio.gather(*(self._buy(person) for person in self.people)))

    async def _buy(self, person: Person) -> str:
        body = {"lines": [{"sku_id": self.article.ref, "quantity": 1}], "expected_payable": 1000}
        began = time.perf_counter()
        answer = await person.post("/api/shop/checkout", body | {"options": choice(self.activity)})
        self.slowest = max(self.slowest, time.perf_counter() - began)
        return "sold" if answer.status_code == 201 else str(answer.json()["code"])

    async def admitted(self) -> Counter[str]:
        """What the admission says to each, and then checkout to those who are let in."""
        return Counter(await asyncio.gather(*(self._enter(person) for person in self.people)))

    async def _enter(self, person: Person) -> str:
        path = f"/api/shop/flash_sale/activities/{self.activity}/admission"
        answer = await person.client.post(path, json={"sku_id": self.article.ref}, headers=person.headers)
        if answer.status_code != 200:
            return str(answer.json()["code"])
        body = {"lines": [{"sku_id": self.article.ref, "quantity": 1}], "expected_payable": 1000}
        options = choice(self.activity, answer.json()["token"])
        answer = await person.post("/api/shop/checkout", body | {"options": options})
        return "sold" if answer.status_code == 201 else str(answer.json()["code"])


def _client(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=50), trust_env=False
    )


async def test_200_buyers_on_20_pieces_buy_exactly_20(server: Server, market: Market) -> None:
    _, [article] = await goods(market, on_hand=BUYERS)
    activity = await shop_sale(market, article, quantity=PIECES)
    async with _client(server) as client:
        crowd = await _Crowd(market, article, activity).gather(BUYERS, client)
        outcome = await crowd.rush()
    assert outcome["sold"] == PIECES, outcome
    assert set(outcome) <= {"sold", "sold_out", "price_changed"}
    assert await standing(market.runtime, activity) == (PIECES, PIECES, PIECES)


async def test_one_account_in_many_windows_gets_no_more_than_its_limit(
    server: Server, market: Market
) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, quantity=PIECES, per_account=2)
    async with _client(server) as client:
        crowd = await _Crowd(market, article, activity).gather(1, client)
        crowd.people *= 12
        outcome = await crowd.rush()
    assert outcome["sold"] == 2, outcome
    assert set(outcome) <= {"sold", "account_limit", "price_changed"}
    assert await standing(market.runtime, activity) == (2, 2, 2)


class TestWithoutRedis:
    """Where nothing answers at Redis's address."""

    @pytest.fixture
    def settings(self, database: Database) -> Settings:
        """A closed port."""
        return replace(database.settings(), redis_url="redis://127.0.0.1:1")

    async def test_it_stays_exact(self, database: Database, jishi_plugins: Plugins, server: Server) -> None:
        from core.testkit.database import env_of
        from core.testkit.live import client_of

        runtime = jishi_plugins.runtime(env_of(database.settings()))
        await runtime.open()
        async with client_of(runtime) as inside:
            market = Market(runtime, inside)
            _, [article] = await goods(market, on_hand=BUYERS)
            guarded = {"token_required": True}
            activity = await shop_sale(market, article, quantity=PIECES, event=guarded)
            async with _client(server) as client:
                crowd = await _Crowd(market, article, activity).gather(BUYERS, client)
                outcome = await crowd.admitted()
            assert await standing(runtime, activity) == (PIECES, PIECES, PIECES)
        await runtime.close()
        assert outcome["sold"] == PIECES, outcome
        assert set(outcome) <= {"sold", "sold_out", "price_changed"}


async def test_admission_lets_in_few_and_the_pieces_are_sold(server: Server, market: Market) -> None:
    _, [article] = await goods(market, on_hand=BUYERS)
    activity = await shop_sale(market, article, quantity=PIECES, event={"token_required": True})
    async with _client(server) as client:
        crowd = await _Crowd(market, article, activity).gather(BUYERS, client)
        outcome = await crowd.admitted()
    assert outcome["sold"] == PIECES, outcome
    assert set(outcome) <= {"sold", "sold_out", "price_changed", "crowded"}
    assert await standing(market.runtime, activity) == (PIECES, PIECES, PIECES)


async def test_redis_may_go_in_the_middle(market: Market, runtime: Runtime) -> None:
    _, [article] = await goods(market, on_hand=BUYERS)
    activity = await shop_sale(market, article, quantity=PIECES, event={"token_required": True})
    crowd = await _Crowd(market, article, activity).gather(80, market.client)
    away = type(runtime.redis).from_url("redis://127.0.0.1:1", socket_connect_timeout=1)
    kept = runtime.redis.connection_pool

    async def go() -> None:
        await asyncio.sleep(0.1)
        runtime.redis.connection_pool = away.connection_pool
        # The client gives up closing after a while, which so many requests at once may keep it from.
        with suppress(RedisTimeout):
            await kept.disconnect()

    outcome, _ = await asyncio.gather(crowd.admitted(), go())
    runtime.redis.connection_pool = kept
    await away.aclose()
    # Some were told that it is crowded while Redis was there.
    assert 0 < outcome["sold"] <= PIECES, outcome
    assert set(outcome) <= {"sold", "sold_out", "price_changed", "crowded", "token_used"}
    assert await standing(runtime, activity) == (outcome["sold"],) * 3


async def test_control_a_quota_that_is_read_and_not_compared_sells_more(
    market: Market, runtime: Runtime, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race without the condition of the update, and without the constraint behind it. That each has looked before
    another takes is left to a pause instead of to chance."""
    assert usage._TAKE.count(" and i.sold + $7 <= i.quantity") == 1
    monkeypatch.setattr(usage, "_TAKE", usage._TAKE.replace(" and i.sold + $7 <= i.quantity", ""))
    look = usage.offer

    async def slow(*args: Any) -> Any:
        row = await look(*args)
        await asyncio.sleep(0.05)
        return row

    monkeypatch.setattr(usage, "offer", slow)
    connection = await asyncpg.connect(owner)
    await connection.execute("alter table flash_sale_item drop constraint ck_flash_sale_item_sold")
    await connection.close()
    _, [article] = await goods(market, on_hand=BUYERS)
    activity = await shop_sale(market, article, quantity=1)
    crowd = await _Crowd(market, article, activity).gather(12, market.client)
    outcome = await crowd.rush()
    assert outcome["sold"] > 1, outcome
    assert (await standing(runtime, activity))[0] > 1
