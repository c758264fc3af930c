import httpx
import pytest

from core.catalog import browse, categories
from core.catalog.browse import BrowseQuery
from core.catalog.shopify import parse
from core.catalog.transfer import export_csv
from core.demo import seed as demo
from core.deployment.runtime import Runtime
from core.kit.errors import FieldError, Invalid
from core.kit.ids import ref
from core.plugin import PluginError
from core.testkit import Market, Plugins, TestClock
from core.types.scope import ANONYMOUS, SYSTEM, merchant

SHOWING = ("coupons", "flash_sale", "group_buy", "membership", "promotions")


async def test_the_demo_market_is_seeded_once_and_again_does_nothing(runtime: Runtime) -> None:
    first = await demo.seed(runtime.tx)
    market = demo.load()
    files = {shop.slug: (demo.FOLDER / shop.products).read_bytes() for shop in market.merchants}
    every = [product for data in files.values() for product in parse(data).products]
    listed = sum(product.status == "listed" for product in every)
    assert first == demo.SeedReport(
        categories=19, merchants=6, products=len(every), accounts=16, plugins=SHOWING
    )
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


async def test_every_tool_is_seen_in_the_lists_of_the_demo_within_a_minute(
    runtime: Runtime, client: httpx.AsyncClient, clock: TestClock
) -> None:
    await demo.seed(runtime.tx)
    clock.advance(minutes=1)
    page = (await client.get("/api/shop/products", params={"limit": 100})).json()
    shown = [(badge["kind"], product["title"]) for product in page["items"] for badge in product["badges"]]
    assert {kind for kind, _ in shown} == {
        *("coupons.market", "coupons.shop", "flash_sale.price", "group_buy.price"),
        *("promotions.limited", "promotions.nth", "promotions.reduction", "promotions.gift"),
    }
    flash = {title for kind, title in shown if kind == "flash_sale.price"}
    assert flash == {"璧山葡萄", "轻轨图鉴 Monorail Atlas"}
    [sale] = (await client.get("/api/shop/flash_sale/slots")).json()
    assert (sale["phase"], len(sale["items"])) == ("running", 1)


async def test_one_piece_of_anything_costs_its_price_unless_it_is_on_offer(market: Market) -> None:
    await demo.seed(market.runtime.tx)
    async with market.runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select merchant_id, sku_id, price from listing_sku where live")
    newcomer = await market.buyer()
    cheaper = []
    for row in rows:
        quote = (await newcomer.quote((ref(row["merchant_id"], row["sku_id"]), 1))).json()
        if quote["payable"] - quote["shipping_amount"] != row["price"]:
            cheaper.append(row["price"])
    assert cheaper == [3980]


async def test_a_refused_demo_names_its_plugin_and_leaves_nothing_half_done(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Invalid("This cannot be.", FieldError("name", "required", "Give it a name."))

    last = type(runtime.snapshot.active["promotions"])
    with monkeypatch.context() as patched:
        patched.setattr(last, "demo", refuse)
        with pytest.raises(PluginError, match=r"plugin promotions is refused: .*\n  name: Give it a name"):
            await demo.seed(runtime.tx)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from activity") == 0
        assert not await tx.fetchval("select exists (select from account where login = 'operator')")
    assert await demo.seed(runtime.tx) == demo.SeedReport(accounts=1, plugins=SHOWING)


async def test_without_tools_the_demo_is_shops_and_people_only(runtime: Runtime) -> None:
    report = await demo.seed(runtime.tx, tools=False)
    assert (report.merchants, report.accounts, report.plugins) == (6, 16, ())
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from activity") == 0


class TestOnePluginOn:
    @pytest.fixture
    def jishi_plugins(self) -> Plugins:
        return Plugins(on=["express_delivery", "group_buy"])

    async def test_only_plugins_that_are_on_show_anything(self, runtime: Runtime) -> None:
        assert (await demo.seed(runtime.tx)).plugins == ("group_buy",)
        async with runtime.tx(SYSTEM) as tx:
            assert [row["plugin"] for row in await tx.fetch("select plugin from activity")] == ["group_buy"]
