"""Promotions offered to pricing: kept by version, asked about what is left only where something of it is counted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import Basket, BasketLine, KeptRules, PriceRule, Tx, ref
from plugins.promotions import repository
from plugins.promotions.rules import PLUGIN, Allowance, Running, decoded, rules_for
from plugins.promotions.terms import Terms

_NO_LIMIT = Allowance()


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
    on = [(r, lines) for r in running if r.on(basket.now) and (lines := r.lines(basket))]
    if not asked and any(_counted(r.terms, basket) for r, _ in on):
        rows.extend(await repository.running(tx, basket.account_id, shops, []))
    states = _states(rows, basket) if rows else {}
    found: list[PriceRule] = []
    for promotion, lines in on:
        state = states.get(promotion.id)
        allowance = state.allowance(promotion.terms) if state is not None else _NO_LIMIT
        found += rules_for(promotion, lines, allowance, state.shelf if state is not None else {})
    return found


def _counted(terms: Terms, basket: Basket) -> bool:
    """Whether the database has to be asked what is left: of a total, of gifts, of an account's limit if it used any."""
    mine = terms.per_account is not None and PLUGIN in basket.holdings
    return mine or terms.total is not None or bool(terms.gifts)


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
