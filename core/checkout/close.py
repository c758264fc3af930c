"""Giving up an unpaid trade: stock, coupons and whatever plugins had claimed go back, once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from core import hookspecs
from core.checkout import repository
from core.checkout.schemas import CloseAgain
from core.db.tx import Tx
from core.inventory import service as inventory
from core.kit.errors import Conflict, NotFound
from core.types.events import OrderEvent, TradeEvent
from core.types.orders import Closing, ClosingOrder

# How soon a plugin that is quarantined is looked for again.
_AGAIN = timedelta(minutes=1)


async def close_trade(tx: Tx, account_id: UUID, trade_id: UUID, reason: str) -> None:
    """Close the buyer's own unpaid trade; a closed one stays closed. Runs in the system scope.

    Raises `NotFound`; `Conflict` (`wrong_status`) when it is paid.
    """
    if await give_up(tx, account_id, trade_id, account_id, reason):
        return
    status = await repository.status(tx, account_id, trade_id)
    if status is None:
        raise NotFound("No such trade.")
    if status == "paid":
        raise Conflict("This trade is paid; ask the merchant for a refund instead.", code="wrong_status")


async def give_up(tx: Tx, account_id: UUID, trade_id: UUID, actor_id: UUID | None, reason: str) -> bool:
    """Close the trade if it is still unpaid; False when it is not."""
    rows = await repository.close(tx, account_id, trade_id, actor_id, reason)
    if not rows:
        return False
    await inventory.release(
        tx, [(r["merchant_id"], r["sku_id"], r["quantity"]) for r in rows], trade_id, "closed"
    )
    orders = tuple(
        ClosingOrder(o, m) for m, o in dict.fromkeys((r["merchant_id"], r["order_id"]) for r in rows)
    )
    closing = Closing(trade_id, account_id, orders, True, reason)  # noqa: FBT003
    contributors = _contributors(rows)
    for _, guard in tx.hooks.about(hookspecs.order_closing, contributors):
        await guard(tx, closing)
    for plugin in tx.snapshot.absent(hookspecs.order_closing, contributors):
        tx.schedule("core", "close_again", CloseAgain(plugin, closing), tx.now + _AGAIN)
    for order in orders:
        tx.emit(hookspecs.order_closed, OrderEvent(order.merchant_id, order.id, trade_id, account_id))
    tx.emit(hookspecs.trade_closed, TradeEvent(trade_id, account_id))
    return True


def _contributors(rows: Sequence[asyncpg.Record]) -> set[str] | None:
    """Who had a part in any of the orders; None where that is not known."""
    found = [row["contributors"] for row in rows]
    return None if None in found else {plugin for plugins in found for plugin in plugins}


async def tell_again(tx: Tx, due: CloseAgain) -> None:
    """Have a plugin that was quarantined give back what closed orders had claimed, as soon as it is there again."""
    if due.plugin in tx.snapshot.absent(hookspecs.order_closing):
        tx.schedule("core", "close_again", due, tx.now + _AGAIN)
        return
    for plugin, guard in tx.hooks.of(hookspecs.order_closing):
        if plugin == due.plugin:
            await guard(tx, due.closing)
