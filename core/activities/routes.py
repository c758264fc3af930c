"""The calendar over HTTP: a shop's own, and all of it for the market."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from litestar import delete, get, patch, post

from core.activities import repository, service
from core.activities.schemas import ActivityOut, CampaignChange, CampaignIn, CampaignOut, activity_out
from core.db.tx import Tx
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import MARKET_ID, new_id, parse_pair, parse_ref, ref
from core.kit.paging import DEFAULT_LIMIT, Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean
from core.types.activities import ActivityReport
from core.types.routing import permission
from core.types.scope import Principal

_READ, _WRITE = permission("activities.read"), permission("activities.write")


@get("/activities", opt=_READ)
async def shop_calendar(
    tx: Tx,
    me: Principal,
    since: datetime | None = None,
    until: datetime | None = None,
    plugin: str | None = None,
    campaign_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[ActivityOut]:
    """The shop's activities by their start; `since` and `until` keep those that touch that time."""
    return await _calendar(
        tx, _owner(me), since, until, plugin, _of_owner(_owner(me), campaign_id), cursor, limit
    )


@get("/activities/{activity_id:str}", opt=_READ)
async def shop_activity(tx: Tx, me: Principal, activity_id: str) -> ActivityOut:
    """One of the shop's activities."""
    return activity_out(await service.one(tx, _owner(me), parse_ref(activity_id)))


@get("/activities/{activity_id:str}/report", opt=_READ)
async def shop_report(tx: Tx, me: Principal, activity_id: str) -> ActivityReport:
    """What an activity brought this shop: one of its own, or of the market."""
    row_id = parse_ref(activity_id)
    if not await repository.concerns(tx, _owner(me), row_id):
        raise NotFound("No such activity.")
    return await service.report(tx, row_id, _owner(me))


@get("/activities", opt=_READ)
async def whole_calendar(
    tx: Tx,
    merchant_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    plugin: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[ActivityOut]:
    """Activities of all shops and the market's own, by their start."""
    owner = parse_ref(merchant_id) if merchant_id is not None else None
    return await _calendar(tx, owner, since, until, plugin, None, cursor, limit)


@get("/activities/{activity_id:str}/report", opt=_READ)
async def whole_report(tx: Tx, activity_id: str) -> ActivityReport:
    """What any activity brought, all shops together."""
    row_id = parse_ref(activity_id)
    if not await repository.page(tx, activity_id=row_id):
        raise NotFound("No such activity.")
    return await service.report(tx, row_id, None)


@get("/campaigns", opt=_READ)
async def own_campaigns(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[CampaignOut]:
    """The shop's (or the market's own) campaigns, newest first."""
    before = decode_cursor(cursor, UUID) if cursor is not None else None
    rows = await repository.campaigns(tx, _owner(me), None, before, check_limit(limit) + 1)
    following = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([_campaign(dict(row)) for row in rows[:limit]], following)


@post("/campaigns", opt=_WRITE)
async def open_campaign(tx: Tx, me: Principal, data: CampaignIn) -> CampaignOut:
    """A new campaign."""
    if data.ends_at <= data.starts_at:
        raise _backwards()
    campaign_id = new_id()
    period = (data.starts_at, data.ends_at)
    await repository.add_campaign(tx, _owner(me), campaign_id, _title(data.name), period, me.account_id)
    return CampaignOut(ref(_owner(me), campaign_id), ref(_owner(me)), _title(data.name), *period, 0)


@patch("/campaigns/{campaign_id:str}", opt=_WRITE)
async def change_campaign(tx: Tx, me: Principal, campaign_id: str, data: CampaignChange) -> CampaignOut:
    """Change a campaign; its activities keep their own times."""
    name = _title(data.name) if data.name is not None else None
    row_id = _own(me, campaign_id)
    try:
        row = await repository.change_campaign(tx, _owner(me), row_id, name, data.starts_at, data.ends_at)
    except asyncpg.CheckViolationError:
        raise _backwards() from None
    if row is None:
        raise NotFound("No such campaign.")
    return _campaign(dict((await repository.campaigns(tx, _owner(me), row_id))[0]))


@delete("/campaigns/{campaign_id:str}", opt=_WRITE)
async def drop_campaign(tx: Tx, me: Principal, campaign_id: str) -> None:
    """Delete a campaign that has no activities."""
    row_id = _own(me, campaign_id)
    if await repository.drop_campaign(tx, _owner(me), row_id):
        return
    if not await repository.campaigns(tx, _owner(me), row_id):
        raise NotFound("No such campaign.")
    raise Conflict("This campaign has activities; it stays for their sake.", code="in_use")


async def _calendar(
    tx: Tx,
    owner: UUID | None,
    since: datetime | None,
    until: datetime | None,
    plugin: str | None,
    campaign_id: UUID | None,
    cursor: str | None,
    limit: int,
) -> Page[ActivityOut]:
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor is not None else None
    rows = await repository.page(
        tx,
        merchant_id=owner,
        since=since,
        until=until,
        plugin=plugin,
        campaign_id=campaign_id,
        after=after,
        limit=check_limit(limit) + 1,
    )
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor((last["starts_at"], last["id"])) if last else None
    return Page([activity_out(service.shown(row, tx.now)) for row in rows[:limit]], following)


def _owner(me: Principal) -> UUID:
    return me.merchant_id or MARKET_ID


def _own(me: Principal, row: str) -> UUID:
    owner, row_id = parse_pair(row)
    if owner != _owner(me):
        raise NotFound("No such thing of yours.")
    return row_id


def _of_owner(owner: UUID, row: str | None) -> UUID | None:
    if row is None:
        return None
    found, row_id = parse_pair(row)
    if found != owner:
        raise NotFound("No such campaign.")
    return row_id


def _title(text: str) -> str:
    title = " ".join(clean(text).split())
    if not title:
        raise Invalid("A campaign needs a name.", FieldError("name", "required", "Give it a name."))
    return title


def _backwards() -> Invalid:
    return Invalid("This period cannot be.", FieldError("ends_at", "range", "End after the start."))


def _campaign(row: dict[str, Any]) -> CampaignOut:
    return CampaignOut(
        ref(row["merchant_id"], row["id"]),
        ref(row["merchant_id"]),
        row["name"],
        row["starts_at"],
        row["ends_at"],
        row["activities"],
    )


_CAMPAIGNS = [own_campaigns, open_campaign, change_campaign, drop_campaign]
merchant_routes = [shop_calendar, shop_activity, shop_report, *_CAMPAIGNS]
platform_routes = [whole_calendar, whole_report, *_CAMPAIGNS]
