"""The ledger after payments: who may read what, where an order's money is, and what the check finds."""

from typing import Any

import asyncpg
import pytest

from core.kit.errors import NotFound
from core.kit.ids import MARKET_ID, ref
from core.ledger import service
from core.ledger.check import check
from core.ledger.rules import Account, OrderMoney, Transfer, release_transfers
from core.ledger.text import trace_text
from core.payment import payout_rows
from core.payment.calls import channel_calls
from core.types.scope import PLATFORM, SYSTEM, merchant

Desk = Any


async def _release(desk: Desk, placed: Any, amount: int, borne: int, commission: int) -> None:
    shop, order = placed.orders[0]
    async with desk.begin(SYSTEM) as tx:
        money = OrderMoney(shop, order, amount, borne, commission)
        await service.post(tx, release_transfers(money))
        await payout_rows.note(tx, shop, order, order, money.frozen - commission)
        await tx.execute("update orders set released_at = $2 where id = $1", order, tx.now)


async def _paid(desk: Desk, amounts: tuple[int, ...] = (9_300,), borne: int = 1_000) -> Any:
    placed = await desk.place(amounts, borne=borne, commission=475)
    await desk.pay(await desk.open(placed))
    await desk.run_timers("channel_calls", channel_calls)
    return placed


async def test_an_order_can_be_followed_by_id_number_and_trade(desk: Desk) -> None:
    placed = await _paid(desk)
    await _release(desk, placed, 9_300, 1_000, 475)
    shop, order = placed.orders[0]
    async with desk.begin(PLATFORM) as tx:
        for reference in (ref(shop, order), placed.numbers[0], ref(placed.trade_id)):
            posted = await service.trace(tx, reference)
            assert [p.transfer.code for p in posted] == [
                "pay.buyer",
                "pay.subsidy",
                "pay.funds",
                "release.commission",
                "release.payable",
            ]
        for nothing in ("", "123456", "no such", ref(shop)):
            with pytest.raises(NotFound):
                await service.trace(tx, nothing)
    lines = [" ".join(line.split()[2:]) for line in trace_text(posted).splitlines()]
    assert lines[:5] == [
        "pay.buyer shop gateway <- shop frozen 93.00",
        "pay.subsidy market subsidy <- shop frozen 10.00",
        "pay.funds shop gateway <- market funds 10.00",
        "release.commission shop frozen <- market revenue 4.75",
        "release.payable shop frozen <- shop payable 98.25",
    ]
    assert sorted(lines[5:]) == sorted(
        ["gateway 103.00", "subsidy 10.00", "funds -10.00", "revenue -4.75", "payable -98.25"]
    )
    assert trace_text([]) == "No money has moved for this order."


async def test_posting_again_writes_nothing(desk: Desk) -> None:
    placed = await _paid(desk)
    await _release(desk, placed, 9_300, 1_000, 475)
    before = await desk.transfers()
    await _release(desk, placed, 9_300, 1_000, 475)
    assert await desk.transfers() == before


async def test_a_merchant_sees_its_own_money_only(desk: Desk) -> None:
    placed = await _paid(desk, (9_300, 500))
    shop, order = placed.orders[1]
    async with desk.begin(merchant(shop)) as tx:
        page = await service.page(tx, merchant_id=None, references=None, before=None, limit=50)
        assert {p.transfer.reference for p in page} == {order}
        found = await service.accounts(tx, shop, owner=shop)
        assert {b.account.kind: b.balance for b in found} == {"gateway": 1_500, "frozen": -1_500}


async def test_pages_of_transfers_meet_without_gap_or_repeat(desk: Desk) -> None:
    await _paid(desk, (100, 200, 300))
    seen: list[Transfer] = []
    before = None
    async with desk.begin(PLATFORM) as tx:
        while page := await service.page(tx, merchant_id=None, references=None, before=before, limit=4):
            seen += [p.transfer for p in page]
            before = (page[-1].at, page[-1].transfer.id)
    assert len(seen) == len(set(seen)) == 9


async def test_statements_say_what_was_released(desk: Desk) -> None:
    placed = await _paid(desk)
    await _release(desk, placed, 9_300, 1_000, 475)
    shop = placed.orders[0][0]
    async with desk.begin(merchant(shop)) as tx:
        rows = await service.statements(tx, shop, None, 10)
        assert [tuple(r)[1:] for r in rows] == [(1, 10_300, 475, 9_825)]
        assert await service.statements(tx, shop, rows[0]["day"], 10) == []


async def test_the_check_finds_what_is_wrong(desk: Desk) -> None:
    paid, unreleased, unposted = await _paid(desk), await _paid(desk), await desk.place()
    async with desk.begin(SYSTEM) as tx:
        assert (await check(tx)).problems == []
        shop, order = paid.orders[0]
        too_much = Transfer(
            order, shop, Account(shop, "frozen"), Account(MARKET_ID, "revenue"), 99_999, "fix", order
        )
        await service.post(tx, [too_much])
        await tx.execute("update orders set released_at = $2 where id = $1", unreleased.orders[0][1], tx.now)
        await tx.execute("update orders set paid_at = $2 where id = $1", unposted.orders[0][1], tx.now)
        await tx.execute("update payment_leg set amount = amount + 1 where order_id = $1", order)
        result = await check(tx)
    assert not result.balanced
    assert sorted((p.code, p.order_id) for p in result.problems if p.order_id) == sorted(
        [
            ("order_captured", ref(*paid.orders[0])),
            ("order_not_released", ref(*unreleased.orders[0])),
            ("order_frozen", ref(*unposted.orders[0])),
        ]
    )
    assert [p.code for p in result.problems if p.order_id is None] == ["account_below_zero", "cash"]


async def test_transfers_can_never_be_changed_or_deleted(desk: Desk) -> None:
    await _paid(desk)
    for statement in ("update ledger_transfer set amount = 1", "delete from ledger_transfer"):
        async with desk.begin(SYSTEM) as tx:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await tx.execute(statement)
            await tx.close()
