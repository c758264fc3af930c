import asyncio
from uuid import UUID

import pytest

from core.catalog.schemas import SkuIn
from core.deployment.runtime import Runtime
from core.inventory import service
from core.inventory.schemas import StockMoveIn
from core.inventory.service import StockMismatchError
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.ids import new_id
from core.types.scope import SYSTEM, merchant
from tests.core.catalog.shops import add_product, open_shop, row_id


async def stock_of(runtime: Runtime) -> list[tuple[int, int]]:
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select on_hand, reserved from stock order by sku_id")
        return [(row["on_hand"], row["reserved"]) for row in rows]


async def pair(runtime: Runtime) -> tuple[UUID, UUID, UUID]:
    """A shop and two SKUs with 10 pieces each, of which 6 are reserved."""
    shop = await open_shop(runtime)
    sizes = [SkuIn(price=1, specs={"x": n}, on_hand=10) for n in "ab"]
    made = await add_product(runtime, shop, spec_names=["x"], skus=sizes)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update stock set reserved = 6")
    return shop, row_id(made.skus[0].id), row_id(made.skus[1].id)


async def test_a_move_changes_what_is_on_hand_and_is_journalled(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    sku = (await add_product(runtime, shop)).skus[0].id
    async with runtime.tx(merchant(shop)) as tx:
        after = await service.move(tx, shop, StockMoveIn(sku, -2, "破损"))
        assert (after.on_hand, after.reserved, after.available) == (3, 0, 3)
        assert (await service.listed(tx, shop, None, 20)).items == [after]
        with pytest.raises(Conflict) as refusal:
            await service.move(tx, shop, StockMoveIn(sku, -4, "x"))
        assert refusal.value.code == "out_of_stock"
        for bad in (StockMoveIn(sku, 0, "x"), StockMoveIn(sku, 1, " ")):
            with pytest.raises(Invalid):
                await service.move(tx, shop, bad)
        rows = await tx.fetch("select on_hand_delta, reason from stock_move order by id")
    assert [tuple(row) for row in rows] == [(5, "created"), (-2, "破损")]


async def test_another_shops_stock_is_not_there(runtime: Runtime) -> None:
    shop, other = await open_shop(runtime), await open_shop(runtime, "shop-b")
    sku = (await add_product(runtime, shop)).skus[0].id
    async with runtime.tx(merchant(other)) as tx:
        with pytest.raises(NotFound):
            await service.move(tx, other, StockMoveIn(sku, 1, "x"))
        assert (await service.listed(tx, other, None, 20)).items == []


async def test_stock_pages_follow_each_other(runtime: Runtime) -> None:
    shop, first, second = await pair(runtime)
    async with runtime.tx(merchant(shop)) as tx:
        page = await service.listed(tx, shop, None, 1)
        rest = await service.listed(tx, shop, page.next_cursor, 1)
    assert [row_id(item.sku_id) for item in (*page.items, *rest.items)] == [first, second]
    assert rest.next_cursor is None


async def test_shipping_takes_goods_off_both_and_releasing_off_reserved_only(runtime: Runtime) -> None:
    shop, first, second = await pair(runtime)
    async with runtime.tx(merchant(shop)) as tx:
        await service.ship(tx, shop, [(first, 1), (second, 2), (first, 1)], new_id())
    assert await stock_of(runtime) == [(8, 4), (8, 4)]
    async with runtime.tx(SYSTEM) as tx:
        await service.release(tx, [(shop, first, 4)], new_id(), "closed")
    assert await stock_of(runtime) == [(8, 0), (8, 4)]
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select on_hand_delta, reserved_delta, reason from stock_move order by id offset 2"
        )
    assert [tuple(row) for row in rows] == [(-2, -2, "shipped"), (-2, -2, "shipped"), (0, -4, "closed")]


async def test_more_than_is_reserved_cannot_leave(runtime: Runtime) -> None:
    shop, first, second = await pair(runtime)
    with pytest.raises(StockMismatchError):
        async with runtime.tx(SYSTEM) as tx:
            await service.ship(tx, shop, [(first, 1), (second, 7)], new_id())
    assert await stock_of(runtime) == [(10, 6), (10, 6)]


async def test_fifty_moves_at_once_neither_lose_nor_oversell(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    sku = (await add_product(runtime, shop, skus=[SkuIn(price=1, on_hand=30)])).skus[0].id

    async def one() -> bool:
        try:
            async with runtime.tx(merchant(shop)) as tx:
                await service.move(tx, shop, StockMoveIn(sku, -1, "x"))
        except Conflict:
            return False
        return True

    done = await asyncio.gather(*(one() for _ in range(50)))
    assert sum(done) == 30
    assert await stock_of(runtime) == [(0, 0)]


async def test_concurrent_shipments_in_any_order_do_not_deadlock(runtime: Runtime) -> None:
    shop, first, second = await pair(runtime)

    async def one(n: int) -> None:
        lines = [(first, 1), (second, 1)]
        async with runtime.tx(merchant(shop)) as tx:
            await service.ship(tx, shop, lines if n % 2 else lines[::-1], new_id())

    await asyncio.gather(*(one(n) for n in range(6)))
    assert await stock_of(runtime) == [(4, 0), (4, 0)]


async def test_setting_stock_moves_by_the_difference_and_never_below_reserved(runtime: Runtime) -> None:
    shop, first, second = await pair(runtime)
    fresh = new_id()
    async with runtime.tx(merchant(shop)) as tx:
        short = await service.ensure(tx, shop, [(first, 3), (second, 12), (fresh, 7)])
    assert short == {first}
    assert await stock_of(runtime) == [(6, 6), (12, 6), (7, 0)]
