from core.catalog import browse, categories
from core.catalog.browse import BrowseQuery
from core.catalog.shopify import parse
from core.catalog.transfer import export_csv
from core.demo import seed as demo
from core.deployment.runtime import Runtime
from core.types.scope import ANONYMOUS, SYSTEM, merchant


async def test_the_demo_market_is_seeded_once_and_again_does_nothing(runtime: Runtime) -> None:
    first = await demo.seed(runtime.tx)
    market = demo.load()
    files = {shop.slug: (demo.FOLDER / shop.products).read_bytes() for shop in market.merchants}
    every = [product for data in files.values() for product in parse(data).products]
    listed = sum(product.status == "listed" for product in every)
    assert first == demo.SeedReport(categories=19, merchants=6, products=len(every), accounts=16)
    assert await demo.seed(runtime.tx) == demo.SeedReport()
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from product where category_id is null") == 0
        assert await tx.fetchval("select count(*) from listing where live") == listed
        assert await tx.fetchval("select count(*) from address where is_default") == 9
        ids = {row["slug"]: row["id"] for row in await tx.fetch("select slug, id from merchant")}
    for slug, data in files.items():
        async with runtime.tx(merchant(ids[slug])) as tx:
            assert await export_csv(tx, ids[slug]) == data


async def test_a_seed_cut_off_in_the_middle_is_completed(runtime: Runtime) -> None:
    shop = demo.load().merchants[0]
    await demo._shop(shop)(runtime.tx)
    await demo._buyer(1, demo.BUYERS[0])(runtime.tx)
    report = await demo.seed(runtime.tx)
    assert (report.merchants, report.accounts) == (5, 14)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from merchant") == 6


async def test_the_seeded_market_can_be_browsed_without_sign_in(runtime: Runtime) -> None:
    await demo.seed(runtime.tx)
    async with runtime.tx(ANONYMOUS) as tx:
        tree = await categories.tree(tx)
        coffee = next(node for node in tree.items if node.name == "咖啡时光")
        page = await browse.products(
            tx, BrowseQuery(category_id=coffee.id, near="106.55,29.56", sort="distance")
        )
        assert page.items
        assert all(card.merchant.distance_m is not None for card in page.items)
        hit = (await browse.products(tx, BrowseQuery(q="十八梯拼配"))).items[0]
        found = await browse.product(tx, hit.id, None)
        assert found.skus[0].available > 0
        assert {spec.name for spec in found.specs} == set(found.skus[0].specs)
