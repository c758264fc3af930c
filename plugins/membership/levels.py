"""Levels as their issuer defines them: a shop or, with `MARKET_ID`, the market."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from core.api import (
    MARKET_ID,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Tx,
    new_id,
    parse_pair,
    ref,
    rules_changed,
)
from plugins.membership import repository
from plugins.membership.config import Config
from plugins.membership.repository import Terms
from plugins.membership.schemas import LevelIn, LevelOut, LevelPatch, SkuPrice
from plugins.membership.using import PLUGIN

MOST = 20
_ALL_BP = 10_000


async def listed(tx: Tx, merchant_id: UUID, *, staff: bool = False) -> list[LevelOut]:
    """An issuer's levels, the lowest first."""
    return [level_out(row, staff=staff) for row in await repository.levels(tx, merchant_id)]


async def define(tx: Tx, merchant_id: UUID, data: LevelIn) -> LevelOut:
    """A new level. Raises `Invalid`; `Forbidden` `not_defining`; `Conflict` `growth_taken`, `too_many_levels`."""
    if merchant_id != MARKET_ID and not tx.config(Config).merchants_may_define:
        raise Forbidden("Shops have no levels of their own in this market.", code="not_defining")
    share = _share(merchant_id, data.merchant_share_bp)
    prices = await _prices(tx, merchant_id, data.prices)
    # From here on nobody else changes this issuer's levels.
    await rules_changed(tx, PLUGIN, merchant_id)
    if len(await repository.levels(tx, merchant_id)) >= MOST:
        raise Conflict(f"There are {MOST} levels already.", code="too_many_levels")
    terms = Terms(data.name, data.growth, data.discount_bp, share, prices, data.perks)
    try:
        row = await repository.add(tx, (merchant_id, new_id()), terms)
    except asyncpg.UniqueViolationError:
        raise _taken() from None
    return level_out(row, staff=True)


async def change(tx: Tx, merchant_id: UUID, level_id: str, patch: LevelPatch) -> LevelOut:
    """Change a level; orders keep what they were placed at. Raises as `define`, and `NotFound`."""
    key = own(merchant_id, level_id)
    given = None if patch.merchant_share_bp is UNSET else patch.merchant_share_bp
    share = _share(merchant_id, given)
    prices = None if patch.prices is UNSET else await _prices(tx, merchant_id, patch.prices)
    await rules_changed(tx, PLUGIN, merchant_id)
    row = next((r for r in await repository.levels(tx, merchant_id) if r["id"] == key[1]), None)
    if row is None:
        raise _missing()
    terms = Terms(
        row["name"] if patch.name is UNSET else patch.name,
        row["growth"] if patch.growth is UNSET else patch.growth,
        row["discount_bp"] if patch.discount_bp is UNSET else patch.discount_bp,
        row["merchant_share_bp"] if given is None else share,
        _stored(row) if prices is None else prices,
        row["perks"] if patch.perks is UNSET else patch.perks,
    )
    try:
        changed = await repository.change(tx, key, terms)
    except asyncpg.UniqueViolationError:
        raise _taken() from None
    if changed is None:
        raise _missing()
    return level_out(changed, staff=True)


async def remove(tx: Tx, merchant_id: UUID, level_id: str) -> None:
    """Remove a level; its members have the one below. Raises `NotFound`."""
    key = own(merchant_id, level_id)
    await rules_changed(tx, PLUGIN, merchant_id)
    if not await repository.drop(tx, key):
        raise _missing()


def own(merchant_id: UUID, level_id: str) -> tuple[UUID, UUID]:
    """The key in a level's opaque id. Raises `NotFound` when it is another issuer's."""
    key = parse_pair(level_id)
    if key[0] != merchant_id:
        raise _missing()
    return key


def level_out(row: asyncpg.Record, *, staff: bool = False) -> LevelOut:
    """A level as buyers see it, or `staff`."""
    prices = [SkuPrice(ref(row["merchant_id"], sku), fen) for sku, _, fen in _stored(row)] if staff else UNSET
    return LevelOut(
        id=ref(row["merchant_id"], row["id"]),
        merchant_id=ref(row["merchant_id"]),
        name=row["name"],
        gained_by=row["gained_by"],
        growth=row["growth"],
        discount_bp=row["discount_bp"],
        perks=row["perks"],
        merchant_share_bp=row["merchant_share_bp"] if staff else UNSET,
        prices=prices,
    )


def _stored(row: asyncpg.Record) -> list[tuple[UUID, UUID, int]]:
    return msgspec.json.decode(row["prices_json"], type=list[tuple[UUID, UUID, int]])


def _share(merchant_id: UUID, given: int | None) -> int:
    if merchant_id == MARKET_ID:
        return given or 0
    if given is not None:
        fault = FieldError("merchant_share_bp", "unexpected", "A shop bears its own member prices.")
        raise Invalid("This level cannot be defined; see errors.", fault)
    return _ALL_BP


async def _prices(tx: Tx, merchant_id: UUID, prices: Sequence[SkuPrice]) -> list[tuple[UUID, UUID, int]]:
    """The prices with the products of their SKUs; each must be there, and a shop's must be its own."""
    if not prices:
        return []
    keys = [_key(price.sku_id) for price in prices]
    shop = None if merchant_id == MARKET_ID else merchant_id
    known = await repository.skus(tx, [key[1] for key in keys if key is not None], shop)
    faults = [
        FieldError(f"prices[{n}].sku_id", "unknown", "There is no such SKU to price.")
        for n, key in enumerate(keys)
        if key not in known
    ]
    faults += [
        FieldError(f"prices[{n}].sku_id", "repeated", "Name each SKU once.")
        for n, key in enumerate(keys)
        if key in keys[:n]
    ]
    if faults:
        raise Invalid("These prices cannot be; see errors.", *faults)
    return [(key[1], known[key], p.price) for key, p in zip(keys, prices, strict=True) if key is not None]


def _key(text: str) -> tuple[UUID, UUID] | None:
    try:
        return parse_pair(text)
    except NotFound:
        return None


def _missing() -> NotFound:
    return NotFound("There is no such level.")


def _taken() -> Conflict:
    return Conflict("Another level begins at this growth.", code="growth_taken")
