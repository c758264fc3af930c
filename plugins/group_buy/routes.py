"""Routes under /api/<audience>/group_buy."""

from uuid import UUID

from litestar import get, patch, post, put

from core.api import (
    DEFAULT_LIMIT,
    PUBLIC,
    SYSTEM,
    Forbidden,
    Page,
    Principal,
    Tx,
    parse_pair,
    permission,
)
from plugins.group_buy import endings, entries, events, groups, offers
from plugins.group_buy.event_schemas import (
    EntryIn,
    EntryOut,
    EventChange,
    EventGroup,
    EventIn,
    EventItem,
    EventOut,
    EventShown,
    ReasonIn,
    VersionIn,
)
from plugins.group_buy.schemas import (
    ActivityIn,
    ActivityOut,
    ActivityPatch,
    GroupOut,
    GroupRow,
    OpenGroup,
    SeatOut,
)

MANAGE = "group_buy.manage"
_MANAGE = permission(MANAGE)
# What is reviewed and stopped are rows of shops.
_ANY = SYSTEM | _MANAGE


@get("/activities", opt=_MANAGE)
async def list_activities(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[ActivityOut]:
    """The shop's group-buys with what was sold, newest first."""
    return await offers.listed(tx, _shop(me), cursor, limit)


@post("/activities", opt=_MANAGE)
async def begin_activity(tx: Tx, me: Principal, data: ActivityIn) -> ActivityOut:
    """A new group-buy; where the market reviews them its phase is `waiting`."""
    return await entries.begin(tx, _shop(me), me.account_id, data)


@get("/activities/{activity_id:str}", opt=_MANAGE)
async def get_activity(tx: Tx, me: Principal, activity_id: str) -> ActivityOut:
    """One of the shop's group-buys, also one that is not approved."""
    return await entries.activity(tx, _shop(me), activity_id)


@put("/activities/{activity_id:str}", opt=_MANAGE)
async def hand_in_activity(tx: Tx, me: Principal, activity_id: str, data: ActivityIn) -> ActivityOut:
    """Hand in again a group-buy that waits for its review or was refused."""
    return await entries.change_own(tx, _shop(me), activity_id, data)


@patch("/activities/{activity_id:str}", opt=_MANAGE)
async def change_activity(tx: Tx, me: Principal, activity_id: str, data: ActivityPatch) -> ActivityOut:
    """Another name, a later end, other quotas."""
    return await offers.change(tx, await offers.key_of(tx, _shop(me), activity_id), data)


@post("/activities/{activity_id:str}/stop", opt=_MANAGE, status_code=200)
async def stop_activity(tx: Tx, me: Principal, activity_id: str) -> ActivityOut:
    """No new groups; those that were opened have their time."""
    return await offers.stop(tx, await offers.key_of(tx, _shop(me), activity_id))


@get("/activities/{activity_id:str}/groups", opt=_MANAGE)
async def list_groups(
    tx: Tx,
    me: Principal,
    activity_id: str,
    status: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[GroupRow]:
    """The groups of a group-buy, newest first."""
    return await offers.groups(tx, await offers.key_of(tx, _shop(me), activity_id), status, cursor, limit)


@get("/market_events", opt=_MANAGE)
async def list_market_events(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EventOut]:
    """The market's events to which the shop is admitted, newest first."""
    return await events.listed(tx, cursor, limit, _shop(me))


@post("/market_events/{event_id:str}/entries", opt=_MANAGE)
async def sign_up(tx: Tx, me: Principal, event_id: str, data: EntryIn) -> EntryOut:
    """Offer a product in an event of the market."""
    return await entries.sign_up(tx, _shop(me), event_id, data)


@get("/entries", opt=_MANAGE)
async def list_own_entries(
    tx: Tx,
    me: Principal,
    event_id: str | None = None,
    status: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[EntryOut]:
    """What the shop handed in for review, newest first; for one event, or in a status."""
    return await entries.listed(tx, _shop(me), event_id, status, cursor, limit)


@put("/entries/{entry_id:str}", opt=_MANAGE)
async def hand_in_entry(tx: Tx, me: Principal, entry_id: str, data: EntryIn) -> EntryOut:
    """Hand in again what is offered in an event, while its sign-up is open."""
    return await entries.change(tx, _shop(me), entry_id, data)


@post("/entries/{entry_id:str}/withdraw", opt=_MANAGE, status_code=200)
async def withdraw_entry(tx: Tx, me: Principal, entry_id: str) -> EntryOut:
    """Take back what was handed in."""
    return await entries.withdraw(tx, _shop(me), entry_id)


@get("/events", opt=_MANAGE)
async def list_events(tx: Tx, cursor: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[EventOut]:
    """The market's events, newest first."""
    return await events.listed(tx, cursor, limit)


@post("/events", opt=_MANAGE)
async def begin_event(tx: Tx, me: Principal, data: EventIn) -> EventOut:
    """A new event of the market, for which shops sign up."""
    return await events.begin(tx, me.account_id, data)


@get("/events/{event_id:str}", opt=_MANAGE)
async def get_event(tx: Tx, event_id: str) -> EventOut:
    """One of the market's events."""
    return await events.one(tx, event_id)


@patch("/events/{event_id:str}", opt=_MANAGE)
async def change_event(tx: Tx, event_id: str, data: EventChange) -> EventOut:
    """Change an event while its sign-up is open."""
    return await events.change(tx, event_id, data)


@post("/events/{event_id:str}/stop", opt=_ANY, status_code=200)
async def stop_event(tx: Tx, event_id: str) -> EventOut:
    """Stop an event: no new groups; those that were opened have their time."""
    return await events.stop(tx, event_id)


@get("/events/{event_id:str}/activities", opt=_MANAGE)
async def list_event_activities(
    tx: Tx, event_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EventItem]:
    """What an event sells, and how much was sold."""
    return await events.items(tx, event_id, cursor, limit, staff=True)


@get("/entries", opt=_MANAGE)
async def list_entries(
    tx: Tx,
    event_id: str | None = None,
    status: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[EntryOut]:
    """What all shops handed in for review, newest first; for one event, or in a status."""
    return await entries.listed(tx, None, event_id, status, cursor, limit)


@post("/entries/{entry_id:str}/approve", opt=_ANY, status_code=200)
async def approve_entry(tx: Tx, me: Principal, entry_id: str, data: VersionIn) -> EntryOut:
    """Make an activity of what was handed in."""
    return await entries.approve(tx, me.account_id, entry_id, data.version)


@post("/entries/{entry_id:str}/refuse", opt=_ANY, status_code=200)
async def refuse_entry(tx: Tx, me: Principal, entry_id: str, data: ReasonIn) -> EntryOut:
    """Refuse what was handed in, and say why."""
    return await entries.refuse(tx, me.account_id, entry_id, data.reason)


@post("/activities/{activity_id:str}/stop", opt=_ANY, status_code=200)
async def stop_any_activity(tx: Tx, activity_id: str) -> ActivityOut:
    """Stop a shop's group-buy: no new groups; those that were opened have their time."""
    return await offers.stop_any(tx, await offers.key_of(tx, None, activity_id))


@get("/activities/{activity_id:str}/groups", opt=_MANAGE)
async def list_any_groups(
    tx: Tx, activity_id: str, status: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[GroupRow]:
    """The groups of a shop's group-buy, newest first."""
    return await offers.groups(tx, await offers.key_of(tx, None, activity_id), status, cursor, limit)


@get("/events", opt=PUBLIC)
async def show_events(tx: Tx) -> list[EventShown]:
    """Events of the market that run or will."""
    return await events.to_buyers(tx)


@get("/events/{event_id:str}", opt=PUBLIC)
async def show_event(tx: Tx, event_id: str) -> EventShown:
    """An event of the market."""
    return await events.to_buyer(tx, event_id)


@get("/events/{event_id:str}/activities", opt=PUBLIC)
async def show_event_activities(
    tx: Tx, event_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EventItem]:
    """What an event sells, of all shops."""
    return await events.items(tx, event_id, cursor, limit)


@get("/events/{event_id:str}/groups", opt=PUBLIC | SYSTEM)
async def show_event_groups(
    tx: Tx, event_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EventGroup]:
    """Groups of all shops in the event that can be joined, the first to end first."""
    return await events.open_groups(tx, event_id, cursor, limit)


@get("/activities", opt=PUBLIC)
async def list_of_product(tx: Tx, product_id: str) -> list[ActivityOut]:
    """The group-buys of a product that run or will."""
    return await groups.of_product(tx, product_id)


@get("/activities/{activity_id:str}", opt=PUBLIC)
async def show_activity(tx: Tx, activity_id: str) -> ActivityOut:
    """A group-buy with its prices."""
    return await groups.activity(tx, activity_id)


@get("/activities/{activity_id:str}/groups", opt=PUBLIC | SYSTEM)
async def list_open_groups(
    tx: Tx, activity_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[OpenGroup]:
    """Groups that can be joined, the first to end first; none if the shop does not show them."""
    return await groups.open_ones(tx, activity_id, cursor, limit)


@get("/groups/{code:str}", opt=PUBLIC | SYSTEM)
async def show_group(tx: Tx, viewer: Principal | None, code: str) -> GroupOut:
    """The group behind a shared code, and whether the viewer may join it."""
    return await groups.by_code(tx, code, viewer.account_id if viewer is not None else None)


@post("/groups/{group_id:str}/leave", opt=SYSTEM, status_code=200)
async def leave_group(tx: Tx, me: Principal, group_id: str) -> SeatOut:
    """Leave a group that is being filled: the own order is refunded."""
    key = parse_pair(group_id)
    await endings.leave(tx, me.account_id, key)
    return await groups.my_seat(tx, me.account_id, key[1])


@get("/mine")
async def list_mine(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[SeatOut]:
    """The buyer's seats, newest first."""
    return await groups.mine(tx, me.account_id, cursor, limit)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise Forbidden("This account is not the staff of a shop.")
    return me.merchant_id


merchant_routes = [
    list_activities, begin_activity, get_activity, hand_in_activity, change_activity, stop_activity, list_groups,
    list_market_events, sign_up, list_own_entries, hand_in_entry, withdraw_entry,
]  # fmt: skip
platform_routes = [
    list_events, begin_event, get_event, change_event, stop_event, list_event_activities, list_entries, approve_entry,
    refuse_entry, stop_any_activity, list_any_groups,
]  # fmt: skip
shop_routes = [
    show_events, show_event, show_event_activities, show_event_groups, list_of_product, show_activity, list_open_groups,
    show_group, leave_group, list_mine,
]  # fmt: skip
