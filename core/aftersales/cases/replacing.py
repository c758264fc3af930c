"""The goods of an exchange: what comes back, and what leaves for it."""

from collections.abc import Collection
from uuid import UUID

import asyncpg

from core.aftersales.cases import repository
from core.aftersales.cases.schemas import ReshipIn
from core.db.tx import Tx
from core.fulfilment import service as fulfilment
from core.inventory import service as inventory
from core.kit.errors import Conflict
from core.kit.ids import ref


async def refuse_short(tx: Tx, row: asyncpg.Record) -> None:
    """Raises `Conflict` (`out_of_stock`) when there is less to sell than the exchange needs."""
    short = await repository.short_of(tx, row["merchant_id"], row["id"])
    if short:
        raise out_of_stock(row["merchant_id"], short)


def out_of_stock(merchant_id: UUID, sku_ids: Collection[UUID]) -> Conflict:
    """That an exchange cannot be, and what can be instead."""
    return Conflict(
        "There is not enough in stock to replace these goods; agree as a refund, or convert the case into one.",
        code="out_of_stock",
        skus=[ref(merchant_id, sku_id) for sku_id in sku_ids],
    )


async def take_back(tx: Tx, row: asyncpg.Record, sellable: Collection[UUID]) -> None:
    """Goods came back for others: those that can be sold are on hand again."""
    back = await repository.goods(tx, row["merchant_id"], row["id"], list(sellable))
    await inventory.take_back(tx, row["merchant_id"], back, row["id"], "exchanged")


async def ship(
    tx: Tx, order: asyncpg.Record, row: asyncpg.Record, parcel: ReshipIn, actor_id: UUID | None
) -> None:
    """The replacement leaves. Raises `Conflict` (`out_of_stock`), and whatever a plugin refuses."""
    lines = await repository.lines(tx, row["merchant_id"], row["id"])
    await fulfilment.ship_replacement(tx, row["merchant_id"], order["id"], row["id"], lines, parcel, actor_id)
