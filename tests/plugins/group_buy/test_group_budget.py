"""What the plugin's hooks send in a purchase: a load one statement at most, a guard four."""

import pytest

from core.plugin import discover
from core.testkit import Plugins
from core.testkit.contracts.budgets import Count, counting, judge
from core.testkit.market import Market
from tests.support.groups import scene

COUNTS: list[Count] = []


@pytest.fixture
def jishi_plugins() -> Plugins:
    """Group-buying whose hooks are counted."""
    COUNTS.clear()
    return Plugins(also=(counting(discover()["group_buy"], COUNTS),), only=True)


async def test_hooks_keep_their_budget_for_groups_of_any_size(market: Market) -> None:
    at = await scene(market, size=6, hours=2)
    leader, *members = [await market.buyer() for _ in range(7)]
    group = await at.open(*members[:4], person=leader)
    given_up = await at.place(members[4], group)
    await members[4].post(f"/api/shop/trades/{given_up}/close")
    await at.join(members[5], group)
    assert await at.status(group) == "succeeded"
    await at.open()
    await market.drain(hours=3)
    assert {count.hook for count in COUNTS} >= {
        "price_rules",
        "order_placing",
        "order_closing",
        "order_paying",
        "refund_requesting",
        "refund_settling",
    }
    assert judge("group_buy", COUNTS) == []
    most = {hook: max(c.statements for c in COUNTS if c.hook == hook) for hook in {c.hook for c in COUNTS}}
    assert most == {
        "price_rules": 1,
        "order_placing": 3,
        "order_closing": 2,
        "order_paying": 4,
        "refund_requesting": 1,
        "refund_settling": 1,
    }
