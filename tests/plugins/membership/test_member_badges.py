"""The member's price on products: for whom, at what cost."""

from typing import Any
from uuid import UUID

import pytest

from core.api import MARKET_ID, Badge, BadgePage, ShelfProduct, hookspecs, new_id, parse_pair
from core.testkit import Market, statements
from core.types.scope import ANONYMOUS
from plugins.membership.badges import Remembered
from plugins.membership.rules import MARKET_PRICE, SHOP_PRICE
from plugins.membership.schemas import SkuPrice
from tests.support.membership import buy, give, level, me, receive


async def ask(runtime: Any, products: list[ShelfProduct], viewer: UUID | None) -> tuple[list[Badge], int]:
    """(badges, statements) as a public page gets them."""
    async with runtime.tx(ANONYMOUS) as tx:
        with statements() as seen:
            found = await dict(tx.hooks.of(hookspecs.product_badges))["membership"](
                tx, BadgePage(tuple(products), viewer)
            )
        return list(found), len(seen)


async def test_product_badges_show_the_lower_of_both_prices_in_one_statement_a_page(market: Market) -> None:
    runtime, shop, other = market.runtime, new_id(), new_id()
    person = await market.buyer()
    await level(runtime, growth=0, discount_bp=1000)
    await level(runtime, shop, growth=0, discount_bp=2000)
    products = [
        ShelfProduct(shop, new_id(), 1000),
        ShelfProduct(other, new_id(), 2000),
        ShelfProduct(other, new_id(), 0),
    ]
    assert await ask(runtime, products, None) == ([], 0)
    found, sent = await ask(runtime, products, me(person))
    assert [(b.kind, b.text, b.price) for b in found] == [
        (SHOP_PRICE, "会员价8元", 800),
        (MARKET_PRICE, "会员价18元", 1800),
    ]
    assert sent == 1
    assert (await ask(runtime, products, me(person)))[1] == 0
    # Levels are known; only who looks is new.
    assert (await ask(runtime, products, me(await market.buyer())))[1] == 1
    assert (await ask(runtime, [*products, ShelfProduct(new_id(), new_id(), 5)], me(person)))[1] == 1


async def test_where_there_are_no_levels_nobody_is_looked_up(market: Market) -> None:
    runtime, person = market.runtime, await market.buyer()
    product = ShelfProduct(new_id(), new_id(), 1000)
    assert await ask(runtime, [product], me(person)) == ([], 1)
    assert await ask(runtime, [product], me(await market.buyer())) == ([], 0)


async def test_of_a_product_with_member_prices_only_these_are_promised(market: Market) -> None:
    runtime, person, shop = market.runtime, await market.buyer(), await market.merchant()
    one, two, dear = [await market.product(shop, price=1000) for _ in range(3)]
    prices = [(one, 950), (dear, 1000)]
    await level(
        runtime, shop.id, discount_bp=2000, prices=tuple(SkuPrice(a.ref, p) for a, p in prices)
    )  # fmt: skip
    found, _ = await ask(
        runtime, [ShelfProduct(shop.id, a.product_id, 1000) for a in (one, two, dear)], me(person)
    )
    assert {b.product_id: b.price for b in found} == {one.product_id: 950, two.product_id: 800}


async def test_a_page_shows_each_viewer_their_own_price(market: Market) -> None:
    runtime, member, stranger, shop = (
        market.runtime, await market.buyer(), await market.buyer(), await market.merchant(),
    )  # fmt: skip
    article = await market.product(shop, price=10_000)
    await level(runtime, growth=50, discount_bp=1000)
    await give(runtime, me(stranger), 100)
    await receive(market, member, await buy(market, member, [(article, 1)]))

    async def shown(headers: dict[str, str]) -> list[Any]:
        page = (await market.client.get("/api/shop/products", headers=headers)).json()["items"]
        return [b for p in page for b in p["badges"] if b["plugin"] == "membership"]

    (badge,) = await shown(member.headers)
    assert (badge["kind"], badge["price"], badge["text"]) == (MARKET_PRICE, 9000, "会员价90元")
    assert await shown(stranger.headers) == []
    assert await shown({}) == []
    assert parse_pair(article.product)[1] == article.product_id


async def test_what_is_remembered_is_read_again_after_a_while(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, person, now = market.runtime, await market.buyer(), [0.0]
    kept = Remembered(lambda: now[0])
    monkeypatch.setattr(runtime.snapshot.installed["membership"], "remembered", kept)
    product = ShelfProduct(new_id(), new_id(), 1000)
    assert await ask(runtime, [product], me(person)) == ([], 1)
    await level(runtime, growth=0, discount_bp=1000)
    assert await ask(runtime, [product], me(person)) == ([], 0)
    now[0] = 5.0
    found, sent = await ask(runtime, [product], me(person))
    assert (len(found), sent) == (1, 1)
    assert set(kept._levels) == {MARKET_ID, product.merchant_id}
