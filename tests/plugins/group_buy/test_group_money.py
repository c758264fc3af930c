"""The market's share of what a group price takes off: to the fen, through leaders' prices, refunds and failures."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.aftersales.rules import Discount, Line, Order, plan
from core.kit.ids import new_id, parse_pair
from core.testkit import TestClock, basket, take
from core.testkit.baskets import line, rule_kinds
from core.testkit.market import Market, Person
from core.types.pricing import Bearer
from plugins.group_buy.plugin import GroupBuyPlugin
from plugins.group_buy.rules import PRICE, GroupRule
from tests.plugins.group_buy.market_events import begin_event, good, start, taken_in
from tests.support.groups import Scene

MATRIX = rule_kinds(GroupBuyPlugin)


def borne(usual: int, price: int, quantity: int, share: int) -> Bearer:
    """Who bears how much of the discount."""
    wanted = line(usual, quantity)
    rule = GroupRule(
        plugin="group_buy", id="g", kind=PRICE, label="拼团", merchant_id=wanted.merchant_id, key=wanted.key,
        chosen=True, price=price, merchant_share_bp=share,
    )  # fmt: skip
    found = take(basket(wanted), [rule], MATRIX)
    assert found.payable == min(usual, price) * quantity
    cuts = found.merchants[0].lines[0].adjustments
    return cuts[0].bearer if cuts else Bearer(0, 0)


PRICES = st.tuples(st.integers(1, 10**5), st.integers(1, 10**5), st.integers(1, 9), st.integers(0, 10_000))


@given(PRICES)
def test_every_fen_of_the_discount_is_borne_by_the_share(terms: tuple[int, int, int, int]) -> None:
    usual, price, quantity, share = terms
    found = borne(usual, price, quantity, share)
    saved = max(usual - price, 0) * quantity
    assert found.market + found.merchant == saved
    assert abs(found.merchant * 10_000 - saved * share) < 10_000
    if share in (0, 10_000):
        assert (found.market if share else found.merchant) == 0


@given(PRICES, st.data())
def test_refunds_in_any_portions_give_each_bearer_back_what_it_bore(
    terms: tuple[int, int, int, int], data: st.DataObject
) -> None:
    usual, price, quantity, share = terms
    bearer = borne(usual, price, quantity, share)
    cut = Discount("group_buy", "g", bearer.market, bearer.merchant)
    sold = Line(new_id(), "sale", new_id(), new_id(), None, quantity, usual, discounts=(cut,))
    left, market, merchant, paid = sold, 0, 0, 0
    while left.left:
        units = data.draw(st.integers(1, left.left))
        (part,) = plan(
            Order(new_id(), (left,), 0, 0, 0, 0), "accepted", [(left.id, units)], 0, restock=False
        ).lines
        market += sum(x.market for x in part.refund.discounts)
        merchant += sum(x.merchant for x in part.refund.discounts)
        paid += part.amount
        left = _without(left, units)
    assert (market, merchant) == (bearer.market, bearer.merchant)
    assert paid == usual * quantity - bearer.market - bearer.merchant


def _without(of: Line, units: int) -> Line:
    return replace(of, refunded=of.refunded + units, cancelled=of.cancelled + units)


async def _kept(at: Scene) -> tuple[int, int]:
    """(market, merchant) of all discounts of the activity, less what refunds gave back."""
    sql = (
        "select coalesce(sum(d.bearer_market), 0)::int - (select coalesce(sum(r.market_borne), 0) from refund_line r)::int"
        " as market, coalesce(sum(d.bearer_merchant), 0)::int"
        " - (select coalesce(sum(r.merchant_borne), 0) from refund_line r)::int as merchant"
        " from order_discount d join orders o on o.id = d.order_id where o.paid_at is not null"
    )
    (row,) = await at.rows(sql)
    return row["market"], row["merchant"]


async def _report(market: Market, event: dict[str, Any]) -> tuple[int, int]:
    operator = await market.operator()
    found = await good(await operator.get(f"/api/platform/activities/{event['id']}/report"))
    return found["market_borne"], found["merchant_borne"]


@pytest.mark.parametrize("seed", range(4))
async def test_the_market_bears_its_share_through_refunds_and_failures(
    market: Market, clock: TestClock, seed: int
) -> None:
    chance = random.Random(seed)
    usual = chance.randint(1_001, 9_999)
    price = chance.randint(300, usual - 1)
    leader = chance.randint(200, price)
    share = chance.choice([0, 3_333, chance.randint(1, 9_999)])
    event = await begin_event(market, sizes=[3], merchant_share_bp=share)
    at = await taken_in(market, event, usual=usual, price=price, leader_price=leader)
    start(clock)
    people = [await market.buyer() for _ in range(6)]
    units = [chance.randint(1, 4) for _ in people]
    fails = await _open(at, people[3], leader, units[3])
    await _join(at, people[4], fails, price, units[4])
    full = await _open(at, people[0], leader, units[0])
    await _join(at, people[1], full, price, units[1])
    await _join(at, people[5], full, price, units[5])
    assert await at.status(full) == "succeeded"
    await market.drain()
    # One order goes back as a whole, of another one unit.
    order = (await at.mine(people[5]))[0]["order_id"]
    await good(await people[5].post(f"/api/shop/orders/{order}/cancel", {"reason": "x"}))
    part = (await at.mine(people[0]))[0]["order_id"]
    seen = await good(await people[0].get(f"/api/shop/orders/{part}"))
    staff = await market.staff(at.shop)
    body = {"reason": "x", "lines": [{"line_id": seen["lines"][0]["id"], "quantity": 1}]}
    await good(await staff.post(f"/api/merchant/orders/{part}/refunds", body))
    await market.drain(hours=25)
    assert await at.status(fails) == "failed"
    market_kept, merchant_kept = await _kept(at)
    back = (usual - leader) * (units[0] - 1) + (usual - price) * units[1]
    assert market_kept + merchant_kept == back
    assert abs(merchant_kept * 10_000 - back * share) < 2 * 10_000
    # The calendar's report rounds the one order of which a part went back.
    reported = await _report(market, event)
    assert all(
        0 <= told - kept <= 1 for told, kept in zip(reported, (market_kept, merchant_kept), strict=True)
    )
    assert await at.sold() == units[0] - 1 + units[1]
    await at.balanced()


async def _open(at: Scene, person: Person, price: int, units: int) -> str:
    return await at.open(person=person, units=units, price=price)


async def _join(at: Scene, person: Person, group: str, price: int, units: int) -> None:
    await at.pay(person, await at.place(person, group, units, price))


async def test_a_quote_in_an_event_costs_one_statement_and_says_who_bears_it(
    market: Market, clock: TestClock, statements: Any
) -> None:
    event = await begin_event(market, merchant_share_bp=3_000)
    at = await taken_in(market, event)
    start(clock)
    person = await market.buyer()
    count = []
    for options in ({}, {}, at.options()):
        with statements() as seen:
            quote = (await person.quote((at.article.ref, 1), options=options)).json()
        count.append(len(seen))
    assert count[2] - count[1] == 1
    (cut,) = quote["merchants"][0]["lines"][0]["adjustments"]
    assert (cut["label"], cut["amount"], cut["bearer"], cut["activity_id"]) == (
        "百店拼团", 3_000, {"market": 2_100, "merchant": 900}, event["id"],
    )  # fmt: skip
    group = await at.open()
    order = (await at.rows("select order_id from group_buy_seat where group_id = $1", parse_pair(group)[1]))[
        0
    ]
    line_row = (await at.rows("select activity_id from order_line where order_id = $1", order["order_id"]))[0]
    assert line_row["activity_id"] is not None
