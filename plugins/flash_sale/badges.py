"""What products show of flash sales that run or are coming; kept for a moment, so that a page in the usual case asks the
database nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from core.api import Badge, BadgePage, Remembered, Tx, format_yuan, ref
from plugins.flash_sale import repository
from plugins.flash_sale.config import Config
from plugins.flash_sale.rules import CHINA, PRICE

PLUGIN = "flash_sale"
COMING = "flash_sale.coming"


class Sale(NamedTuple):
    """One SKU of a product in a slot."""

    price: int
    starts_at: datetime
    ends_at: datetime
    activity_id: UUID


Shelf = Mapping[UUID, Sequence[Sale]]


RememberedSales = Remembered[UUID, Shelf]


async def _read(tx: Tx, shops: Sequence[UUID]) -> Mapping[UUID, Shelf]:
    found: dict[UUID, dict[UUID, list[Sale]]] = {}
    horizon = tx.now + timedelta(hours=tx.config(Config).preview_hours)
    for row in await repository.near(tx, shops, horizon):
        sale = Sale(row["price"], row["starts_at"], row["ends_at"], row["activity_id"])
        found.setdefault(row["merchant_id"], {}).setdefault(row["product_id"], []).append(sale)
    return dict(found)


async def badges(tx: Tx, page: BadgePage, remembered: RememberedSales) -> list[Badge]:
    """For each product its cheapest running sale, else the one that starts next. One statement at most, none for shops whose
    sales are remembered."""
    shops = {product.merchant_id for product in page.products}
    shelves = await remembered.of(shops, lambda missing: _read(tx, missing))
    found: list[Badge] = []
    for product in page.products:
        listed = shelves.get(product.merchant_id, {}).get(product.product_id)
        if listed is None:
            continue
        sales = [sale for sale in listed if tx.now < sale.ends_at]
        running = [sale for sale in sales if sale.starts_at <= tx.now]
        if running:
            found.append(_running(product.product_id, min(running)))
        elif sales:
            found.append(
                _coming(product.product_id, min(sales, key=lambda s: (s.starts_at, s.price)), tx.now)
            )
    return found


def _running(product_id: UUID, sale: Sale) -> Badge:
    text = f"秒杀价{_yuan(sale.price)}元"
    return Badge(product_id, PLUGIN, PRICE, text, sale.price, ref(sale.activity_id))


def _coming(product_id: UUID, sale: Sale, now: datetime) -> Badge:
    starts = sale.starts_at.astimezone(CHINA)
    day = "" if starts.date() == now.astimezone(CHINA).date() else f"{starts.month}月{starts.day}日"
    text = f"{day}{starts:%H:%M}秒杀价{_yuan(sale.price)}元"
    return Badge(product_id, PLUGIN, COMING, text, None, ref(sale.activity_id))


def _yuan(fen: int) -> str:
    return format_yuan(fen).removesuffix(".00")
