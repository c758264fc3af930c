import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core.catalog import browse, search
from core.catalog.browse import BrowseQuery
from core.catalog.schemas import SkuIn
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
    await connection.execute("vacuum analyze listing")
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
    "radius": Search(near=HERE, radius_m=500),
}


async def test_no_page_of_twenty_thousand_listings_scans_the_table(runtime: Runtime, owner: str) -> None:
    await fill(runtime, 20_000, owner)
    async with runtime.tx(ANONYMOUS) as tx:
        for name, wanted in PAGES.items():
            sql, args = search.statement(wanted)
            plan = await tx.fetchval(f"explain (format json) {sql}", *args)
            text = plan if isinstance(plan, str) else json.dumps(plan)
            assert "Seq Scan" not in text, f"{name}: {text}"


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
        assert tx.statements <= 1


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
