"""What the demo market sells to groups: one product of one shop, to two buyers at a time."""

from datetime import timedelta

from core.api import Demo, Tx
from plugins.group_buy import offers
from plugins.group_buy.schemas import ActivityIn, PriceIn


async def fill(tx: Tx, market: Demo) -> None:
    """Running for a month; the first group is yet to be opened."""
    shop = "shancheng-hotpot"
    data = ActivityIn(
        product_id=market.products["niuyou-hotpot-base"],
        name="牛油底料两人团",
        skus=[PriceIn(market.skus["SC-0102"], 1980, 100, leader_price=1880)],
        size=2,
        hours=24,
        per_order=2,
        starts_at=tx.now,
        ends_at=tx.now + timedelta(days=30),
    )
    await offers.begin(tx, market.shops[shop], market.accounts[shop], data)
