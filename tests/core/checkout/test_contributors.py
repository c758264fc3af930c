"""Which plugins had a part in an order is written with it, and only they are asked about it later."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from core import hookspecs
from core.api import (
    Adjust,
    Basket,
    Closing,
    Deduction,
    Earning,
    Paying,
    Phase,
    Placement,
    PlannedPart,
    Planning,
    Plugin,
    PriceRule,
    Proposal,
    RefundDraft,
    Refunded,
    Refused,
    RuleKind,
    Tx,
    View,
    hookimpl,
)
from core.testkit import Market, Plugins, statements
from core.testkit.market import Article, Person
from core.types.scope import SYSTEM
from tests.support.refunds import hook


class Fen(PriceRule, frozen=True, kw_only=True):
    """One fen off."""

    def propose(self, view: View) -> Proposal | Refused:
        return (Adjust((view.lines[0].line.key,), 1),)


class Asked(Plugin):
    """Notes what it is asked about."""

    summary = ""
    asked: ClassVar[list[tuple[str, str]]] = []

    @hookimpl
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Note it."""
        self.asked.append((self.name, "closing"))

    @hookimpl
    async def order_paying(self, tx: Tx, paying: Paying) -> None:
        """Note it."""
        self.asked.append((self.name, "paying"))

    @hookimpl
    async def refund_requesting(self, tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
        """Note it."""
        self.asked.append((self.name, "requesting"))
        return []

    @hookimpl
    async def refund_settling(self, tx: Tx, refunded: Refunded) -> None:
        """Note it."""
        self.asked.append((self.name, "settling"))


class Cuts(Asked):
    """Takes a fen off where the buyer wants it."""

    name = title = "cuts"
    rule_kinds = (RuleKind("cuts.fen", Phase.ITEM_PRICE, "Fen"),)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """One fen."""
        return [Fen(plugin="cuts", id="1", kind="cuts.fen", label="")] if "cuts" in basket.options else []


class Earns(Asked):
    """Lets somebody earn on orders of three units."""

    name = title = "earns"

    @hookimpl
    async def earnings(self, tx: Tx, placement: Placement) -> Sequence[Earning]:
        """One fen."""
        lines = [(order, line) for order in placement.orders for line in order.priced.lines]
        return [
            Earning(o.merchant_id, x.key, placement.account_id, 1, "") for o, x in lines if x.quantity == 3
        ]


class Plans(Asked):
    """Ships two units of each order of two."""

    name = title = "plans"

    @hookimpl
    async def parcel_planning(self, tx: Tx, planning: Planning) -> Sequence[PlannedPart]:
        """From the depot."""
        return [PlannedPart(x.line_id, 2, "depot") for x in planning.lines if x.quantity == 2]


class Curious(Asked):
    """Wants to hear of every order that is closed."""

    name = title = "curious"

    @hookimpl(every_order=True)
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Note it."""
        self.asked.append((self.name, "closing"))


CLASSES: Sequence[type[Plugin]] = (Cuts, Earns, Plans, Curious)


@pytest.fixture
def jishi_plugins() -> Plugins:
    """These."""
    return Plugins(also=CLASSES, only=True)


@pytest.fixture(autouse=True)
def asked() -> list[tuple[str, str]]:
    """What plugins were asked about: (plugin, what)."""
    Asked.asked.clear()
    return Asked.asked


Units = tuple[Article, int]


async def _buy(buyer: Person, *lines: Units, **options: Any) -> dict[str, Any]:
    answer = await buyer.checkout(*[(article.ref, units) for article, units in lines], options=options)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _contributors(market: Market) -> list[Any]:
    async with market.runtime.tx(SYSTEM) as tx:
        return [row[0] for row in await tx.fetch("select contributors from orders order by id")]


async def test_who_had_a_part_is_written_with_the_order(market: Market) -> None:
    articles = [await market.product(await market.merchant(f"shop-{n}")) for n in range(3)]
    buyer = await market.buyer()
    await _buy(buyer, (articles[0], 1))
    await _buy(buyer, (articles[0], 1), (articles[1], 2), (articles[2], 3))
    await _buy(buyer, (articles[0], 2), cuts=True)
    found = await _contributors(market)
    assert found[0] == []
    assert sorted(found[1:4]) == [[], ["earns"], ["plans"]]
    assert found[4] == ["cuts", "plans"], "planned again it is written once"


async def test_a_trade_that_nobody_had_a_part_in_is_closed_without_asking(
    market: Market, asked: list[tuple[str, str]]
) -> None:
    article = await market.product(await market.merchant())
    buyer = await market.buyer()
    counts = []
    for options in ({}, {"cuts": True}):
        trade = await _buy(buyer, (article, 1), **options)
        with statements() as sent:
            assert (await buyer.post(f"/api/shop/trades/{trade['id']}/close")).status_code < 300
        counts.append(len(sent))
    assert asked == [("curious", "closing"), ("curious", "closing"), ("cuts", "closing")]
    assert counts[0] == counts[1], "what these answer costs nothing"


async def test_the_same_plugins_are_asked_when_it_is_paid_and_refunded(
    market: Market, asked: list[tuple[str, str]]
) -> None:
    article = await market.product(await market.merchant())
    buyer = await market.buyer()
    for options, names in (({}, []), ({"cuts": True}, ["cuts"])):
        trade = await _buy(buyer, (article, 1), **options)
        with statements() as sent:
            await market.pay(buyer, trade["id"])
            path = f"/api/shop/orders/{trade['orders'][0]['id']}/cancel"
            assert (await buyer.post(path, {"reason": "x"})).status_code == 200
            await market.drain()
        assert asked == [(name, what) for name in names for what in ("paying", "requesting", "settling")]
        assert len([sql for sql in sent.sent if "SAVEPOINT" in sql and '"cuts"' in sql]) == 4 * len(names)
        asked.clear()


async def test_of_orders_without_a_note_every_plugin_is_asked(
    market: Market, asked: list[tuple[str, str]]
) -> None:
    article = await market.product(await market.merchant())
    buyer = await market.buyer()
    trade = await _buy(buyer, (article, 1))
    async with market.runtime.tx(SYSTEM) as tx:
        await tx.execute("update orders set contributors = null")
    assert (await buyer.post(f"/api/shop/trades/{trade['id']}/close")).status_code < 300
    assert asked == [(cls.name, "closing") for cls in sorted(CLASSES, key=lambda c: c.name)]


async def test_a_plugin_that_plans_when_the_shop_accepts_is_noted_then(market: Market) -> None:
    async def later(_tx: Any, planning: Planning) -> Sequence[PlannedPart]:
        return [PlannedPart(x.line_id, 1, "depot") for x in planning.lines if planning.stage == "final"]

    hook(market.runtime, hookspecs.parcel_planning, ("plans", later))
    shop = await market.merchant()
    article = await market.product(shop)
    buyer = await market.buyer()
    trade = await _buy(buyer, (article, 1))
    await market.pay(buyer, trade["id"])
    assert await _contributors(market) == [[]]
    staff = await market.staff(shop)
    assert (await staff.post(f"/api/merchant/orders/{trade['orders'][0]['id']}/accept")).status_code < 300
    assert await _contributors(market) == [["plans"]]


async def test_a_quarantined_plugin_stops_only_refunds_that_it_would_be_asked_about(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    article = await market.product(await market.merchant())
    buyer = await market.buyer()
    trades = [await _buy(buyer, (article, 1), **options) for options in ({}, {"cuts": True})]
    for trade in trades:
        await market.pay(buyer, trade["id"])
    monkeypatch.setattr(market.runtime.snapshot, "quarantined", {"cuts": Cuts})
    paths = [f"/api/shop/orders/{trade['orders'][0]['id']}/cancel" for trade in trades]
    answers = [await buyer.post(path, {"reason": "x"}) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert answers[1].json()["code"] == "plugin_quarantined"
