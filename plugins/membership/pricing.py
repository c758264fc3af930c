"""What a basket is offered: member prices by the buyer's levels, and points if the buyer wants to use some."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from core.api import MARKET_ID, Basket, FieldError, Invalid, KeptRules, PriceRule, Tx
from plugins.membership import repository
from plugins.membership.config import Config
from plugins.membership.repository import NOTHING, Look
from plugins.membership.rules import (
    POINTS,
    POINTS_RULE,
    Level,
    MemberPrice,
    PointsRule,
    levels_of,
    lowest,
    member_prices,
    points_label,
)
from plugins.membership.using import PLUGIN


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the buyer chose: so many points, or as many as can be used."""

    points: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] | Literal["max"] = 0


class _Looking:
    """What one quote reads: levels that are not kept and what the buyer has, in the same statement. Who is no member has
    nothing and is not looked up."""

    def __init__(self, basket: Basket) -> None:
        self.account_id = basket.account_id if PLUGIN in basket.holdings else None
        self.shops = list({MARKET_ID, *[line.merchant_id for line in basket.lines]})
        self.seen = NOTHING if self.account_id is None else None

    async def levels(self, tx: Tx, issuers: Sequence[UUID]) -> Mapping[UUID, Sequence[Level]]:
        found = await repository.look(tx, issuers, self.account_id, self.shops)
        self.seen = found
        return found.levels

    async def owned(self, tx: Tx) -> Look:
        if self.seen is None:
            self.seen = await repository.look(tx, (), self.account_id, self.shops)
        return self.seen


async def rules(tx: Tx, basket: Basket, kept: KeptRules[Level]) -> list[PriceRule]:
    """A rule for each line that a level makes cheaper, and one for points if the buyer wants to use some. At most one
    statement: none for who is no member, nor where there is neither a level nor a wish.

    Raises `Invalid` for a wish that is none.
    """
    wanted = _choice(basket).points
    if basket.account_id is None:
        return []
    looking = _Looking(basket)
    levels = await kept.of(tx, basket, looking.levels)
    if not levels and not wanted:
        return []
    owned = await looking.owned(tx)
    found: list[PriceRule] = [*_prices(basket, levels, owned)]
    if wanted:
        found.append(_points(tx.config(Config), None if wanted == "max" else wanted, owned.points))
    return found


def _prices(basket: Basket, levels: Sequence[Level], owned: Look) -> Sequence[PriceRule]:
    by_issuer: dict[UUID, list[Level]] = {}
    for level in levels:
        by_issuer.setdefault(level.issuer, []).append(level)
    offers: list[MemberPrice] = []
    for issuer, found in by_issuer.items():
        for level in levels_of(found, owned.growth.get(issuer, 0), owned.bought):
            of_market, of_shop = (level, {}) if issuer == MARKET_ID else (None, {issuer: level})
            offers += member_prices(PLUGIN, basket.lines, of_market, of_shop)
    return lowest(offers)


def _points(config: Config, wanted: int | None, balance: int) -> PointsRule:
    return PointsRule(
        plugin=PLUGIN,
        id=POINTS_RULE,
        kind=POINTS,
        label=points_label(config.fen_per_point),
        chosen=True,
        wanted=wanted,
        balance=balance,
        fen_per_point=config.fen_per_point,
        max_bp=config.points_max_bp,
        max_fen=config.points_max_fen,
    )


def _choice(basket: Basket) -> Choice:
    try:
        return msgspec.convert(basket.options.get(PLUGIN, {}), Choice)
    except msgspec.ValidationError as error:
        fault = FieldError("options.membership", "invalid", str(error))
        raise Invalid('options.membership takes {"points": 100} or {"points": "max"}.', fault) from None
