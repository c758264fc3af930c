"""The way back to the first revision and up again, with bought levels and a merged guest there."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from core.api import MARKET_ID, Merging, hookspecs, new_id
from core.db import migrations
from core.testkit import Market
from core.types.scope import SYSTEM
from plugins.membership.schemas import Sale
from tests.support.membership import balance, give, growth, level, me


async def _again(database: Any) -> None:
    engine = create_async_engine(database.owner_url)
    history = migrations.History("membership", "plugins.membership.migrations")
    async with engine.begin() as connection:
        await connection.execute(sa.text("set local jishi.scope = 'system'"))
        await connection.run_sync(lambda c: migrations._migrate(c, history, "membership_0001", down=True))
        await connection.run_sync(lambda c: migrations._migrate(c, history, "head", down=False))
    await engine.dispose()


async def test_points_and_growth_stay_and_bought_levels_go(market: Market, database: Any) -> None:
    runtime, person, guest, shop = market.runtime, await market.buyer(), new_id(), await market.merchant()
    card = await market.product(shop, price=10_000)
    await level(runtime, growth=50)
    await level(runtime, shop.id, growth=None, gained_by="purchase", sold_by=(Sale(card.ref, 1),))
    await give(runtime, guest, 30)
    async with runtime.tx(SYSTEM) as tx:
        await dict(tx.hooks.of(hookspecs.account_merging))["membership"](tx, Merging(guest, me(person)))
    trade = await market.purchase(person, [(card, 1)])
    await market.drain()
    await market.fulfil(person, trade)
    await market.drain()
    assert await balance(runtime, me(person)) == (130, 0)
    await _again(database)
    assert await balance(runtime, me(person)) == (130, 0)
    assert await growth(runtime, me(person)) == 100
    async with runtime.tx(SYSTEM) as tx:
        left = await tx.fetch("select merchant_id, gained_by, growth from membership_level")
        assert [tuple(row) for row in left] == [(MARKET_ID, "growth", 50)]
        assert await tx.fetchval("select count(*) from membership_term") == 0
        kinds = "select kind from membership_journal where unit = 'points' and account_id = $1 order by id"
        assert [row["kind"] for row in await tx.fetch(kinds, me(person))] == ["adjusted", "earned"]
