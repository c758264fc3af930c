"""Finding products: what is asked, the provider that answers, and the built-in one on PostgreSQL.

The built-in one is one statement over `listing` per page. Its text is put together from constants, so that each
combination of filters and sort has its own plan. Relevance is: all words are there, newest first; a rank over every
hit of a frequent word would cost time in proportion to the hits.

By distance, all products of a merchant lie in one place: the distance is computed for each merchant, and the products of
the nearest are read until the page is full. Filters that few products pass would make that a walk over nearly all of
them; so the hits are collected first, and only when there are more than `FEW` is the walk taken.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Protocol
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct

from core.db.tx import Tx
from core.kit.geo import Point, bounding_box
from core.kit.text import normalise, query_grams
from core.merchants.repository import metres

MAX_TERMS = 16
MAX_RADIUS_M = 20_037_508
FEW = 1_000
PROBED = 2_000


class Sort(StrEnum):
    """The orders of a product list."""

    NEWEST = "relevance"
    PRICE = "price"
    PRICE_DOWN = "-price"
    SALES = "-sales"
    DISTANCE = "distance"


class Key(Struct, frozen=True, array_like=True):
    """Where a page ended: the sort, the last row's value of it (0 for newest, metres for distance) and its product."""

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
    """One hit. `key` goes into the cursor of the next page; the categories are for badges."""

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
    category_path: Sequence[UUID] = ()
    shop_category_ids: Sequence[UUID] = ()


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
}
_COLUMNS = (
    "l.merchant_id, l.product_id, l.merchant_name, l.title, l.image_url, l.price, l.list_price, l.sales,"
    " l.category_path, l.shop_category_ids"
)
_PAGE = "select {columns} from listing l where {all} order by {order} limit {limit}"
# How many rows pass a filter is not known beforehand. So the first `PROBED` rows of the order are looked at: a frequent word
# fills the page from them. Only when it does not, all hits are fetched by their own index ("offset 0") and sorted; they are
# few then.
_PROBE = """with probe as materialized (
  select {columns} from (select * from listing l where {behind} order by {order} limit {probed}) l
  where {filters} order by {order} limit {limit}
), filled as materialized (select count(*) = {limit} as so from probe)
select * from (
  select * from probe where (select so from filled)
  union all (select {columns} from (select * from listing l where {all} offset 0) l where not (select so from filled)
    order by {order} limit {limit})
) found order by {shown_order}"""
# "offset 0" keeps the planner from computing the distance once per use, and from reading a word's whole index anew for
# each merchant; without filters it would only keep it from stopping early within a large one.
_NEAR = """near as materialized (
  select * from (select id, location, {metres} as apart from merchant where {shops} offset 0) m where {reach})"""
_WALK = """select {columns}, m.location, m.apart as key from (select * from near order by apart) m cross join lateral (
  select * from {shelf} l where {conditions} and {rest} order by l.product_id limit {limit}) l
  {when} order by key, l.product_id limit {limit}"""
_SHELF = "(select * from listing o where o.merchant_id = m.id and o.live order by o.product_id offset 0)"
_HITS = """hits as materialized (select {columns} from listing l where {conditions} {order} limit {most}),
many as materialized (select count(*) = {most} as so from hits)"""
_EITHER = """(select {columns}, m.location, m.apart as key from hits l join near m on m.id = l.merchant_id
  where not (select so from many) and {rest} order by key, l.product_id limit {limit}) union all ({walk})
  order by key, product_id limit {limit}"""


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
    if wanted.sort is Sort.DISTANCE:
        return _nearest(wanted, put), put.values
    filters = _conditions(wanted, put)
    if wanted.near is not None and wanted.radius_m is not None:
        filters += _radius(wanted.near, wanted.radius_m, put)
    value, follows, order = _ORDERS[wanted.sort]
    # In the order of prices, a range of them is a range of the index.
    by_price = wanted.sort in (Sort.PRICE, Sort.PRICE_DOWN)
    behind = ["l.live", *(_prices(wanted, put) if by_price else ())]
    filters += [] if by_price else _prices(wanted, put)
    if wanted.after is not None:
        filled = {"id": f"{put(wanted.after.product_id)}::uuid"}
        filled |= {} if wanted.sort is Sort.NEWEST else {"v": put(int(wanted.after.value))}
        behind.append(follows.format_map(filled))
    names = {
        "columns": f"{_COLUMNS}, l.location, {value} as key", "order": order, "limit": put(wanted.limit),
        "behind": " and ".join(behind), "filters": " and ".join(filters), "all": " and ".join([*behind, *filters]),
        "shown_order": order.replace("l.", ""), "probed": PROBED,
    }  # fmt: skip
    # One shop's shelf is short; without filters every row of the index is a hit.
    plain = not filters or wanted.merchant_id is not None
    return (_PAGE if plain else _PROBE).format(**names), put.values


def _nearest(wanted: Search, put: Callable[[Any], str]) -> str:
    """SQL of a page by distance; products in the same place are in the order of their ids."""
    conditions = " and ".join(["l.live", *_conditions(wanted, put), *_prices(wanted, put)])
    names = {"columns": _COLUMNS, "conditions": conditions, "limit": put(wanted.limit), "most": FEW + 1}
    after, rest = "true", "true"
    if wanted.after is not None:
        value = f"{put(wanted.after.value)}::float8"
        after = f"apart >= {value}"
        rest = f"(m.apart > {value} or l.product_id > {put(wanted.after.product_id)}::uuid)"
    near = _near(wanted, after, put)
    prices = wanted.min_price is not None or wanted.max_price is not None
    words = bool(wanted.text) or wanted.category_id is not None or wanted.shop_category_id is not None
    if not (prices or words):
        names["conditions"] = f"l.merchant_id = m.id and {conditions}"
        return f"with {near} {_WALK.format(**names, rest=rest, shelf='listing', when='')}"
    # The order by price makes the planner read a range of the index, however many hits it expects.
    by_price = "order by l.price" if not words and wanted.merchant_id is None else ""
    walk = _WALK.format(**names, rest=rest, shelf=_SHELF, when="where (select so from many)")
    hits = _HITS.format(**names, order=by_price)
    return f"with {near}, {hits} {_EITHER.format(**names, rest=rest, walk=walk)}"


def _near(wanted: Search, after: str, put: Callable[[Any], str]) -> str:
    """SQL of the open shops that have a place within the radius and not before `after`."""
    assert wanted.near is not None, "the order by distance needs a place"
    shops, reach = ["status = 'open'", "location is not null"], [after]
    if wanted.merchant_id is not None:
        shops.append(f"id = {put(wanted.merchant_id)}::uuid")
    if wanted.radius_m is not None:
        shops.append(_box("location", wanted.near, wanted.radius_m, put))
        reach.append(f"apart <= {put(float(wanted.radius_m))}::float8")
    apart = metres("location", put(wanted.near.lng), put(wanted.near.lat))
    return _NEAR.format(metres=apart, shops=" and ".join(shops), reach=" and ".join(reach))


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
    return found


def _prices(wanted: Search, put: Callable[[Any], str]) -> list[str]:
    found: list[str] = []
    if wanted.min_price is not None:
        found.append(f"l.price >= {put(wanted.min_price)}::bigint")
    if wanted.max_price is not None:
        found.append(f"l.price <= {put(wanted.max_price)}::bigint")
    return found


def _radius(near: Point, radius_m: int, put: Callable[[Any], str]) -> list[str]:
    apart = metres("l.location", put(near.lng), put(near.lat))
    return [_box("l.location", near, radius_m, put), f"{apart} <= {put(float(radius_m))}::float8"]


def _box(place: str, near: Point, radius_m: int, put: Callable[[Any], str]) -> str:
    """SQL of what an index can tell of the radius: too many, never too few."""
    box = bounding_box(near, radius_m)
    west, south, east, north = (f"{put(v)}::float8" for v in (box.west, box.south, box.east, box.north))
    return f"{place} <@ box(point({west}, {south}), point({east}, {north}))"


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
        Key(sort, row["key"], row["product_id"]), row["category_path"], row["shop_category_ids"],
    )  # fmt: skip
