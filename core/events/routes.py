"""Effects, timers and outside calls for the operator: `/api/platform/events`."""

from litestar import get, post

from core.db.tx import Tx
from core.events import service
from core.events.schemas import Delivery, DropIn, Event, Retried, RetryIn, Status, Summary
from core.kit.paging import DEFAULT_LIMIT, Page
from core.types.routing import SYSTEM, permission
from core.types.scope import Principal

_MANAGE = permission("events.manage") | SYSTEM


@get("/events", opt=_MANAGE)
async def list_events(
    tx: Tx,
    status: Status | None = None,
    plugin: str | None = None,
    event: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Delivery]:
    """Deliveries, the newest event first; `failed` are those that wait after an error."""
    return await service.page(tx, status=status, plugin=plugin, event=event, limit=limit, cursor=cursor)


@get("/events/summary", opt=_MANAGE)
async def events_summary(tx: Tx) -> Summary:
    """What waits, failed or is parked, by plugin and event."""
    return await service.summary(tx)


@get("/events/{event_id:str}", opt=_MANAGE)
async def get_event(tx: Tx, event_id: str) -> Event:
    """One event, its payload and its deliveries."""
    return await service.show(tx, event_id)


@post("/events/retry", opt=_MANAGE, status_code=200)
async def retry_parked_events(tx: Tx, data: RetryIn) -> Retried:
    """Try everything parked again, or what is parked of one plugin or event."""
    return await service.retry_parked(tx, data.plugin, data.event)


@post("/events/{event_id:str}/{plugin:str}/retry", opt=_MANAGE, status_code=200)
async def retry_event(tx: Tx, event_id: str, plugin: str) -> Event:
    """Try one delivery at once. 409 `delivery_not_waiting` when it is done, dropped or under way."""
    return await service.retry(tx, event_id, plugin)


@post("/events/{event_id:str}/{plugin:str}/drop", opt=_MANAGE, status_code=200)
async def drop_event(tx: Tx, me: Principal, event_id: str, plugin: str, data: DropIn) -> Event:
    """Never deliver it. 409 `delivery_not_waiting` when it is done or dropped."""
    return await service.drop(tx, event_id, plugin, data.reason, me.account_id)


platform_routes = [
    list_events,
    events_summary,
    get_event,
    retry_parked_events,
    retry_event,
    drop_event,
]
