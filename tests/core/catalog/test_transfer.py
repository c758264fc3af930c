import pytest

from core.catalog import browse, transfer
from core.catalog.browse import BrowseQuery
from core.catalog.shopify_table import MAX_BYTES
from core.deployment.runtime import Runtime
from core.kit.errors import Invalid
from core.types.scope import ANONYMOUS, SYSTEM, merchant
from tests.core.catalog.shops import open_shop

HEAD = "Handle,Title,Type,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price\n"
TEA = HEAD + "tea,绿茶,茶叶,大小,大,T1,5,10\ntea,,,,小,T2,6,8\n"


async def take(runtime: Runtime, shop, text: str):  # type: ignore[no-untyped-def]
    async with runtime.tx(merchant(shop)) as tx:
        report = await transfer.import_csv(tx, shop, text.encode())
        return report, tx.statements


async def stock(runtime: Runtime) -> dict[str, tuple[int, str]]:
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select code, on_hand, status from sku join stock on sku_id = id")
    return {row["code"]: (row["on_hand"], row["status"]) for row in rows}


async def test_a_file_is_taken_and_given_back(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    report, _ = await take(runtime, shop, TEA)
    assert (report.products, report.skus, report.refused) == (1, 2, [])
    async with runtime.tx(merchant(shop)) as tx:
        exported = await transfer.export_csv(tx, shop)
    again, _ = await take(runtime, shop, exported.decode())
    assert (again.products, again.skus, again.refused) == (1, 2, [])
    async with runtime.tx(merchant(shop)) as tx:
        assert await transfer.export_csv(tx, shop) == exported
        assert await tx.fetchval("select count(*) from sku") == 2
        assert await tx.fetchval("select count(*) from stock_move") == 2
    async with runtime.tx(ANONYMOUS) as tx:
        assert [c.title for c in (await browse.products(tx, BrowseQuery(q="绿茶"))).items] == ["绿茶"]


async def test_a_second_file_moves_stock_by_the_difference_and_retires_what_is_gone(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    await take(runtime, shop, TEA)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update stock set reserved = 4 where on_hand = 5")
    report, _ = await take(runtime, shop, HEAD + "tea,红茶,,大小,大,T1,2,10\ntea,,,,中,T3,1,9\n")
    assert [(row.line, row.code) for row in report.refused] == [(2, "stock_reserved")]
    assert await stock(runtime) == {"T1": (4, "active"), "T2": (6, "retired"), "T3": (1, "active")}
    async with runtime.tx(SYSTEM) as tx:
        moves = await tx.fetch("select on_hand_delta from stock_move order by id")
        assert [row[0] for row in moves] == [5, 6, -1, 1]


async def test_bad_rows_are_refused_one_by_one(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    report, _ = await take(runtime, shop, TEA + "cake,蛋糕,,,,C1,1,free\n")
    assert (report.products, report.skus) == (1, 2)
    assert 4 in {row.line for row in report.refused}


async def test_more_skus_than_a_product_may_have_are_refused(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    rows = "".join(f"tea,{'茶' if n == 0 else ''},,{'号' if n == 0 else ''},{n},,1,1\n" for n in range(103))
    report, _ = await take(runtime, shop, HEAD + rows)
    assert report.skus == 100
    assert [row.code for row in report.refused] == ["too_many_skus"] * 3


@pytest.mark.parametrize(
    ("data", "code", "status"),
    [
        (b"", "empty", 422),
        (b"a,b\n1,2\n", "missing_columns", 422),
        (b"x" * (MAX_BYTES + 1), "too_large", 413),
    ],
)
async def test_an_unreadable_file_says_why(runtime: Runtime, data: bytes, code: str, status: int) -> None:
    shop = await open_shop(runtime)
    async with runtime.tx(merchant(shop)) as tx:
        with pytest.raises(Invalid) as refusal:
            await transfer.import_csv(tx, shop, data)
    assert (refusal.value.code, refusal.value.status) == (code, status)


async def test_a_long_file_takes_as_few_statements_as_a_short_one(runtime: Runtime) -> None:
    shop, other = await open_shop(runtime), await open_shop(runtime, "shop-b")
    long = HEAD + "".join(f"p{n},茶 {n},,,,,1,1\n" for n in range(1000))
    report, many = await take(runtime, shop, long)
    assert report.products == 1000
    assert many == (await take(runtime, other, TEA))[1] <= 10


async def test_a_file_leaves_the_quantities_of_one_purchase_as_they_are(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    await take(runtime, shop, TEA)
    async with runtime.tx(merchant(shop)) as tx:
        await tx.execute("update sku set min_quantity = 2, max_quantity = 5 where code = 'T1'")
    await take(runtime, shop, TEA)
    async with runtime.tx(SYSTEM) as tx:
        for table in ("sku", "listing_sku"):
            rows = await tx.fetch(f"select min_quantity, max_quantity from {table} order by specs")
            assert [tuple(row) for row in rows] == [(2, 5), (1, None)]
