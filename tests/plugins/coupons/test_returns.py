"""Coupons come back when nothing stays of what they were used for: never early, never twice."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.api import RefundDiscount, RefundLine, new_id, parse_ref, ref
from core.types.scope import SYSTEM
from plugins.coupons import templates, usage
from plugins.coupons.plugin import CouponsPlugin
from tests.support.coupon_use import Purchase, counted, give, states, template, uses


@pytest.fixture
def purchase(runtime: Any) -> Purchase:
    return Purchase(runtime, new_id(), [new_id(), new_id()], lines=2)


async def expire(runtime: Any) -> None:
    async with runtime.tx(SYSTEM) as tx:
        sql = "update coupons_coupon set valid_from = $1, expires_at = $2"
        await tx.execute(sql, tx.now - timedelta(days=2), tx.now - timedelta(seconds=1))


async def test_order_closing_returns_a_shops_coupon_with_its_order_and_the_markets_with_the_last(
    purchase: Purchase,
) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    mine, other = await give(runtime, me, one), await give(runtime, me, two)
    market = await give(runtime, me)
    await purchase.place()
    await purchase.close(one)
    assert await states(runtime, me) == {mine: "unused", other: "used", market: "used"}
    await purchase.close(two)
    assert set((await states(runtime, me)).values()) == {"unused"}
    again = purchase.again()
    await again.place()
    # What is closed already takes nothing away from the trade that uses them now.
    await purchase.close()
    assert set((await states(runtime, me)).values()) == {"used"}


async def test_a_market_coupon_that_touched_one_order_only_comes_back_with_it(purchase: Purchase) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    market = await give(runtime, me, scope="merchants", ids=(ref(one),))
    await purchase.place()
    await purchase.close(two)
    assert await states(runtime, me) == {market: "used"}
    await purchase.close(one)
    assert await states(runtime, me) == {market: "unused"}


async def test_after_sales_of_one_line_return_nothing(purchase: Purchase) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    mine = await give(runtime, me, one, amount=1000)
    market = await give(runtime, me, amount=390)
    await purchase.place()
    await purchase.pay()
    refund = purchase.refund(one, 0)
    await purchase.settle(refund)
    await purchase.done(refund)
    assert await states(runtime, me) == {mine: "used", market: "used"}
    assert await uses(runtime, mine) == {purchase.orders[one]: ("paid", 0, 1000, 0, 500)}
    # 390 over 9500, 9500, 10000 and 10000.
    spent = await uses(runtime, market)
    assert spent[purchase.orders[one]] == ("paid", 190, 0, 95, 0)
    assert spent[purchase.orders[two]] == ("paid", 200, 0, 0, 0)


async def test_every_line_but_no_whole_order_returns_nothing(purchase: Purchase) -> None:
    """Only who decides the refund knows whether anything of the order stays."""
    runtime, me, one = purchase.runtime, purchase.account_id, purchase.shops[0]
    mine = await give(runtime, me, one, amount=1000)
    await purchase.place()
    for line in (0, 1):
        await purchase.settle(purchase.refund(one, line))
    assert await states(runtime, me) == {mine: "used"}
    assert await uses(runtime, mine) == {purchase.orders[one]: ("open", 0, 1000, 0, 1000)}


async def test_a_wholly_refunded_order_returns_its_shops_coupon_and_the_last_one_the_markets(
    purchase: Purchase,
) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    mine = await give(runtime, me, one, amount=1000)
    market = await give(runtime, me, amount=390)
    await purchase.place()
    await purchase.pay()
    await purchase.settle(purchase.refund(one, whole=True))
    assert await states(runtime, me) == {mine: "unused", market: "used"}
    assert await uses(runtime, mine) == {purchase.orders[one]: ("refunded", 0, 1000, 0, 1000)}
    await purchase.settle(purchase.refund(two, 1))
    assert (await states(runtime, me))[market] == "used"
    await purchase.settle(purchase.refund(two, whole=True))
    assert (await states(runtime, me))[market] == "unused"


async def test_the_freight_a_coupon_paid_is_taken_back_with_the_whole_order(runtime: Any) -> None:
    me, shop = new_id(), new_id()
    purchase = Purchase(runtime, me, [shop], freight=800, lines=2)
    freight = await give(runtime, me, kind="free_shipping", amount=0, merchant_share_bp=2500)
    await purchase.place()
    await purchase.pay()
    await purchase.settle(purchase.refund(shop, 0))
    assert await uses(runtime, freight) == {purchase.orders[shop]: ("paid", 600, 200, 0, 0)}
    await purchase.settle(purchase.refund(shop, whole=True))
    assert await uses(runtime, freight) == {purchase.orders[shop]: ("refunded", 600, 200, 600, 200)}
    assert await states(runtime, me) == {freight: "unused"}


async def test_closed_and_refunded_orders_together_return_the_markets_coupon(purchase: Purchase) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    market = await give(runtime, me)
    await purchase.place()
    await purchase.close(one)
    await purchase.pay(two)
    assert await states(runtime, me) == {market: "used"}
    await purchase.settle(purchase.refund(two, whole=True))
    assert await states(runtime, me) == {market: "unused"}


async def test_two_orders_refunded_at_once_return_the_markets_coupon_exactly_once(purchase: Purchase) -> None:
    """Each sees the other's row as paid when it starts; the second must look again."""
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    market = await give(runtime, me)
    await purchase.place()
    await purchase.pay()
    first, second = purchase.refund(one, whole=True), purchase.refund(two, whole=True)
    async with runtime.tx(SYSTEM) as tx:
        await purchase.settling(tx, first)
        other = asyncio.create_task(purchase.settle(second))
        await asyncio.sleep(0.2)
        assert not other.done()
    await other
    assert await states(runtime, me) == {market: "unused"}


async def test_many_orders_refunded_at_once_return_the_markets_coupon(runtime: Any) -> None:
    me, shops = new_id(), [new_id() for _ in range(6)]
    purchase = Purchase(runtime, me, shops)
    market = await give(runtime, me)
    await purchase.place()
    await asyncio.gather(*(purchase.settle(purchase.refund(shop, whole=True)) for shop in shops))
    assert await states(runtime, me) == {market: "unused"}


_UNLOCKED = usage._TAKE_BACK.replace("order by u.coupon_id, u.order_id for no key update", "")


async def test_control_without_the_locks_nobody_returns_it(
    purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the two tests above would catch: each of two refunds thinks that the other order is still there."""
    assert "for no key update" not in _UNLOCKED
    monkeypatch.setattr(usage, "_TAKE_BACK", _UNLOCKED)
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    market = await give(runtime, me)
    await purchase.place()
    async with runtime.tx(SYSTEM) as first, runtime.tx(SYSTEM) as second:
        await purchase.settling(first, purchase.refund(one, whole=True))
        await purchase.settling(second, purchase.refund(two, whole=True))
    assert await states(runtime, me) == {market: "used"}


async def test_a_coupon_that_ran_out_in_the_meantime_shows_expired(purchase: Purchase) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    closed, refunded = await give(runtime, me, one), await give(runtime, me, two)
    await purchase.place()
    await expire(runtime)
    await purchase.close(one)
    await purchase.settle(purchase.refund(two, whole=True))
    assert await states(runtime, me) == {closed: "expired", refunded: "expired"}


async def voided(runtime: Any, key: tuple[UUID, UUID]) -> int:
    async with runtime.tx(SYSTEM) as tx:
        found: int = await tx.fetchval("select voided from coupons_template where id = $1", key[1])
    return found


async def test_the_coupon_of_a_voided_template_stays_away(purchase: Purchase) -> None:
    runtime, me = purchase.runtime, purchase.account_id
    key = await template(runtime)
    coupon = await give(runtime, me, of=key)
    await purchase.place()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_template set status = 'void' where id = $1", key[1])
    await purchase.close()
    await purchase.close()
    assert await states(runtime, me) == {coupon: "void"}
    assert await voided(runtime, key) == 1


async def test_who_voids_a_template_waits_for_a_coupon_on_its_way_back(purchase: Purchase) -> None:
    """Otherwise the coupon would come back unused after everything unused was voided."""
    runtime, me = purchase.runtime, purchase.account_id
    key = await template(runtime)
    coupon = await give(runtime, me, of=key)
    await purchase.place()

    async def void() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await templates.void(tx, key[0], ref(*key), "withdrawn")

    async with runtime.tx(SYSTEM) as tx:
        await purchase.closing(tx)
        other = asyncio.create_task(void())
        await asyncio.sleep(0.2)
        assert not other.done()
    await other
    assert await states(runtime, me) == {coupon: "void"}
    assert await voided(runtime, key) == 1


async def test_a_coupon_whose_worth_was_kept_back_is_paid_for_and_comes_back(purchase: Purchase) -> None:
    runtime, me = purchase.runtime, purchase.account_id
    coupon = await give(runtime, me)
    await purchase.place()
    async with runtime.tx(SYSTEM) as tx:
        sql = "update coupons_coupon set deducted_at = $1 where id = $2"
        await tx.execute(sql, tx.now, parse_ref(coupon))
    await purchase.close()
    assert await states(runtime, me) == {coupon: "unused"}


async def test_a_coupon_returned_and_used_again_is_untouched_by_the_first_refund_repeated(
    purchase: Purchase,
) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    mine = await give(runtime, me, one)
    market = await give(runtime, me)
    await purchase.place()
    await purchase.pay()
    refunds = [purchase.refund(one, whole=True), purchase.refund(two, whole=True)]
    for refund in refunds:
        await purchase.settle(refund)
    again = purchase.again()
    await again.place()
    before = await uses(runtime, market), await uses(runtime, mine)
    for refund in refunds:
        await purchase.settle(refund)
        await purchase.done(refund)
    await purchase.close()
    assert await states(runtime, me) == {mine: "used", market: "used"}
    assert (await uses(runtime, market), await uses(runtime, mine)) == before


async def test_the_same_partial_refund_again_changes_nothing(purchase: Purchase) -> None:
    runtime, me, one = purchase.runtime, purchase.account_id, purchase.shops[0]
    mine = await give(runtime, me, one, amount=1000)
    await purchase.place()
    await purchase.pay()
    refund = purchase.refund(one, 0)
    for _ in range(3):
        await purchase.settle(refund)
    assert await uses(runtime, mine) == {purchase.orders[one]: ("paid", 0, 1000, 0, 500)}


async def test_refunds_never_take_back_more_than_there_was(purchase: Purchase) -> None:
    runtime, me, one = purchase.runtime, purchase.account_id, purchase.shops[0]
    mine = await give(runtime, me, one, amount=1000)
    await purchase.place()
    refund = purchase.refund(one, 0)
    much = RefundLine(new_id(), new_id(), new_id(), 1, 0, (RefundDiscount("coupons", mine, 5000, 5000),))
    await purchase.settle(replace(refund, lines=(much,)))
    assert await uses(runtime, mine) == {purchase.orders[one]: ("open", 0, 1000, 0, 1000)}


async def test_refund_done_takes_costs_orders_and_coupons_back_off_the_statistics(
    purchase: Purchase,
) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    key = await template(runtime, amount=400, merchant_share_bp=5000)
    await give(runtime, me, of=key, amount=400, merchant_share_bp=5000)
    await purchase.place()
    await purchase.pay()
    assert await counted(runtime, key) == (1, 2, 200, 200)
    steps = [
        (purchase.refund(one, 0), (1, 2, 150, 150)),
        (purchase.refund(one, whole=True), (1, 1, 100, 100)),
        (purchase.refund(two, whole=True), (0, 0, 0, 0)),
    ]
    for refund, want in steps:
        await purchase.settle(refund)
        await purchase.done(refund)
        await purchase.done(refund)
        assert await counted(runtime, key) == want


async def test_a_refund_that_is_settled_late_is_counted_all_the_same(purchase: Purchase) -> None:
    runtime, me, one = purchase.runtime, purchase.account_id, purchase.shops[0]
    key = await template(runtime, one, amount=1000)
    await give(runtime, me, of=key, amount=1000)
    await purchase.place()
    await purchase.pay()
    refund = purchase.refund(one, 0)
    await purchase.done(refund)
    assert await counted(runtime, key) == (1, 1, 0, 1000)
    await purchase.settle(refund)
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select payload::text as payload, at from outbox where event = 'timer:recount'")
        assert len(rows) == 1
        await CouponsPlugin.timers["recount"](tx, msgspec.Raw(rows[0]["payload"].encode()))
    assert await counted(runtime, key) == (1, 1, 0, 500)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from outbox where event = 'timer:recount'") == 1


async def test_a_refund_told_before_the_payment_counts_the_same(purchase: Purchase) -> None:
    runtime, me, one = purchase.runtime, purchase.account_id, purchase.shops[0]
    key = await template(runtime, one, amount=1000)
    await give(runtime, me, of=key, amount=1000)
    await purchase.place()
    whole = purchase.refund(one, whole=True)
    await purchase.settle(whole)
    await purchase.done(whole)
    await purchase.pay(one)
    assert await counted(runtime, key) == (0, 0, 0, 0)


async def test_a_whole_refund_takes_two_statements_and_a_part_one(
    purchase: Purchase,
) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    await give(runtime, me, one)
    await purchase.place()
    for refund, most in (
        (purchase.refund(one, 0), 1),
        (purchase.refund(one, whole=True), 2),
        (purchase.refund(two, 0), 1),
    ):
        async with runtime.tx(SYSTEM) as tx:
            await tx.fetchval("select 1")
            before = tx.statements
            await purchase.settling(tx, refund)
            assert tx.statements - before == most


# What may happen to a trade in two shops, in any order and repeatedly: a step is (what, shop, line).
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["close", "part", "whole", "again", "pay", "done"]),
        st.integers(0, 1),
        st.integers(0, 1),
    ),
    max_size=10,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
async def test_whatever_happens_in_whatever_order_coupons_and_statistics_agree(
    runtime: Any, steps: list[tuple[str, int, int]]
) -> None:
    me, shops = new_id(), [new_id(), new_id()]
    purchase = Purchase(runtime, me, shops, lines=2)
    mine = await template(runtime, shops[0], amount=1000)
    market = await template(runtime, amount=390, merchant_share_bp=3000)
    coupons = [
        await give(runtime, me, of=mine, amount=1000),
        await give(runtime, me, of=market, amount=390, merchant_share_bp=3000),
    ]
    await purchase.place()
    ended, refunds = set[UUID](), []
    for what, at, line in steps:
        shop = shops[at]
        if what == "close":
            await purchase.close(shop)
            ended.add(shop)
        elif what in ("part", "whole"):
            refunds.append(purchase.refund(shop, line, whole=what == "whole"))
            await purchase.settle(refunds[-1])
            ended |= {shop} if what == "whole" else set()
        elif what == "again" and refunds:
            await purchase.settle(refunds[line % len(refunds)])
        elif what == "pay":
            await purchase.pay(shop)
        elif what == "done" and refunds:
            await purchase.done(refunds[line % len(refunds)])
        found = await states(runtime, me)
        assert found[coupons[0]] == ("unused" if shops[0] in ended else "used")
        assert found[coupons[1]] == ("unused" if ended == set(shops) else "used")
    await purchase.pay()
    for key, coupon in zip((mine, market), coupons, strict=True):
        rows = [u for u in (await uses(runtime, coupon)).values() if u[0] in ("paid", "refunded")]
        paid = [u for u in rows if u[0] == "paid"]
        want = (sum(u[1] - u[3] for u in rows), sum(u[2] - u[4] for u in rows))
        assert await counted(runtime, key) == (bool(paid), len(paid), *want)
