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
from plugins.membership import repository, sales
from plugins.membership.config import Config
from plugins.membership.repository import Terms
from plugins.membership.sales import Selling
from plugins.membership.schemas import LevelIn, LevelOut, LevelPatch, Sale, SaleOut, SkuPrice
from plugins.membership.using import PLUGIN

MOST = 20
_ALL_BP = 10_000
# (shop, SKU, product, months), as the database lists what sells a level.
_Sold = tuple[UUID, UUID, UUID, int]


async def listed(tx: Tx, merchant_id: UUID, *, staff: bool = False) -> list[LevelOut]:
    """An issuer's levels: those that take growth, the lowest first, then those that are bought."""
    return [level_out(row, staff=staff) for row in await repository.levels(tx, merchant_id)]


async def define(tx: Tx, merchant_id: UUID, data: LevelIn) -> LevelOut:
    """A new level. Raises `Invalid`; `Forbidden` `not_defining`; `Conflict` `growth_taken`, `sku_taken`,
    `too_many_levels`."""
    if merchant_id != MARKET_ID and not tx.config(Config).merchants_may_define:
        raise Forbidden("Shops have no levels of their own in this market.", code="not_defining")
    _check_gain(data.gained_by, data.growth, data.sold_by)
    share = _share(merchant_id, data.merchant_share_bp)
    prices = await _prices(tx, merchant_id, data.prices)
    selling = await _selling(tx, merchant_id, data.sold_by)
    # From here on nobody else changes this issuer's levels.
    await rules_changed(tx, PLUGIN, merchant_id)
    if len(await repository.levels(tx, merchant_id)) >= MOST:
        raise Conflict(f"There are {MOST} levels already.", code="too_many_levels")
    terms = Terms(data.name, data.growth, data.discount_bp, share, prices, data.perks)
    key = (merchant_id, new_id())
    try:
        await repository.add(tx, key, terms)
    except asyncpg.UniqueViolationError:
        raise _taken() from None
    await sales.sell(tx, key, selling)
    return level_out(await _row(tx, key), staff=True)


async def change(tx: Tx, merchant_id: UUID, level_id: str, patch: LevelPatch) -> LevelOut:
    """Change a level; orders keep what they were placed at, and whoever bought it the time. Raises as `define`, and
    `NotFound`."""
    key = own(merchant_id, level_id)
    given = None if patch.merchant_share_bp is UNSET else patch.merchant_share_bp
    share = _share(merchant_id, given)
    prices = None if patch.prices is UNSET else await _prices(tx, merchant_id, patch.prices)
    selling = None if patch.sold_by is UNSET else await _selling(tx, merchant_id, patch.sold_by)
    await rules_changed(tx, PLUGIN, merchant_id)
    row = await _row(tx, key)
    growth = row["growth"] if patch.growth is UNSET else patch.growth
    _check_gain(row["gained_by"], growth, selling or ())
    terms = Terms(
        row["name"] if patch.name is UNSET else patch.name,
        growth,
        row["discount_bp"] if patch.discount_bp is UNSET else patch.discount_bp,
        row["merchant_share_bp"] if given is None else share,
        _stored(row) if prices is None else prices,
        row["perks"] if patch.perks is UNSET else patch.perks,
    )
    try:
        await repository.change(tx, key, terms)
    except asyncpg.UniqueViolationError:
        raise _taken() from None
    if selling is not None:
        await sales.sell(tx, key, selling)
    return level_out(await _row(tx, key), staff=True)


async def remove(tx: Tx, merchant_id: UUID, level_id: str) -> None:
    """Remove a level; its members have the one below. In the system scope. Raises `NotFound`; `Conflict` `level_in_use` for
    one that somebody has bought."""
    key = own(merchant_id, level_id)
    await rules_changed(tx, PLUGIN, merchant_id)
    await sales.refuse_in_use(tx, key)
    if not await repository.drop(tx, key):
        raise _missing()


async def _row(tx: Tx, key: tuple[UUID, UUID]) -> asyncpg.Record:
    row = next((r for r in await repository.levels(tx, key[0]) if r["id"] == key[1]), None)
    if row is None:
        raise _missing()
    return row


def _check_gain(gained_by: str, growth: int | None, sold_by: Sequence[object]) -> None:
    faults = []
    if gained_by == "growth" and growth is None:
        faults.append(FieldError("growth", "required", "Say what growth it takes."))
    if gained_by == "growth" and sold_by:
        faults.append(FieldError("sold_by", "unexpected", "Only a level that is bought is sold."))
    if gained_by == "purchase" and growth is not None:
        faults.append(FieldError("growth", "unexpected", "A level that is bought takes no growth."))
    if faults:
        raise Invalid("This level cannot be; see errors.", *faults)


def own(merchant_id: UUID, level_id: str) -> tuple[UUID, UUID]:
    """The key in a level's opaque id. Raises `NotFound` when it is another issuer's."""
    key = parse_pair(level_id)
    if key[0] != merchant_id:
        raise _missing()
    return key


def level_out(row: asyncpg.Record, *, staff: bool = False) -> LevelOut:
    """A level as buyers see it, or `staff`."""
    sold_by = msgspec.json.decode(row["sold_by"], type=list[_Sold]) if row["sold_by"] else []
    prices = [SkuPrice(ref(row["merchant_id"], sku), fen) for sku, _, fen in _stored(row)] if staff else UNSET
    return LevelOut(
        id=ref(row["merchant_id"], row["id"]),
        merchant_id=ref(row["merchant_id"]),
        name=row["name"],
        gained_by=row["gained_by"],
        growth=row["growth"],
        discount_bp=row["discount_bp"],
        perks=row["perks"],
        sold_by=[SaleOut(ref(shop, sku), ref(shop, product), n) for shop, sku, product, n in sold_by],
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
    """The prices with the products of their SKUs."""
    found = await _skus(tx, merchant_id, "prices", [price.sku_id for price in prices])
    return [(sku, product, p.price) for (_, sku, product), p in zip(found, prices, strict=True)]


async def _selling(tx: Tx, merchant_id: UUID, sold_by: Sequence[Sale]) -> list[Selling]:
    found = await _skus(tx, merchant_id, "sold_by", [sale.sku_id for sale in sold_by])
    return [Selling(*sku, sale.months) for sku, sale in zip(found, sold_by, strict=True)]


async def _skus(tx: Tx, merchant_id: UUID, field: str, ids: Sequence[str]) -> list[tuple[UUID, UUID, UUID]]:
    """(shop, SKU, product) of these SKUs; each must be there, and a shop's must be its own."""
    if not ids:
        return []
    keys = [_key(sku_id) for sku_id in ids]
    shop = None if merchant_id == MARKET_ID else merchant_id
    known = await repository.skus(tx, [key[1] for key in keys if key is not None], shop)
    faults = [
        FieldError(f"{field}[{n}].sku_id", "unknown", "There is no such SKU.")
        for n, key in enumerate(keys)
        if key not in known
    ]
    faults += [
        FieldError(f"{field}[{n}].sku_id", "repeated", "Name each SKU once.")
        for n, key in enumerate(keys)
        if key in keys[:n]
    ]
    if faults:
        raise Invalid("These SKUs cannot be; see errors.", *faults)
    return [(*key, known[key]) for key in keys if key is not None]


def _key(text: str) -> tuple[UUID, UUID] | None:
    try:
        return parse_pair(text)
    except NotFound:
        return None


def _missing() -> NotFound:
    return NotFound("There is no such level.")


def _taken() -> Conflict:
    return Conflict("Another level begins at this growth.", code="growth_taken")
