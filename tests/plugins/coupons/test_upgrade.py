"""Coupons used before the table of uses existed are in it after the upgrade, with what they took off and cost."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from core.api import MARKET_ID, parse_pair
from core.db import migrations
from core.types.scope import SYSTEM
from tests.support.coupon_use import counted, uses
from tests.support.coupons import claim, issue
from tests.support.market import Session, a_buyer, add_product, open_shop

_AS_BEFORE = """
update coupons_coupon c set used_order_ids = array(select id from orders where trade_id = c.used_trade_id),
  paid_at = case when :paid then used_at end
"""


async def _again(database: Any, *, paid: bool) -> None:
    """Back to the first revision, what it knew of used coupons, and to the last one again."""
    engine = create_async_engine(database.owner_url)
    history = migrations.History("coupons", "plugins.coupons.migrations")
    async with engine.begin() as connection:
        await connection.execute(sa.text("set local jishi.scope = 'system'"))
        await connection.run_sync(lambda c: migrations._migrate(c, history, "coupons_0001", down=True))
        await connection.execute(sa.text(_AS_BEFORE), {"paid": paid})
        await connection.run_sync(lambda c: migrations._migrate(c, history, "head", down=False))
    await engine.dispose()


@pytest.mark.parametrize("paid", [True, False])
async def test_used_coupons_keep_their_orders_and_costs(
    runtime: Any, client: httpx.AsyncClient, database: Any, paid: bool
) -> None:
    me = await a_buyer(runtime)
    skus = [await add_product(runtime, await open_shop(runtime, f"shop-{n}"), price=5000) for n in (1, 2)]
    template = await issue(runtime, amount=500, merchant_share_bp=4000)
    coupon = await claim(runtime, me.account_id, template)
    session = Session(client, runtime, me)
    assert (await session.checkout(*((sku, 1) for sku in skus))).status_code == 201
    before = await uses(runtime, coupon)
    assert len(before) == 2
    assert sorted(before.values()) == [("open", 150, 100, 0, 0)] * 2
    await _again(database, paid=paid)
    status = "paid" if paid else "open"
    assert await uses(runtime, coupon) == {order: (status, *row[1:]) for order, row in before.items()}
    _, _, *costs = await counted(runtime, (MARKET_ID, parse_pair(template)[1]))
    assert costs == ([300, 200] if paid else [0, 0])
    async with runtime.tx(SYSTEM) as tx:
        sql = "select sum(counted_orders), sum(counted_used), sum(counted_market) from coupons_use"
        assert tuple(await tx.fetchrow(sql)) == ((2, 1, 300) if paid else (0, 0, 0))
