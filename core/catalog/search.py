"""Finding products: what is asked, the provider that answers, and the built-in one on PostgreSQL.

The built-in one is one statement over `listing` per page. Its text is put together from constants, so that each
combination of filters and sort has its own plan. Relevance is: all words are there, newest first; a rank over every
hit of a frequent word would cost time in proportion to the hits.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Protocol
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct

from core.db.tx import Tx
from core.kit.geo import EARTH_RADIUS_M, Point, bounding_box
from core.kit.text import normalise, query_grams

MAX_TERMS = 16
MAX_RADIUS_M = 20_037_508


class Sort(StrEnum):
    """The orders of a product list."""

    NEWEST = "relevance"
    PRICE = "price"
    PRICE_DOWN = "-price"
    SALES = "-sales"
    DISTANCE = "distance"


class Key(Struct, frozen=True, array_like=True):
    """Where a page ended: the sort, the last row's value of it (0 for newest) and its product."""

    sort: Sort
    value: Annotated[float, Meta(ge=0, le=1e15)]
    product_id: UUID


class Search(Struct, frozen=True, kw_only=True):
    """What is asked for. `category_id` includes the categories below it; `radius_m` and `Sort.DISTANCE` need `near`."""

    sort: Sort = Sort.NEWEST
    text: str = ""
    category_id: UUID | None = None
    shop_category_id: UUID | None = None
    merchant_id: UUID | None = None
    near: Point | None = None
    radius_m: int | None = None
    min_price: int | None = None
    max_price: int | None = None
    after: Key | None = None
    limit: int = 20


class Found(Struct, frozen=True):
    """One hit. `key` goes into the cursor of the next page."""

    merchant_id: UUID
    product_id: UUID
    merchant_name: str
    title: str
    image_url: str | None
    price: int
    list_price: int | None
    sales: int
    location: Point | None
    key: Key


class SearchProvider(Protocol):
    """Answers searches; may read only what is public."""

    async def search(self, tx: Tx, wanted: Search) -> list[Found]:
        """At most `wanted.limit` hits in the order of `wanted.sort`, from behind `wanted.after`."""


class PostgresSearch:
    """The built-in search."""

    async def search(self, tx: Tx, wanted: Search) -> list[Found]:
        """One statement; none for a text without anything to search for."""
        if wanted.text and not query_grams(wanted.text):
            return []
        sql, args = statement(wanted)
        return [_found(row, wanted.sort) for row in await tx.fetch(sql, *args)]


PROVIDERS: dict[str, SearchProvider] = {"postgres": PostgresSearch()}
DEFAULT = "postgres"


def provider(key: str = DEFAULT) -> SearchProvider:
    """The provider under `key`. Raises `KeyError` when none is registered."""
    return PROVIDERS[key]


_HERE = "point({x}::float8, {y}::float8)"
_ORDERS: Mapping[Sort, tuple[str, str, str]] = {
    # sort: the value shown for it, what follows a key, the order
    Sort.NEWEST: ("0::float8", "l.product_id < {id}", "l.product_id desc"),
    Sort.PRICE: ("l.price::float8", "(l.price, l.product_id) > ({v}::bigint, {id})", "l.price, l.product_id"),
    Sort.PRICE_DOWN: (
        "l.price::float8",
        "(l.price, l.product_id) < ({v}::bigint, {id})",
        "l.price desc, l.product_id desc",
    ),
    Sort.SALES: (
        "l.sales::float8",
        "(l.sales, l.product_id) < ({v}::bigint, {id})",
        "l.sales desc, l.product_id desc",
    ),
    Sort.DISTANCE: (
        "l.location <-> {here}",
        "(l.location <-> {here}, l.product_id) > ({v}::float8, {id})",
        "l.location <-> {here}, l.product_id",
    ),
}
_WITHIN = (
    "l.location <@ box(point({west}::float8, {south}::float8), point({east}::float8, {north}::float8))",
    (
        "2 * {earth}::float8 * asin(sqrt(least(1, sind((l.location[1] - {y}::float8) / 2) ^ 2"
        " + cosd({y}::float8) * cosd(l.location[1]) * sind((l.location[0] - {x}::float8) / 2) ^ 2))) <= {radius}::float8"
    ),
)


class _Arguments:
    """Numbers the parameters of a statement in the order of their first use."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def statement(wanted: Search) -> tuple[str, list[Any]]:
    """SQL and parameters of one page; the text depends only on which filters are there, never on their values."""
    put = _Arguments()
    conditions = ["l.live", *_conditions(wanted, put)]
    place = _place(wanted.near, put) if wanted.sort is Sort.DISTANCE else {}
    value, follows, order = (part.format_map(_Keep(place)) for part in _ORDERS[wanted.sort])
    if wanted.sort is Sort.DISTANCE:
        conditions.append("l.location is not null")
    if wanted.after is not None:
        whole = wanted.sort not in (Sort.DISTANCE, Sort.NEWEST)
        key = int(wanted.after.value) if whole else wanted.after.value
        filled = {"id": f"{put(wanted.after.product_id)}::uuid"}
        filled |= {} if wanted.sort is Sort.NEWEST else {"v": put(key)}
        conditions.append(follows.format_map(filled))
    sql = f"""select l.merchant_id, l.product_id, l.merchant_name, l.title, l.image_url, l.price, l.list_price, l.sales,
      l.location, {value} as key from listing l where {" and ".join(conditions)}
      order by {order} limit {put(wanted.limit)}"""  # noqa: S608
    return sql, put.values


class _Keep(dict[str, str]):
    """Leaves unknown placeholders as they are."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def _place(near: Point | None, put: Callable[[Any], str]) -> dict[str, str]:
    assert near is not None, "the order by distance needs a place"
    return {"here": _HERE.format(x=put(near.lng), y=put(near.lat))}


def _conditions(wanted: Search, put: Callable[[Any], str]) -> list[str]:
    found: list[str] = []
    if wanted.text:
        found.append(f"l.grams @> {put(query_grams(wanted.text))}::text[]")
        found += [f"position({put(term)} in l.search_text) > 0" for term in _unsure_terms(wanted.text)]
    if wanted.category_id is not None:
        found.append(f"l.category_path @> array[{put(wanted.category_id)}::uuid]")
    if wanted.merchant_id is not None:
        found.append(f"l.merchant_id = {put(wanted.merchant_id)}::uuid")
    if wanted.shop_category_id is not None:
        found.append(f"{put(wanted.shop_category_id)}::uuid = any(l.shop_category_ids)")
    if wanted.min_price is not None:
        found.append(f"l.price >= {put(wanted.min_price)}::bigint")
    if wanted.max_price is not None:
        found.append(f"l.price <= {put(wanted.max_price)}::bigint")
    if wanted.near is not None and wanted.radius_m is not None:
        found += _radius(wanted.near, wanted.radius_m, put)
    return found


def _radius(near: Point, radius_m: int, put: Callable[[Any], str]) -> list[str]:
    box = bounding_box(near, radius_m)
    names = {
        "west": put(box.west), "south": put(box.south), "east": put(box.east), "north": put(box.north),
        "x": put(near.lng), "y": put(near.lat), "radius": put(float(radius_m)), "earth": put(EARTH_RADIUS_M),
    }  # fmt: skip
    return [part.format_map(names) for part in _WITHIN]


def _unsure_terms(text: str) -> list[str]:
    """Words of which having all grams does not yet mean that they are there: Chinese runs of more than two characters,
    other words of more than the longest prefix."""
    runs = re.findall(r"[a-z0-9]+|[^\Wa-z0-9_]+", normalise(text))
    return [run for run in dict.fromkeys(runs) if len(run) > (12 if run.isascii() else 2)][:MAX_TERMS]


def _found(row: asyncpg.Record, sort: Sort) -> Found:
    place = row["location"]
    return Found(
        row["merchant_id"], row["product_id"], row["merchant_name"], row["title"], row["image_url"], row["price"],
        row["list_price"], row["sales"], None if place is None else Point(place.x, place.y),
        Key(sort, row["key"], row["product_id"]),
    )  # fmt: skip
