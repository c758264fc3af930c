"""Trades that have to be paid sooner, because a plugin says so when they are placed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from core.api import (
    Adjust,
    Basket,
    Phase,
    Placement,
    Plugin,
    PriceRule,
    Proposal,
    Refused,
    RuleKind,
    Tx,
    View,
    hookimpl,
)
from core.testkit import Market, Plugins, TestClock


class Fen(PriceRule, frozen=True, kw_only=True):
    """One fen off."""

    def propose(self, view: View) -> Proposal | Refused:
        return (Adjust((view.lines[0].line.key,), 1),)


class Hasty(Plugin):
    """Wants its trades paid within as many seconds as the buyer says."""

    name = "hasty"
    title = summary = "Hasty"
    rule_kinds = (RuleKind("hasty.fen", Phase.ITEM_PRICE, "Fen"),)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """One fen for who is in a hurry."""
        seconds = basket.options.get("hasty")
        return [] if seconds is None else [Fen(plugin="hasty", id=str(seconds), kind="hasty.fen", label="")]

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> datetime | None:
        """The time, none for 0."""
        [seconds] = map(int, placement.rules_of("hasty"))
        return tx.now + timedelta(seconds=seconds) if seconds else None


class Calm(Plugin):
    """Claims something, but is in no hurry; it promises never to answer."""

    name = "calm"
    title = summary = "Calm"

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> None:
        """Nothing."""


@pytest.fixture
def jishi_plugins() -> Plugins:
    """Both."""
    return Plugins(also=(Hasty, Calm), only=True)


@pytest.mark.parametrize(("seconds", "expected"), [(60, 60), (0, 1800), (7200, 1800), (None, 1800)])
async def test_the_earliest_time_counts(
    market: Market, clock: TestClock, seconds: int | None, expected: int
) -> None:
    clock.freeze()
    article = await market.product(await market.merchant())
    person = await market.buyer()
    options = {} if seconds is None else {"hasty": seconds}
    trade = (await person.checkout((article.ref, 1), options=options)).json()
    assert datetime.fromisoformat(trade["expires_at"]) == clock() + timedelta(seconds=expected)
    path = f"/api/shop/trades/{trade['id']}"
    assert (await person.get(path)).json()["expires_at"] == trade["expires_at"]
    await market.drain(seconds=expected - 1)
    assert (await person.get(path)).json()["status"] == "unpaid"
    await market.drain(seconds=expected + 1)
    assert (await person.get(path)).json()["status"] == "closed"


async def test_what_is_late_cannot_be_paid_any_more(market: Market, clock: TestClock) -> None:
    article = await market.product(await market.merchant())
    person = await market.buyer()
    trade = (await person.checkout((article.ref, 1), options={"hasty": 60})).json()
    clock.advance(seconds=61)
    answer = await person.post(f"/api/shop/trades/{trade['id']}/payments", {"provider": "sandbox"})
    assert answer.status_code == 409
