"""Orders and trades: read by each audience, moved from status to status."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx
from core.identity.phones import normal_phone
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import parse_pair
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean
from core.orders import repository
from core.orders.finding import ORDER_STATUSES, OrderFilter
from core.orders.repository import TRADE_STATUSES, TradeFilter
from core.orders.rows import order_out, trades_out
from core.orders.schemas import OrderOut, TradeOut
from core.types.events import OrderEvent
from core.types.orders import PaidLine
from core.types.scope import Audience, Principal


class Asked(msgspec.Struct, frozen=True):
    """What staff filter a list of orders by, as sent."""

    status: str | None = None
    q: str | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None
    sku: str | None = None
    held: bool = False
    in_case: bool = False


_MAX_WORDS = 5
_WINDOW = 2000
_NUMBER = re.compile(r"[0-9]{22}")


async def order_page(tx: Tx, which: OrderFilter, audience: Audience, limit: int) -> Page[OrderOut]:
    """A page of orders, newest first, as `audience` may see them. Raises `Invalid` for a bad limit."""
    check_limit(limit)
    if which.words:
        return await _page_of_words(tx, which, audience, limit)
    rows = await repository.orders(tx, which, limit + 1)
    page = [order_out(tx.env.vault, row, audience) for row in rows[:limit]]
    return Page(page, encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None)


async def _page_of_words(tx: Tx, which: OrderFilter, audience: Audience, limit: int) -> Page[OrderOut]:
    """Only so many orders are looked through for each page, so one that is not full may have another behind it."""
    pairs, end = await repository.with_words(tx, which, _WINDOW, limit + 1)
    rows = await repository.these(tx, pairs[:limit]) if pairs else []
    following = pairs[limit - 1][1] if len(pairs) > limit else end
    items = [order_out(tx.env.vault, row, audience) for row in rows]
    return Page(items, encode_cursor(following) if following is not None else None)


async def order(tx: Tx, which: OrderFilter, audience: Audience) -> OrderOut:
    """The one order that `which` names. Raises `NotFound`."""
    rows = await repository.orders(tx, which, 1)
    if not rows:
        raise NotFound("No such order.")
    return order_out(tx.env.vault, rows[0], audience)


def shop_of(me: Principal) -> UUID:
    """The merchant for whom this member of staff is signed in; it comes from the token. Raises `NotFound`."""
    if me.merchant_id is None:
        raise NotFound("This sign-in belongs to no shop.")
    return me.merchant_id


def own_order(merchant_id: UUID, order_id: str) -> UUID:
    """The row id in an order's opaque id. Raises `NotFound` when it is another merchant's."""
    owner, row_id = parse_pair(order_id)
    if owner != merchant_id:
        raise NotFound("No such order.")
    return row_id


async def shop_order(tx: Tx, merchant_id: UUID, order_id: str) -> OrderOut:
    """The shop's order with this opaque id. Raises `NotFound`."""
    which = OrderFilter(merchant_id=merchant_id, order_id=own_order(merchant_id, order_id))
    return await order(tx, which, Audience.MERCHANT)


def looked_up(tx: Tx, which: OrderFilter, q: str | None) -> OrderFilter:
    """Those orders of `which` whose number, or whose recipient's phone, is exactly `q`; with None all of them."""
    if q is None:
        return which
    text = clean(q).strip()
    return msgspec.structs.replace(
        which, number=text, phone_index=tx.env.vault.blind(normal_phone(text) or text)
    )


async def staff_filter(
    tx: Tx, asked: Asked, merchant_id: UUID | None, cursor: str | None = None
) -> OrderFilter:
    """What staff asked for, of one merchant or with None of all. Raises `Invalid`."""
    which = OrderFilter(
        merchant_id=merchant_id,
        statuses=order_statuses(asked.status),
        held=asked.held,
        in_case=asked.in_case,
        before=page_start(cursor),
    )
    found = looked_up(tx, placed(which, asked.placed_from, asked.placed_to), asked.q)
    return await with_sku(tx, found, asked.sku)


def remembered(which: OrderFilter, q: str | None) -> OrderFilter:
    """Those orders of `which` with the number `q`, or with all words of `q` in the title of a line. Raises `Invalid`."""
    words = clean(q or "").split()
    if len(words) > _MAX_WORDS:
        raise Invalid("Too many words.", FieldError("q", "length", f"Use at most {_MAX_WORDS} words."))
    if len(words) == 1 and _NUMBER.fullmatch(words[0]):
        return msgspec.structs.replace(which, number=words[0])
    return msgspec.structs.replace(which, words=words)


async def with_sku(tx: Tx, which: OrderFilter, sku: str | None) -> OrderFilter:
    """Those orders of `which`, which are of one merchant, that hold the SKU with this id or code. Raises `Invalid` when no
    merchant is named."""
    if sku is None:
        return which
    if which.merchant_id is None:
        raise Invalid("Name the merchant whose SKU it is.", FieldError("merchant_id", "required", "Name it."))
    try:
        owner, sku_id = parse_pair(sku)
    except NotFound:
        found = await repository.skus_called(tx, which.merchant_id, clean(sku).strip())
    else:
        found = [sku_id] if owner == which.merchant_id else []
    return msgspec.structs.replace(which, sku_ids=found)


def placed(which: OrderFilter, start: datetime | None, end: datetime | None) -> OrderFilter:
    """Those orders of `which` placed from `start` on and before `end`; a time without zone is in UTC. Raises `Invalid` when
    they are the wrong way round."""
    start, end = (at if at is None or at.tzinfo else at.replace(tzinfo=UTC) for at in (start, end))
    if start is not None and end is not None and start >= end:
        raise Invalid(
            "The period ends before it begins.", FieldError("to", "range", "Use a time after from.")
        )
    return msgspec.structs.replace(which, placed_from=start, placed_to=end)


async def trade_page(tx: Tx, which: TradeFilter, audience: Audience, limit: int) -> Page[TradeOut]:
    """A page of trades with their orders, newest first. Raises `Invalid` for a bad limit."""
    rows = await repository.trades(tx, which, check_limit(limit) + 1)
    ids = list(dict.fromkeys(row["t_id"] for row in rows))
    more = len(ids) > limit
    kept = [row for row in rows if not more or row["t_id"] != ids[limit]]
    return Page(trades_out(tx.env.vault, kept, audience), encode_cursor(ids[limit - 1]) if more else None)


async def trade_out(tx: Tx, account_id: UUID, trade_id: UUID) -> TradeOut:
    """The buyer's own trade with its orders. Raises `NotFound`, also for somebody else's."""
    rows = await repository.trades(tx, TradeFilter(account_id=account_id, trade_id=trade_id), 1)
    found = trades_out(tx.env.vault, rows, Audience.SHOP)
    if not found:
        raise NotFound("No such trade.")
    return found[0]


async def locked(tx: Tx, merchant_id: UUID, order_id: UUID) -> asyncpg.Record:
    """The order's row, locked until the transaction ends. Raises `NotFound`."""
    row = await repository.locked(tx, merchant_id, order_id)
    if row is None:
        raise NotFound("No such order.")
    return row


async def paid_before(tx: Tx, account_id: UUID, merchant_id: UUID | None) -> bool:
    """Whether the account ever paid an order: of this merchant, or with None of any. In its own or the system scope."""
    return await repository.paid_before(tx, account_id, merchant_id)


async def paid_lines(
    tx: Tx, merchant_id: UUID, order_id: UUID, *, without: UUID | None = None
) -> list[PaidLine]:
    """What is left of a paid order's lines after its refunds, but for the refund `without`; empty for an order that was
    never paid. No refund of it is decided elsewhere before this transaction ends."""
    if not await repository.paid(tx, merchant_id, order_id):
        return []
    return [PaidLine(*row) for row in await repository.paid_lines(tx, merchant_id, order_id, without)]


async def buyers_of(tx: Tx, merchant_id: UUID, order_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Order id -> account id, for those of these orders that are the merchant's."""
    rows = await repository.buyers(tx, merchant_id, order_ids)
    return {row["id"]: row["account_id"] for row in rows}


async def refuse_held(tx: Tx, merchant_id: UUID, order_id: UUID) -> None:
    """Raises `Conflict` (`on_hold`) while something holds the order; `holds` says what and why."""
    found = await repository.holds(tx, merchant_id, order_id)
    if found:
        reasons = "; ".join(h["reason"] for h in found)
        raise Conflict(
            f"The order is on hold: {reasons}",
            code="on_hold",
            holds=[{"plugin": h["plugin"], "reason": h["reason"]} for h in found],
        )


def wrong_status(present: str, detail: str) -> Conflict:
    """The refusal of a step that the order's present status does not allow."""
    return Conflict(detail, code="wrong_status", order_status=present)


async def transition(
    tx: Tx,
    merchant_id: UUID,
    order_id: UUID,
    old: Sequence[str],
    new: str,
    *,
    actor_id: UUID | None,
    reason: str,
    stamp: str | None = None,
) -> asyncpg.Record:
    """Move an order from one of `old` to `new` and log who did it and why, in one statement.

    The answer is the order's row. `stamp` is the column that gets `tx.now` (one of `repository.STAMPS`).
    Raises `NotFound`, and `Conflict` (`wrong_status`) naming the present status when it is none of `old`.
    """
    row = await repository.move(
        tx, merchant_id, order_id, old, new, actor_id=actor_id, reason=reason, stamp=stamp, at=tx.now
    )
    if row is None:
        raise NotFound("No such order.")
    if not row["done"]:
        raise wrong_status(
            row["present"], f"The order is {row['present']}; only {' or '.join(old)} can become {new}."
        )
    return row


def event_of(row: asyncpg.Record) -> OrderEvent:
    """What an event about this order carries."""
    return OrderEvent(row["merchant_id"], row["id"], row["trade_id"], row["account_id"])


def order_statuses(text: str | None) -> list[str] | None:
    """The order statuses in a comma-separated filter. Raises `Invalid`."""
    return _statuses(text, ORDER_STATUSES)


def trade_statuses(text: str | None) -> list[str] | None:
    """The trade statuses in a comma-separated filter. Raises `Invalid`."""
    return _statuses(text, TRADE_STATUSES)


def _statuses(text: str | None, known: Sequence[str]) -> list[str] | None:
    if text is None:
        return None
    wanted = [part.strip() for part in text.split(",")]
    if not set(wanted) <= set(known):
        raise Invalid("Unknown status.", FieldError("status", "unknown", f"Use some of {', '.join(known)}."))
    return wanted


def page_start(cursor: str | None) -> UUID | None:
    """The id in a cursor. Raises `Invalid`."""
    return decode_cursor(cursor, UUID) if cursor is not None else None
