"""Events: making, changing and stopping them. Each slot is an activity of the calendar."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import asyncpg

from core.api import (
    MARKET_ID,
    ActivityDraft,
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
from plugins.flash_sale.config import Config
from plugins.flash_sale.repository import EventRow, ItemRow
from plugins.flash_sale.rules import CHINA
from plugins.flash_sale.schemas import (
    EventChange,
    EventOut,
    MarketEventIn,
    OfferIn,
    ShopEventIn,
    SlotIn,
    SoldOut,
)
from plugins.flash_sale.shown import event_out, page_end, page_start, sold_out

PLUGIN = "flash_sale"
KIND = "flash_sale"
_FAR = timedelta(days=366)
_ALL_BP = 10_000
_MOST_ITEMS = 2000


async def open_market(tx: Tx, by: UUID, data: MarketEventIn) -> EventOut:
    """An event of the market, to which shops sign up. Raises `Invalid`, `NotFound` for an unknown shop or category."""
    faults = [*_slot_faults(data.slots, tx.now)]
    first = min(slot.starts_at for slot in data.slots)
    if not tx.now < data.sign_up_until <= first:
        faults.append(
            FieldError(
                "sign_up_until", "range", "Must be in the future, and not after the first slot starts."
            )
        )
    _refuse(faults)
    event = EventRow(
        MARKET_ID,
        new_id(),
        data.name,
        data.rules,
        data.sign_up_until,
        await _known(tx, "merchant", data.merchant_ids),
        await _known(tx, "category", data.category_ids),
        data.merchant_share_bp,
        data.market_coupons,
        data.token_required,
    )
    await _write(tx, event, data.slots, (), by)
    return await one(tx, MARKET_ID, event.id)


async def open_shop(tx: Tx, merchant_id: UUID, by: UUID, data: ShopEventIn) -> EventOut:
    """A shop's own event, at its own cost.

    Raises `Invalid`; `NotFound` for a SKU that is not the shop's; `Forbidden` `not_running`; `Conflict` `activity_overlap`.
    """
    if not tx.config(Config).merchants_may_run:
        raise Forbidden("Shops have no flash sales of their own in this market.", code="not_running")
    _refuse([*_slot_faults(data.slots, tx.now)])
    items = await offered(tx, merchant_id, data.offers)
    share, name = _ALL_BP, data.name
    event = EventRow(
        merchant_id, new_id(), name, data.rules, None, (), (), share, data.market_coupons, data.token_required
    )
    await _write(tx, event, data.slots, items, by)
    return await one(tx, merchant_id, event.id)


async def _write(
    tx: Tx, event: EventRow, slots: Sequence[SlotIn], items: Sequence[ItemRow], by: UUID
) -> None:
    skus = tuple((event.merchant_id, item.sku_id) for item in items)
    rows = []
    for slot in slots:
        draft = ActivityDraft(
            merchant_id=event.merchant_id,
            plugin=PLUGIN,
            kind=KIND,
            name=f"{event.name} {slot.starts_at.astimezone(CHINA):%m-%d %H:%M}",
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            skus=skus,
            exclusive=True,
            created_by=by,
        )
        rows.append((await activities.schedule(tx, draft), slot.starts_at, slot.ends_at))
    await repository.add_event(tx, event, rows)
    if items:
        await repository.add_items(tx, event.merchant_id, [row[0] for row in rows], items)


async def change(tx: Tx, event_id: str, data: EventChange) -> EventOut:
    """Change an event of the market while its sign-up is open. Raises `NotFound`, `Invalid`, `Conflict` `sign_up_over`."""
    row = await _event(tx, MARKET_ID, _own(MARKET_ID, event_id))
    starts = min(slot.starts_at for slot in event_out(row, tx.now, staff=True).slots)
    if data.sign_up_until is not None and not tx.now < data.sign_up_until <= starts:
        detail = "Must be in the future, and not after the first slot starts."
        _refuse([FieldError("sign_up_until", "range", detail)])
    invited = None if data.merchant_ids is None else await _known(tx, "merchant", data.merchant_ids)
    if not await repository.change_event(
        tx, MARKET_ID, row["id"], data.name, data.rules, data.sign_up_until, invited
    ):
        raise Conflict("The sign-up is over; nothing of this event changes any more.", code="sign_up_over")
    return await one(tx, MARKET_ID, row["id"])


async def listed(
    tx: Tx, merchant_id: UUID, cursor: str | None, limit: int, guest: UUID | None = None
) -> Page[EventOut]:
    """A merchant's events, newest first; those to which a `guest` shop is admitted."""
    rows = await repository.events(
        tx, merchant_id, before=page_start(cursor), guest=guest, limit=check_limit(limit) + 1
    )
    return Page([event_out(row, tx.now, staff=guest is None) for row in rows[:limit]], page_end(rows, limit))


async def one(tx: Tx, merchant_id: UUID, event: UUID | str) -> EventOut:
    """One of a merchant's own events. Raises `NotFound`."""
    event_id = _own(merchant_id, event) if isinstance(event, str) else event
    return event_out(await _event(tx, merchant_id, event_id), tx.now, staff=True)


async def sold(tx: Tx, merchant_id: UUID, activity: str) -> list[SoldOut]:
    """What is sold in a slot: all of it for the market, to a shop what is its own. Raises `NotFound` if that is nothing."""
    rows = await repository.items(tx, [parse_ref(activity)], _MOST_ITEMS)
    mine = [row for row in rows if merchant_id in (MARKET_ID, row["merchant_id"])]
    if not mine:
        raise NotFound("There is no such flash sale, or nothing of yours in it.")
    return [sold_out(row) for row in mine]


async def stop(tx: Tx, merchant_id: UUID, activity: str, reason: str = "") -> None:
    """End a slot now; what was bought stays bought. Staff see the `reason`. Raises `NotFound`, `Conflict` `flash_over`."""
    activity_id = parse_ref(activity)
    if await repository.sign_up(tx, merchant_id, activity_id) is None:
        raise NotFound("There is no such flash sale of yours.")
    if not await repository.stop(tx, merchant_id, activity_id, reason):
        raise Conflict("This flash sale is over.", code="flash_over")
    await activities.stop(tx, merchant_id, activity_id)


async def stop_any(tx: Tx, activity: str, reason: str) -> None:
    """`stop` by the market, in the system scope: also a shop's own sale, and the shop is to know why. Raises `Invalid`
    without a reason for a shop's."""
    found = await repository.sales(tx, activity_id=parse_ref(activity))
    if not found:
        raise NotFound("There is no such flash sale.")
    owner, told = found[0]["merchant_id"], " ".join(reason.split())
    if owner != MARKET_ID and not told:
        _refuse([FieldError("reason", "required", "Tell the shop why.")])
    await stop(tx, owner, activity, told)


async def offered(
    tx: Tx, merchant_id: UUID, offers: Sequence[OfferIn], field: str = "offers[{}]."
) -> list[ItemRow]:
    """What a shop offers, looked up. Raises `NotFound` for a SKU that is not the shop's, `Invalid` with all faults, named by
    `field` with the offer's place."""
    skus = [_own(merchant_id, offer.sku_id) for offer in offers]
    known = await repository.goods(tx, merchant_id, skus)
    faults = [
        FieldError(field.format(n) + name, code, detail)
        for n, (offer, sku) in enumerate(zip(offers, skus, strict=True))
        for name, code, detail in _offer_faults(offer, known.get(sku))
    ]
    faults += [
        FieldError(field.format(n) + "sku_id", "twice", "Each SKU once.")
        for n, sku in enumerate(skus)
        if sku in skus[:n]
    ]
    _refuse(faults)
    return [
        ItemRow(sku, known[sku]["product_id"], o.price, o.quantity, o.per_order, o.per_account)
        for o, sku in zip(offers, skus, strict=True)
    ]


def _offer_faults(offer: OfferIn, row: asyncpg.Record | None) -> Iterable[tuple[str, str, str]]:
    if row is None or not row["live"]:
        yield "sku_id", "unknown", "There is no such SKU on sale in your shop."
        return
    if offer.price >= row["price"]:
        yield "price", "range", f"Must be below the normal price of {row['price']} fen."
    if offer.per_order > offer.per_account:
        yield "per_order", "range", "Must not be above per_account."


def _slot_faults(slots: Sequence[SlotIn], now: datetime) -> Iterable[FieldError]:
    ordered = sorted(slots, key=lambda slot: slot.starts_at)
    for n, slot in enumerate(slots):
        if not slot.starts_at < slot.ends_at <= now + _FAR or slot.ends_at <= now:
            detail = "Must end after it starts, in the future, and within a year."
            yield FieldError(f"slots[{n}].ends_at", "range", detail)
        if slot.starts_at < now - _FAR:
            yield FieldError(f"slots[{n}].starts_at", "range", "Must not be more than a year ago.")
    if any(one.ends_at > other.starts_at for one, other in pairwise(ordered)):
        yield FieldError("slots", "overlap", "Slots of an event follow each other.")


async def _known(tx: Tx, table: str, refs: Sequence[str]) -> list[UUID]:
    """The ids, all of which must be there. Raises `NotFound`."""
    ids = list(dict.fromkeys(map(parse_ref, refs)))
    if ids and await repository.known(tx, table, ids) != len(ids):
        raise NotFound(f"Not every {table} that is named is there.")
    return ids


async def _event(tx: Tx, merchant_id: UUID, event_id: UUID) -> asyncpg.Record:
    rows = await repository.events(tx, merchant_id, event_id)
    if not rows:
        raise NotFound("There is no such event.")
    return rows[0]


def _own(merchant_id: UUID, text: str) -> UUID:
    owner, row_id = parse_pair(text)
    if owner != merchant_id:
        raise NotFound("There is no such thing of yours.")
    return row_id


def _refuse(faults: Sequence[FieldError]) -> None:
    if faults:
        raise Invalid("This cannot be; see errors.", *faults)
