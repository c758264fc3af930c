"""What the demo market sells in flash sales: one of a shop, one of the market across shops, and one that takes sign-ups."""

from datetime import datetime, time, timedelta

from core.api import Demo, Tx
from plugins.flash_sale import entries, events
from plugins.flash_sale.rules import CHINA
from plugins.flash_sale.schemas import MarketEventIn, OfferIn, ShopEventIn, SlotIn

_DAY = timedelta(days=1)
_DAYS = 7


async def fill(tx: Tx, market: Demo) -> None:
    """Day by day for a week, so that there is a running slot whenever one looks. The shop's runs at once; to the market's
    shops have to sign up before it begins, so it runs a minute later."""
    orchard = "nanshan-orchard"
    grapes = OfferIn(sku_id=market.skus["NS-0501"], price=1990, quantity=20, per_order=2, per_account=2)
    event = ShopEventIn(
        name="果铺每日秒杀", rules="每天二十份，每人两份。", slots=_days(tx.now), offers=(grapes,)
    )
    await events.open_shop(tx, market.shops[orchard], market.accounts[orchard], event)
    await _across_shops(tx, market)
    await _with_sign_ups(tx, market)


async def _across_shops(tx: Tx, market: Demo) -> None:
    begins = tx.now + timedelta(minutes=1)
    data = MarketEventIn(
        name="开市秒杀",
        rules="平台承担一半优惠；每个账号一件，需先取得抢购资格。",
        sign_up_until=begins,
        slots=_days(begins),
        merchant_share_bp=5000,
    )
    operator = market.accounts["operator"]
    event = await events.open_market(tx, operator, data)
    atlas = OfferIn(sku_id=market.skus["JC-0301"], price=4900, quantity=20)
    for slot in event.slots:
        entry = await entries.apply(tx, market.shops["jiaochangkou-books"], slot.id, atlas)
        await entries.pass_(tx, operator, entry.id)


async def _with_sign_ups(tx: Tx, market: Demo) -> None:
    begins = _evening(tx.now)
    data = MarketEventIn(
        name="山城秒杀夜",
        rules="平台承担一半优惠；每个账号一件。",
        sign_up_until=begins - timedelta(hours=2),
        slots=(SlotIn(begins, begins + timedelta(hours=2)),),
        merchant_share_bp=5000,
    )
    event = await events.open_market(tx, market.accounts["operator"], data)
    overhaul = OfferIn(sku_id=market.skus["LJ-0201"], price=19_900, quantity=3)
    await entries.apply(tx, market.shops["lianjie-services"], event.slots[0].id, overhaul)


def _days(begins: datetime) -> tuple[SlotIn, ...]:
    return tuple(SlotIn(begins + n * _DAY, begins + (n + 1) * _DAY) for n in range(_DAYS))


def _evening(now: datetime) -> datetime:
    """20:00 in China, the day after tomorrow."""
    return datetime.combine(now.astimezone(CHINA).date() + 2 * _DAY, time(20), CHINA)
