"""What shops hand in for the market's review: what they offer in its events, and where it reviews them activities of their
own. Both go the way of `review.py`; only what is approved becomes an activity, so nothing else can be bought."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from core.api import (
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Page,
    Tx,
    activities,
    check_limit,
    decode_cursor,
    encode_cursor,
    new_id,
    parse_pair,
    parse_ref,
    ref,
)
from plugins.group_buy import event_repository, events, offers, repository
from plugins.group_buy.config import Config
from plugins.group_buy.event_repository import terms_of
from plugins.group_buy.event_schemas import EntryIn, EntryOut
from plugins.group_buy.repository import Key
from plugins.group_buy.review import Status, Step, after
from plugins.group_buy.schemas import ActivityIn, ActivityOut, PriceOut


async def begin(tx: Tx, merchant_id: UUID, actor_id: UUID, data: ActivityIn) -> ActivityOut:
    """A shop's new activity; where the market reviews them it waits. Raises as `offers.begin`."""
    if tx.config(Config).review == "none":
        return await offers.begin(tx, merchant_id, actor_id, data)
    offers.may_run(tx)
    goods = await offers.checked(tx, merchant_id, data)
    key = merchant_id, new_id()
    await event_repository.add_entry(tx, key, None, goods.product_id, data)
    await _fits(tx, key, data, goods)
    return (await _one(tx, key)).activity


async def sign_up(tx: Tx, merchant_id: UUID, event: str, data: EntryIn) -> EntryOut:
    """Offer a product in an event.

    Raises `NotFound`; `Invalid`; `Forbidden` `not_invited`; `Conflict`: `sign_up_over`, `wrong_category`,
    `activity_overlap`, `already_signed_up`.
    """
    found = await events.open_for(tx, merchant_id, parse_ref(event))
    terms = await events.checked(tx, merchant_id, found, data)
    goods = await offers.checked(tx, merchant_id, terms)
    key = merchant_id, new_id()
    async with _once(tx):
        await event_repository.add_entry(tx, key, found["id"], goods.product_id, terms)
    await _fits(tx, key, terms, goods)
    return await _one(tx, key)


async def change_own(tx: Tx, merchant_id: UUID, activity_id: str, data: ActivityIn) -> ActivityOut:
    """Hand in an activity of the shop's own again, with these terms. Raises as `begin`; `NotFound`, `Conflict`
    `wrong_status`."""
    key = merchant_id, parse_ref(activity_id)
    row = await _locked(tx, key)
    if row["event_id"] is not None:
        raise _none()
    status = _after(row, Step.HAND_IN)
    offers.may_run(tx)
    goods = await offers.checked(tx, merchant_id, data)
    await event_repository.change_entry(tx, key, goods.product_id, data, status)
    await _fits(tx, key, data, goods)
    return (await _one(tx, key)).activity


async def change(tx: Tx, merchant_id: UUID, entry: str, data: EntryIn) -> EntryOut:
    """Hand in again what is offered in an event. Raises as `sign_up`; `NotFound`, `Conflict` `wrong_status`."""
    key = _own(merchant_id, entry)
    row = await _locked(tx, key)
    if row["event_id"] is None:
        raise _none()
    found = await events.open_for(tx, merchant_id, row["event_id"])
    status = _after(row, Step.HAND_IN)
    terms = await events.checked(tx, merchant_id, found, data)
    goods = await offers.checked(tx, merchant_id, terms)
    async with _once(tx):
        await event_repository.change_entry(tx, key, goods.product_id, terms, status)
    await _fits(tx, key, terms, goods)
    return await _one(tx, key)


async def withdraw(tx: Tx, merchant_id: UUID, entry: str) -> EntryOut:
    """Take back what was handed in; of an event while its sign-up is open, also when it was approved. Raises `NotFound`;
    `Conflict`: `sign_up_over`, `wrong_status`."""
    key = _own(merchant_id, entry)
    row = await _locked(tx, key)
    if row["event_id"] is not None:
        await events.still_open(tx, row["event_id"])
    status = _after(row, Step.WITHDRAW)
    if row["status"] == Status.APPROVED:
        await offers.leave_event(tx, key, row["event_id"])
    await event_repository.move_entry(tx, key, status)
    return await _one(tx, key)


async def approve(tx: Tx, by: UUID, entry: str, version: int) -> EntryOut:
    """Make an activity of what was handed in, which is in the calendar from now on. In the system scope.

    Raises `NotFound`; `Conflict`: `wrong_status`, `changed_meanwhile` when its `version` is another one, `terms_outdated`
    with the faults they have by now, `event_over`, `activity_overlap` with both names; `Forbidden` `not_running`.
    """
    key = parse_pair(entry)
    row = await _locked(tx, key)
    status = _after(row, Step.APPROVE)
    if row["version"] != version:
        raise Conflict("The shop has changed this meanwhile; read it again.", code="changed_meanwhile")
    try:
        await _let_in(tx, by, key, row)
    except Invalid as error:
        faults = error.extra.get("errors", ())
        detail = "These terms cannot be any more; refuse them and say why."
        raise Conflict(detail, code="terms_outdated", errors=faults) from None
    await event_repository.move_entry(tx, key, status, by, "")
    return await _one(tx, key)


async def _let_in(tx: Tx, by: UUID, key: Key, row: asyncpg.Record) -> None:
    terms = terms_of(row)
    goods = await offers.checked(tx, key[0], terms)
    if row["event_id"] is not None:
        await events.take_in(tx, key, row["event_id"], terms, goods)
        return
    offers.may_run(tx)
    await activities.schedule(tx, offers.drafted(key, by, terms, goods))
    await offers.put(tx, key, terms, goods)


async def refuse(tx: Tx, by: UUID, entry: str, reason: str) -> EntryOut:
    """Refuse what was handed in, and say why. In the system scope. Raises `NotFound`, `Conflict` `wrong_status`."""
    key = parse_pair(entry)
    status = _after(await _locked(tx, key), Step.REFUSE)
    await event_repository.move_entry(tx, key, status, by, reason)
    return await _one(tx, key)


async def listed(
    tx: Tx,
    merchant_id: UUID | None,
    event: str | None,
    status: str | None,
    cursor: str | None,
    limit: int,
) -> Page[EntryOut]:
    """What one shop handed in, or all, newest first; for an event, or in a status. Raises `Invalid`."""
    if status is not None and status not in list(Status):
        fault = FieldError("status", "unknown", f"Use one of {', '.join(Status)}.")
        raise Invalid("There is no such status.", fault)
    rows = await event_repository.entries(
        tx,
        merchant_id=merchant_id,
        event_id=parse_ref(event) if event is not None else None,
        status=status,
        before=decode_cursor(cursor, UUID) if cursor else None,
        limit=check_limit(limit) + 1,
    )
    following = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([_out(row) for row in rows[:limit]], following)


async def activity(tx: Tx, merchant_id: UUID, activity_id: str) -> ActivityOut:
    """A shop's activity, or what may become one. Raises `NotFound`."""
    key = merchant_id, parse_ref(activity_id)
    if await repository.one(tx, *key) is not None:
        return await offers.shown(tx, key)
    return (await _one(tx, key)).activity


async def _fits(tx: Tx, key: Key, terms: ActivityIn, goods: offers.Goods) -> None:
    """The calendar as it is has room for these terms; what waits keeps none there, so approving asks again. Raises
    `Invalid`, `NotFound` for an unknown campaign, `Conflict` `activity_overlap` with both names."""
    async with tx.aside():
        await activities.schedule(tx, offers.drafted(key, None, terms, goods))


@asynccontextmanager
async def _once(tx: Tx) -> AsyncIterator[None]:
    try:
        async with tx.savepoint("entry"):
            yield
    except asyncpg.UniqueViolationError:
        detail = "This product is offered in this event already; change that, or withdraw it."
        raise Conflict(detail, code="already_signed_up") from None


async def _locked(tx: Tx, key: Key) -> asyncpg.Record:
    row = await event_repository.locked_entry(tx, key)
    if row is None:
        raise _none()
    return row


def _after(row: asyncpg.Record, step: Step) -> Status:
    status = after(Status(row["status"]), step, of_event=row["event_id"] is not None)
    if status is None:
        raise Conflict(f"This is {row['status']} by now; look at it again.", code="wrong_status")
    return status


def _own(merchant_id: UUID, entry: str) -> Key:
    owner, row_id = parse_pair(entry)
    if owner != merchant_id:
        raise _none()
    return owner, row_id


def _none() -> NotFound:
    return NotFound("There is no such thing waiting for a review.")


async def _one(tx: Tx, key: Key) -> EntryOut:
    rows = await event_repository.entries(tx, merchant_id=key[0], entry_id=key[1])
    if not rows:
        raise _none()
    return _out(rows[0])


def _out(row: asyncpg.Record) -> EntryOut:
    shop = ref(row["merchant_id"])
    return EntryOut(
        id=ref(row["merchant_id"], row["id"]),
        merchant_id=shop,
        event_id=ref(row["event_id"]) if row["event_id"] else None,
        title=row["title"] or "",
        status=row["status"],
        reason=row["reason"],
        version=row["version"],
        applied_at=row["applied_at"],
        reviewed_at=row["reviewed_at"],
        activity=_terms(row, shop),
    )


def _terms(row: asyncpg.Record, shop: str) -> ActivityOut:
    terms = terms_of(row)
    return ActivityOut(
        id=ref(row["id"]),
        merchant_id=shop,
        product_id=terms.product_id,
        name=terms.name,
        phase=row["status"],
        size=terms.size,
        hours=terms.hours,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
        per_order=terms.per_order,
        per_account=terms.per_account,
        new_only=terms.new_only,
        show_open=terms.show_open,
        market_coupons=terms.market_coupons,
        prices=[
            PriceOut(p.sku_id, p.price, p.quota, p.leader_price, quota=p.quota, sold=0) for p in terms.skus
        ],
        event_id=ref(row["event_id"]) if row["event_id"] else None,
        merchant_share_bp=10_000 if row["merchant_share_bp"] is None else row["merchant_share_bp"],
        virtual_fill=terms.virtual_fill,
        groups={},
    )
