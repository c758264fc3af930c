"""How the price of a placed trade came about, in words."""

from typing import Any

import pytest

from core.command import prices
from core.kit.errors import NotFound
from core.kit.ids import new_id, ref
from tests.support import market
from tests.support.coupons import claim, issue
from tests.support.market import Session


@pytest.fixture
async def placed(runtime: Any, client: Any) -> tuple[Session, Any]:
    """A buyer, and the trade of 10.00 with a shop's coupon of 5.00."""
    shop = await market.open_shop(runtime, "teahouse")
    sku = await market.add_product(runtime, shop, title="沱茶")
    buyer = Session(client, runtime, await market.a_buyer(runtime))
    await claim(runtime, buyer.me.account_id, await issue(runtime, shop, name="五元券"))
    answer = await buyer.checkout((sku, 1))
    assert answer.status_code == 201, answer.text
    return buyer, answer.json()


async def test_buyer_and_market_read_it_in_their_language(
    runtime: Any, client: Any, placed: tuple[Session, Any]
) -> None:
    buyer, trade = placed
    told = await buyer.get(f"/api/shop/trades/{trade['id']}/explain")
    assert told.headers["content-type"].startswith("text/plain")
    assert (
        "店铺 teahouse\n  沱茶  10.00 × 1 = 10.00\n    - 5.00  五元券（商家承担）\n    = 5.00\n" in told.text
    )
    operator = Session(client, runtime, await market.an_operator(runtime))
    english = await operator.get(f"/api/platform/trades/{trade['id']}/explain?language=en")
    assert "[shop coupon] 五元券: 5.00 off" in english.text
    by_command = await prices.explain(runtime, trade["number"], "en")
    assert by_command == english.text == await prices.explain(runtime, trade["id"], "en")


async def test_what_was_frozen_is_told_whatever_holds_today(
    runtime: Any, client: Any, placed: tuple[Session, Any]
) -> None:
    buyer, trade = placed
    before = (await buyer.get(f"/api/shop/trades/{trade['id']}/explain")).text
    operator = Session(client, runtime, await market.an_operator(runtime))
    assert (await operator.post("/api/platform/plugins/coupons/disable")).status_code == 200
    assert (await buyer.get(f"/api/shop/trades/{trade['id']}/explain")).text == before


async def test_somebody_elses_trade_is_not_found(
    runtime: Any, client: Any, placed: tuple[Session, Any]
) -> None:
    _, trade = placed
    other = Session(client, runtime, await market.a_buyer(runtime))
    assert (await other.get(f"/api/shop/trades/{trade['id']}/explain")).status_code == 404
    assert (await other.get(f"/api/shop/trades/{trade['id']}/explain?language=fr")).status_code == 422
    for unknown in (ref(new_id()), "20260101000000000", "rubbish"):
        with pytest.raises(NotFound, match="No trade"):
            await prices.explain(runtime, unknown, "zh")
