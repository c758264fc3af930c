"""Points in a purchase: used by placing, given back by closing and refunding; what refunds take back of those earned."""

from datetime import datetime

from core.api import (
    MARKET_ID,
    Closing,
    Conflict,
    PlacedOrder,
    Placement,
    Refunded,
    Tx,
    largest_remainder,
    ref,
)
from plugins.membership import books
from plugins.membership.books import Book, Entry
from plugins.membership.config import Config
from plugins.membership.purse import OrderPoints, end_of_day, split
from plugins.membership.rules import POINTS, POINTS_RULE

PLUGIN = "membership"


async def use(tx: Tx, placement: Placement) -> None:
    """Take the points that the quote used, for each order its part. Raises `Conflict` `points_short` when there are not so
    many any more."""
    paid = {order.id: _paid_with_points(order) for order in placement.orders}
    fen = sum(paid.values())
    if fen == 0:
        return
    points = -(-fen // tx.config(Config).fen_per_point)
    book = (await books.opened(tx, [placement.account_id], make=False)).get(placement.account_id)
    parts = book.purse.spend(points, tx.now) if book is not None else None
    if book is None or parts is None:
        raise Conflict(
            "You have fewer points than this purchase uses; look at the new price.", code="points_short"
        )
    shares = largest_remainder(points, list(paid.values()))
    for order, share, mine in zip(placement.orders, shares, split(parts, shares), strict=True):
        if paid[order.id] == 0:
            continue
        book.orders[order.id] = OrderPoints(
            order_id=order.id,
            merchant_id=order.merchant_id,
            trade_id=placement.trade_id,
            used_points=share,
            used_fen=paid[order.id],
            parts=mine,
        )
        if share:
            what = ref(order.merchant_id, order.id)
            book.note(Entry(MARKET_ID, "points", -share, "used", f"order:{order.id}:used", what))
    await books.write(tx, [book])


def _paid_with_points(order: PlacedOrder) -> int:
    taken = [part for line in order.priced.lines for part in line.adjustments]
    return sum(part.amount for part in taken if part.kind == POINTS)


async def close(tx: Tx, closing: Closing) -> None:
    """Orders are given up: what they used comes back, to end when it would have."""
    book = await books.of_orders(tx, closing.account_id, [order.id for order in closing.orders])
    if book is None:
        return
    for order in book.orders.values():
        back = order.give_up()
        _come_back(book, order, back, None, f"order:{order.order_id}:closed")
    await books.write(tx, [book])


async def settle(tx: Tx, refunded: Refunded) -> None:
    """A refund is settled: of the points that paid for it, the part comes back, and what it had brought goes (time of levels
    went when it was decided). What was spent already becomes debt. The same refund again changes nothing."""
    refund = refunded.refund
    book = await books.of_orders(tx, refund.account_id, [refund.order_id], [refund.merchant_id])
    if book is None:
        return
    order = book.orders[refund.order_id]
    fen = sum(
        share.market + share.merchant
        for line in refund.lines
        for share in line.discounts
        if (share.plugin, share.rule) == (PLUGIN, POINTS_RULE)
    )
    cause = f"refund:{refund.id}"
    if order.used_fen:
        back = order.refunded(refund.id.hex, fen, whole=refund.whole_order)
        least = end_of_day(tx.now, tx.config(Config).grace_days)
        _come_back(book, order, back, least, f"{cause}:returned")
    points, growth = order.keep(0 if refund.whole_order else refund.kept_amount, tx.now)
    what = ref(order.merchant_id, order.order_id)
    if points:
        book.purse.take(points)
        book.note(Entry(MARKET_ID, "points", -points, "taken_back", f"{cause}:points", what))
    for merchant_id, where in ((MARKET_ID, "market"), (order.merchant_id, "shop")) if growth else ():
        book.grow(Entry(merchant_id, "growth", -growth, "taken_back", f"{cause}:growth:{where}", what))
    await books.write(tx, [book])


def _come_back(book: Book, order: OrderPoints, points: int, least: datetime | None, cause: str) -> None:
    if points == 0:
        return
    parts = order.coming_back(points, least)
    for ends, part in parts:
        book.purse.add(part, ends)
    what = ref(order.merchant_id, order.order_id)
    book.note(
        Entry(MARKET_ID, "points", points, "returned", cause, what, expires_at=max(e for e, _ in parts))
    )
