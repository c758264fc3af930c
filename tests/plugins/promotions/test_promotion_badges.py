"""What products show of promotions."""

from datetime import timedelta
from typing import Any

from core.api import Badge, BadgePage, ShelfProduct, hookspecs
from core.testkit import Article, Market, TestClock, statements
from core.types.scope import ANONYMOUS
from tests.support.promotions import Fair


async def shown(market: Market, *articles: Article) -> tuple[dict[Any, list[tuple[str, int | None]]], int]:
    """(text and price of each badge by product, statements)."""
    page = BadgePage(tuple(ShelfProduct(a.merchant_id, a.product_id, a.price) for a in articles))
    async with market.runtime.tx(ANONYMOUS) as tx:
        [hook] = [hook for name, hook in tx.hooks.of(hookspecs.product_badges) if name == "promotions"]
        with statements() as seen:
            badges: list[Badge] = list(await hook(tx, page))
    found: dict[Any, list[tuple[str, int | None]]] = {}
    for badge in badges:
        found.setdefault(badge.product_id, []).append((badge.text, badge.price))
    return found, len(seen)


async def test_product_badges_name_what_runs_and_are_remembered_for_some_seconds(
    fair: Fair, market: Market
) -> None:
    shop, plain = await market.merchant("shop-a"), await market.merchant("shop-b")
    tea, cup = await market.product(shop, price=1000), await market.product(shop, price=2000)
    other = await market.product(plain)
    await fair.run(shop, kind="nth", rate_bp=5000, scope={"kind": "products", "ids": [cup.product]})
    await fair.run(shop, kind="limited", items=[{"sku_id": tea.ref, "price": 800}])
    await fair.run(shop, kind="bundle", price=2500, items=[{"sku_id": tea.ref}, {"sku_id": cup.ref}])
    await fair.run(shop, kind="reduction", tiers=[{"from": 10_000, "minus": 1000}])
    await fair.run(None, kind="free_shipping", tiers=[{"from": 5900}])
    await fair.run(
        shop, kind="gift", tiers=[{"from": 1, "gifts": [{"sku_id": cup.ref}]}], starts_in=timedelta(hours=1)
    )
    want = {
        tea.product_id: {("满100减10", None), ("套装25元", None), ("限时价8元", 800), ("满59包邮", None)},
        cup.product_id: {("满100减10", None), ("套装25元", None), ("第二件半价", None), ("满59包邮", None)},
        other.product_id: {("满59包邮", None)},
    }
    found, asked = await shown(market, tea, cup, other)
    assert ({product: set(badges) for product, badges in found.items()}, asked) == (want, 1)
    assert (await shown(market, tea, cup, other))[1] == 0


async def test_a_badge_is_gone_with_the_end_though_it_is_remembered(
    fair: Fair, market: Market, clock: TestClock
) -> None:
    shop = await market.merchant()
    tea = await market.product(shop)
    await fair.run(shop, kind="nth", rate_bp=5000, ends_in=timedelta(hours=1))
    assert (await shown(market, tea))[0] == {tea.product_id: [("第二件半价", None)]}
    clock.advance(hours=1)
    assert await shown(market, tea) == ({}, 0)
