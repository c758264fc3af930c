"""How points and growth come with orders, and how points end."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec

from core.api import MARKET_ID, Cycle, OrderEvent, Tx, hold, paid_lines, ref
from plugins.membership import books
from plugins.membership.books import Entry
from plugins.membership.config import Config
from plugins.membership.purse import OrderPoints, end_of_month
from plugins.membership.using import PLUGIN

BATCH = 500
EVERY = timedelta(seconds=60)

_ENDED = """
select distinct account_id from membership_lot where points > 0 and expires_at <= $1 order by account_id limit $2
"""


async def earn(tx: Tx, event: OrderEvent) -> None:
    """An order brings points, and growth in the market and its shop, for what was paid for its goods and not refunded; once.

    What is being refunded no longer counts, and a refund that is decided from now on takes its part back when it settles.
    """
    paid = sum(line.amount for line in await paid_lines(tx, event.merchant_id, event.order_id))
    config = tx.config(Config)
    if paid <= 0 or not (config.points_per_yuan or config.growth_per_yuan):
        return
    account_id, shop = event.account_id, event.merchant_id
    book = (await books.opened(tx, [account_id], shops=[shop], orders=[event.order_id]))[account_id]
    order = book.orders.setdefault(
        event.order_id, OrderPoints(order_id=event.order_id, merchant_id=shop, trade_id=event.trade_id)
    )
    if order.earned_at is not None:
        return
    ends = end_of_month(tx.now, config.points_months)
    order.earn(paid, config.points_per_yuan, config.growth_per_yuan, tx.now, ends)
    what, cause = ref(shop, event.order_id), f"order:{event.order_id}"
    if order.points:
        book.purse.add(order.points, ends)
        book.note(
            Entry(MARKET_ID, "points", order.points, "earned", f"{cause}:points", what, expires_at=ends)
        )
    for merchant_id, where in ((MARKET_ID, "market"), (shop, "shop")):
        book.grow(Entry(merchant_id, "growth", order.growth, "earned", f"{cause}:growth:{where}", what))
    await books.write(tx, [book])
    await hold(tx, book.account_id, PLUGIN, None)


class Again(msgspec.Struct, frozen=True):
    """There was more to do than one batch."""


async def sweep(tx: Tx) -> None:
    """Take the points that have ended from one batch of accounts; when there are more, it goes on at once in a transaction
    of its own."""
    rows = await tx.fetch(_ENDED, tx.now, BATCH)
    if not rows:
        return
    found: list[UUID] = [row["account_id"] for row in rows]
    ending = await books.opened(tx, found, make=False)
    for book in ending.values():
        for ends, points in book.purse.expire(tx.now):
            # A lot to which points came back after its end ends again.
            cause = f"ended:{ends.isoformat()}:{tx.now.isoformat()}"
            book.note(Entry(MARKET_ID, "points", -points, "expired", cause, expires_at=ends))
    await books.write(tx, ending.values())
    if len(rows) == BATCH:
        tx.schedule(PLUGIN, "sweep_on", Again(), tx.now)


async def sweep_on(tx: Tx, _: msgspec.Raw) -> None:
    """The next batch."""
    await sweep(tx)


CYCLES: Mapping[str, Cycle] = {"sweep": Cycle(EVERY, sweep)}
TIMERS = {"sweep_on": sweep_on}
