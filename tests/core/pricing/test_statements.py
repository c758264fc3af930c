"""What plugins cost a quote in statements: nothing, unless the buyer owns something of theirs."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from core import hookspecs
from core.api import (
    Adjust,
    Basket,
    Phase,
    Plugin,
    PriceRule,
    Proposal,
    Refused,
    RuleKind,
    Tx,
    View,
    hold,
    hookimpl,
)
from core.cart import service as cart
from core.cart.schemas import QuoteRequest, WantedLine
from core.plugin import Snapshot, build, discover
from core.types import scope as scopes
from core.types.scope import SYSTEM
from tests.support import market
from tests.support.coupons import claim, issue


class OneOff(PriceRule, frozen=True, kw_only=True):
    """A fen off the first line."""

    def propose(self, view: View) -> Proposal | Refused:
        """The fen."""
        return (Adjust((view.lines[0].line.key,), 1),)


def _plugin(number: int) -> type[Plugin]:
    class Tool(Plugin):
        name = f"tool{number}"
        title = summary = "A tool with a rule for everybody, and one for those who own something of it."
        rule_kinds: ClassVar[tuple[RuleKind, ...]] = (
            RuleKind(f"tool{number}", Phase.SHOP_PROMOTION, "Tool"),
        )

        @hookimpl
        async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
            """From memory, or with one statement."""
            ids = ["everybody"]
            if self.name in basket.holdings:
                ids.append(await tx.fetchval("select 'own'"))
            return [OneOff(plugin=self.name, id=i, kind=self.name, label=i) for i in ids]

    return Tool


@pytest.fixture
def twenty() -> Snapshot:
    """The built-in plugins and twenty more."""
    classes = discover() | {tool.name: tool for tool in map(_plugin, range(20))}
    return build(classes, hookspecs, generation=1, enabled={name: {} for name in classes}, winding_down={})


async def _quote(runtime: Any, snapshot: Snapshot | None, me: Any, sku: str) -> tuple[int, Any]:
    async with runtime.tx(scopes.buyer(me.account_id), snapshot) as tx:
        priced = await cart.quote(tx, me.account_id, QuoteRequest(lines=[WantedLine(sku, 1)]))
        return tx.statements, priced


async def test_twenty_plugins_with_rules_cost_no_statement_of_their_own(
    runtime: Any, twenty: Snapshot
) -> None:
    shop = await market.open_shop(runtime, "teahouse")
    sku, me = await market.add_product(runtime, shop), await market.a_buyer(runtime)
    # What each process keeps in memory is there from the second quote on.
    for snapshot in (None, twenty):
        await _quote(runtime, snapshot, me, sku)
    few, _ = await _quote(runtime, None, me, sku)
    many, priced = await _quote(runtime, twenty, me, sku)
    assert many == few
    assert priced.discount_amount == 20


async def test_only_a_plugin_of_which_the_buyer_owns_something_may_look(
    runtime: Any, twenty: Snapshot
) -> None:
    shop = await market.open_shop(runtime, "teahouse")
    sku, me = await market.add_product(runtime, shop), await market.a_buyer(runtime)
    await _quote(runtime, twenty, me, sku)
    before, _ = await _quote(runtime, twenty, me, sku)
    async with runtime.tx(SYSTEM) as tx:
        await hold(tx, me.account_id, "tool7", None)
    after, priced = await _quote(runtime, twenty, me, sku)
    assert after == before + 1
    assert priced.discount_amount == 20
    assert {e.rule: e.outcome for e in priced.explain if e.plugin == "tool7"} == {
        "everybody": "applied",
        "own": "beaten",
    }


async def test_coupons_cost_one_statement_and_only_those_who_hold_one(runtime: Any) -> None:
    shop = await market.open_shop(runtime, "teahouse")
    sku, me = await market.add_product(runtime, shop), await market.a_buyer(runtime)
    await _quote(runtime, None, me, sku)
    without, _ = await _quote(runtime, None, me, sku)
    for _ in range(3):
        await claim(runtime, me.account_id, await issue(runtime, shop))
    holding, priced = await _quote(runtime, None, me, sku)
    assert holding == without + 1
    assert priced.discount_amount == 500
