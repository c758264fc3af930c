"""What the demo market has to claim: a coupon of the market, one of a shop, and one for those who know the code."""

from core.api import MARKET_ID, Demo, Tx
from plugins.coupons import codes, templates
from plugins.coupons.schemas import CodesIn, TemplateIn, Valid

CODE = "SHANCHENG"
_MONTH = Valid(days=30)


async def fill(tx: Tx, market: Demo) -> None:
    """Nobody holds any yet: what is claimed comes off the next price by itself."""
    everybody = TemplateIn(
        name="集市见面礼 满99减10", kind="amount", amount=1000, threshold=9900, merchant_share_bp=3000,
        total=1000, valid=_MONTH,
    )  # fmt: skip
    shop = TemplateIn(name="咖啡九折", kind="rate", rate_bp=1000, cap=2000, total=200, valid=_MONTH)
    coded = TemplateIn(name="口令免邮", kind="free_shipping", claim="code", total=500, valid=_MONTH)
    await templates.issue(tx, MARKET_ID, everybody)
    await templates.issue(tx, market.shops["wudu-coffee"], shop)
    made = await templates.issue(tx, MARKET_ID, coded)
    await codes.make(tx, MARKET_ID, made.id, CodesIn(code=CODE, uses=500))
