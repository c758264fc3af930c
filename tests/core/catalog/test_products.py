import asyncio

import pytest

from core import hookspecs
from core.catalog import browse, categories, products
from core.catalog.browse import BrowseQuery
from core.catalog.schemas import CategoryIn, CategoryPatch, ProductIn, ProductPatch, SkuIn
from core.deployment.runtime import Runtime
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.ids import parse_ref, ref
from core.merchants import service as merchants
from core.merchants.schemas import ShopPatch
from core.types.scope import ANONYMOUS, PLATFORM, SYSTEM, merchant
from tests.core.catalog.shops import add_product, open_shop, row_id

SIZES = [
    SkuIn(price=1000, specs={"尺寸": "大"}, on_hand=3),
    SkuIn(price=800, specs={"尺寸": "小"}, on_hand=4),
]


async def shown(runtime: Runtime, query: BrowseQuery | None = None) -> list[str]:
    async with runtime.tx(ANONYMOUS) as tx:
        return [card.title for card in (await browse.products(tx, query or BrowseQuery())).items]


async def test_a_product_is_a_draft_until_it_is_listed_and_gone_when_delisted(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop, status="draft")
    assert (made.status, await shown(runtime)) == ("draft", [])
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from listing") == 0
    for status, titles in (("listed", ["茶"]), ("delisted", [])):
        async with runtime.tx(merchant(shop)) as tx:
            await products.set_status(tx, shop, row_id(made.id), status)
        assert await shown(runtime) == titles
    async with runtime.tx(ANONYMOUS) as tx:
        with pytest.raises(NotFound):
            await browse.product(tx, made.id, None)


async def test_the_listing_carries_the_cheapest_sku_and_the_page_what_is_available(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop, spec_names=["尺寸"], skus=SIZES)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update stock set reserved = 1 where sku_id = $1", row_id(made.skus[0].id))
    async with runtime.tx(ANONYMOUS) as tx:
        page = await browse.product(tx, made.id, None)
        assert tx.statements <= 1 + len(tx.hooks.of(hookspecs.product_badges))
    assert page.price == 800
    assert [(s.specs, s.price, s.available) for s in page.skus] == [
        ({"尺寸": "大"}, 1000, 2),
        ({"尺寸": "小"}, 800, 4),
    ]
    assert [(s.name, s.values) for s in page.specs] == [("尺寸", ["大", "小"])]


async def test_a_patch_changes_only_what_it_names(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop, description="<p>好</p><script>x</script>", tags=["绿"])
    assert made.description == "<p>好</p>"
    async with runtime.tx(merchant(shop)) as tx:
        after = await products.change(tx, shop, row_id(made.id), ProductPatch(title="红茶"))
    assert (after.title, after.description, after.tags, after.handle) == (
        "红茶", made.description, ["绿"], made.handle,
    )  # fmt: skip
    assert after.skus == made.skus
    assert await shown(runtime, BrowseQuery(q="红茶")) == ["红茶"]


async def test_skus_are_matched_by_id_or_specs_and_missing_ones_are_retired(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop, spec_names=["尺寸"], skus=SIZES)
    big, small = made.skus
    patch = ProductPatch(
        skus=[
            SkuIn(id=small.id, price=900, specs={"尺寸": "大"}),
            SkuIn(id=big.id, price=1100, specs={"尺寸": "小"}, on_hand=9),
        ]
    )
    async with runtime.tx(merchant(shop)) as tx:
        swapped = await products.change(tx, shop, row_id(made.id), patch)
    assert [(s.id, s.specs["尺寸"], s.price, s.on_hand) for s in swapped.skus] == [
        (small.id, "大", 900, 4),
        (big.id, "小", 1100, 9),
    ]
    only = ProductPatch(skus=[SkuIn(price=1, specs={"尺寸": "小"})])
    async with runtime.tx(merchant(shop)) as tx:
        left = await products.change(tx, shop, row_id(made.id), only)
    assert [(s.id, s.on_hand) for s in left.skus] == [(big.id, 9)]
    async with runtime.tx(SYSTEM) as tx:
        gone = await tx.fetchrow(
            "select live, unavailable from listing_sku where sku_id = $1", row_id(small.id)
        )
        assert tuple(gone or ()) == (False, "delisted")
        moves = await tx.fetch(
            "select on_hand_delta from stock_move where sku_id = $1 order by id", row_id(big.id)
        )
        assert [row[0] for row in moves] == [3, 6]


async def test_stock_cannot_be_set_below_what_buyers_have_reserved(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update stock set reserved = 3")
    with pytest.raises(Conflict, match="reserved"):
        async with runtime.tx(merchant(shop)) as tx:
            await products.change(tx, shop, row_id(made.id), ProductPatch(skus=[SkuIn(price=1, on_hand=2)]))
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select on_hand from stock") == 5


@pytest.mark.parametrize(
    ("field", "product"),
    [
        ("images[1]", ProductIn(title="a", skus=[SkuIn(price=1)], images=["https://a/b", "http://a/b"])),
        ("skus[0].image_url", ProductIn(title="a", skus=[SkuIn(price=1, image_url="javascript:1")])),
        ("skus[0].specs", ProductIn(title="a", skus=[SkuIn(price=1, specs={"x": "1"})])),
        ("skus[1].specs", ProductIn(title="a", skus=[SkuIn(price=1), SkuIn(price=2)])),
        ("skus[0].specs", ProductIn(title="a", spec_names=["x"], skus=[SkuIn(price=1, specs={"x": " "})])),
        ("skus[0].max_quantity", ProductIn(title="a", skus=[SkuIn(price=1, min_quantity=3, max_quantity=2)])),
        ("spec_names", ProductIn(title="a", spec_names=["x", "X"], skus=[SkuIn(price=1)])),
        ("title", ProductIn(title=" \x00 ", skus=[SkuIn(price=1)])),
        ("category_id", ProductIn(title="a", skus=[SkuIn(price=1)], category_id="AAAAAAAAAAAAAAAAAAAAAA")),
        ("category_id", ProductIn(title="a", skus=[SkuIn(price=1)], category_id="x")),
        ("shop_category_ids", ProductIn(title="a", skus=[SkuIn(price=1)], shop_category_ids=["x"])),
    ],
)
async def test_what_does_not_fit_names_its_field(runtime: Runtime, field: str, product: ProductIn) -> None:
    shop = await open_shop(runtime)
    async with runtime.tx(merchant(shop)) as tx:
        with pytest.raises(Invalid) as refusal:
            await products.create(tx, shop, product)
    assert refusal.value.extra["errors"][0].field == field


async def test_another_shops_product_is_not_there(runtime: Runtime) -> None:
    shop, other = await open_shop(runtime), await open_shop(runtime, "shop-b")
    made = await add_product(runtime, shop)
    with pytest.raises(NotFound):
        products.own_product(other, made.id)
    async with runtime.tx(merchant(other)) as tx:
        with pytest.raises(NotFound):
            await products.shown(tx, shop, row_id(made.id))


async def test_equal_titles_get_handles_of_their_own(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    first, second = [await add_product(runtime, shop, "Green Tea 绿茶") for _ in range(2)]
    assert first.handle == "green-tea"
    assert second.handle.startswith("green-tea-")


async def test_a_suspended_shops_products_are_hidden_until_it_reopens(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop)
    for step, titles, reason in (("suspend", [], "shop_closed"), ("reopen", ["茶"], None)):
        async with runtime.tx(PLATFORM) as tx:
            await (merchants.suspend(tx, shop, "x") if step == "suspend" else merchants.reopen(tx, shop))
        assert await shown(runtime) == titles
        async with runtime.tx(SYSTEM) as tx:
            found = await tx.fetchval(
                "select unavailable from listing_sku where sku_id = $1", row_id(made.skus[0].id)
            )
            assert found == reason


async def test_a_shops_new_name_shows_on_its_products(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    await add_product(runtime, shop)
    async with runtime.tx(merchant(shop)) as tx:
        await merchants.change(tx, shop, ShopPatch(name="新名"))
    async with runtime.tx(ANONYMOUS) as tx:
        assert (await browse.products(tx, BrowseQuery())).items[0].merchant.name == "新名"


async def test_categories_form_a_tree_and_stay_while_in_use(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    async with runtime.tx(PLATFORM) as tx:
        root = await categories.create(tx, CategoryIn("食品"))
        leaf = await categories.create(tx, CategoryIn("茶叶", root.id))
        with pytest.raises(Conflict, match="already"):
            await categories.create(tx, CategoryIn("茶叶", root.id))
        with pytest.raises(Invalid):
            await categories.create(tx, CategoryIn("x", ref(shop)))
    await add_product(runtime, shop, category_id=leaf.id)
    async with runtime.tx(PLATFORM) as tx:
        for category in (root, leaf):
            with pytest.raises(Conflict, match="still"):
                await categories.delete(tx, parse_ref(category.id))
        await categories.change(tx, parse_ref(leaf.id), CategoryPatch(name="好茶"))
    async with runtime.tx(ANONYMOUS) as tx:
        tree = (await categories.tree(tx)).items
    assert [(node.name, [child.name for child in node.children]) for node in tree] == [("食品", ["好茶"])]
    assert await shown(runtime, BrowseQuery(category_id=root.id)) == ["茶"]


async def test_a_shops_categories_are_its_own(runtime: Runtime) -> None:
    shop, other = await open_shop(runtime), await open_shop(runtime, "shop-b")
    async with runtime.tx(merchant(shop)) as tx:
        made = await categories.create_shop(tx, shop, CategoryIn("新品"))
        inner = await categories.create_shop(tx, shop, CategoryIn("周一", made.id))
        with pytest.raises(Conflict, match="already"):
            await categories.create_shop(tx, shop, CategoryIn("新品"))
    product = await add_product(runtime, shop, shop_category_ids=[inner.id])
    assert product.shop_category_ids == [inner.id]
    assert await shown(runtime, BrowseQuery(shop_category_id=inner.id)) == ["茶"]
    with pytest.raises(NotFound):
        categories.own_category(other, made.id)
    with pytest.raises(Invalid):
        await add_product(runtime, other, shop_category_ids=[inner.id])
    async with runtime.tx(merchant(shop)) as tx:
        for category in (made, inner):
            with pytest.raises(Conflict, match="still"):
                await categories.delete_shop(tx, shop, row_id(category.id))
        patch = CategoryPatch(name="周二", position=3)
        assert (await categories.change_shop(tx, shop, row_id(inner.id), patch)).name == "周二"


async def test_concurrent_patches_of_one_product_all_succeed(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop)

    async def one(n: int) -> None:
        async with runtime.tx(merchant(shop)) as tx:
            await products.change(
                tx, shop, row_id(made.id), ProductPatch(title=f"t{n}", skus=[SkuIn(price=n, on_hand=n)])
            )

    await asyncio.gather(*(one(n) for n in range(12)))
    async with runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow(
            """select l.title, p.title, l.price, t.on_hand, (select sum(on_hand_delta) from stock_move)
            from product p join listing l on l.product_id = p.id join stock t on true"""
        )
    assert row is not None
    title, listed, price, on_hand, moved = row
    assert title == listed == f"t{price}"
    assert on_hand == moved == price


async def bounds(runtime: Runtime, sku_id: str) -> set[tuple[int, int | None]]:
    """What the SKU, its public copy and its product's page say of quantities."""
    key = row_id(sku_id)
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select min_quantity, max_quantity, product_id, merchant_id from sku where id = $1 union all"
            " select min_quantity, max_quantity, product_id, merchant_id from listing_sku where sku_id = $1",
            key,
        )
    async with runtime.tx(ANONYMOUS) as tx:
        page = await browse.product(tx, ref(rows[0]["merchant_id"], rows[0]["product_id"]), None)
    public = next(sku for sku in page.skus if sku.id == sku_id)
    assert len(rows) == 2
    return {(r["min_quantity"], r["max_quantity"]) for r in rows} | {
        (public.min_quantity, public.max_quantity)
    }


async def test_quantities_of_one_purchase_are_kept_until_changed_and_published(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop, skus=[SkuIn(price=1000, min_quantity=3, max_quantity=9)])
    sku = made.skus[0]
    assert (sku.min_quantity, sku.max_quantity) == (3, 9)
    assert await bounds(runtime, sku.id) == {(3, 9)}
    for sent, kept in (
        (SkuIn(price=900), (3, 9)),
        (SkuIn(price=900, max_quantity=5), (3, 5)),
        (SkuIn(price=900, max_quantity=None), (3, None)),
        (SkuIn(price=900, min_quantity=1), (1, None)),
    ):
        async with runtime.tx(merchant(shop)) as tx:
            changed = await products.change(tx, shop, row_id(made.id), ProductPatch(skus=[sent]))
        assert (changed.skus[0].min_quantity, changed.skus[0].max_quantity) == kept
        assert await bounds(runtime, sku.id) == {kept}


async def test_a_least_quantity_above_the_stored_most_is_refused(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    made = await add_product(runtime, shop, skus=[SkuIn(price=1000, max_quantity=2)])
    async with runtime.tx(merchant(shop)) as tx:
        with pytest.raises(Invalid) as refusal:
            await products.change(
                tx, shop, row_id(made.id), ProductPatch(skus=[SkuIn(price=1000, min_quantity=3)])
            )
    assert [e.field for e in refusal.value.extra["errors"]] == ["skus[0].max_quantity"]
