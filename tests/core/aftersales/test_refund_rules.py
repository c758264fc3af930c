"""What goes back with a refund: whatever the portions, they add up to what was paid."""

from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.aftersales.rules import Discount, Earned, Line, Order, Plan, given_up, plan
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.ids import new_id
from core.ledger.back import RefundMoney, refund_transfers

SHOP = new_id()


def line(quantity: int, price: int, *cuts: tuple[int, int], **more: Any) -> Line:
    """A line with discounts of (market, merchant) fen."""
    discounts = tuple(Discount("tests", f"r{n}", *cut) for n, cut in enumerate(cuts))
    made = Line(new_id(), "sale", new_id(), new_id(), None, quantity, price, discounts=discounts)
    return replace(made, **more)


def gift(quantity: int, parent: Line | None = None, **more: Any) -> Line:
    """A gift, of a line or of the whole order."""
    return line(quantity, 0, kind="gift", parent_id=parent.id if parent else None, **more)


def after(order: Order, done: Plan) -> Order:
    """The order once a refund is decided."""
    parts = {x.part.line.id: x.part for x in done.lines}

    def moved(x: Line) -> Line:
        part = parts.get(x.id)
        if part is None:
            return x
        return replace(x, refunded=x.refunded + part.quantity, cancelled=x.cancelled + part.cancelled)

    return replace(
        order,
        lines=tuple(moved(x) for x in order.lines),
        refunded_shipping=order.refunded_shipping + done.shipping,
        refunded_commission=order.refunded_commission + done.commission,
    )


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """A line with up to four discounts, each of at most what is left."""
    quantity, price = draw(st.integers(1, 7)), draw(st.integers(0, 3000))
    left, cuts = quantity * price, []
    for _ in range(draw(st.integers(0, 4))):
        total = draw(st.integers(0, left))
        market = draw(st.integers(0, total))
        cuts.append((market, total - market))
        left -= total
    return line(quantity, price, *cuts, shipped=draw(st.integers(0, quantity)))


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """An order of up to four lines, partly shipped."""
    found = draw(st.lists(lines(), min_size=1, max_size=4))
    if draw(st.booleans()):
        found = [replace(x, shipped=0) for x in found]
    if draw(st.booleans()):
        found.append(gift(draw(st.integers(1, 3)), draw(st.sampled_from([*found, None]))))
    shipping = draw(st.integers(0, 2000))
    base = sum(x.quantity * x.unit_price - sum(d.merchant for d in x.discounts) for x in found)
    fee = draw(st.integers(0, base))
    return Order(SHOP, tuple(found), shipping, draw(st.integers(0, 800)), 0, fee)


def portions(draw: Any, order: Order) -> list[Plan]:
    """Refunds of random units, freight and sort until nothing is left."""
    done: list[Plan] = []
    while any(x.left for x in order.lines) and len(done) < 40:
        units = [(x.id, n) for x in order.lines if x.left and (n := draw(st.integers(0, x.left)))]
        freight = draw(st.integers(0, order.shipping - order.refunded_shipping))
        wanted = None if draw(st.integers(0, 5)) == 0 or not (units or freight) else units
        one = plan(order, "accepted", wanted, freight, restock=draw(st.booleans()))
        done.append(one)
        order = after(order, one)
        for x in order.lines:
            assert 0 <= x.cancelled <= x.refunded <= x.quantity
            assert x.shipped + x.cancelled <= x.quantity
            assert x.refunded - x.cancelled <= x.shipped
    return done


@settings(deadline=None)
@given(order=orders(), data=st.data())
def test_any_portions_add_up_to_what_was_paid_by_bearer_and_line(order: Order, data: st.DataObject) -> None:
    done = portions(data.draw, order)
    for x in order.lines:
        own = [y for one in done for y in one.lines if y.part.line.id == x.id]
        assert sum(y.part.quantity for y in own) == x.quantity
        assert sum(y.amount for y in own) == x.quantity * x.unit_price - sum(
            d.market + d.merchant for d in x.discounts
        )
        per_rule: Counter[tuple[str, str]] = Counter()
        for y in own:
            for cut in y.refund.discounts:
                per_rule[cut.rule, "market"] += cut.market
                per_rule[cut.rule, "merchant"] += cut.merchant
        for d in x.discounts:
            assert (per_rule[d.rule, "market"], per_rule[d.rule, "merchant"]) == (d.market, d.merchant)
    assert sum(one.commission for one in done) == order.commission
    assert [one.whole_order for one in done] == [False] * (len(done) - 1) + [True]
    assert done[-1].kept == 0


@settings(deadline=None)
@given(order=orders(), data=st.data())
def test_the_fee_given_up_is_the_floor_of_its_share_after_each_refund(
    order: Order, data: st.DataObject
) -> None:
    base = sum(x.quantity * x.unit_price - sum(d.merchant for d in x.discounts) for x in order.lines)
    given, back = 0, 0
    for one in portions(data.draw, order):
        given += one.commission
        back += sum(y.amount + y.market for y in one.lines)
        assert given == (
            order.commission if one.whole_order else order.commission * back // base if base else 0
        )


@settings(deadline=None)
@given(order=orders(), data=st.data())
def test_the_freight_goes_back_whole_only_with_an_order_of_which_nothing_ever_left(
    order: Order, data: st.DataObject
) -> None:
    done = portions(data.draw, order)
    kept = sum(one.shipping for one in done)
    market = sum(one.market_borne - sum(y.market for y in one.lines) for one in done)
    assert all(one.market_borne >= sum(y.market for y in one.lines) for one in done)
    if not any(x.shipped for x in order.lines):
        assert (kept, market) == (order.shipping, order.shipping_market)
    else:
        assert market == (order.shipping_market * kept // order.shipping if order.shipping else 0)


def test_the_worked_example_gives_up_237_of_a_fee_of_475() -> None:
    order = Order(SHOP, (line(2, 5000, (0, 500), (1000, 0)),), 800, 0, 0, 475)
    half = plan(order, "completed", [(order.lines[0].id, 1)], None, restock=False)
    assert (half.goods, half.market_borne, half.commission, half.shipping, half.kept) == (
        4250,
        500,
        237,
        0,
        4250,
    )
    rest = plan(after(order, half), "completed", None, None, restock=False)
    assert (rest.goods, rest.market_borne, rest.commission, rest.kept) == (4250, 500, 238, 0)


def test_before_the_release_everything_comes_out_of_what_is_frozen_and_no_fee_moves() -> None:
    refund = RefundMoney(SHOP, new_id(), new_id(), 4000, 500, 250, 237)
    assert [(t.code, t.debit.kind, t.credit.kind, t.amount) for t in refund_transfers(refund)] == [
        ("refund.buyer", "frozen", "refund_transit", 4000),
        ("refund.subsidy", "frozen", "subsidy", 500),
        ("refund.deduction", "frozen", "subsidy", 250),
    ]
    assert refund_transfers(RefundMoney(SHOP, new_id(), new_id(), 0)) == []


def test_the_promoter_gives_up_127_of_255_and_the_rest_with_the_last_unit() -> None:
    tea = line(2, 5000, (0, 500), (1000, 0))
    earned = Earned(new_id(), tea.id, new_id(), 255)
    order = Order(SHOP, (tea,), 800, 0, 0, 475, earnings=(earned,), left=None)
    half = plan(order, "completed", [(tea.id, 1)], None, restock=False)
    assert [g.amount for g in given_up(order, [x.part for x in half.lines], 4_750)] == [127]
    order = replace(after(order, half), earnings=(replace(earned, refunded=127),))
    rest = plan(order, "completed", None, None, restock=False)
    assert [g.amount for g in given_up(order, [x.part for x in rest.lines], 4_750)] == [128]


def test_earners_give_up_no_more_than_is_taken_once_the_money_is_released() -> None:
    tea = line(2, 1000)
    earned = Earned(new_id(), tea.id, new_id(), 300)
    order = Order(SHOP, (tea,), earnings=(earned,), left=None)
    every = plan(order, "completed", None, None, restock=False)
    parts = [x.part for x in every.lines]
    assert [g.amount for g in given_up(order, parts, 100)] == [100]
    assert given_up(order, parts, 0) == ()


def test_earners_make_good_what_is_not_frozen_for_the_merchant() -> None:
    tea, mug = line(1, 1000), line(1, 1000)
    earned = Earned(new_id(), mug.id, new_id(), 1_500)
    order = Order(SHOP, (tea, mug), earnings=(earned,), left=500)
    first = plan(order, "paid", [(tea.id, 1)], None, restock=False)
    assert [g.amount for g in given_up(order, [x.part for x in first.lines], 1_000)] == [500]


def test_units_that_never_left_go_first_unless_goods_came_back() -> None:
    order = Order(SHOP, (line(5, 100, shipped=2),))
    wanted = [(order.lines[0].id, 4)]
    assert plan(order, "accepted", wanted, None, restock=False).lines[0].part[1:] == (3, 1)
    assert plan(order, "accepted", wanted, None, restock=True).lines[0].part[1:] == (2, 2)


def test_gifts_that_have_not_left_go_with_the_last_unit_of_their_line() -> None:
    tea, pot = line(2, 100), line(1, 900)
    order = Order(SHOP, (tea, pot, gift(2, tea), gift(1, pot, shipped=1), gift(3)))
    first = plan(order, "accepted", [(tea.id, 1)], None, restock=False)
    assert [x.part.line.id for x in first.lines] == [tea.id]
    order = after(order, first)
    second = plan(order, "accepted", [(tea.id, 1)], None, restock=False)
    assert [(x.part.line.kind, x.part.quantity, x.amount) for x in second.lines] == [
        ("sale", 1, 100),
        ("gift", 2, 0),
    ]
    order = after(order, second)
    # The pot's own gift has left and stays; the gift of the whole order goes with its last line.
    last = plan(order, "accepted", [(pot.id, 1)], None, restock=False)
    assert [(x.part.line.kind, x.part.quantity) for x in last.lines] == [("sale", 1), ("gift", 3)]
    assert (last.whole_order, last.next_status) == (False, "shipped")


def test_a_gift_that_is_cancelled_goes_for_nothing_and_nobody_waits_for_it_to_be_shipped() -> None:
    tea = line(2, 100, shipped=1)
    cup = gift(3, tea, shipped=1)
    order = Order(SHOP, (tea, cup))
    wanted = [(tea.id, 1)]
    plain = plan(order, "accepted", wanted, None, restock=False)
    assert [(x.kind, x.quantity, x.to_ship) for x in plain.stays] == [("sale", 1, 0), ("gift", 3, 2)]
    one = plan(order, "accepted", wanted, None, restock=False, cancelled={cup.id: 1})
    assert [(x.part.line.kind, x.part[1:], x.amount) for x in one.lines] == [
        ("sale", (1, 0), 100),
        ("gift", (1, 0), 0),
    ]
    assert (one.goods, one.kept, one.next_status) == (plain.goods, plain.kept, None)
    both = plan(order, "accepted", wanted, None, restock=False, cancelled={cup.id: 2})
    assert both.next_status == "shipped"
    # Those that come back are others than those that are cancelled.
    back = plan(order, "accepted", [(cup.id, 1)], None, restock=True, cancelled={cup.id: 2})
    assert back.lines[0].part[1:] == (2, 1)


def test_a_gift_can_be_taken_back_by_itself_for_nothing() -> None:
    tea = line(2, 100)
    order = Order(SHOP, (tea, gift(2, tea)))
    one = plan(order, "paid", [(order.lines[1].id, 1)], None, restock=False)
    assert (one.goods, one.commission, one.kept, one.whole_order) == (0, 0, 200, False)
    rest = plan(after(order, one), "paid", [(tea.id, 2)], None, restock=False)
    assert [x.part.quantity for x in rest.lines] == [2, 1]
    assert (rest.whole_order, rest.next_status) == (True, "closed")


def test_an_order_becomes_shipped_when_the_rest_is_refunded_and_closed_when_all_is() -> None:
    order = Order(SHOP, (line(2, 100, shipped=1), line(1, 50)), 30)
    assert plan(order, "accepted", [(order.lines[0].id, 1)], None, restock=False).next_status is None
    rest = [(order.lines[0].id, 1), (order.lines[1].id, 1)]
    assert plan(order, "accepted", rest, None, restock=False).next_status == "shipped"
    whole = plan(order, "accepted", None, None, restock=False)
    assert (whole.next_status, whole.shipping, whole.whole_order) == ("shipped", 0, True)
    fresh = replace(order, lines=tuple(replace(x, shipped=0) for x in order.lines))
    whole = plan(fresh, "paid", None, None, restock=False)
    assert (whole.next_status, whole.shipping) == ("closed", 30)


def test_freight_that_cost_nothing_gives_the_market_its_part_only_with_a_whole_unshipped_order() -> None:
    order = Order(SHOP, (line(2, 100),), 0, 800)
    half = plan(order, "paid", [(order.lines[0].id, 1)], 0, restock=False)
    assert half.market_borne == 0
    assert plan(after(order, half), "paid", None, None, restock=False).market_borne == 800
    shipped = replace(order, lines=(replace(order.lines[0], shipped=2),))
    assert plan(shipped, "shipped", None, None, restock=False).market_borne == 0


@pytest.mark.parametrize("status", ["paid", "accepted", "completed"])
def test_more_than_is_left_is_refused_by_name(status: str) -> None:
    order = Order(SHOP, (line(3, 100, refunded=1, cancelled=1),), 500, 0, 200)
    (tea,) = order.lines
    with pytest.raises(Conflict) as refused:
        plan(order, status, [(tea.id, 3)], None, restock=False)
    assert (refused.value.code, refused.value.extra["left"]) == ("refund_exceeds", 2)
    with pytest.raises(Conflict) as refused:
        plan(order, status, [(tea.id, 1)], 301, restock=False)
    assert (refused.value.code, refused.value.extra["shipping_left"]) == ("refund_exceeds", 300)
    assert plan(order, status, [], 300, restock=False).shipping == 300


def test_what_names_nothing_or_nonsense_is_refused() -> None:
    order = Order(SHOP, (line(3, 100),), 500)
    (tea,) = order.lines
    bad: list[tuple[list[tuple[UUID, int]], int]] = [
        ([], 0),
        ([(tea.id, 1), (tea.id, 1)], 0),
        ([(tea.id, 0)], 0),
        ([(tea.id, -1)], 0),
        ([(tea.id, 1)], -1),
    ]
    for wanted, shipping in bad:
        with pytest.raises(Invalid):
            plan(order, "paid", wanted, shipping, restock=False)
    with pytest.raises(NotFound):
        plan(order, "paid", [(new_id(), 1)], None, restock=False)
    gone = replace(order, lines=(replace(tea, refunded=3, cancelled=3),), refunded_shipping=500)
    with pytest.raises(Conflict) as refused:
        plan(gone, "paid", None, None, restock=False)
    assert refused.value.code == "nothing_left"
