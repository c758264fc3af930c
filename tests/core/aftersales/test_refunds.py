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
from core.types.orders import Refunded
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
