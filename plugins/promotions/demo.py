"""What runs in the demo market for a month: one promotion of each of four shops, on few of their goods."""

from datetime import timedelta

from core.api import Demo, Tx
from plugins.promotions import running
from plugins.promotions.schemas import GiftIn, ItemIn, PromotionIn, ScopeIn, TierIn
from plugins.promotions.terms import GIFT, LIMITED, NTH, REDUCTION

_MONTH = timedelta(days=30)


async def fill(tx: Tx, market: Demo) -> None:
    """Published, and running from now on."""
    for slug, data in _plans(tx, market):
        merchant_id, by = market.shops[slug], market.accounts[slug]
        drafted = await running.draft(tx, merchant_id, data, by)
        await running.publish(tx, merchant_id, drafted.id, by)


def _plans(tx: Tx, market: Demo) -> list[tuple[str, PromotionIn]]:
    starts_at, ends_at = tx.now, tx.now + _MONTH

    def some(*handles: str) -> ScopeIn:
        return ScopeIn("products", tuple(market.products[handle] for handle in handles))

    half = PromotionIn(
        kind=NTH, name="挂耳第二件半价", scope=some("drip-bag-mix"), rate_bp=5000,
        starts_at=starts_at, ends_at=ends_at,
    )  # fmt: skip
    limited = PromotionIn(
        kind=LIMITED, name="脐橙尝鲜价", items=(ItemIn(market.skus["NS-0101"], price=2980),), per_account=5,
        starts_at=starts_at, ends_at=ends_at,
    )  # fmt: skip
    reduction = PromotionIn(
        kind=REDUCTION, name="好书满百减十五", scope=some("hotpot-history", "light-rail-atlas", "cable-car-novel"),
        tiers=(TierIn(10_000, minus=1500), TierIn(20_000, minus=4000)), starts_at=starts_at, ends_at=ends_at,
    )  # fmt: skip
    gift = PromotionIn(
        kind=GIFT, name="两块底料送干碟", scope=some("niuyou-hotpot-base", "qingyou-hotpot-base"), by="count",
        tiers=(TierIn(2, gifts=(GiftIn(market.skus["SC-0401"]),)),), starts_at=starts_at, ends_at=ends_at,
    )  # fmt: skip
    return [
        ("wudu-coffee", half),
        ("nanshan-orchard", limited),
        ("jiaochangkou-books", reduction),
        ("shancheng-hotpot", gift),
    ]
