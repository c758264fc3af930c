"""Promotions offered to pricing: kept by version, asked about what is left only where something of it is counted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import MARKET_ID, Basket, BasketLine, KeptRules, PriceRule, Tx, ref
from plugins.promotions import repository
from plugins.promotions.rules import PLUGIN, Allowance, Running, decoded, rules_for
from plugins.promotions.terms import Terms


class _Stock(msgspec.Struct, frozen=True):
    """A gift's SKU with what is left of it."""

    merchant_id: UUID
    sku_id: UUID
    product_id: UUID
    title: str
    specs: tuple[str, ...]
    image_url: str | None
    weight_g: int
    volume_cm3: int
    requires_shipping: bool
    left: int


class _State(NamedTuple):
    """What is left of a promotion, what the account used of it, its gifts."""

    left: int | None
    used: int
    shelf: Mapping[str, tuple[BasketLine, int]]

    def allowance(self, terms: Terms) -> Allowance:
        """What limits leave to the account."""
        mine = None if terms.per_account is None else max(0, terms.per_account - self.used)
        if self.left is None or (mine is not None and mine <= self.left):
            return Allowance(mine)
        return Allowance(self.left, "promotion_sold_out")


async def rules(tx: Tx, basket: Basket, kept: KeptRules[Running]) -> Sequence[PriceRule]:
    """The rules of what runs at `basket.now` for lines of the basket. No statement where no shop has any, or what they have
    is known and not counted; otherwise one."""
    rows: list[asyncpg.Record] = []
    asked = False
    shops = list(basket.versions.get(PLUGIN, ()))

    async def read(tx: Tx, missing: Sequence[UUID]) -> Mapping[UUID, Sequence[Running]]:
        nonlocal asked
        asked = True
        rows.extend(await repository.running(tx, basket.account_id, shops, missing))
        return _by_shop(rows)

    running = await kept.of(tx, basket, read)
    goods: dict[UUID, list[BasketLine]] = {MARKET_ID: list(basket.lines)}
    for line in basket.lines:
        goods.setdefault(line.merchant_id, []).append(line)
    on = [
        (r, lines) for r in running if r.on(basket.now) and (lines := r.among(goods.get(r.merchant_id, [])))
    ]
    counted = [(r.merchant_id, r.id) for r, lines in on if _counted(r.terms, lines, basket)]
    if counted and not asked:
        rows.extend(await repository.left(tx, basket.account_id, counted))
    states = _states(rows, basket) if rows else {}
    found: list[PriceRule] = []
    for promotion, lines in on:
        state = states.get(promotion.id)
        # Who is not asked about has used nothing.
        allowance = state.allowance(promotion.terms) if state else Allowance(promotion.terms.per_account)
        found += rules_for(promotion, lines, allowance, state.shelf if state is not None else {})
    return found


def _counted(terms: Terms, lines: Sequence[BasketLine], basket: Basket) -> bool:
    """Whether the database has to be asked what is left: of a total, of gifts that these lines may bring, of an account's
    limit if it used any."""
    if terms.total is not None or (terms.per_account is not None and PLUGIN in basket.holdings):
        return True
    # Other discounts only make it less.
    there = sum([line.amount if terms.by == "amount" else line.quantity for line in lines])
    return any(tier.gifts and tier.from_ <= there for tier in terms.tiers)


def _by_shop(rows: Iterable[asyncpg.Record]) -> Mapping[UUID, Sequence[Running]]:
    found: dict[UUID, list[Running]] = {}
    for row in rows:
        if row["terms_json"] is not None:
            found.setdefault(row["merchant_id"], []).append(running_of(row))
    return found


def running_of(row: asyncpg.Record) -> Running:
    """The promotion in a row."""
    terms = msgspec.json.decode(row["terms_json"], type=Terms)
    return decoded(row["merchant_id"], row["id"], terms, row["starts_at"], row["ends_at"])


def _states(rows: Iterable[asyncpg.Record], basket: Basket) -> dict[UUID, _State]:
    # What is bought of the same SKU is not there to be given.
    bought = {line.key: line.quantity for line in basket.lines}
    return {row["id"]: _State(row["left"], row["used"], _shelf(row["shelf"], bought)) for row in rows}


def _shelf(stored: str | None, bought: Mapping[str, int]) -> Mapping[str, tuple[BasketLine, int]]:
    found = {}
    for stock in msgspec.json.decode(stored, type=list[_Stock]) if stored else ():
        key = ref(stock.merchant_id, stock.sku_id)
        facts = BasketLine(
            key,
            stock.merchant_id,
            stock.product_id,
            stock.sku_id,
            1,
            0,
            stock.title,
            stock.specs,
            stock.image_url,
            weight_g=stock.weight_g,
            volume_cm3=stock.volume_cm3,
            requires_shipping=stock.requires_shipping,
        )
        found[key] = (facts, max(0, stock.left - bought.get(key, 0)))
    return found
