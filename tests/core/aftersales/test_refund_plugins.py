"""What plugins do with refunds: keep back, give back, cancel gifts, refuse, settle; the books agree after each."""

from datetime import timedelta
from typing import Any

import pytest

from core import hookspecs
from core.fulfilment.release import Outcome
from core.kit.errors import Conflict
from core.types.orders import Deduction, RefundDraft, Refunded
from core.worker.inline import drain
from tests.support.refunds import SPARE, Bought, Till, hook

TEA = Bought(2, 5_000, ((0, 500), (1_000, 0)))


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
