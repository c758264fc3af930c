import json
import random
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from core import hookspecs
from core.catalog import browse, search
from core.catalog.browse import BrowseQuery
from core.catalog.schemas import ProductCard, SkuIn
from core.catalog.search import Key, Search, Sort
from core.deployment.runtime import Runtime
from core.kit.errors import Invalid
from core.kit.geo import Point
from core.kit.ids import new_id, ref
from core.types.scope import ANONYMOUS, SYSTEM
from tests.core.catalog.shops import add_product, open_shop

HERE = Point(106.55, 29.56)
NEAR = "106.55,29.56"
CATEGORY = UUID(int=(7 << 76) + 5)


async def fill(runtime: Runtime, count: int, owner: str) -> None:
    """Listings of 200 shops in 50 categories: every second a tea, one in a thousand a rare thing."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            """insert into merchant (id, slug, name, status, location, created_at)
            select lpad(to_hex(n), 32, '0')::uuid, 'shop-' || n, 'shop', 'open',
              point(106.3 + n * 0.0025, 29.3 + (n * 37 % 200) * 0.0025), now() from generate_series(0, 199) n"""
        )
        await tx.execute(
            f"""insert into listing (merchant_id, product_id, merchant_name, title, price, sales, category_path,
              location, grams, search_text, live, description)
            select lpad(to_hex(n % 200), 32, '0')::uuid, md5(n::text)::uuid, 'shop', x.title,
              (n::bigint * 7919) % 100000, (n::bigint * 104729) % 5000, array[lpad(to_hex(n % 50), 32, '0')::uuid],
              point(106.3 + (n % 200) * 0.0025, 29.3 + (n % 200 * 37 % 200) * 0.0025), x.grams, x.title,
              n % 20 <> 0, ''
            from generate_series(1, {count}) n, lateral (select
              case when n % 1000 = 1 then '翡翠白菜' when n % 2 = 0 then '高山绿茶' else '手工杯子' end as title,
              case when n % 1000 = 1 then array['翡翠', '翠白', '白菜'] when n % 2 = 0
                then array['高山', '山绿', '绿茶'] else array['手工', '工杯', '杯子'] end as grams) x"""
        )
    connection = await asyncpg.connect(owner)
    await connection.execute("vacuum analyze listing, merchant")
    await connection.close()


PAGES: dict[str, Search] = {
    "newest": Search(),
    "price": Search(sort=Sort.PRICE),
    "price down, second page": Search(sort=Sort.PRICE_DOWN, after=Key(Sort.PRICE_DOWN, 50_000, new_id())),
    "price range": Search(min_price=500, max_price=510),
    "sales": Search(sort=Sort.SALES),
    "merchant": Search(merchant_id=UUID(int=7)),
    "category": Search(category_id=UUID(int=7)),
    "rare word": Search(text="翡翠白菜"),
    "frequent word": Search(text="绿茶"),
    "no hit": Search(text="宇宙飞船"),
    "near": Search(sort=Sort.DISTANCE, near=HERE),
    "near, second page": Search(sort=Sort.DISTANCE, near=HERE, after=Key(Sort.DISTANCE, 700, new_id())),
    "near, within": Search(sort=Sort.DISTANCE, near=HERE, radius_m=500),
    "near, merchant": Search(sort=Sort.DISTANCE, near=HERE, merchant_id=UUID(int=7)),
    "near, category": Search(sort=Sort.DISTANCE, near=HERE, category_id=UUID(int=7)),
    "near, rare word": Search(sort=Sort.DISTANCE, near=HERE, text="翡翠白菜"),
    "near, no hit": Search(sort=Sort.DISTANCE, near=HERE, text="宇宙飞船"),
    "near, price": Search(sort=Sort.DISTANCE, near=HERE, min_price=99_000),
    "radius": Search(near=HERE, radius_m=500),
}


def scanned(plan: Any) -> set[str]:
    """Tables that a plan reads from end to end."""
    if isinstance(plan, list):
        return set().union(*(scanned(part) for part in plan))
    if not isinstance(plan, dict):
        return set()
    own = {plan["Relation Name"]} if plan.get("Node Type") == "Seq Scan" else set()
    return own | scanned(list(plan.values()))


async def test_no_page_of_twenty_thousand_listings_scans_the_table(runtime: Runtime, owner: str) -> None:
    await fill(runtime, 20_000, owner)
    async with runtime.tx(ANONYMOUS) as tx:
        for name, wanted in PAGES.items():
            sql, args = search.statement(wanted)
            plan = await tx.fetchval(f"explain (format json) {sql}", *args)
            found = json.loads(plan) if isinstance(plan, str) else plan
            assert scanned(found) <= {"merchant"}, f"{name}: {plan}"


def titles(page: Any) -> list[str]:
    return [card.title for card in page.items]


async def shelf(runtime: Runtime) -> None:
    near, far = (
        await open_shop(runtime, "close-by", HERE),
        await open_shop(runtime, "far-away", Point(106.6, 29.56)),
    )
    lost = await open_shop(runtime, "nowhere")
    for shop, title, price in (
        (near, "十八梯拼配豆", 300),
        (far, "十八梯拼豆配", 100),
        (near, "Steps Coffee", 200),
        (lost, "Coffeehouse 明信片", 200),
    ):
        await add_product(runtime, shop, title, skus=[SkuIn(price=price)])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (BrowseQuery(), ["Coffeehouse 明信片", "Steps Coffee", "十八梯拼豆配", "十八梯拼配豆"]),
        (BrowseQuery(sort="price"), ["十八梯拼豆配", "Steps Coffee", "Coffeehouse 明信片", "十八梯拼配豆"]),
        (BrowseQuery(sort="-price"), ["十八梯拼配豆", "Coffeehouse 明信片", "Steps Coffee", "十八梯拼豆配"]),
        (BrowseQuery(sort="distance", near=NEAR), ["十八梯拼配豆", "Steps Coffee", "十八梯拼豆配"]),
        (BrowseQuery(near=NEAR, radius_m=1000), ["Steps Coffee", "十八梯拼配豆"]),
        (BrowseQuery(q="拼配豆"), ["十八梯拼配豆"]),
        (BrowseQuery(q="coff"), ["Coffeehouse 明信片", "Steps Coffee"]),
        (BrowseQuery(q="coffeehouseplant"), []),
        (BrowseQuery(q="ＣＯＦＦＥＥ steps"), ["Steps Coffee"]),
        (BrowseQuery(q="  "), ["Coffeehouse 明信片", "Steps Coffee", "十八梯拼豆配", "十八梯拼配豆"]),
        (BrowseQuery(q="!?%_"), []),
        (BrowseQuery(min_price=150, max_price=250, sort="price"), ["Steps Coffee", "Coffeehouse 明信片"]),
        (BrowseQuery(category_id=ref(CATEGORY)), []),
        (BrowseQuery(merchant_id=ref(CATEGORY)), []),
    ],
)
async def test_filters_and_sorts(runtime: Runtime, query: BrowseQuery, expected: list[str]) -> None:
    await shelf(runtime)
    async with runtime.tx(ANONYMOUS) as tx:
        assert titles(await browse.products(tx, query)) == expected
        assert tx.statements <= 1 + len(tx.hooks.of(hookspecs.product_badges))


@pytest.mark.parametrize("sort", [*Sort])
async def test_pages_of_every_sort_give_each_product_once_in_order(
    runtime: Runtime, owner: str, sort: Sort
) -> None:
    await fill(runtime, 300, owner)
    near = NEAR if sort is Sort.DISTANCE else None
    async with runtime.tx(ANONYMOUS) as tx:
        whole: list[str] = []
        cursor = None
        while True:
            page = await browse.products(tx, BrowseQuery(sort=sort, near=near, cursor=cursor, limit=40))
            whole += [card.id for card in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        at_once = [
            hit.product_id
            for hit in await search.provider().search(
                tx, Search(sort=sort, near=HERE if near else None, limit=1000)
            )
        ]
    assert len(whole) == len(set(whole)) == len(at_once) == 285


async def scatter(runtime: Runtime, seed: int, shops: int, each: int) -> None:
    """Open shops at random places around Chongqing, every tenth beside the one before it, with `each` products."""
    chance = random.Random(seed)
    places = [(106.55 + chance.uniform(-0.5, 0.5), 29.56 + chance.uniform(-0.5, 0.5)) for _ in range(shops)]
    places = [places[n - 1] if n % 10 == 9 else place for n, place in enumerate(places)]
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            """with m as (
              insert into merchant (id, slug, name, status, location, created_at)
              select md5('shop' || n)::uuid, 'shop-' || n, 'shop', 'open', point(x, y), now()
              from unnest($1::float8[], $2::float8[]) with ordinality p(x, y, n) returning id, location)
            insert into listing (merchant_id, product_id, merchant_name, title, price, location, grams, search_text,
              live, description)
            select id, md5(id::text || n)::uuid, 'shop', '绿茶', 100 + n, location, array['绿茶'], '绿茶', n % 7 <> 0, ''
            from m, generate_series(1, $3) n""",
            [x for x, _ in places], [y for _, y in places], each,
        )  # fmt: skip


async def cards(runtime: Runtime, query: BrowseQuery) -> list[ProductCard]:
    """All pages together."""
    found: list[ProductCard] = []
    async with runtime.tx(ANONYMOUS) as tx:
        while True:
            page = await browse.products(tx, query)
            found += page.items
            if page.next_cursor is None:
                return found
            query = msgspec.structs.replace(query, cursor=page.next_cursor)


@pytest.mark.parametrize("few", [0, search.FEW])
@pytest.mark.parametrize("seed", range(3))
async def test_all_pages_by_distance_are_in_the_order_of_the_distance_shown_and_hold_every_product_once(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, seed: int, few: int
) -> None:
    monkeypatch.setattr(search, "FEW", few)
    await scatter(runtime, seed, shops=120, each=8)
    chance = random.Random(seed)
    near = f"{106.55 + chance.uniform(-0.3, 0.3):.6f},{29.56 + chance.uniform(-0.3, 0.3):.6f}"
    whole = BrowseQuery(sort="distance", near=near, limit=37)
    for query, count in (
        (whole, 840),
        (msgspec.structs.replace(whole, q="绿茶"), 840),
        (msgspec.structs.replace(whole, min_price=103, max_price=105), 360),
    ):
        found = await cards(runtime, query)
        apart = [card.merchant.distance_m or 0 for card in found]
        assert apart == sorted(apart)
        assert len(found) == len({card.id for card in found}) == count
    within = await cards(runtime, msgspec.structs.replace(whole, radius_m=30_000))
    unsorted = await cards(runtime, BrowseQuery(near=near, radius_m=30_000, limit=100))
    assert within
    assert {card.id for card in within} == {card.id for card in unsorted}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (BrowseQuery(sort="random"), "sort"),
        (BrowseQuery(sort="distance"), "near"),
        (BrowseQuery(radius_m=5), "near"),
        (BrowseQuery(near="x"), "near"),
        (BrowseQuery(near=NEAR, radius_m=-1), "radius_m"),
        (BrowseQuery(min_price=10**30), "min_price"),
        (BrowseQuery(max_price=-1), "max_price"),
        (BrowseQuery(limit=0), "limit"),
        (BrowseQuery(cursor="nonsense"), "cursor"),
        (BrowseQuery(cursor="WyJwcmljZSIsMSwieCJd"), "cursor"),
    ],
)
async def test_a_bad_query_names_its_parameter(runtime: Runtime, query: BrowseQuery, field: str) -> None:
    async with runtime.tx(ANONYMOUS) as tx:
        with pytest.raises(Invalid) as refusal:
            await browse.products(tx, query)
    assert refusal.value.extra["errors"][0].field == field
