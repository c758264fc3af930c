"""Turns what the buyer wants, or the cart, into a `Basket`: one statement, facts from the public copy of
the catalog."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.cart import repository
from core.db.tx import Tx
from core.kit.ids import ref
from core.types.pricing import Basket, BasketLine, Problem, Region

_DETAILS = {
    "gone": "This article no longer exists.",
    "delisted": "This article is no longer sold.",
    "shop_closed": "This shop is closed at present.",
}


class Wanted(msgspec.Struct, frozen=True):
    """So many of a SKU; each SKU once."""

    merchant_id: UUID
    sku_id: UUID
    quantity: int
    options: Mapping[str, Any] = {}


class LoadedLine(msgspec.Struct, frozen=True):
    """A wanted SKU with its facts. `problem` says why it cannot be bought, `price_seen` the price when it
    was added."""

    line: BasketLine
    merchant_name: str
    available: int
    selected: bool
    price_seen: int | None
    problem: Problem | None


class Loaded(msgspec.Struct, frozen=True):
    """`basket` holds the selected lines that can be bought, `problems` those of selected lines that cannot,
    `lines` everything."""

    basket: Basket
    problems: tuple[Problem, ...]
    lines: tuple[LoadedLine, ...]

    @property
    def names(self) -> dict[UUID, str]:
        """The merchants' names."""
        return {loaded.line.merchant_id: loaded.merchant_name for loaded in self.lines}


async def load(
    tx: Tx,
    *,
    account_id: UUID,
    wanted: Sequence[Wanted] | None,
    region: Region | None,
    shipping: Mapping[UUID, str],
    options: Mapping[str, Any],
) -> Loaded:
    """The basket of `wanted`, or of the account's cart for None. One statement, in the buyer's or the
    system scope."""
    if wanted is None:
        rows = await repository.cart(tx, account_id)
    else:
        columns = [w.merchant_id for w in wanted], [w.sku_id for w in wanted], [w.quantity for w in wanted]
        rows = await repository.wanted(tx, account_id, *columns)
    chosen = {(w.merchant_id, w.sku_id): w.options for w in wanted or ()}
    empty = Basket((), account_id, tx.now, region, shipping, options)
    return from_rows(empty, rows, chosen)


def from_rows(
    empty: Basket, rows: Iterable[asyncpg.Record], options: Mapping[tuple[UUID, UUID], Mapping[str, Any]]
) -> Loaded:
    """`empty` filled from rows of the repository; `options` per (merchant, SKU)."""
    lines = tuple([_loaded(row, options.get((row["merchant_id"], row["sku_id"]), {})) for row in rows])
    good = tuple([x.line for x in lines if x.selected and x.problem is None])
    problems = tuple([x.problem for x in lines if x.selected and x.problem is not None])
    return Loaded(msgspec.structs.replace(empty, lines=good), problems, lines)


def _loaded(row: asyncpg.Record, options: Mapping[str, Any]) -> LoadedLine:
    key = ref(row["merchant_id"], row["sku_id"])
    available = max(0, row["available"] or 0)
    line = BasketLine(
        key=key,
        merchant_id=row["merchant_id"],
        product_id=row["product_id"] or row["sku_id"],
        sku_id=row["sku_id"],
        quantity=row["quantity"],
        unit_price=row["price"] or 0,
        title=row["title"] or "",
        specs=tuple(row["specs"] or ()),
        image_url=row["image_url"],
        category_path=tuple(row["category_path"] or ()),
        shop_category_ids=tuple(row["shop_category_ids"] or ()),
        weight_g=row["weight_g"] or 0,
        volume_cm3=row["volume_cm3"] or 0,
        requires_shipping=row["requires_shipping"] is not False,
        options=options,
        source=msgspec.json.decode(row["source"], type=dict[str, str]) if row["source"] else None,
    )
    problem = _problem(row, key, available)
    return LoadedLine(
        line, row["merchant_name"] or "", available, row["selected"], row["price_seen"], problem
    )


def _problem(row: asyncpg.Record, key: str, available: int) -> Problem | None:
    merchant_id = ref(row["merchant_id"])
    if not row["live"]:
        code = "gone" if row["product_id"] is None else row["unavailable"] or "delisted"
        return Problem(code, _DETAILS.get(code, _DETAILS["delisted"]), key, merchant_id)
    if available < row["quantity"]:
        return Problem("out_of_stock", f"Only {available} left.", key, merchant_id)
    return None
