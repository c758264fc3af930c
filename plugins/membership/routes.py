"""Routes under /api/<audience>/membership."""

from uuid import UUID

from litestar import delete, get, patch, post, put

from core.api import (
    DEFAULT_LIMIT,
    MARKET_ID,
    PUBLIC,
    SYSTEM,
    Forbidden,
    Page,
    Principal,
    Tx,
    parse_ref,
    permission,
)
from plugins.membership import levels, members
from plugins.membership.schemas import (
    AdjustIn,
    EntryOut,
    GrowthIn,
    LevelIn,
    LevelOut,
    LevelPatch,
    MemberOut,
    Mine,
)

MANAGE = "membership.manage"
_MANAGE = permission(MANAGE)
# What is a member's belongs to the member, not to the staff.
_MEMBERS = SYSTEM | _MANAGE


@get("/levels", opt=PUBLIC)
async def show_levels(tx: Tx, merchant_id: str | None = None) -> list[LevelOut]:
    """The levels of a shop, or of the market."""
    return await levels.listed(tx, MARKET_ID if merchant_id is None else parse_ref(merchant_id))


@get("/")
async def show_mine(tx: Tx, me: Principal, merchant_id: str | None = None) -> Mine:
    """The buyer's points, and levels in the market and in one shop or in all where the buyer has any or growth; bought ones
    with until when they hold."""
    return await members.mine(tx, me.account_id, merchant_id)


@get("/points")
async def show_points(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EntryOut]:
    """How the buyer's points came and went, newest first."""
    return await members.journal(tx, me.account_id, "points", None, cursor, limit)


@get("/growth")
async def show_growth(
    tx: Tx,
    me: Principal,
    merchant_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[EntryOut]:
    """How the buyer's growth came and went, newest first: everywhere, or in one shop."""
    shop = None if merchant_id is None else parse_ref(merchant_id)
    return await members.journal(tx, me.account_id, "growth", shop, cursor, limit)


@get("/bought")
async def show_bought(
    tx: Tx,
    me: Principal,
    merchant_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[EntryOut]:
    """How months of bought levels came and went, newest first: everywhere, or in one shop. What holds now is in the
    membership itself."""
    shop = None if merchant_id is None else parse_ref(merchant_id)
    return await members.journal(tx, me.account_id, "level", shop, cursor, limit)


@get("/levels", opt=_MANAGE)
async def list_market_levels(tx: Tx) -> list[LevelOut]:
    """The market's levels, the lowest first."""
    return await levels.listed(tx, MARKET_ID, staff=True)


@post("/levels", opt=_MANAGE)
async def define_market_level(tx: Tx, data: LevelIn) -> LevelOut:
    """Define a level of the market."""
    return await levels.define(tx, MARKET_ID, data)


@patch("/levels/{level_id:str}", opt=_MANAGE)
async def change_market_level(tx: Tx, level_id: str, data: LevelPatch) -> LevelOut:
    """Change a level of the market; orders keep what they were placed at."""
    return await levels.change(tx, MARKET_ID, level_id, data)


@delete("/levels/{level_id:str}", opt=_MEMBERS)
async def remove_market_level(tx: Tx, level_id: str) -> None:
    """Remove a level of the market; one that is bought only once nobody has it any more."""
    await levels.remove(tx, MARKET_ID, level_id)


@get("/members", opt=_MEMBERS)
async def list_market_members(
    tx: Tx, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[MemberOut]:
    """All members, newest first."""
    return await members.listed(tx, MARKET_ID, cursor, limit)


@get("/accounts/{account_id:str}/journal", opt=_MEMBERS)
async def show_account_journal(
    tx: Tx, account_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EntryOut]:
    """How an account's points and growth came and went, and who did it."""
    return await members.journal(tx, parse_ref(account_id), None, None, cursor, limit, market=True)


@put("/accounts/{account_id:str}/adjustments/{reference:str}", opt=_MEMBERS)
async def adjust_account(tx: Tx, me: Principal, account_id: str, reference: str, data: AdjustIn) -> MemberOut:
    """Give or take points and growth, with the reason; the same reference counts once."""
    return await members.adjust(tx, account_id, reference, data, me.account_id)


@get("/levels", opt=_MANAGE)
async def list_shop_levels(tx: Tx, me: Principal) -> list[LevelOut]:
    """The shop's levels, the lowest first."""
    return await levels.listed(tx, _shop(me), staff=True)


@post("/levels", opt=_MANAGE)
async def define_shop_level(tx: Tx, me: Principal, data: LevelIn) -> LevelOut:
    """Define a level of the shop."""
    return await levels.define(tx, _shop(me), data)


@patch("/levels/{level_id:str}", opt=_MANAGE)
async def change_shop_level(tx: Tx, me: Principal, level_id: str, data: LevelPatch) -> LevelOut:
    """Change a level of the shop; orders keep what they were placed at."""
    return await levels.change(tx, _shop(me), level_id, data)


@delete("/levels/{level_id:str}", opt=_MEMBERS)
async def remove_shop_level(tx: Tx, me: Principal, level_id: str) -> None:
    """Remove a level of the shop; one that is bought only once nobody has it any more."""
    await levels.remove(tx, _shop(me), level_id)


@get("/members", opt=_MEMBERS)
async def list_shop_members(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[MemberOut]:
    """The shop's members, newest first, without whose accounts they are."""
    return await members.listed(tx, _shop(me), cursor, limit)


@get("/members/{member_id:str}/journal", opt=_MEMBERS)
async def show_member_journal(
    tx: Tx, me: Principal, member_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[EntryOut]:
    """How a member's growth in the shop and the shop's bought levels came and went."""
    shop = _shop(me)
    account_id = await members.account_of(tx, shop, member_id)
    return await members.journal(tx, account_id, None, shop, cursor, limit)


@put("/members/{member_id:str}/adjustments/{reference:str}", opt=_MEMBERS)
async def adjust_member(tx: Tx, me: Principal, member_id: str, reference: str, data: GrowthIn) -> MemberOut:
    """Give or take growth in the shop, with the reason; the same reference counts once."""
    return await members.adjust_growth(tx, _shop(me), member_id, reference, data, me.account_id)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise Forbidden("This account is not the staff of a shop.")
    return me.merchant_id


platform_routes = [
    list_market_levels, define_market_level, change_market_level, remove_market_level, list_market_members,
    show_account_journal, adjust_account,
]  # fmt: skip
merchant_routes = [
    list_shop_levels, define_shop_level, change_shop_level, remove_shop_level, list_shop_members,
    show_member_journal, adjust_member,
]  # fmt: skip
shop_routes = [show_levels, show_mine, show_points, show_growth, show_bought]
