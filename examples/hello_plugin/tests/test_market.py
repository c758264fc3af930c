"""The plugin in a market: real servers, the real flow."""

from collections.abc import Callable
from typing import Any

from core.testkit import Market


async def test_price_rules_take_the_rest_over_the_unit_off_a_purchase(
    market: Market, purchase: Callable[..., Any], drain: Callable[..., Any]
) -> None:
    shop = await market.merchant("tea")
    tea = await market.product(shop, price=1234)
    buyer = await market.buyer()
    quote = (await buyer.quote((tea.ref, 2))).json()
    assert quote["discount_amount"] == 468
    trade = await purchase(buyer, [(tea, 2)])
    assert trade["discount_amount"] == 468
    await drain()


async def test_it_asks_the_database_nothing(market: Market, statements: Callable[..., Any]) -> None:
    tea = await market.product(await market.merchant("tea"), price=1234)
    buyer = await market.buyer()
    with statements() as seen:
        await buyer.quote((tea.ref, 1))
    assert not [sql for sql in seen.sql if "round_off" in sql]
