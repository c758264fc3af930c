"""Turns what the buyer wants, or the cart, into a `Basket`: one statement, facts from the public copy of
the catalog."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.cart import repository
from core.db.tx import Tx
from core.identity import addresses
from core.identity.addresses import OrderAddress
from core.kit.ids import ref
from core.types.pricing import Basket, BasketLine, Problem

_DETAILS = {
    "gone": ("This article no longer exists.", "该商品已不存在。"),
    "delisted": ("This article is no longer sold.", "该商品已下架。"),
    "shop_closed": ("This shop is closed at present.", "该店铺暂停营业。"),
}


class Wanted(msgspec.Struct, frozen=True):
    """So many of a SKU; each SKU once."""

    merchant_id: UUID
    sku_id: UUID
    quantity: int
    options: Mapping[str, Any] = {}
    source: Mapping[str, str] | None = None


class LoadedLine(msgspec.Struct, frozen=True):
    """A wanted SKU with its facts. `problem` says why it cannot be bought, `price_seen` the price when it
    was added."""

    line: BasketLine
    merchant_name: str
    available: int
    selected: bool
    price_seen: int | None
    problem: Problem | None
    min_quantity: int = 1
    max_quantity: int | None = None


class Loaded(msgspec.Struct, frozen=True):
    """`basket` holds the selected lines that can be bought, `problems` those of selected lines that cannot,
    `lines` everything; `address` is there only when it was loaded to order."""

    basket: Basket
    problems: tuple[Problem, ...]
    lines: tuple[LoadedLine, ...]
    address: OrderAddress | None = None

    @property
    def names(self) -> dict[UUID, str]:
        """The merchants' names."""
        return {loaded.line.merchant_id: loaded.merchant_name for loaded in self.lines}


async def load(
    tx: Tx,
    empty: Basket,
    account_id: UUID,
    wanted: Sequence[Wanted] | None,
    address_id: UUID | None,
    *,
    to_order: bool = False,
) -> Loaded:
    """`empty` filled with `wanted`, or with the account's cart for None, and with the region of the account's address
    (None: the default one). One statement, in the buyer's or the system scope; `to_order` opens the address too."""
    if wanted is None:
        rows = await repository.cart(tx, account_id, address_id, to_order=to_order)
    else:
        lines = [(w.merchant_id, w.sku_id, w.quantity) for w in wanted]
        rows = await repository.wanted(tx, account_id, address_id, lines, to_order=to_order)
    loaded = from_rows(empty, rows, {(w.merchant_id, w.sku_id): w for w in wanted or ()})
    if not to_order or rows[0]["address_id"] is None:
        return loaded
    return msgspec.structs.replace(loaded, address=addresses.opened(tx.env.vault, account_id, rows[0]))


def from_rows(
    empty: Basket,
    rows: Sequence[asyncpg.Record],
    wanted: Mapping[tuple[UUID, UUID], Wanted] = MappingProxyType({}),
) -> Loaded:
    """`empty` filled from rows of the repository, at least one; what was `wanted` by (merchant, SKU)."""
    lines = tuple(
        [
            _loaded(row, wanted.get((row["merchant_id"], row["sku_id"])))
            for row in rows
            if row["sku_id"] is not None
        ]
    )
    good = tuple([x.line for x in lines if x.selected and x.problem is None])
    problems = tuple([x.problem for x in lines if x.selected and x.problem is not None])
    holdings = frozenset(rows[0]["holdings"] or ())
    filled = msgspec.structs.replace(
        empty,
        lines=good,
        region=repository.region_of(rows[0]),
        holdings=holdings,
        versions=_versions(rows[0]["versions"]),
    )
    return Loaded(filled, problems, lines)


def _versions(stored: str | None) -> Mapping[str, Mapping[UUID, int]]:
    found: dict[str, dict[UUID, int]] = {}
    for plugin, shop, version in (
        msgspec.json.decode(stored, type=list[tuple[str, UUID, int]]) if stored else ()
    ):
        found.setdefault(plugin, {})[shop] = version
    return found


def _loaded(row: asyncpg.Record, wanted: Wanted | None) -> LoadedLine:
    stored = msgspec.json.decode(row["source"], type=dict[str, str]) if row["source"] else None
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
        options=wanted.options if wanted else {},
        source=(wanted.source if wanted else None) or stored,
    )
    problem = _problem(row, key, available)
    return LoadedLine(
        line, row["merchant_name"] or "", available, row["selected"], row["price_seen"], problem,
        row["min_quantity"] or 1, row["max_quantity"],
    )  # fmt: skip


def _problem(row: asyncpg.Record, key: str, available: int) -> Problem | None:
    merchant_id = ref(row["merchant_id"])
    if not row["live"]:
        code = "gone" if row["product_id"] is None else row["unavailable"] or "delisted"
        detail, zh = _DETAILS.get(code, _DETAILS["delisted"])
        return Problem(code, detail, key, merchant_id, zh)
    quantity, least, most = row["quantity"], row["min_quantity"], row["max_quantity"]
    # First what the buyer would be told next anyway.
    if most is not None and quantity > most:
        return Problem(
            "above_maximum", f"At most {most} in one purchase.", key, merchant_id, f"每单限购 {most} 件。"
        )
    if available < quantity:
        return Problem("out_of_stock", f"Only {available} left.", key, merchant_id, f"仅剩 {available} 件。")
    if available < least:
        detail = f"Only {available} left, and {least} is the least one can buy."
        return Problem(
            "out_of_stock", detail, key, merchant_id, f"仅剩 {available} 件，不足起购数量 {least} 件。"
        )
    if quantity < least:
        return Problem("below_minimum", f"Buy at least {least}.", key, merchant_id, f"至少购买 {least} 件。")
    return None
