"""Commands of the calendar. Plugins call them in the transaction that writes their own details of the activity."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from core.activities import repository
from core.db.tx import Tx
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import new_id, ref
from core.types.activities import Activity, ActivityDraft, ActivityReport, Phase

MAX_SKUS = 2000

Skus = Sequence[tuple[UUID, UUID]]


async def schedule(tx: Tx, draft: ActivityDraft) -> UUID:
    """Put an activity into the calendar; the answer is its id. In the scope of its merchant, or the system scope.

    Raises `Invalid` for a period that ends before it starts or is over, and for too many SKUs; `NotFound` for a campaign or
    SKU that there is not; `Conflict` (`activity_overlap`, with both names per SKU) when it is exclusive and a SKU is in
    another exclusive one at that time.
    """
    _check(tx, draft.starts_at, draft.ends_at)
    if draft.campaign_id and not await repository.campaigns(tx, draft.merchant_id, draft.campaign_id):
        raise NotFound("No such campaign.")
    activity_id = draft.id or new_id()
    await repository.add(tx, activity_id, draft)
    await _add_skus(tx, activity_id, draft, draft.skus)
    return activity_id


async def add_skus(tx: Tx, merchant_id: UUID, activity_id: UUID, skus: Skus) -> None:
    """More SKUs for an activity, for instance of a shop that takes part in one of the market's. In the system scope. Raises
    as `schedule` does, and `NotFound` for an activity that there is not or that is over."""
    found = await one(tx, merchant_id, activity_id)
    if found.phase in ("over", "stopped"):
        raise Conflict("This activity is over.", code="activity_over")
    await _add_skus(tx, activity_id, found, skus)


async def drop_skus(tx: Tx, activity_id: UUID, skus: Sequence[UUID]) -> None:
    """Take SKUs out of an activity; what was sold keeps its activity."""
    await repository.drop_skus(tx, activity_id, skus)


async def reschedule(
    tx: Tx,
    merchant_id: UUID,
    activity_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    name: str | None = None,
) -> None:
    """Another period, and perhaps another name. Raises as `schedule` does; `NotFound` when it is stopped or not there."""
    _check(tx, starts_at, ends_at)
    period = (starts_at, ends_at)
    try:
        async with tx.savepoint("reschedule"):
            done = await repository.move(tx, merchant_id, activity_id, period, name)
    except asyncpg.ExclusionViolationError:
        mine = (await one(tx, merchant_id, activity_id)).name
        skus = [row["sku_id"] for row in await repository.skus(tx, activity_id)]
        raise await _overlap(tx, mine, skus, period, activity_id) from None
    if not done:
        raise NotFound("No such activity.")


async def stop(tx: Tx, merchant_id: UUID, activity_id: UUID) -> bool:
    """End an activity now: its SKUs are free for others. False when it was over before."""
    return await repository.stop(tx, merchant_id, activity_id)


async def one(tx: Tx, merchant_id: UUID, activity_id: UUID) -> Activity:
    """One activity. Raises `NotFound`."""
    rows = await repository.page(tx, merchant_id=merchant_id, activity_id=activity_id)
    if not rows:
        raise NotFound("No such activity.")
    return shown(rows[0], tx.now)


async def report(tx: Tx, activity_id: UUID, merchant_id: UUID | None) -> ActivityReport:
    """What an activity brought: to one merchant, or with None to all."""
    row = await repository.report(tx, activity_id, merchant_id)
    given = row["market_borne"] + row["merchant_borne"]
    kept = row["goods_amount"] - row["refunded_amount"]
    return ActivityReport(**dict(row), return_bp=kept * 10_000 // given if given else None)


def shown(row: asyncpg.Record, now: datetime) -> Activity:
    """The activity in a row."""
    return Activity(
        id=row["id"],
        merchant_id=row["merchant_id"],
        plugin=row["plugin"],
        kind=row["kind"],
        name=row["name"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        exclusive=row["exclusive"],
        phase=_phase(row, now),
        campaign_id=row["campaign_id"],
        campaign=row["campaign"],
        skus=row["skus"],
        stopped_at=row["stopped_at"],
    )


def _phase(row: asyncpg.Record, now: datetime) -> Phase:
    if row["status"] == "stopped":
        return "stopped"
    if now < row["starts_at"]:
        return "upcoming"
    return "running" if now < row["ends_at"] else "over"


async def _add_skus(tx: Tx, activity_id: UUID, of: ActivityDraft | Activity, skus: Skus) -> None:
    if not skus:
        return
    wanted = sorted(set(skus), key=lambda sku: sku[1])
    if len(wanted) > MAX_SKUS:
        raise Invalid(
            "Too many SKUs.", FieldError("skus", "too_many", f"At most {MAX_SKUS} in one activity.")
        )
    try:
        async with tx.savepoint("skus"):
            found = await repository.add_skus(tx, activity_id, of, wanted)
    except asyncpg.ExclusionViolationError:
        period = (of.starts_at, of.ends_at)
        raise await _overlap(tx, of.name, [sku for _, sku in wanted], period, activity_id) from None
    except asyncpg.UniqueViolationError:
        raise Conflict("A SKU takes part in this activity already.", code="already_in") from None
    missing = [ref(*sku) for sku in wanted if sku[1] not in found]
    if missing:
        raise NotFound(f"No such SKU: {', '.join(missing[:3])}.")


async def _overlap(
    tx: Tx, mine: str, skus: Sequence[UUID], period: tuple[datetime, datetime], activity_id: UUID
) -> Conflict:
    found = await repository.rivals(tx, skus, period, activity_id)
    clashes = [
        {
            "sku_id": ref(row["merchant_id"], row["sku_id"]),
            "activity": mine,
            "other": row["name"],
            "plugin": row["plugin"],
            "starts_at": row["starts_at"],
            "ends_at": row["ends_at"],
        }
        for row in found
    ]
    # It may have ended meanwhile.
    other = f"“{found[0]['name']}” ({found[0]['plugin']})" if found else "another activity"
    return Conflict(
        f"“{mine}” cannot have a SKU that {other} has at that time; choose another time, or end that one first.",
        code="activity_overlap",
        clashes=clashes,
    )


def _check(tx: Tx, starts_at: datetime, ends_at: datetime) -> None:
    errors = []
    if ends_at <= starts_at:
        errors.append(FieldError("ends_at", "range", "End after the start."))
    elif ends_at <= tx.now:
        errors.append(FieldError("ends_at", "past", "End in the future."))
    if errors:
        raise Invalid("This period cannot be.", *errors)
