"""Stock: what is on hand, what is reserved by unshipped orders, and how both change.

Placing an order reserves (in the statement that places it), closing releases, shipping takes the goods out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg

from core.catalog import stocking
from core.db.tx import Tx
from core.inventory import repository
from core.inventory.schemas import StockMoveIn, StockOut
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import parse_pair, ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean


class StockMismatchError(AssertionError):
    """An order wants to give up more than is reserved: a defect, never the buyer's or the merchant's fault."""


async def listed(tx: Tx, merchant_id: UUID, cursor: str | None, limit: int) -> Page[StockOut]:
    """Stock of the merchant's active SKUs."""
    check_limit(limit)
    rows = await repository.page(tx, merchant_id, decode_cursor(cursor, UUID) if cursor else None, limit + 1)
    following = encode_cursor(rows[limit - 1]["sku_id"]) if len(rows) > limit else None
    return Page([_out(row) for row in rows[:limit]], following)


async def move(tx: Tx, merchant_id: UUID, data: StockMoveIn) -> StockOut:
    """Correct what is on hand. Raises `NotFound`, `Invalid`, and `Conflict`: `out_of_stock` if less would be left than
    is reserved, `too_many` beyond a thousand million."""
    reason = " ".join(clean(data.reason).split())
    errors = [FieldError("delta", "range", "0 moves nothing.")] if data.delta == 0 else []
    errors += [] if reason else [FieldError("reason", "required", "Say why.")]
    if errors:
        raise Invalid("This is no stock move.", *errors)
    sku_id = _own(merchant_id, data.sku_id)
    row = await repository.move(tx, merchant_id, sku_id, data.delta, reason)
    if row is None:
        raise _refused(await repository.one(tx, merchant_id, sku_id), data.delta)
    return _out(row)


def _refused(row: asyncpg.Record | None, delta: int) -> NotFound | Conflict:
    if row is None:
        return _unknown()
    if delta > 0:
        return _too_many()
    return Conflict(
        f"Only {row['on_hand'] - row['reserved']} pieces are not reserved by orders.",
        code="out_of_stock",
        available=row["on_hand"] - row["reserved"],
    )


async def ensure(
    tx: Tx, merchant_id: UUID, wanted: Sequence[tuple[UUID, int]], reason: str = "set"
) -> set[UUID]:
    """Bring stock to (SKU id, pieces on hand), each SKU once: new SKUs get a row, others move by the difference, with
    journal rows. SKUs with more reserved than that stop at what is reserved and are returned."""
    return await stocking.set_on_hand(tx, merchant_id, wanted, reason)


async def ship(tx: Tx, merchant_id: UUID, lines: Iterable[tuple[UUID, int]], reference: UUID) -> None:
    """Goods leave: (SKU id, pieces) go off both reserved and on hand. One statement; `reference` is the parcel.

    Raises `StockMismatchError` when that much is not reserved.
    """
    await _give_up(
        tx, ((merchant_id, sku_id, pieces) for sku_id, pieces in lines), reference, "shipped", leaves=True
    )


async def release(tx: Tx, lines: Iterable[tuple[UUID, UUID, int]], reference: UUID, reason: str) -> None:
    """Orders are given up: (merchant id, SKU id, pieces) are reserved no more. One statement.

    Raises `StockMismatchError` when that much is not reserved.
    """
    await _give_up(tx, lines, reference, reason, leaves=False)


async def take_out(
    tx: Tx, merchant_id: UUID, lines: Iterable[tuple[UUID, int]], reference: UUID, reason: str
) -> None:
    """Goods leave that no order had reserved: (SKU id, pieces) go off what is on hand. One statement.

    Raises `Conflict` (`out_of_stock`, with the SKUs) when more of a SKU is reserved than would stay.
    """
    pieces: Counter[UUID] = Counter()
    for sku_id, quantity in lines:
        pieces[sku_id] += quantity
    taken = await repository.take_out(tx, merchant_id, pieces, reference, reason)
    if len(taken) != len(pieces):
        raise Conflict(
            "There is not enough on hand that no order has reserved.",
            code="out_of_stock",
            skus=[ref(merchant_id, sku_id) for sku_id in pieces if sku_id not in taken],
        )


async def take_back(
    tx: Tx, merchant_id: UUID, lines: Iterable[tuple[UUID, int]], reference: UUID, reason: str
) -> None:
    """Goods come back sellable: (SKU id, pieces) are on hand again. One statement.

    Raises `Conflict` (`too_many`) beyond a thousand million pieces of a SKU.
    """
    pieces: Counter[UUID] = Counter()
    for sku_id, quantity in lines:
        pieces[sku_id] += quantity
    if pieces and await repository.take_back(tx, merchant_id, pieces, reference, reason) != len(pieces):
        raise _too_many()


async def lock(tx: Tx, merchant_id: UUID, skus: Sequence[UUID]) -> None:
    """Nobody else moves these SKUs' stock before the transaction ends. In key order, as every move takes them."""
    await repository.lock(tx, merchant_id, skus)


async def _give_up(
    tx: Tx, lines: Iterable[tuple[UUID, UUID, int]], reference: UUID, reason: str, *, leaves: bool
) -> None:
    pieces: Counter[tuple[UUID, UUID]] = Counter()
    for merchant_id, sku_id, quantity in lines:
        pieces[merchant_id, sku_id] += quantity
    if not pieces:
        return
    wanted = [(*key, quantity) for key, quantity in pieces.items()]
    moved = await repository.give_up(tx, wanted, reference, reason, leaves=leaves)
    if moved != len(wanted):
        raise StockMismatchError(
            f"{reason} {reference}: {len(wanted) - moved} of {len(wanted)} SKUs lack the reservation"
        )


def _own(merchant_id: UUID, text: str) -> UUID:
    owner, sku_id = parse_pair(text)
    if owner != merchant_id:
        raise _unknown()
    return sku_id


def _too_many() -> Conflict:
    return Conflict(f"No SKU can have more than {repository.MAX_ON_HAND} pieces.", code="too_many")


def _unknown() -> NotFound:
    return NotFound("There is no such SKU.")


def _out(row: asyncpg.Record) -> StockOut:
    merchant_id = row["merchant_id"]
    return StockOut(
        ref(merchant_id, row["sku_id"]), ref(merchant_id, row["product_id"]), row["title"],
        dict(zip(row["spec_names"], row["specs"], strict=False)), row["code"],
        row["on_hand"], row["reserved"], row["on_hand"] - row["reserved"],
    )  # fmt: skip
