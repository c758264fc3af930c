"""Routes under /api/<audience>/flash_sale."""

from typing import cast
from uuid import UUID

from litestar import get, patch, post
from redis.asyncio import Redis

from core.api import DEFAULT_LIMIT, MARKET_ID, PUBLIC, SYSTEM, Forbidden, Page, Principal, Tx, permission
from core.api import limit as at_most
from plugins.flash_sale import admission, entries, events, shown
from plugins.flash_sale.admission import Gated
from plugins.flash_sale.schemas import (
    AdmissionIn,
    EntryOut,
    EventChange,
    EventOut,
    MarketEventIn,
    OfferIn,
    ReasonIn,
    SaleOut,
    ShopEventIn,
    SoldOut,
    StopIn,
    TicketOut,
)

PLUGIN = "flash_sale"
MANAGE = "flash_sale.manage"
_MANAGE = permission(MANAGE)
# What is reviewed, or stopped, may be a shop's row.
_REVIEW = SYSTEM | _MANAGE


@get("/events", opt=_MANAGE)
async def list_market_events(tx: Tx, cursor: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[EventOut]:
    """The market's events, newest first."""
    return await events.listed(tx, MARKET_ID, cursor, limit)


@post("/events", opt=_MANAGE)
async def open_market_event(tx: Tx, me: Principal, data: MarketEventIn) -> EventOut:
    """Open an event of the market, for which shops sign up."""
    return await events.open_market(tx, me.account_id, data)


@get("/events/{event_id:str}", opt=_MANAGE)
async def get_market_event(tx: Tx, event_id: str) -> EventOut:
    """One of the market's events."""
    return await events.one(tx, MARKET_ID, event_id)


@patch("/events/{event_id:str}", opt=_MANAGE)
async def change_market_event(tx: Tx, event_id: str, data: EventChange) -> EventOut:
    """Change an event while its sign-up is open."""
    return await events.change(tx, event_id, data)


@get("/entries", opt=_MANAGE)
async def list_entries(
    tx: Tx,
    event_id: str | None = None,
    status: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[EntryOut]:
    """The sign-ups of all shops, newest first; of one event, or in a status."""
    return await entries.listed(tx, None, event_id, status, cursor, limit)


@post("/entries/{entry_id:str}/pass", opt=_REVIEW, status_code=200)
async def pass_entry(tx: Tx, me: Principal, entry_id: str) -> EntryOut:
    """Take a sign-up into its slot."""
    return await entries.pass_(tx, me.account_id, entry_id)


@post("/entries/{entry_id:str}/refuse", opt=_REVIEW, status_code=200)
async def refuse_entry(tx: Tx, me: Principal, entry_id: str, data: ReasonIn) -> EntryOut:
    """Refuse a sign-up, and say why."""
    return await entries.refuse(tx, me.account_id, entry_id, data.reason)


@get("/activities/{activity_id:str}/items", opt=_MANAGE)
async def list_market_items(tx: Tx, activity_id: str) -> list[SoldOut]:
    """What is sold in a slot, and how much of it is gone."""
    return await events.sold(tx, MARKET_ID, activity_id)


@post("/activities/{activity_id:str}/stop", opt=_REVIEW, status_code=200)
async def stop_any_sale(tx: Tx, activity_id: str, data: StopIn | None = None) -> SaleOut:
    """End a slot of the market, or with a reason a shop's own, now; what was bought stays bought."""
    await events.stop_any(tx, activity_id, data.reason if data is not None else "")
    return await shown.sale(tx, activity_id)


@get("/market_events", opt=_MANAGE)
async def list_open_events(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EventOut]:
    """The market's events to which the shop is admitted, newest first."""
    return await events.listed(tx, MARKET_ID, cursor, limit, _shop(me))


@post("/activities/{activity_id:str}/entries", opt=_MANAGE)
async def sign_up(tx: Tx, me: Principal, activity_id: str, data: OfferIn) -> EntryOut:
    """Offer a SKU for a slot of the market's, or change an offer that has not passed."""
    return await entries.apply(tx, _shop(me), activity_id, data)


@get("/entries", opt=_MANAGE)
async def list_own_entries(
    tx: Tx,
    me: Principal,
    event_id: str | None = None,
    status: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[EntryOut]:
    """The shop's sign-ups, newest first; for one event, or in a status."""
    return await entries.listed(tx, _shop(me), event_id, status, cursor, limit)


@post("/entries/{entry_id:str}/withdraw", opt=_MANAGE, status_code=200)
async def withdraw_entry(tx: Tx, me: Principal, entry_id: str) -> EntryOut:
    """Take a sign-up back while that is possible."""
    return await entries.withdraw(tx, _shop(me), entry_id)


@get("/events", opt=_MANAGE)
async def list_shop_events(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EventOut]:
    """The shop's own events, newest first."""
    return await events.listed(tx, _shop(me), cursor, limit)


@post("/events", opt=_MANAGE)
async def open_shop_event(tx: Tx, me: Principal, data: ShopEventIn) -> EventOut:
    """Open an event of the shop's own."""
    return await events.open_shop(tx, _shop(me), me.account_id, data)


@get("/events/{event_id:str}", opt=_MANAGE)
async def get_shop_event(tx: Tx, me: Principal, event_id: str) -> EventOut:
    """One of the shop's own events."""
    return await events.one(tx, _shop(me), event_id)


@get("/activities/{activity_id:str}/items", opt=_MANAGE)
async def list_shop_items(tx: Tx, me: Principal, activity_id: str) -> list[SoldOut]:
    """What the shop sells in a slot, and how much of it is gone."""
    return await events.sold(tx, _shop(me), activity_id)


@post("/activities/{activity_id:str}/stop", opt=_MANAGE, status_code=200)
async def stop_shop_sale(tx: Tx, me: Principal, activity_id: str) -> SaleOut:
    """End a slot of the shop's own now; what was bought stays bought."""
    await events.stop(tx, _shop(me), activity_id)
    return await shown.sale(tx, activity_id)


@get("/slots", opt=PUBLIC)
async def list_slots(tx: Tx, merchant_id: str | None = None) -> list[SaleOut]:
    """Today's slots of the market, or of a shop, with what they sell."""
    return await shown.slots(tx, merchant_id)


@get("/activities/{activity_id:str}", opt=PUBLIC)
async def get_sale(tx: Tx, activity_id: str) -> SaleOut:
    """One slot with what it sells."""
    return await shown.sale(tx, activity_id)


# Who presses the button again and again gets the same token; who does it by machine soon gets nothing.
@post("/activities/{activity_id:str}/admission", opt=at_most(20, 10), status_code=200)
async def ask_admission(
    tx: Tx, me: Principal, redis: Redis, activity_id: str, data: AdmissionIn
) -> TicketOut:
    """Ask for a request token for one purchase in a running sale."""
    gate = cast(Gated, tx.snapshot.installed[PLUGIN]).gate
    return await admission.admit(tx, redis, gate, me.account_id, activity_id, data.sku_id)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise Forbidden("This account is not the staff of a shop.")
    return me.merchant_id


platform_routes = [
    list_market_events, open_market_event, get_market_event, change_market_event, list_entries, pass_entry,
    refuse_entry, list_market_items, stop_any_sale,
]  # fmt: skip
merchant_routes = [
    list_open_events, sign_up, list_own_entries, withdraw_entry, list_shop_events, open_shop_event, get_shop_event,
    list_shop_items, stop_shop_sale,
]  # fmt: skip
shop_routes = [list_slots, get_sale, ask_admission]
