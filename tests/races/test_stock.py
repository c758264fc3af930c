"""300 buyers at once on 100 pieces, on a real server; and the control that oversells."""

import asyncio

import asyncpg
import httpx

from core.deployment.runtime import Runtime
from core.kit.ids import new_id, parse_pair
from core.testkit import Server
from core.types.scope import SYSTEM
from tests.support.database import Database
from tests.support.market import Session, a_buyer, add_product, open_shop


async def test_300_buyers_on_100_pieces_buy_exactly_100(server: Server, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"), on_hand=100)
    people = [await a_buyer(runtime) for _ in range(300)]
    async with httpx.AsyncClient(
        base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=300)
    ) as client:
        sessions = [Session(client, runtime, me) for me in people]
        body = {"lines": [{"sku_id": sku, "quantity": 1}], "expected_payable": 1800}
        answers = await asyncio.gather(*(s.post("/api/shop/checkout", body) for s in sessions))
    codes = [a.status_code for a in answers]
    assert codes.count(201) == 100, {a.text for a in answers if a.status_code not in (201, 409)}
    assert {a.json()["code"] for a in answers if a.status_code != 201} == {"out_of_stock"}
    async with runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow("select on_hand, reserved from stock where sku_id = $1", parse_pair(sku)[1])
        assert row is not None
        assert (row["on_hand"], row["reserved"]) == (100, 100)
        assert await tx.fetchval("select count(*) from orders") == 100
        assert await tx.fetchval("select sum(reserved_delta) from stock_move") == 100


async def test_control_reading_before_writing_oversells(database: Database) -> None:
    """The same race without the conditional update: what peers do, and what the test above would catch."""
    pool = await asyncpg.create_pool(database.owner_dsn, min_size=8, max_size=8)
    await pool.execute("create table naive (sku uuid primary key, left_over int)")
    sku, sold = new_id(), 0
    await pool.execute("insert into naive values ($1, 100)", sku)

    async def buy() -> bool:
        async with pool.acquire() as connection:
            left = await connection.fetchval("select left_over from naive where sku = $1", sku)
            await asyncio.sleep(0)
            if left < 1:
                return False
            await connection.execute("update naive set left_over = $2 where sku = $1", sku, left - 1)
            return True

    sold = sum(await asyncio.gather(*(buy() for _ in range(300))))
    await pool.close()
    assert sold > 100


async def test_baskets_in_any_order_never_deadlock(server: Server, runtime: Runtime) -> None:
    merchant = await open_shop(runtime, "shop")
    skus = [await add_product(runtime, merchant, title=f"Tea {n}", on_hand=10_000) for n in range(4)]
    people = [await a_buyer(runtime) for _ in range(24)]
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:

        async def buyer(n: int) -> list[int]:
            session = Session(client, runtime, people[n])
            order = skus if n % 2 else skus[::-1]
            lines = [{"sku_id": s, "quantity": 1} for s in order]
            return [
                (
                    await session.post("/api/shop/checkout", {"lines": lines, "expected_payable": 4800})
                ).status_code
                for _ in range(4)
            ]

        codes = [c for found in await asyncio.gather(*(buyer(n) for n in range(24))) for c in found]
    assert set(codes) == {201}


async def test_the_same_key_at_once_places_once(server: Server, runtime: Runtime) -> None:
    sku = await add_product(runtime, await open_shop(runtime, "shop"))
    me = await a_buyer(runtime)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        session = Session(client, runtime, me)
        body = {"lines": [{"sku_id": sku, "quantity": 1}], "expected_payable": 1800}
        answers = await asyncio.gather(
            *(session.post("/api/shop/checkout", body, key="one") for _ in range(12))
        )
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 201}) == 1
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"in_progress"}
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from trade") == 1
