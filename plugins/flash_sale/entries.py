"""Signing up for the market's events, and the market's review of it. What passed is in the calendar."""

from uuid import UUID

import asyncpg

from core.api import (
    MARKET_ID,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Page,
    Tx,
    activities,
    check_limit,
    new_id,
    parse_pair,
    parse_ref,
)
from plugins.flash_sale import repository
from plugins.flash_sale.events import offered
from plugins.flash_sale.repository import ItemRow
from plugins.flash_sale.schemas import EntryOut, OfferIn
from plugins.flash_sale.shown import entry_out, page_end, page_start

_STATUSES = ("applied", "passed", "refused", "withdrawn")


async def apply(tx: Tx, merchant_id: UUID, activity: str, data: OfferIn) -> EntryOut:
    """Offer a SKU for a slot of the market's, or change what was offered but has not passed.

    Raises `NotFound`; `Invalid`; `Forbidden` `not_invited`; `Conflict`: `sign_up_over`, `already_passed`, `wrong_category`.
    """
    activity_id = parse_ref(activity)
    slot = await repository.sign_up(tx, MARKET_ID, activity_id)
    if slot is None:
        raise NotFound("The market has no such flash sale.")
    if slot["invited"] and merchant_id not in slot["invited"]:
        raise Forbidden("This event is for invited shops.", code="not_invited")
    _open(slot, tx)
    item = (await offered(tx, merchant_id, [data], ""))[0]
    goods = (await repository.goods(tx, merchant_id, [item.sku_id]))[item.sku_id]
    wanted = set(slot["category_ids"])
    if wanted and wanted.isdisjoint(goods["category_path"]):
        raise Conflict("This event takes products of other categories.", code="wrong_category")
    row = await repository.put_entry(
        tx,
        merchant_id,
        new_id(),
        slot["event_id"],
        activity_id,
        item.sku_id,
        item.product_id,
        goods["title"],
        item.price,
        item.quantity,
        item.per_order,
        item.per_account,
    )
    if row is None:
        raise Conflict("This sign-up has passed; withdraw it first.", code="already_passed")
    return entry_out(row)


async def withdraw(tx: Tx, merchant_id: UUID, entry_id: str) -> EntryOut:
    """Take an offer back. Raises `NotFound`, `Conflict` `sign_up_over`."""
    owner, row_id = parse_pair(entry_id)
    row = await _locked(tx, entry_id) if owner == merchant_id else None
    if row is None:
        raise NotFound("There is no such sign-up of yours.")
    _open(row, tx)
    if row["status"] == "passed":
        await activities.drop_skus(tx, row["activity_id"], [row["sku_id"]])
        await repository.drop_item(tx, merchant_id, row["activity_id"], row["sku_id"])
    return entry_out(await repository.move_entry(tx, merchant_id, row_id, "withdrawn", "", None))


async def pass_(tx: Tx, by: UUID, entry_id: str) -> EntryOut:
    """Take an offer into its slot, and its SKU into the calendar. In the system scope.

    Raises `NotFound`; `Conflict`: `wrong_status`, `flash_over`, `activity_overlap` with both names.
    """
    row = _waiting(await _locked(tx, entry_id))
    if row["stopped_at"] is not None or row["ends_at"] <= tx.now:
        raise Conflict("The sale is over.", code="flash_over")
    sku = (row["merchant_id"], row["sku_id"])
    await activities.add_skus(tx, MARKET_ID, row["activity_id"], [sku])
    item = ItemRow(*(row[name] for name in ItemRow._fields))
    await repository.add_items(tx, row["merchant_id"], [row["activity_id"]], [item])
    return entry_out(await repository.move_entry(tx, row["merchant_id"], row["id"], "passed", "", by))


async def refuse(tx: Tx, by: UUID, entry_id: str, reason: str) -> EntryOut:
    """Refuse an offer, and say why. In the system scope. Raises `NotFound`, `Conflict` `wrong_status`."""
    row = _waiting(await _locked(tx, entry_id))
    return entry_out(await repository.move_entry(tx, row["merchant_id"], row["id"], "refused", reason, by))


async def listed(
    tx: Tx,
    merchant_id: UUID | None,
    event_id: str | None,
    status: str | None,
    cursor: str | None,
    limit: int,
) -> Page[EntryOut]:
    """Sign-ups of one shop, or of all, newest first; of an event, or in a status."""
    if status is not None and status not in _STATUSES:
        raise Invalid(
            "There is no such status.", FieldError("status", "unknown", f"One of {', '.join(_STATUSES)}.")
        )
    event = parse_pair(event_id)[1] if event_id is not None else None
    rows = await repository.entries(
        tx, merchant_id, event, status, page_start(cursor), check_limit(limit) + 1
    )
    return Page([entry_out(row) for row in rows[:limit]], page_end(rows, limit))


async def _locked(tx: Tx, entry_id: str) -> asyncpg.Record | None:
    return await repository.locked_entry(tx, *parse_pair(entry_id))


def _waiting(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("There is no such sign-up.")
    if row["status"] != "applied":
        raise Conflict("This sign-up does not wait for a review.", code="wrong_status")
    return row


def _open(row: asyncpg.Record, tx: Tx) -> None:
    if row["sign_up_until"] <= tx.now or row["stopped_at"] is not None:
        raise Conflict("The sign-up is over; nothing of it changes any more.", code="sign_up_over")
