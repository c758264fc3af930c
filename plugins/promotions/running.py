"""Drafting, publishing, changing, extending and stopping promotions. Whose they are is a shop or, with `MARKET_ID`,
the market.

A promotion that names SKUs of several shops is the market's and runs in the system scope, for the calendar has a row
with each.
"""

from collections.abc import Awaitable
from typing import NoReturn
from uuid import UUID

import asyncpg
import msgspec

from core.api import (
    MARKET_ID,
    ActivityDraft,
    ActivityReport,
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
    ref,
    rules_changed,
)
from plugins.promotions import repository
from plugins.promotions.checks import PromotionChecks, far
from plugins.promotions.config import Config
from plugins.promotions.repository import Key, Plan
from plugins.promotions.rules import PLUGIN
from plugins.promotions.schemas import Extension, Offered, PromotionIn, PromotionOut
from plugins.promotions.shown import page_end, page_start, promotion_out, status_of, text
from plugins.promotions.terms import BUNDLE, LIMITED, Terms


async def draft(tx: Tx, merchant_id: UUID, data: PromotionIn, by: UUID) -> PromotionOut:
    """A new draft. Raises `Invalid`, `NotFound` for a campaign, and `Forbidden` `not_running`."""
    if merchant_id != MARKET_ID and not tx.config(Config).merchants_may_run:
        raise Forbidden("Shops do not run promotions in this market.", code="not_running")
    plan = await _plan(tx, merchant_id, data)
    return promotion_out(await repository.add(tx, (merchant_id, new_id()), plan, by), tx.now)


async def change(tx: Tx, merchant_id: UUID, promotion_id: str, data: PromotionIn) -> PromotionOut:
    """Write a draft, or one that has not begun, anew. Raises `Invalid`, `NotFound`, and `Conflict`: `already_begun`,
    `activity_overlap`."""
    key = own(merchant_id, promotion_id)
    before = _there(await repository.one(tx, key, locked=True))
    if before["status"] == "stopped" or (before["status"] == "scheduled" and before["starts_at"] <= tx.now):
        raise Conflict("It has begun; now it can only be extended or stopped.", code="already_begun")
    if data.kind != before["kind"]:
        fault = FieldError("kind", "fixed", f"It is a {before['kind']}; draft another one instead.")
        raise Invalid("A promotion keeps its kind.", fault)
    plan = await _plan(tx, merchant_id, data)
    scheduled = before["status"] == "scheduled"
    row = await _alone(tx, key, plan, repository.change(tx, key, plan))
    if scheduled:
        await activities.drop_skus(tx, key[1], before["skus"])
        await activities.reschedule(tx, *key, plan.starts_at, plan.ends_at, plan.terms.name)
        await activities.add_skus(tx, *key, _of_calendar(plan.terms))
        await rules_changed(tx, PLUGIN, merchant_id)
    return promotion_out(_there(row), tx.now)


async def publish(tx: Tx, merchant_id: UUID, promotion_id: str, by: UUID) -> PromotionOut:
    """Put a draft into the calendar; from its start on it holds.

    Raises `NotFound`, `Invalid` for a period that is over, and `Conflict`: `not_a_draft`, `too_many`,
    `activity_overlap` with both names.
    """
    key = own(merchant_id, promotion_id)
    before = _there(await repository.one(tx, key, locked=True))
    if before["status"] != "draft":
        raise Conflict("It is published already.", code="not_a_draft")
    if await repository.going(tx, merchant_id) >= tx.config(Config).most_per_shop:
        raise Conflict("Too many promotions at once; stop one first.", code="too_many")
    terms = msgspec.json.decode(before["terms_json"], type=Terms)
    skus = list(zip(before["owners"], before["skus"], strict=True))
    plan = Plan(terms, before["starts_at"], before["ends_at"], before["campaign_id"], skus)
    row = await _alone(tx, key, plan, repository.publish(tx, key))
    await activities.schedule(
        tx,
        ActivityDraft(
            id=key[1],
            merchant_id=merchant_id,
            plugin=PLUGIN,
            kind=terms.kind,
            name=terms.name,
            starts_at=plan.starts_at,
            ends_at=plan.ends_at,
            skus=tuple(_of_calendar(terms)),
            exclusive=terms.kind == LIMITED,
            campaign_id=plan.campaign_id,
            created_by=by,
        ),
    )
    await rules_changed(tx, PLUGIN, merchant_id)
    return promotion_out(_there(row), tx.now)


async def extend(tx: Tx, merchant_id: UUID, promotion_id: str, data: Extension) -> PromotionOut:
    """A later end, also while it runs. Raises `NotFound`, `Invalid`, and `Conflict`: `not_running`, `activity_overlap`."""
    key = own(merchant_id, promotion_id)
    before = _there(await repository.one(tx, key, locked=True))
    faults = list(far(tx.now, "ends_at", data.ends_at))
    if data.ends_at <= before["ends_at"]:
        faults.append(FieldError("ends_at", "range", "Later than it ends now; stop it to end it sooner."))
    if faults:
        raise Invalid("It cannot be extended like this.", *faults)
    terms = msgspec.json.decode(before["terms_json"], type=Terms)
    plan = Plan(terms, before["starts_at"], data.ends_at, None, ())
    row = await _alone(tx, key, plan, repository.extend(tx, key, data.ends_at))
    if row is None:
        raise _not_running()
    await activities.reschedule(tx, *key, before["starts_at"], data.ends_at)
    await rules_changed(tx, PLUGIN, merchant_id)
    return promotion_out(row, tx.now)


async def stop(tx: Tx, merchant_id: UUID, promotion_id: str, reason: str = "") -> PromotionOut:
    """End it now; what was bought keeps its price. The merchant's staff see the `reason`. Raises `NotFound`, and
    `Conflict` `not_running`."""
    key = own(merchant_id, promotion_id)
    _there(await repository.one(tx, key))
    row = await repository.stop(tx, key, reason)
    if row is None:
        raise _not_running()
    await activities.stop(tx, *key)
    await rules_changed(tx, PLUGIN, merchant_id)
    return promotion_out(row, tx.now)


async def stop_any(tx: Tx, promotion_id: str, reason: str) -> PromotionOut:
    """`stop` by the market, in the system scope: also what a shop runs, which is to know why. Raises `Invalid` without a
    reason for a shop's."""
    owner, _ = parse_pair(promotion_id)
    told = " ".join(reason.split())
    if owner != MARKET_ID and not told:
        fault = FieldError("reason", "required", "Tell the shop why.")
        raise Invalid("A shop's promotion is not stopped without a reason.", fault)
    return await stop(tx, owner, promotion_id, told)


async def drop(tx: Tx, merchant_id: UUID, promotion_id: str) -> None:
    """Delete a draft. Raises `NotFound`, and `Conflict` `not_a_draft`."""
    key = own(merchant_id, promotion_id)
    _there(await repository.one(tx, key))
    if not await repository.drop(tx, key):
        raise Conflict("Only a draft can be deleted.", code="not_a_draft")


async def one(tx: Tx, merchant_id: UUID, promotion_id: str) -> PromotionOut:
    """One of the merchant's promotions. Raises `NotFound`."""
    return promotion_out(_there(await repository.one(tx, own(merchant_id, promotion_id))), tx.now)


async def page(
    tx: Tx, merchant_id: UUID, kind: str | None, status: str | None, cursor: str | None, limit: int
) -> Page[PromotionOut]:
    """The merchant's promotions, newest first."""
    rows = await repository.page(tx, merchant_id, page_start(cursor), kind, status, check_limit(limit) + 1)
    return Page([promotion_out(row, tx.now) for row in rows[:limit]], page_end(rows, limit))


async def offered(tx: Tx, merchant_id: UUID) -> list[Offered]:
    """What of the merchant's runs now, for buyers."""
    return [
        Offered(
            id=ref(row["merchant_id"], row["id"]),
            merchant_id=ref(row["merchant_id"]),
            kind=terms.kind,
            text=text(terms),
            terms=terms,
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
        )
        for row in await repository.shown(tx, [merchant_id], tx.now)
        if (terms := msgspec.json.decode(row["terms_json"], type=Terms))
    ]


async def report(tx: Tx, merchant_id: UUID, promotion_id: str) -> ActivityReport:
    """What it brought and cost, by the calendar: to the shop, or to all. Raises `NotFound`."""
    key = own(merchant_id, promotion_id)
    row = _there(await repository.one(tx, key))
    if status_of(row, tx.now) == "draft":
        raise NotFound("A draft has brought nothing yet.")
    return await activities.report(tx, key[1], None if merchant_id == MARKET_ID else merchant_id)


async def _plan(tx: Tx, merchant_id: UUID, data: PromotionIn) -> Plan:
    checks = PromotionChecks(data, merchant_id, tx.now)
    faults = list(checks.faults())
    skus: list[Key] = []
    if not faults:
        faults, skus = await checks.unknown(tx)
    if faults:
        raise Invalid("This promotion cannot be; see errors.", *faults)
    campaign_id = None
    if data.campaign_id is not None:
        owner, campaign_id = parse_pair(data.campaign_id)
        if owner != merchant_id:
            raise NotFound("No such campaign.")
    name = " ".join(data.name.split())
    if not name:
        raise Invalid("A promotion needs a name.", FieldError("name", "required", "Give it a name."))
    terms = msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(data, name=name)), Terms)
    return Plan(terms, data.starts_at, data.ends_at, campaign_id, skus)


def _of_calendar(terms: Terms) -> list[Key]:
    """The SKUs that the activity is about; gifts come with others."""
    named = {item.sku_id for item in terms.items} if terms.kind in (LIMITED, BUNDLE) else set()
    return sorted(parse_pair(text) for text in named)


async def _alone(
    tx: Tx, key: Key, plan: Plan, writing: Awaitable[asyncpg.Record | None]
) -> asyncpg.Record | None:
    """Carry `writing` out; a second full reduction of a merchant at one time is refused with both names."""
    try:
        async with tx.savepoint("promotion"):
            return await writing
    except asyncpg.ExclusionViolationError:
        other = await repository.rival(tx, key, plan.starts_at, plan.ends_at)
        _overlap(plan.terms.name, other)


def _overlap(mine: str, other: str | None) -> NoReturn:
    named = f"“{other}”" if other else "another one"
    raise Conflict(
        f"“{mine}” cannot run at the same time as {named}: one full reduction at a time. Choose another time, or"
        " stop that one.",
        code="activity_overlap",
        clashes=[{"activity": mine, "other": other}],
    )


def own(merchant_id: UUID, promotion_id: str) -> Key:
    """The key in a promotion's opaque id. Raises `NotFound` when it is another merchant's."""
    key = parse_pair(promotion_id)
    if key[0] != merchant_id:
        raise NotFound("There is no such promotion.")
    return key


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("There is no such promotion.")
    return row


def _not_running() -> Conflict:
    return Conflict("It is neither scheduled nor running.", code="not_running")
