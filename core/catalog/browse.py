"""What buyers see: the list of products and a product's own page. No sign-in, no transaction, one statement each, and what
plugins need for their badges."""

from uuid import UUID

import asyncpg
import msgspec

from core.catalog import badges, search
from core.catalog.schemas import Badge, MerchantBrief, ProductCard, ProductPage, PublicSku, Spec
from core.catalog.search import MAX_RADIUS_M, Found, Key, Search, Sort
from core.db.tx import Tx
from core.kit.errors import FieldError, Invalid, NotFound
from core.kit.geo import Point, distance_m
from core.kit.ids import parse_pair, parse_ref, ref
from core.kit.paging import DEFAULT_LIMIT, Page, check_limit, decode_cursor, encode_cursor
from core.merchants.service import parse_near
from core.types.browse import ShelfProduct

MAX_TEXT = 100
MAX_PRICE = 1_000_000_000


class BrowseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query string of the product list, as sent. `shop_category_id` names a category of a shop's own."""

    q: str | None = None
    category_id: str | None = None
    shop_category_id: str | None = None
    merchant_id: str | None = None
    near: str | None = None
    radius_m: int | None = None
    min_price: int | None = None
    max_price: int | None = None
    sort: str | None = None
    cursor: str | None = None
    limit: int = DEFAULT_LIMIT


async def products(tx: Tx, query: BrowseQuery, viewer: UUID | None = None) -> Page[ProductCard]:
    """One page of live products, with their badges for the account `viewer`. Raises `Invalid`, and `NotFound` for an id that
    cannot be one."""
    wanted = _wanted(query)
    found = await search.provider().search(tx, msgspec.structs.replace(wanted, limit=query.limit + 1))
    following = encode_cursor(found[query.limit - 1].key) if len(found) > query.limit else None
    hits = found[: query.limit]
    shown = await badges.of_page(tx, [_on_shelf(hit) for hit in hits], viewer) if badges.wanted(tx) else {}
    return Page([_card(hit, wanted.near, shown.get(hit.product_id, [])) for hit in hits], following)


def _on_shelf(hit: Found) -> ShelfProduct:
    return ShelfProduct(
        hit.merchant_id, hit.product_id, hit.price, tuple(hit.category_path), tuple(hit.shop_category_ids)
    )


def _wanted(query: BrowseQuery) -> Search:
    check_limit(query.limit)
    sort = _sort(query.sort)
    near = parse_near(query.near) if query.near is not None else None
    if near is None and (sort is Sort.DISTANCE or query.radius_m is not None):
        raise _invalid("near", "required", "Say where: near=lng,lat.")
    _check_range("radius_m", query.radius_m, MAX_RADIUS_M)
    _check_range("min_price", query.min_price, MAX_PRICE)
    _check_range("max_price", query.max_price, MAX_PRICE)
    shop_category = parse_pair(query.shop_category_id) if query.shop_category_id is not None else None
    merchant_id = parse_ref(query.merchant_id) if query.merchant_id is not None else None
    if shop_category is not None and merchant_id not in (None, shop_category[0]):
        raise _invalid("shop_category_id", "unknown", "This category belongs to another shop.")
    return Search(
        sort=sort,
        text=(query.q or "").strip()[:MAX_TEXT],
        category_id=parse_ref(query.category_id) if query.category_id is not None else None,
        merchant_id=shop_category[0] if shop_category else merchant_id,
        shop_category_id=shop_category[1] if shop_category else None,
        near=near,
        radius_m=query.radius_m,
        min_price=query.min_price,
        max_price=query.max_price,
        after=_after(query.cursor, sort),
    )


def _sort(text: str | None) -> Sort:
    try:
        return Sort(text) if text else Sort.NEWEST
    except ValueError:
        raise _invalid("sort", "unknown", f"Use one of {', '.join(Sort)}.") from None


def _after(cursor: str | None, sort: Sort) -> Key | None:
    key = decode_cursor(cursor, Key) if cursor else None
    if key is not None and key.sort is not sort:
        raise _invalid(
            "cursor", "unknown", "A cursor goes with the sort it came from; leave it out to start."
        )
    return key


def _check_range(field: str, value: int | None, most: int) -> None:
    if value is not None and not 0 <= value <= most:
        raise _invalid(field, "range", f"Use 0 to {most}.")


def _invalid(field: str, code: str, detail: str) -> Invalid:
    return Invalid(f"{field}: {detail}", FieldError(field, code, detail))


def _card(hit: Found, near: Point | None, shown: list[Badge]) -> ProductCard:
    return ProductCard(
        ref(hit.merchant_id, hit.product_id), hit.title, hit.image_url, hit.price, hit.list_price, hit.sales,
        MerchantBrief(ref(hit.merchant_id), hit.merchant_name, _apart(hit, near)), shown,
    )  # fmt: skip


def _apart(hit: Found, near: Point | None) -> int | None:
    """In a list by distance the very value it is ordered by, so that rounding cannot contradict the order."""
    if hit.key.sort is Sort.DISTANCE:
        return round(hit.key.value)
    return round(distance_m(near, hit.location)) if near is not None and hit.location is not None else None


_PAGE = """
select l.merchant_id, l.product_id, l.merchant_name, l.title, l.image_url, l.price, l.list_price, l.sales, l.location,
  l.category_path, l.shop_category_ids, l.description, l.images, l.spec_names, coalesce((
    select json_agg(json_build_object('id', s.sku_id, 'specs', s.specs, 'price', s.price, 'list_price', s.list_price,
      'image_url', s.image_url, 'available', coalesce(t.on_hand - t.reserved, 0),
      'min_quantity', s.min_quantity, 'max_quantity', s.max_quantity) order by s.position, s.sku_id)
    from listing_sku s left join stock t on t.merchant_id = s.merchant_id and t.sku_id = s.sku_id
    where s.merchant_id = l.merchant_id and s.product_id = l.product_id and s.live), '[]')::text as skus
from listing l where l.merchant_id = $1 and l.product_id = $2 and l.live
"""


class _Sku(msgspec.Struct, frozen=True):
    id: UUID
    specs: list[str]
    price: int
    list_price: int | None
    image_url: str | None
    available: int
    min_quantity: int
    max_quantity: int | None


async def product(tx: Tx, product_id: str, near: str | None, viewer: UUID | None = None) -> ProductPage:
    """A live product, with its badges for the account `viewer`. Raises `NotFound`, also for one that is not on sale."""
    here = parse_near(near) if near is not None else None
    row = await tx.fetchrow(_PAGE, *parse_pair(product_id))
    if row is None:
        raise NotFound("There is no such product on sale.")
    shelf = ShelfProduct(
        row["merchant_id"], row["product_id"], row["price"], tuple(row["category_path"]),
        tuple(row["shop_category_ids"]),
    )  # fmt: skip
    shown = await badges.of_page(tx, [shelf], viewer)
    names: list[str] = row["spec_names"]
    skus = msgspec.json.decode(row["skus"], type=list[_Sku])
    values = [list(dict.fromkeys(s.specs[n] for s in skus if n < len(s.specs))) for n in range(len(names))]
    return ProductPage(
        ref(row["merchant_id"], row["product_id"]), row["title"], row["image_url"], row["price"], row["list_price"],
        row["sales"], _merchant(row, here), shown.get(row["product_id"], []), row["description"], row["images"],
        [Spec(name, found) for name, found in zip(names, values, strict=True)],
        [
            PublicSku(
                ref(row["merchant_id"], s.id), dict(zip(names, s.specs, strict=False)), s.price, s.list_price,
                s.image_url, s.available, s.min_quantity, s.max_quantity,
            )
            for s in skus
        ],
        "",
    )  # fmt: skip


def _merchant(row: asyncpg.Record, here: Point | None) -> MerchantBrief:
    place = row["location"]
    apart = (
        round(distance_m(here, Point(place.x, place.y))) if here is not None and place is not None else None
    )
    return MerchantBrief(ref(row["merchant_id"]), row["merchant_name"], apart)
