"""Badges on the products of a page: the hook `product_badges`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import httpx
import pytest

from core import hookspecs
from core.api import Badge, BadgePage, Plugin, ShelfProduct, Tx, hookimpl
from core.catalog import browse, categories
from core.catalog.browse import BrowseQuery
from core.catalog.schemas import CategoryIn, SkuIn
from core.deployment.runtime import Runtime
from core.kit.errors import Conflict
from core.kit.ids import new_id, parse_ref
from core.plugin import Snapshot
from core.types.scope import ANONYMOUS, PLATFORM, Audience, Scope, buyer, merchant
from core.web.server import SwapApp
from tests.core.catalog.shops import add_product, open_shop, row_id
from tests.support.market import bearer, sign_in

Load = Callable[[Tx, BadgePage], Awaitable[Sequence[Badge]]]


class Badger(Plugin):
    """Badges as told by `load`; notes the pages it is asked about."""

    name = "badger"
    title = summary = "badger"

    def __init__(self, load: Load | None = None) -> None:
        super().__init__()
        self.load, self.pages = load, list[BadgePage]()

    @hookimpl
    async def product_badges(self, tx: Tx, page: BadgePage) -> Sequence[Badge]:
        self.pages.append(page)
        if self.load is not None:
            return await self.load(tx, page)
        return [Badge(p.product_id, self.name, "sale", f"{p.price}", p.price - 1) for p in page.products]


class Another(Badger):
    """A second plugin; its name comes after the first's."""

    name = "zebra"
    title = summary = "zebra"


def only(runtime: Runtime, *plugins: Plugin) -> None:
    """From now on these plugins are on, beside core's own."""
    runtime.snapshot = Snapshot(1, [*plugins, *runtime.always], [*plugins, *runtime.always], hookspecs)


async def cards(runtime: Runtime, **query: Any) -> list[Any]:
    async with runtime.tx(ANONYMOUS) as tx:
        return (await browse.products(tx, BrowseQuery(**query))).items


async def test_product_badges_are_on_the_cards_and_on_the_page(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    async with runtime.tx(PLATFORM) as tx:
        root = await categories.create(tx, CategoryIn("茶"))
    async with runtime.tx(merchant(shop)) as tx:
        own = await categories.create_shop(tx, shop, CategoryIn("新茶"))
    made = await add_product(runtime, shop, category_id=root.id, shop_category_ids=[own.id])
    await add_product(runtime, shop, skus=[SkuIn(price=500)])
    badger, viewer = Badger(), new_id()
    only(runtime, badger)
    async with runtime.tx(ANONYMOUS) as tx:
        found = (await browse.products(tx, BrowseQuery(sort="-price"), viewer)).items
        page = await browse.product(tx, made.id, None, viewer)
        # One for the list, one for the page, none for badges that need none.
        assert tx.statements == 2
    assert [[(b.plugin, b.kind, b.text, b.price) for b in card.badges] for card in found] == [
        [("badger", "sale", "1000", 999)],
        [("badger", "sale", "500", 499)],
    ]
    assert page.badges == found[0].badges
    shelf = ShelfProduct(shop, row_id(made.id), 1000, (parse_ref(root.id),), (row_id(own.id),))
    assert badger.pages[0].products[0] == shelf
    assert badger.pages[1] == BadgePage((shelf,), viewer)


async def test_a_list_without_badges_asks_nothing_and_takes_one_statement(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    for n in range(5):
        await add_product(runtime, shop, f"茶 {n}")
    badger = Badger()
    only(runtime)
    async with runtime.tx(ANONYMOUS) as tx:
        assert [card.badges for card in (await browse.products(tx, BrowseQuery())).items] == [[]] * 5
        assert tx.statements == 1
    only(runtime, badger)
    assert await cards(runtime, q="宇宙飞船") == []
    assert badger.pages == []
    page = await cards(runtime, limit=2)
    assert [len(p.products) for p in badger.pages] == [2]
    assert all(card.badges for card in page)


async def test_badges_never_change_the_order(runtime: Runtime) -> None:
    shop = await open_shop(runtime)
    for price in (300, 100, 200):
        await add_product(runtime, shop, skus=[SkuIn(price=price)])

    async def dear_is_cheap(_: Tx, page: BadgePage) -> Sequence[Badge]:
        return [Badge(p.product_id, "badger", "x", "x", 1_000 - p.price) for p in reversed(page.products)]

    only(runtime, Badger(dear_is_cheap))
    assert [(c.price, c.badges[0].price) for c in await cards(runtime, sort="price")] == [
        (100, 900),
        (200, 800),
        (300, 700),
    ]


async def _refuses(_: Tx, __: BadgePage) -> Sequence[Badge]:
    raise Conflict("No badges today.")


async def _breaks(_: Tx, __: BadgePage) -> Sequence[Badge]:
    raise ZeroDivisionError


async def _bad_statement(tx: Tx, _: BadgePage) -> Sequence[Badge]:
    await tx.fetchval("select 1 / 0")
    return ()


async def _bad_statement_as_the_viewer(tx: Tx, page: BadgePage) -> Sequence[Badge]:
    await tx.enter(buyer(page.viewer or new_id()))
    return await _bad_statement(tx, page)


async def _own_files(_: Tx, __: BadgePage) -> Sequence[Badge]:
    raise FileNotFoundError


async def _foreign(_: Tx, page: BadgePage) -> Sequence[Badge]:
    return [Badge(page.products[0].product_id, "zebra", "x", "x")]


async def _no_badge(_: Tx, __: BadgePage) -> Sequence[Badge]:
    return ["badge"]  # type: ignore[list-item]


async def _no_text(_: Tx, page: BadgePage) -> Sequence[Badge]:
    return [Badge(page.products[0].product_id, "badger", "x", object())]  # type: ignore[arg-type]


async def _nothing(_: Tx, __: BadgePage) -> Sequence[Badge]:
    return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    "load",
    [_refuses, _breaks, _bad_statement, _bad_statement_as_the_viewer, _own_files, _foreign, _no_badge, _no_text, _nothing],
)  # fmt: skip
async def test_a_plugin_whose_badges_fail_is_left_out(runtime: Runtime, load: Load) -> None:
    made = await add_product(runtime, await open_shop(runtime))

    async def reads(tx: Tx, page: BadgePage) -> Sequence[Badge]:
        count = await tx.fetchval("select count(*) from listing")
        assert (await tx.fetch("select * from account"), tx.scope) == ([], ANONYMOUS)
        return [Badge(p.product_id, "zebra", "x", f"{count}") for p in page.products]

    only(runtime, Badger(load), Another(reads))
    async with runtime.tx(ANONYMOUS) as tx:
        (card,) = (await browse.products(tx, BrowseQuery())).items
        page = await browse.product(tx, made.id, None)
    assert [(b.plugin, b.text) for b in card.badges] == [("zebra", "1")]
    assert page.badges == card.badges


async def test_a_badge_for_something_not_on_the_page_is_left_out(runtime: Runtime) -> None:
    await add_product(runtime, await open_shop(runtime))

    async def stray(_: Tx, page: BadgePage) -> Sequence[Badge]:
        return [Badge(new_id(), "badger", "x", "x"), Badge(page.products[0].product_id, "badger", "x", "ok")]

    only(runtime, Badger(stray))
    assert [[b.text for b in card.badges] for card in await cards(runtime)] == [["ok"]]


async def test_a_lost_connection_is_no_page(runtime: Runtime) -> None:
    await add_product(runtime, await open_shop(runtime))

    async def cut(tx: Tx, _: BadgePage) -> Sequence[Badge]:
        await tx.fetchval("select pg_terminate_backend(pg_backend_pid())")
        return ()

    only(runtime, Badger(cut))
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await cards(runtime)


async def test_badges_of_a_viewer_are_looked_up_in_the_viewers_scope_and_leave_nothing(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    await add_product(runtime, await open_shop(runtime))
    me = await sign_in(runtime, Audience.SHOP)
    seen: list[tuple[Any, Any]] = []

    async def mine(tx: Tx, page: BadgePage) -> Sequence[Badge]:
        if page.viewer is None:
            return ()
        await tx.enter(Scope("buyer", account_id=page.viewer))
        name = await tx.fetchval("select nickname from account")
        await tx.execute("update account set nickname = 'touched'")
        seen.append((page.viewer, name))
        return [Badge(p.product_id, "badger", "mine", name, activity_id="a") for p in page.products]

    only(runtime, Badger(mine))
    app = SwapApp(runtime, client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as web:
        for _ in range(2):
            (card,) = (await web.get("/api/shop/products", headers=bearer(runtime, me))).json()["items"]
            # What a badge has not is left out.
            assert card["badges"] == [
                {"plugin": "badger", "kind": "mine", "text": "test", "activity_id": "a"}
            ]
        page = (await web.get(f"/api/shop/products/{card['id']}", headers=bearer(runtime, me))).json()
        assert page["badges"] == card["badges"]
        assert (await web.get(f"/api/shop/products/{card['id']}")).json()["badges"] == []
        clerk = await sign_in(runtime, Audience.MERCHANT, await open_shop(runtime, "other"))
        assert (await web.get("/api/shop/products", headers=bearer(runtime, clerk))).json()["items"][0][
            "badges"
        ] == []
    assert seen == [(me.account_id, "test")] * 3
    assert runtime.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
