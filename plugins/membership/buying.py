"""Levels that are bought: what an order brings once it is paid, and what a refund takes back."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from core.api import Deduction, OrderEvent, RefundDraft, Tx, hold, paid_lines, ref
from plugins.membership import books, sales
from plugins.membership.books import Book, Entry
from plugins.membership.purse import OrderPoints
from plugins.membership.terms import Bought, Loss, gain, lose
from plugins.membership.using import PLUGIN

LABEL = "已使用的会员时长"

# What levels took off on orders of the account that were placed in a time, on units that are not refunded; lines of a refund
# that is about to be decided do not count.
_SAVED = """
select w.n, coalesce(sum(d.amount * (l.quantity - l.refunded_quantity) / l.quantity), 0)::bigint as saved
from unnest($1::int[], $2::text[], $3::timestamptz[], $4::timestamptz[]) w(n, rule, start, until)
join orders o on o.account_id = any($5::uuid[]) and o.created_at >= w.start and o.created_at < w.until
  and o.status <> 'closed'
join order_discount d on d.merchant_id = o.merchant_id and d.order_id = o.id and d.plugin = 'membership'
  and starts_with(d.rule, w.rule)
join order_line l on l.merchant_id = d.merchant_id and l.id = d.line_id and l.id <> all($6::uuid[])
group by w.n
"""


class _Back(NamedTuple):
    """Pieces that were taken back, and what of their time was used."""

    bought: Bought
    loss: Loss


async def grant(tx: Tx, event: OrderEvent) -> None:
    """A paid order brings time of the levels that its lines sell, for the pieces that are not being refunded; once. For an
    order that sells none, one statement."""
    sold = await sales.sold(tx, event.merchant_id, event.order_id)
    if not sold:
        return
    left = {line.line_id: line.quantity for line in await paid_lines(tx, event.merchant_id, event.order_id)}
    issuers = {row["merchant_id"] for row in sold}
    found = await books.opened(tx, [event.account_id], shops=issuers, orders=[event.order_id])
    book = found[event.account_id]
    order = book.orders.setdefault(
        event.order_id,
        OrderPoints(order_id=event.order_id, merchant_id=event.merchant_id, trade_id=event.trade_id),
    )
    if order.bought:
        return
    for row in sold:
        pieces = left.get(row["line_id"], 0)
        if pieces:
            issuer, level_id = row["merchant_id"], row["level_id"]
            bought = Bought(row["line_id"], issuer, level_id, row["months"], pieces, tx.now)
            gain(book.terms, bought, tx.now)
            order.bought.append(bought)
            # Whoever has bought a level is a member there.
            book.growth.setdefault(issuer, 0)
            _note(book, order, bought, 1, f"order:{order.order_id}", row["name"])
    if order.bought:
        await books.write(tx, [book])
        await hold(tx, book.account_id, PLUGIN, None)


async def take_back(tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
    """A refund is decided: the time of the pieces that go back ends now. What of it was used is kept back for the seller:
    the share of the days that have begun, or what the level saved on them if that is more, at most what was paid."""
    book = await books.of_orders(tx, refund.account_id, [refund.order_id], bought=True)
    if book is None:
        return []
    order = book.orders[refund.order_id]
    gone = []
    for bought in order.stay({line.line_id: line.quantity for line in refund.kept}):
        gone.append(_Back(bought, lose(book.terms, bought, tx.now)))
        _note(book, order, bought, -1, f"refund:{refund.id}")
    if not gone:
        return []
    saved = await _saved(tx, book, refund, gone)
    await books.write(tx, [book])
    paid = {line.line_id: line.amount for line in refund.lines}
    # A line may have brought a level of the market and one of the shop, for one price.
    worth: dict[UUID, int] = {}
    for n, (bought, loss) in enumerate(gone):
        used = loss.worth(paid.get(bought.line_id, 0), saved.get(n, 0))
        worth[bought.line_id] = max(used, worth.get(bought.line_id, 0))
    total = sum(worth.values())
    return [Deduction(PLUGIN, LABEL, total, "merchant")] if total else []


def _note(book: Book, order: OrderPoints, bought: Bought, sign: int, cause: str, name: str = "") -> None:
    months = sign * bought.months * bought.pieces
    term = book.terms.get(bought.level_id)
    book.note(
        Entry(
            bought.merchant_id,
            "level",
            months,
            "bought" if sign > 0 else "taken_back",
            f"{cause}:level:{bought.line_id}:{bought.level_id}",
            ref(order.merchant_id, order.order_id),
            name,
            expires_at=term.until if term is not None else None,
            level_id=bought.level_id,
        )
    )


async def _saved(tx: Tx, book: Book, refund: RefundDraft, gone: Sequence[_Back]) -> dict[int, int]:
    """By number in `gone`, what the level took off in the time that is taken back. No statement where none was used."""
    used = [n for n, back in enumerate(gone) if back.loss.used]
    if not used:
        return {}
    rows = await tx.fetch(
        _SAVED,
        used,
        [f"{gone[n].bought.level_id.hex}:" for n in used],
        [gone[n].loss.start for n in used],
        [gone[n].loss.end for n in used],
        [book.account_id, refund.account_id],
        [line.line_id for line in refund.lines],
    )
    return {row["n"]: row["saved"] for row in rows}
