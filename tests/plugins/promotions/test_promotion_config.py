"""What the operator allows shops to run."""

import pytest

from core.testkit import Market, Plugins
from plugins.promotions.plugin import PromotionsPlugin
from tests.support.promotions import Fair

HALF = {"kind": "nth", "rate_bp": 5000}


@pytest.fixture
def jishi_plugins() -> Plugins:
    config = {"promotions": {"merchants_may_run": False, "most_per_shop": 1}}
    return Plugins(also=(PromotionsPlugin,), only=True, config=config)


async def test_shops_run_none_where_the_market_says_so_and_nobody_more_than_so_many(
    fair: Fair, market: Market
) -> None:
    refused = await fair.draft(await market.merchant(), **HALF)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_running")
    await fair.run(None, **HALF)
    another = (await fair.draft(None, **HALF)).json()["id"]
    assert (await fair.act(None, another, "publish")).json()["code"] == "too_many"
