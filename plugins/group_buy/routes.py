"""Routes under /api/<audience>/group_buy."""

from uuid import UUID

from litestar import get, patch, post

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
from plugins.group_buy import endings, groups, offers
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


@get("/activities", opt=_MANAGE)
async def list_activities(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[ActivityOut]:
    """The shop's group-buys with what was sold, newest first."""
    return await offers.listed(tx, _shop(me), cursor, limit)


@post("/activities", opt=_MANAGE)
async def begin_activity(tx: Tx, me: Principal, data: ActivityIn) -> ActivityOut:
    """A new group-buy."""
    return await offers.begin(tx, _shop(me), me.account_id, data)


@get("/activities/{activity_id:str}", opt=_MANAGE)
async def get_activity(tx: Tx, me: Principal, activity_id: str) -> ActivityOut:
    """One of the shop's group-buys."""
    return await offers.shown(tx, await offers.key_of(tx, _shop(me), activity_id))


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


@post("/activities/{activity_id:str}/stop", opt=SYSTEM | _MANAGE, status_code=200)
async def stop_any_activity(tx: Tx, activity_id: str) -> ActivityOut:
    """Stop a shop's group-buy: no new groups; those that were opened have their time."""
    return await offers.stop(tx, await offers.key_of(tx, None, activity_id))


@get("/activities/{activity_id:str}/groups", opt=_MANAGE)
async def list_any_groups(
    tx: Tx, activity_id: str, status: str | None = None, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[GroupRow]:
    """The groups of a shop's group-buy, newest first."""
    return await offers.groups(tx, await offers.key_of(tx, None, activity_id), status, cursor, limit)


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
    list_activities, begin_activity, get_activity, change_activity, stop_activity, list_groups,
]  # fmt: skip
platform_routes = [stop_any_activity, list_any_groups]
shop_routes = [list_of_product, show_activity, list_open_groups, show_group, leave_group, list_mine]
