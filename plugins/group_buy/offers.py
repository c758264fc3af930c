"""A shop's activities: begun, changed, stopped. Each is an entry of the calendar, or part of an event that is one, which
keeps its SKUs from being in two exclusive activities at a time."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

import asyncpg

from core.api import (
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
    parse_pair,
    parse_ref,
)
from plugins.group_buy import repository
from plugins.group_buy.config import Config
from plugins.group_buy.schemas import ActivityIn, ActivityOut, ActivityPatch, GroupRow, PriceIn
from plugins.group_buy.shown import activity_out, group_row

PLUGIN = "group_buy"
Key = repository.Key
STATUSES = ("opening", "running", "succeeded", "failing", "failed", "closed")


class Goods(NamedTuple):
    """What an activity sells: the shop's product, and the price of each of its SKUs that takes part."""

    product_id: UUID
    skus: Mapping[UUID, PriceIn]


async def begin(tx: Tx, merchant_id: UUID, actor_id: UUID, data: ActivityIn) -> ActivityOut:
    """A new activity, without a review. Raises `Invalid`; `Forbidden` `not_running`; and what the calendar refuses:
    `Conflict` `activity_overlap`."""
    may_run(tx)
    goods = await checked(tx, merchant_id, data)
    key = merchant_id, new_id()
    await activities.schedule(tx, drafted(key, actor_id, data, goods))
    await put(tx, key, data, goods)
    return await shown(tx, key)


def may_run(tx: Tx) -> None:
    """Raises `Forbidden` `not_running` where shops have no activities of their own."""
    if not tx.config(Config).merchants_may_run:
        raise Forbidden("Shops do not run group-buys in this market.", code="not_running")


async def checked(tx: Tx, merchant_id: UUID, data: ActivityIn) -> Goods:
    """What these terms are about. Raises `Invalid` with all their faults."""
    product = merchant_id, own(merchant_id, data.product_id, "product_id")
    skus = {own(merchant_id, item.sku_id, "skus"): item for item in data.skus}
    usual = await repository.prices_of(tx, product, list(skus))
    faults = [*_faults(data, tx.config(Config)), *_price_faults(data, merchant_id, usual)]
    if faults:
        raise Invalid("This activity cannot be; see errors.", *faults)
    return Goods(product[1], skus)


def drafted(key: Key, actor_id: UUID | None, data: ActivityIn, goods: Goods) -> ActivityDraft:
    """The calendar's entry for a shop's own activity."""
    merchant_id, activity_id = key
    campaign = None
    if data.campaign_id is not None:
        campaign = own(merchant_id, data.campaign_id, "campaign_id")
    return ActivityDraft(
        id=activity_id,
        merchant_id=merchant_id,
        plugin=PLUGIN,
        kind=PLUGIN,
        name=data.name,
        starts_at=data.starts_at,
        ends_at=data.ends_at,
        skus=tuple([(merchant_id, sku) for sku in goods.skus]),
        exclusive=True,
        campaign_id=campaign,
        created_by=actor_id,
    )


async def put(
    tx: Tx, key: Key, data: ActivityIn, goods: Goods, event: tuple[UUID, int] | None = None
) -> None:
    """The activity, which the calendar has already; perhaps of an event: (its id, what the shop bears of the discount)."""
    prices = [(sku, item.price, item.leader_price, item.quota) for sku, item in goods.skus.items()]
    await repository.add(tx, key, goods.product_id, data, prices, event)


def own(merchant_id: UUID, text: str, field: str) -> UUID:
    """The row id in an id of the shop's own. Raises `Invalid`."""
    try:
        owner, row_id = parse_pair(text)
    except NotFound:
        owner, row_id = None, merchant_id
    if owner != merchant_id:
        raise Invalid("This is not of your shop.", FieldError(field, "unknown", "There is no such id."))
    return row_id


def _faults(data: ActivityIn, config: Config) -> Iterable[FieldError]:
    if data.hours > config.max_hours:
        yield FieldError("hours", "range", f"At most {config.max_hours}.")
    if data.virtual_fill and not config.virtual_fill_allowed:
        yield FieldError("virtual_fill", "unsupported", "This market lets no group succeed that is not full.")
    most, each = data.per_account, data.per_order
    if most is not None and each is not None and most < each:
        yield FieldError("per_account", "range", "Not below per_order.")
    if len({item.sku_id for item in data.skus}) < len(data.skus):
        yield FieldError("skus", "duplicate", "Name each SKU once.")


def _price_faults(data: ActivityIn, merchant_id: UUID, usual: Mapping[UUID, int]) -> Iterable[FieldError]:
    for at, item in enumerate(data.skus):
        price = usual.get(own(merchant_id, item.sku_id, "skus"))
        if price is None:
            yield FieldError(f"skus[{at}].sku_id", "unknown", "The product is not on sale in this SKU.")
        elif item.price >= price:
            yield FieldError(f"skus[{at}].price", "range", f"Below the ordinary price, {price} fen.")
        if item.leader_price is not None and item.leader_price > item.price:
            yield FieldError(f"skus[{at}].leader_price", "range", "Not above the price of members.")


async def shown(tx: Tx, key: Key) -> ActivityOut:
    """One activity, for the staff. Raises `NotFound`."""
    return activity_out(await _found(tx, key), tx.now, staff=True)


async def listed(tx: Tx, merchant_id: UUID, cursor: str | None, limit: int) -> Page[ActivityOut]:
    """A shop's activities, newest first."""
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await repository.page(tx, merchant_id, before, check_limit(limit) + 1)
    after = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([activity_out(row, tx.now, staff=True) for row in rows[:limit]], after)


async def change(tx: Tx, key: Key, patch: ActivityPatch) -> ActivityOut:
    """Another name, a later end, other quotas. Raises `NotFound`, `Invalid`; `Conflict`: `market_event`, `activity_over`,
    `activity_overlap`, `quota_below_sold`, and `reviewed` for all but quotas where the market reviews activities."""
    row = _own(await _running(tx, key))
    if tx.config(Config).review == "all" and (patch.ends_at, patch.name) != (None, None):
        raise Conflict("Only quotas of a reviewed activity change; begin another one.", code="reviewed")
    if patch.ends_at is not None and patch.ends_at < row["ends_at"]:
        fault = FieldError("ends_at", "range", "Only later; stop the activity to end it sooner.")
        raise Invalid("The activity can only be made longer.", fault)
    if patch.ends_at is not None or patch.name is not None:
        ends_at = patch.ends_at or row["ends_at"]
        await activities.reschedule(tx, *key, row["starts_at"], ends_at, patch.name)
        await repository.change(tx, key, patch.name, patch.ends_at)
    await _set_quotas(tx, key, patch)
    return await shown(tx, key)


async def _set_quotas(tx: Tx, key: Key, patch: ActivityPatch) -> None:
    wanted = {own(key[0], item.sku_id, "quotas"): item.quota for item in patch.quotas}
    if wanted and await repository.set_quotas(tx, key, sorted(wanted.items())) != wanted.keys():
        raise Conflict(
            "A SKU is not part of this activity, or more of it is sold than this quota.",
            code="quota_below_sold",
        )


async def stop(tx: Tx, key: Key) -> ActivityOut:
    """No new groups from now on; those that were opened have their time. Raises `NotFound`; `Conflict`: `market_event`,
    `activity_over`."""
    _own(await _running(tx, key))
    await activities.stop(tx, *key)
    await repository.stop(tx, key)
    return await shown(tx, key)


async def stop_any(tx: Tx, key: Key) -> ActivityOut:
    """`stop` by the market, in the system scope: also what is part of an event, whose other activities go on."""
    row = await _running(tx, key)
    if row["event_id"] is None:
        return await stop(tx, key)
    await leave_event(tx, key, row["event_id"])
    return await shown(tx, key)


async def leave_event(tx: Tx, key: Key, event_id: UUID) -> None:
    """No new groups of what is part of an event; the calendar has its SKUs free for others."""
    skus = [price.sku_id for price in repository.prices(await _found(tx, key))]
    await activities.drop_skus(tx, event_id, skus)
    await repository.stop(tx, key)


def _own(row: asyncpg.Record) -> asyncpg.Record:
    if row["event_id"] is not None:
        raise Conflict("This is part of an event of the market, which decides about it.", code="market_event")
    return row


async def _found(tx: Tx, key: Key) -> asyncpg.Record:
    row = await repository.one(tx, *key)
    if row is None:
        raise _none()
    return row


async def _running(tx: Tx, key: Key) -> asyncpg.Record:
    row = await repository.lock(tx, key)
    if row is None:
        raise _none()
    if row["stopped_at"] is not None or row["ends_at"] <= tx.now:
        raise Conflict("This activity is over.", code="activity_over")
    return row


async def groups(tx: Tx, key: Key, status: str | None, cursor: str | None, limit: int) -> Page[GroupRow]:
    """An activity's groups, newest first. Raises `Invalid`."""
    if status is not None and status not in STATUSES:
        raise Invalid(
            "Unknown status.", FieldError("status", "unknown", f"Use one of {', '.join(STATUSES)}.")
        )
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await repository.groups(tx, key, status, before, check_limit(limit) + 1)
    after = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([group_row(row) for row in rows[:limit]], after)


async def key_of(tx: Tx, merchant_id: UUID | None, activity_id: str) -> Key:
    """The key of an activity: of this shop, or with None of any. Raises `NotFound`."""
    row = await repository.one(tx, merchant_id, parse_ref(activity_id))
    if row is None:
        raise _none()
    return row["merchant_id"], row["id"]


def _none() -> NotFound:
    return NotFound("There is no such group-buy.")
