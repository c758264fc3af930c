"""Events of the market, to which shops sign up: opened, changed, stopped, and as staff and buyers see them. Each is one
activity of the calendar, to which the SKUs of all that was approved are added."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
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
    decode_cursor,
    encode_cursor,
    new_id,
    parse_ref,
    ref,
)
from plugins.group_buy import event_repository, offers
from plugins.group_buy.config import Config
from plugins.group_buy.event_repository import EventRow
from plugins.group_buy.event_schemas import (
    EntryIn,
    EventChange,
    EventGroup,
    EventIn,
    EventItem,
    EventOut,
    EventShown,
)
from plugins.group_buy.repository import Key
from plugins.group_buy.schemas import ActivityIn
from plugins.group_buy.shown import activity_out, masked, phase_of, product_of

PLUGIN = "group_buy"
_FAR = timedelta(days=366)
_DEADLINE = "Must be in the future, and not after the event starts."


async def begin(tx: Tx, by: UUID, data: EventIn) -> EventOut:
    """A new event. Raises `Invalid`, `NotFound` for an unknown shop, category or campaign."""
    faults = [*_faults(data, tx.config(Config), tx.now)]
    if faults:
        raise Invalid("This event cannot be; see errors.", *faults)
    campaign = offers.own(MARKET_ID, data.campaign_id, "campaign_id") if data.campaign_id else None
    row = EventRow(
        MARKET_ID,
        new_id(),
        data.name,
        data.rules,
        data.sign_up_until,
        data.starts_at,
        data.ends_at,
        sorted(set(data.sizes)),
        data.hours,
        data.new_only,
        await _known(tx, "merchant", data.merchant_ids),
        await _known(tx, "category", data.category_ids),
        data.merchant_share_bp,
        data.market_coupons,
    )
    draft = ActivityDraft(
        id=row.id,
        merchant_id=MARKET_ID,
        plugin=PLUGIN,
        kind=PLUGIN,
        name=row.name,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        exclusive=True,
        campaign_id=campaign,
        created_by=by,
    )
    await activities.schedule(tx, draft)
    await event_repository.add_event(tx, row)
    return await one(tx, ref(row.id))


def _faults(data: EventIn, config: Config, now: datetime) -> Iterable[FieldError]:
    if not data.starts_at < data.ends_at <= now + _FAR or data.ends_at <= now:
        yield FieldError("ends_at", "range", "Must end after it starts, in the future, and within a year.")
    if not now < data.sign_up_until <= data.starts_at:
        yield FieldError("sign_up_until", "range", _DEADLINE)
    if data.hours > config.max_hours:
        yield FieldError("hours", "range", f"At most {config.max_hours}.")


async def _known(tx: Tx, table: str, refs: Sequence[str]) -> list[UUID]:
    """The ids, all of which must be there. Raises `NotFound`."""
    ids = list(dict.fromkeys(map(parse_ref, refs)))
    if ids and await event_repository.known(tx, table, ids) != len(ids):
        raise NotFound(f"Not every {table} that is named is there.")
    return ids


async def change(tx: Tx, event: str, data: EventChange) -> EventOut:
    """Change an event while its sign-up is open. Raises `NotFound`, `Invalid`, `Conflict` `sign_up_over`."""
    row = await _row(tx, event)
    until = data.sign_up_until
    if until is not None and not tx.now < until <= row["starts_at"]:
        raise Invalid("This cannot be; see errors.", FieldError("sign_up_until", "range", _DEADLINE))
    invited = None if data.merchant_ids is None else await _known(tx, "merchant", data.merchant_ids)
    if not await event_repository.change_event(tx, row["id"], data.rules, until, invited):
        raise _closed()
    return await one(tx, event)


async def stop(tx: Tx, event: str) -> EventOut:
    """No new groups in the whole event; those that were opened have their time. In the system scope. Raises `NotFound`,
    `Conflict` `event_over`."""
    row = await _row(tx, event)
    if not await event_repository.stop_event(tx, row["id"]):
        raise over()
    await activities.stop(tx, MARKET_ID, row["id"])
    return await one(tx, event)


async def listed(tx: Tx, cursor: str | None, limit: int, guest: UUID | None = None) -> Page[EventOut]:
    """Events for staff, newest first; those to which a `guest` shop is admitted."""
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await event_repository.events(tx, before, guest, check_limit(limit) + 1)
    after = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([_out(row, tx.now, market=guest is None) for row in rows[:limit]], after)


async def one(tx: Tx, event: str) -> EventOut:
    """An event as the market sees it. Raises `NotFound`."""
    return _out(await _row(tx, event), tx.now, market=True)


async def open_for(tx: Tx, merchant_id: UUID, event_id: UUID) -> asyncpg.Record:
    """An event to which this shop may sign up now. Raises `NotFound`, `Forbidden` `not_invited`, `Conflict`
    `sign_up_over`."""
    row = await still_open(tx, event_id)
    if row["invited"] and merchant_id not in row["invited"]:
        raise Forbidden("This event is for invited shops.", code="not_invited")
    return row


async def still_open(tx: Tx, event_id: UUID) -> asyncpg.Record:
    """An event before its deadline. Raises `NotFound`, `Conflict` `sign_up_over`."""
    row = await event_repository.event(tx, event_id)
    if row is None:
        raise NotFound("The market has no such event.")
    if row["sign_up_until"] <= tx.now or row["stopped_at"] is not None:
        raise _closed()
    return row


async def checked(tx: Tx, merchant_id: UUID, event: asyncpg.Record, data: EntryIn) -> ActivityIn:
    """The terms of the activity that this would be. Raises `Invalid`, `Conflict` `wrong_category`."""
    sizes = event["sizes"]
    size = data.size or (sizes[0] if len(sizes) == 1 else None)
    if size is None or size not in sizes:
        raise Invalid("This cannot be; see errors.", FieldError("size", "unsupported", f"One of {sizes}."))
    product = merchant_id, offers.own(merchant_id, data.product_id, "product_id")
    wanted = set(event["category_ids"])
    if wanted and wanted.isdisjoint(await event_repository.categories(tx, product)):
        raise Conflict("This event takes products of other categories.", code="wrong_category")
    return ActivityIn(
        product_id=data.product_id,
        name=event["name"],
        skus=data.skus,
        size=size,
        hours=event["hours"],
        starts_at=event["starts_at"],
        ends_at=event["ends_at"],
        per_order=data.per_order,
        per_account=data.per_account,
        new_only=event["new_only"],
        show_open=data.show_open,
        market_coupons=event["market_coupons"],
    )


async def take_in(tx: Tx, key: Key, event_id: UUID, terms: ActivityIn, goods: offers.Goods) -> None:
    """What was approved is part of the event from now on. In the system scope. Raises `Conflict`: `event_over`,
    `activity_overlap` with both names."""
    event = await event_repository.event_to_join(tx, event_id)
    assert event is not None, "events are not deleted"
    if event["stopped_at"] is not None or event["ends_at"] <= tx.now:
        raise over()
    await activities.add_skus(tx, MARKET_ID, event_id, [(key[0], sku) for sku in goods.skus])
    await offers.put(tx, key, terms, goods, (event_id, event["merchant_share_bp"]))


def over() -> Conflict:
    """Nothing begins in an event that is over."""
    return Conflict("This event is over.", code="event_over")


def _closed() -> Conflict:
    return Conflict("The sign-up is over; nothing of it changes any more.", code="sign_up_over")


async def _row(tx: Tx, event: str) -> asyncpg.Record:
    row = await event_repository.event(tx, parse_ref(event))
    if row is None:
        raise NotFound("There is no such event.")
    return row


def _shown(row: asyncpg.Record, now: datetime) -> EventShown:
    return EventShown(
        id=ref(row["id"]),
        name=row["name"],
        rules=row["rules"],
        phase=phase_of(row, now),
        starts_at=row["starts_at"],
        ends_at=row["stopped_at"] or row["ends_at"],
        sizes=row["sizes"],
        hours=row["hours"],
        new_only=row["new_only"],
        market_coupons=row["market_coupons"],
    )


def _out(row: asyncpg.Record, now: datetime, *, market: bool) -> EventOut:
    shown = _shown(row, now)
    return EventOut(
        **{name: getattr(shown, name) for name in shown.__struct_fields__},
        sign_up_until=row["sign_up_until"],
        invited=bool(row["invited"]),
        category_ids=[ref(i) for i in row["category_ids"]],
        merchant_share_bp=row["merchant_share_bp"],
        created_at=row["created_at"],
        merchant_ids=[ref(i) for i in row["invited"]] if market else None,
    )


async def to_buyers(tx: Tx) -> list[EventShown]:
    """Events that run or will, by their start."""
    return [_shown(row, tx.now) for row in await event_repository.shown_events(tx)]


async def to_buyer(tx: Tx, event: str) -> EventShown:
    """One event. Raises `NotFound`."""
    return _shown(await _row(tx, event), tx.now)


async def items(
    tx: Tx, event: str, cursor: str | None, limit: int, *, staff: bool = False
) -> Page[EventItem]:
    """What an event sells, of all shops; for `staff` with what was sold. Raises `NotFound`."""
    row = await _row(tx, event)
    after = decode_cursor(cursor, UUID) if cursor else None
    rows = await event_repository.activities_of(tx, row["id"], after, check_limit(limit) + 1, staff=staff)
    following = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page(
        [EventItem(activity_out(x, tx.now, staff=staff), product_of(x)) for x in rows[:limit]], following
    )


async def open_groups(tx: Tx, event: str, cursor: str | None, limit: int) -> Page[EventGroup]:
    """Groups of all shops in the event that can be joined, the first to end first. In the system scope. Raises
    `NotFound`."""
    row = await _row(tx, event)
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    rows = await event_repository.open_groups(tx, row["id"], after, check_limit(limit) + 1)
    end = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor((end["expires_at"], end["id"])) if end else None
    return Page([_group(x) for x in rows[:limit]], following)


def _group(row: asyncpg.Record) -> EventGroup:
    return EventGroup(
        id=ref(row["merchant_id"], row["id"]),
        code=row["code"],
        leader=masked(row["nickname"]),
        size=row["size"],
        left=row["size"] - row["taken"],
        expires_at=row["expires_at"],
        activity_id=ref(row["activity_id"]),
        merchant_id=ref(row["merchant_id"]),
        product=product_of(row),
    )
