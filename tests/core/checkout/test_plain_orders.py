"""What a purchase costs in which no plugin had a part, with all built-in plugins on: their guards are not asked."""

import pytest

from core.testkit import Market, Plugins, statements

SAVEPOINTS = ("SAVEPOINT", "RELEASE", "ROLLBACK TO")
TABLES = ("coupons", "flash_sale_", "group_buy_", "promotions")


@pytest.fixture
def jishi_plugins() -> Plugins:
    """All of them."""
    return Plugins()


async def test_no_plugin_is_asked_about_paying_and_closing_an_order_that_it_had_no_part_in(
    market: Market,
) -> None:
    article = await market.product(await market.merchant())
    buyer = await market.buyer()
    trades = [(await buyer.checkout((article.ref, 1))).json()["id"] for _ in range(2)]
    with statements() as sent:
        await market.pay(buyer, trades[0])
        assert (await buyer.post(f"/api/shop/trades/{trades[1]}/close")).status_code < 300
    assert [sql for sql in sent.sent if sql.startswith(SAVEPOINTS)] == []
    assert [sql for sql in sent.sent if any(table in sql for table in TABLES)] == []


async def test_of_a_refund_only_those_hear_that_want_every_order(market: Market) -> None:
    article = await market.product(await market.merchant())
    buyer = await market.buyer()
    trade = (await buyer.checkout((article.ref, 1))).json()
    await market.pay(buyer, trade["id"])
    await market.drain()
    with statements() as sent:
        path = f"/api/shop/orders/{trade['orders'][0]['id']}/cancel"
        assert (await buyer.post(path, {"reason": "x"})).status_code == 200
        await market.drain()
    asked = [sql for sql in sent.sent if sql.startswith("SAVEPOINT")]
    assert asked == ['SAVEPOINT "membership"']
