"""Refunds through the service: units, money, stock, status, plugins; the books agree after each."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core import hookspecs
from core.aftersales import settling, timers
from core.fulfilment.release import Outcome
from core.kit.errors import Conflict, NotFound
from core.kit.ids import new_id
from core.payment.call_done import RefundSent
from core.payment.sandbox import SandboxProvider
from core.types.orders import Deduction, RefundDraft, Refunded
from core.worker.inline import drain
from tests.support.refunds import SPARE, Bought, Till, hook

TEA = Bought(2, 5_000, ((0, 500), (1_000, 0)))

_BOOKED = (
    "select sum(refunded), status from payment p join leg l on l.payment_id = p.id where p.account = :account"
)


async def test_an_unshipped_order_goes_back_whole_and_is_closed(till: Till) -> None:
    order = await till.sell(TEA, shipping=800, shipping_market=200, commission=475)
    assert order.payable == 9_300
    await till.accept(order)
    refund = await till.refund(order, everything=True)
    assert (refund.status, refund.amount, refund.goods_amount, refund.shipping_amount) == (
        "refunding",
        9_300,
        8_500,
        800,
    )
    assert await till.order(order, "status", "refunding_amount", "refunded_amount", "refunded_market") == (
        "closed",
        9_300,
        0,
        1_200,
    )
    assert await till.stock(order, 0) == (2 + SPARE, 0)
    await till.assert_balanced()
    await till.drain()
    assert await till.order(order, "refunding_amount", "refunded_amount", "refunded_commission") == (
        0,
        9_300,
        475,
    )
    assert await till.row("select status, done_at is not null from refund") == ("done", True)
    assert till.theirs(_BOOKED) == (9_300, "refunded")
    assert await till.balances() == {}
    await till.assert_balanced()
    assert await till.row(
        "select old_status, new_status, reason from order_log order by id desc limit 1"
    ) == (
        "accepted",
        "closed",
        "refunded",
    )
    with pytest.raises(Conflict, match="closed") as refused:
        await till.refund(order, everything=True)
    assert refused.value.code == "wrong_status"


async def test_half_after_the_release_is_the_worked_example(till: Till) -> None:
    order = await till.sell(TEA, shipping=800, commission=475)
    await till.accept(order)
    await till.ship(order)
    await till.complete(order)
    assert await till.release(order) is Outcome.RELEASED
    await till.refund(order, (0, 1))
    await till.drain()
    assert await till.transfers(order) == [
        ("refund.buyer", "payable", "refund_transit", 4_250),
        ("refund.commission", "revenue", "payable", 237),
        ("refund.done", "refund_transit", "gateway", 4_250),
        ("refund.fee", "gateway", "funds", 237),
        ("refund.funds", "funds", "gateway", 500),
        ("refund.subsidy", "payable", "subsidy", 500),
        ("release.commission", "frozen", "revenue", 475),
        ("release.payable", "frozen", "payable", 9_825),
        ("split.commission", "funds", "gateway", 475),
    ]
    await till.assert_balanced()
    await till.refund(order, everything=True, shipping=800)
    await till.drain()
    assert await till.balances() == {}
    assert await till.order(order, "status", "refunded_amount", "refunded_commission") == (
        "completed",
        9_300,
        475,
    )
    await till.assert_balanced()


async def test_the_release_pays_out_what_refunds_left(till: Till) -> None:
    order = await till.sell(TEA, shipping=800, commission=475)
    await till.accept(order)
    await till.ship(order)
    await till.refund(order, (0, 1), shipping=100)
    await till.drain()
    await till.complete(order)
    await till.drain()
    released = [t for t in await till.transfers(order) if t[0].startswith("release")]
    assert released == [
        ("release.commission", "frozen", "revenue", 238),
        ("release.payable", "frozen", "payable", 10_300 - 4_350 - 500 - 238),
    ]
    await till.assert_balanced()


async def test_a_wholly_refunded_order_completes_and_releases_nothing(till: Till) -> None:
    order = await till.sell(TEA, commission=475)
    await till.accept(order)
    await till.ship(order)
    await till.refund(order, everything=True)
    assert await till.status(order) == "shipped"
    await drain(till.runtime, until=till.runtime.clock() + timedelta(days=60), strict=True)
    assert await till.order(order, "status", "released_at is not null") == ("completed", True)
    assert not [t for t in await till.transfers(order) if t[0].startswith("release")]
    assert await till.balances() == {}
    await till.assert_balanced()


async def test_the_rest_of_a_partly_shipped_order_refunded_makes_it_shipped(till: Till) -> None:
    order = await till.sell(Bought(3, 1_000), Bought(1, 700), shipping=500)
    await till.accept(order)
    await till.ship(order, (0, 1))
    await till.refund(order, (0, 1))
    assert (await till.status(order), await till.line(order, 0)) == ("accepted", (1, 1, 1))
    with pytest.raises(Conflict, match="Nothing of this line") as refused:
        await till.refund(order, (1, 1))
        await till.ship(order, (1, 1))
    assert refused.value.code == "nothing_left"
    assert await till.status(order) == "accepted"
    await till.refund(order, (0, 1))
    assert await till.status(order) == "shipped"
    assert await till.stock(order, 0) == (2 + SPARE, 0)
    await drain(till.runtime, until=till.runtime.clock() + timedelta(days=60), strict=True)
    assert await till.order(order, "status", "refunded_amount", "refunded_shipping") == (
        "completed",
        2_700,
        0,
    )
    assert await till.balances() == {"gateway": 1_500, "payable": -1_500}
    await till.assert_balanced()


async def test_shipping_what_refunds_left_ships_the_order(till: Till) -> None:
    order = await till.sell(Bought(3, 1_000))
    await till.accept(order)
    await till.refund(order, (0, 1))
    with pytest.raises(Exception, match="cannot be packed"):
        await till.ship(order, (0, 3))
    await till.ship(order)
    assert (await till.status(order), await till.line(order, 0)) == ("shipped", (2, 1, 1))
    assert await till.stock(order, 0) == (1 + SPARE, 0)
    assert await till.row("select sum(quantity)::int from parcel_line") == (2,)


async def test_goods_that_came_back_are_on_hand_again_only_if_they_can_be_sold(till: Till) -> None:
    order = await till.sell(Bought(4, 1_000))
    await till.accept(order)
    await till.ship(order, (0, 3))
    await till.refund(order, (0, 1), restock=True)
    assert (await till.line(order, 0), await till.stock(order, 0)) == ((3, 1, 0), (2 + SPARE, 1))
    await till.refund(order, (0, 2))
    assert (await till.line(order, 0), await till.stock(order, 0)) == ((3, 3, 1), (2 + SPARE, 0))
    await till.refund(order, (0, 1), restock=True)
    assert (await till.line(order, 0), await till.stock(order, 0)) == ((3, 4, 1), (3 + SPARE, 0))
    moves = await till.row(
        "select array_agg(reason order by id), array_agg(on_hand_delta order by id),"
        " array_agg(reserved_delta order by id) from stock_move"
    )
    assert moves == (
        ["shipped", "returned", "refunded", "returned"],
        [-3, 1, 0, 1],
        [-3, 0, -1, 0],
    )


async def test_gifts_go_with_their_line(till: Till) -> None:
    order = await till.sell(Bought(2, 1_000), Bought(3, 0, (), "gift", 0), Bought(1, 400))
    await till.refund(order, (0, 2))
    assert await till.line(order, 1) == (0, 3, 3)
    assert await till.stock(order, 1) == (3 + SPARE, 0)
    refund = await till.refund(order, everything=True)
    assert (refund.amount, await till.status(order)) == (400, "closed")


async def test_an_order_that_cost_nothing_is_refunded_at_once(till: Till) -> None:
    order = await till.sell(Bought(1, 1_000, ((600, 400),)), commission=30)
    assert order.payable == 0
    refund = await till.refund(order, everything=True)
    assert (refund.status, refund.amount, refund.done_at is not None) == ("done", 0, True)
    assert await till.order(order, "status", "refunded_market", "refunded_commission") == ("closed", 600, 30)
    assert await till.balances() == {}
    await till.drain()
    await till.assert_balanced()


async def test_refund_requesting_keeps_back_for_whom_it_belongs_to(till: Till) -> None:
    asked: list[RefundDraft] = []

    async def gifts(tx: Any, refund: RefundDraft) -> list[Deduction]:
        asked.append(refund)
        return [Deduction("x", "赠券已用", 300, "merchant"), Deduction("x", "市场赠券已用", 200, "market")]

    async def none(tx: Any, refund: RefundDraft) -> list[Deduction]:
        return []

    hook(till.runtime, hookspecs.refund_requesting, ("gifts", gifts), ("none", none))
    order = await till.sell(TEA, shipping=800, commission=475)
    refund = await till.refund(order, everything=True)
    assert (refund.amount, refund.deducted_amount) == (8_800, 500)
    assert [(d.plugin, d.amount, d.bearer) for d in refund.deductions] == [
        ("gifts", 300, "merchant"),
        ("gifts", 200, "market"),
    ]
    (draft,) = asked
    assert (draft.kept_amount, draft.whole_order, draft.shipping_amount) == (0, True, 800)
    assert [(d.plugin, d.rule, d.market, d.merchant) for d in draft.lines[0].discounts] == [
        ("tests", "r0", 0, 500),
        ("tests", "r1", 1_000, 0),
    ]
    await till.assert_balanced()
    await till.drain()
    # Nothing will ever be shipped of it, so what was kept for the shop is released without further ado.
    assert await till.balances() == {"gateway": 300, "payable": -300, "subsidy": -200, "funds": 200}
    assert await till.order(order, "status", "released_at is not null", "deducted_market") == (
        "closed",
        True,
        200,
    )
    await till.assert_balanced()


@pytest.mark.parametrize("when", ["accepted", "shipped", "released before", "released between"])
async def test_refund_requesting_gives_back_what_an_earlier_refund_kept_for_the_market(
    till: Till, when: str
) -> None:
    answers = [("market", 300), ("merchant", 200), ("market", -300), ("merchant", -200), ("market", 0)]

    async def coupon(tx: Any, refund: RefundDraft) -> list[Deduction]:
        bearer, amount = answers.pop(0)
        return [Deduction("x", "赠券已用", amount, bearer)]

    hook(till.runtime, hookspecs.refund_requesting, ("coupon", coupon))
    order = await till.sell(Bought(5, 1_000), commission=250)
    await till.accept(order)
    if when != "accepted":
        await till.ship(order)
    amounts = []
    for n in range(4):
        if (n, when) in ((0, "released before"), (2, "released between")):
            await till.complete(order)
            await till.drain()
            assert await till.order(order, "released_at is not null") == (True,)
        refund = await till.refund(order, (0, 1))
        amounts.append((refund.amount, refund.deducted_amount))
        await till.assert_balanced()
        await till.drain()
        await till.assert_balanced()
    assert amounts == [(700, 300), (800, 200), (1_300, -300), (1_200, -200)]
    assert await till.order(order, "deducted_market", "refunded_amount") == (0, 4_000)
    await till.refund(order, everything=True)
    await till.drain()
    assert await till.balances() == {}
    await till.assert_balanced()


async def test_gifts_that_refund_requesting_cancels_are_there_again_and_settled_with_it(till: Till) -> None:
    settled: list[Refunded] = []

    async def gifts(tx: Any, refund: RefundDraft) -> list[Deduction]:
        [cup] = [line for line in refund.kept if line.kind == "gift"]
        return [Deduction("x", "赠杯", 0, "merchant", ((cup.line_id, 2),))] if cup.to_ship else []

    async def settles(tx: Any, refunded: Refunded) -> None:
        settled.append(refunded)

    hook(till.runtime, hookspecs.refund_requesting, ("gifts", gifts))
    hook(till.runtime, hookspecs.refund_settling, ("gifts", settles))
    order = await till.sell(Bought(2, 1_000), Bought(3, 0, (), "gift", 0))
    await till.accept(order)
    await till.ship(order, (0, 1), (1, 1))
    refund = await till.refund(order, (0, 1))
    assert (refund.amount, refund.deductions) == (1_000, ())
    assert [(x.line_id, x.quantity) for x in refund.lines] == [(order.lines[0], 1), (order.lines[1], 2)]
    assert await till.line(order, 1) == (1, 2, 2)
    assert await till.stock(order, 1) == (2 + SPARE, 0)
    assert await till.status(order) == "shipped"
    await till.drain()
    [told] = settled
    assert [(x.line_id, x.quantity) for x in told.refund.lines] == [(order.lines[0], 1), (order.lines[1], 2)]
    assert [(x.kind, x.quantity, x.to_ship) for x in told.refund.kept] == [("sale", 1, 0), ("gift", 1, 0)]
    await till.assert_balanced()


async def test_refund_requesting_may_refuse_and_nothing_has_happened(till: Till) -> None:
    async def refuses(tx: Any, refund: RefundDraft) -> list[Deduction]:
        raise Conflict("The group is not full yet.", code="group_open")

    hook(till.runtime, hookspecs.refund_requesting, ("group", refuses))
    order = await till.sell(TEA)
    with pytest.raises(Conflict, match="not full"):
        await till.refund(order, everything=True)
    assert await till.status(order) == "paid"
    assert await till.row("select count(*) from refund") == (0,)


async def test_refund_settling_that_fails_holds_the_order_until_it_succeeds(till: Till) -> None:
    broken, told, seen = {"bad"}, [], []

    async def bad(tx: Any, refunded: Refunded) -> None:
        await tx.execute("update orders set remark = 'half done' where id = $1", refunded.refund.order_id)
        tx.emit(hookspecs.refund_done, None)
        if "bad" in broken:
            raise Conflict("The points are locked.")
        told.append(refunded)

    async def good(tx: Any, refunded: Refunded) -> None:
        seen.append((refunded.amount, refunded.refund.whole_order))

    hook(till.runtime, hookspecs.refund_settling, ("bad", bad), ("good", good))
    order = await till.sell(Bought(2, 1_000))
    await till.accept(order)
    await till.ship(order)
    await till.refund(order, (0, 1))
    await till.refund(order, (0, 1))
    await drain(till.runtime)
    assert seen == [(1_000, False), (1_000, True)]
    assert await till.order(order, "remark", "refunded_amount") == ("", 2_000)
    assert await till.row("select plugin, reason from order_hold") == (
        "bad",
        "A refund is not settled: The points are locked.",
    )
    await till.complete(order)
    assert await till.release(order) is Outcome.HELD
    broken.clear()
    await drain(till.runtime, until=till.runtime.clock() + timedelta(minutes=30))
    assert len(told) == 2
    assert seen == [(1_000, False), (1_000, True)]
    assert await till.row("select count(*) from order_hold") == (0,)
    assert await till.row("select bool_and(unsettled = '{}') from refund") == (True,)
    assert await till.release(order) is Outcome.RELEASED
    await till.assert_balanced()


async def test_a_hold_of_the_plugin_itself_stays(till: Till) -> None:
    broken = [True]

    async def bad(tx: Any, refunded: Refunded) -> None:
        if broken:
            raise RuntimeError("secret")

    hook(till.runtime, hookspecs.refund_settling, ("bad", bad))
    order = await till.sell(Bought(2, 1_000))
    async with till.begin() as tx:
        await tx.execute(
            "insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)"
            " values ($1, $2, 'bad', $3, 'its own', $4)",
            order.merchant_id,
            order.id,
            order.account_id,
            tx.now,
        )
    await till.refund(order, (0, 1))
    await drain(till.runtime)
    broken.clear()
    await drain(till.runtime, until=till.runtime.clock() + timedelta(minutes=5))
    assert await till.row("select unsettled from refund") == ([],)
    assert await till.row("select reason from order_hold") == ("its own",)


async def test_the_release_waits_for_a_refund_on_its_way(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, OSError("line is down"), True]

    async def slow(self: SandboxProvider, outside: Any, order: Any) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return await real(self, outside, order) if answer else False

    real = SandboxProvider.refund
    monkeypatch.setattr(SandboxProvider, "refund", slow)
    order = await till.sell(TEA, commission=475)
    await till.accept(order)
    await till.ship(order)
    await till.refund(order, (0, 1))
    await till.complete(order)
    await till.drain()
    assert await till.release(order) is Outcome.HELD
    await till.assert_balanced()
    await drain(till.runtime, until=till.runtime.clock() + timedelta(minutes=10), strict=True)
    assert answers == []
    assert await till.order(order, "refunded_amount", "released_at is not null") == (4_250, True)
    await till.assert_balanced()


async def test_delivered_twice_it_is_paid_and_told_once(till: Till) -> None:
    told: list[Refunded] = []

    async def counts(tx: Any, refunded: Refunded) -> None:
        told.append(refunded)

    hook(till.runtime, hookspecs.refund_settling, ("counts", counts))
    order = await till.sell(TEA)
    refund = await till.refund(order, (0, 1))
    await till.drain()
    payload = RefundSent(order.merchant_id, refund.id)
    for _ in range(3):
        async with till.begin() as tx:
            await timers.refund_sent(tx, _raw(payload))
    async with till.begin() as tx:
        assert await settling.settle(tx, order.merchant_id, refund.id) is False
    assert len(told) == 1
    assert till.theirs(_BOOKED)[0] == 4_250
    await till.assert_balanced()


async def test_a_fee_above_the_goods_is_given_up_no_further_than_it_was_taken(till: Till) -> None:
    order = await till.sell(Bought(1, 100), shipping=800, commission=600)
    await till.accept(order)
    await till.ship(order)
    await till.refund(order, shipping=700)
    await till.drain()
    await till.complete(order)
    await till.drain()
    assert await till.order(order, "refunded_commission") == (400,)
    await till.assert_balanced()
    await till.refund(order, everything=True, shipping=100)
    await till.drain()
    assert await till.balances() == {}
    await till.assert_balanced()


async def test_an_unpaid_order_and_foreign_lines_are_refused(till: Till) -> None:
    one, other = await till.sell(TEA), await till.sell(TEA)
    async with till.begin() as tx:
        await tx.execute("update orders set status = 'unpaid' where id = $1", one.id)
    with pytest.raises(Conflict, match="unpaid"):
        await till.refund(one, everything=True)
    foreign = type(other)(**{f: getattr(other, f) for f in other.__struct_fields__} | {"lines": one.lines})
    with pytest.raises(NotFound):
        await till.refund(foreign, (0, 1))
    nobody = type(other)(**{f: getattr(other, f) for f in other.__struct_fields__} | {"id": new_id()})
    with pytest.raises(NotFound):
        await till.refund(nobody, everything=True)


def _raw(payload: Any) -> Any:
    return msgspec.Raw(msgspec.json.encode(payload))
