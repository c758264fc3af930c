"""Who is somebody in the demo market: levels of the market and of a shop, a member with a level, and points to spend."""

from core.api import MARKET_ID, Demo, Tx, ref
from plugins.membership import levels, members
from plugins.membership.schemas import AdjustIn, LevelIn

_POINTS = 500
_GOLD = 1000


async def fill(tx: Tx, market: Demo) -> None:
    """Every level takes growth, so that prices stay what they are for all but the golden `buyer9`; points are spent only by
    who says so."""
    for level in (
        LevelIn(name="银卡", growth=300, discount_bp=200, perks="全场九八折"),
        LevelIn(name="金卡", growth=_GOLD, discount_bp=500, merchant_share_bp=5000, perks="全场九五折"),
    ):
        await levels.define(tx, MARKET_ID, level)
    regular = LevelIn(name="熟客", growth=200, discount_bp=1000, perks="咖啡九折")
    await levels.define(tx, market.shops["wudu-coffee"], regular)
    operator = market.accounts["operator"]
    for n in range(1, 10):
        account = ref(market.accounts[f"buyer{n}"])
        gift = AdjustIn(points=_POINTS, growth=_GOLD if n == 9 else 0, reason="演示积分")
        await members.adjust(tx, account, "demo", gift, operator)
