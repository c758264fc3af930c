"""Events, entries and sales as the routes show them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from core.api import MARKET_ID, NotFound, Tx, decode_cursor, encode_cursor, parse_ref, ref
from plugins.flash_sale import repository
from plugins.flash_sale.rules import CHINA
from plugins.flash_sale.schemas import EntryOut, EventOut, ItemOut, SaleOut, SlotOut, SoldOut

_MOST_SLOTS = 48
_MOST_ITEMS = 2000


class _Slot(msgspec.Struct, frozen=True):
    id: UUID
    starts_at: datetime
    ends_at: datetime
    stopped_at: datetime | None
    stop_reason: str = ""


def phase(starts_at: datetime, ends_at: datetime, stopped_at: datetime | None, now: datetime) -> str:
    """How a slot stands, in the words of the calendar."""
    if stopped_at is not None:
        return "stopped"
    if now < starts_at:
        return "upcoming"
    return "running" if now < ends_at else "over"


def event_out(row: asyncpg.Record, now: datetime, *, staff: bool) -> EventOut:
    """An event; `staff` of its own merchant see who is invited."""
    slots = msgspec.json.decode(row["slots"] or "[]", type=list[_Slot])
    return EventOut(
        id=ref(row["merchant_id"], row["id"]),
        merchant_id=ref(row["merchant_id"]),
        name=row["name"],
        rules=row["rules"],
        slots=[
            SlotOut(
                ref(s.id),
                s.starts_at,
                s.ends_at,
                phase(s.starts_at, s.ends_at, s.stopped_at, now),
                s.stop_reason,
            )
            for s in slots
        ],
        sign_up_until=row["sign_up_until"],
        invited=bool(row["invited"]),
        category_ids=[ref(i) for i in row["category_ids"]],
        merchant_share_bp=row["merchant_share_bp"],
        market_coupons=row["market_coupons"],
        token_required=row["token_required"],
        created_at=row["created_at"],
        merchant_ids=[ref(i) for i in row["invited"]] if staff else None,
    )


def entry_out(row: asyncpg.Record) -> EntryOut:
    """A shop's sign-up."""
    return EntryOut(
        id=ref(row["merchant_id"], row["id"]),
        merchant_id=ref(row["merchant_id"]),
        event_id=ref(MARKET_ID, row["event_id"]),
        activity_id=ref(row["activity_id"]),
        sku_id=ref(row["merchant_id"], row["sku_id"]),
        title=row["title"],
        price=row["price"],
        quantity=row["quantity"],
        per_order=row["per_order"],
        per_account=row["per_account"],
        status=row["status"],
        reason=row["reason"],
        applied_at=row["applied_at"],
        reviewed_at=row["reviewed_at"],
    )


def sold_out(row: asyncpg.Record) -> SoldOut:
    """An item as its seller sees it."""
    return SoldOut(
        sku_id=ref(row["merchant_id"], row["sku_id"]),
        title=row["title"] or "",
        price=row["price"],
        quantity=row["quantity"],
        per_order=row["per_order"],
        per_account=row["per_account"],
        sold=row["sold"],
    )


async def slots(tx: Tx, merchant_id: str | None) -> list[SaleOut]:
    """Today's slots of the market, or of a shop, with what they sell; today is China's. Two statements."""
    day = tx.now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    owner = parse_ref(merchant_id) if merchant_id is not None else MARKET_ID
    rows = await repository.sales(
        tx, merchant_id=owner, since=day, until=day + timedelta(days=1), limit=_MOST_SLOTS
    )
    return await _with_items(tx, rows)


async def sale(tx: Tx, activity_id: str) -> SaleOut:
    """One slot with what it sells. Raises `NotFound`."""
    rows = await repository.sales(tx, activity_id=parse_ref(activity_id))
    if not rows:
        raise NotFound("There is no such flash sale.")
    return (await _with_items(tx, rows))[0]


async def _with_items(tx: Tx, rows: Sequence[asyncpg.Record]) -> list[SaleOut]:
    found: dict[UUID, list[ItemOut]] = {row["id"]: [] for row in rows}
    for item in await repository.items(tx, list(found), _MOST_ITEMS) if found else ():
        if item["live"]:
            found[item["activity_id"]].append(_item(item))
    return [
        SaleOut(
            activity_id=ref(row["id"]),
            merchant_id=ref(row["merchant_id"]),
            name=row["name"],
            rules=row["rules"],
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            phase=phase(row["starts_at"], row["ends_at"], row["stopped_at"], tx.now),
            token_required=row["token_required"],
            items=found[row["id"]],
        )
        for row in rows
    ]


def _item(row: asyncpg.Record) -> ItemOut:
    sold, quantity = row["sold"], row["quantity"]
    return ItemOut(
        sku_id=ref(row["merchant_id"], row["sku_id"]),
        product_id=ref(row["merchant_id"], row["product_id"]),
        merchant_id=ref(row["merchant_id"]),
        title=row["title"],
        specs=list(row["specs"]),
        image_url=row["image_url"],
        price=row["price"],
        normal_price=row["normal_price"],
        per_order=row["per_order"],
        per_account=row["per_account"],
        sold_percent=sold * 10 // quantity * 10,
        sold_out=sold >= quantity,
    )


def page_start(cursor: str | None) -> UUID | None:
    """The id in a cursor. Raises `Invalid`."""
    return decode_cursor(cursor, UUID) if cursor else None


def page_end(rows: Sequence[asyncpg.Record], limit: int) -> str | None:
    """The cursor after `limit` of these rows, None when there are no more."""
    return encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
