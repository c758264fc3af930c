"""Two at once: at the counter, at the desk, and a refund in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from core.db.tx import Tx
from core.fulfilment import delivery, redemption, repository, service
from core.fulfilment.schemas import WaybillIn
from core.kit.errors import JishiError
from core.orders import repository as order_rows
from core.types.scope import SYSTEM
from tests.support.handover import EXPRESS, codes_of, parcels_of, ready_for_pickup, serviced, ship
from tests.support.placed_orders import Placed, place_order


async def at_once(runtime: Any, *calls: Callable[[Tx], Awaitable[Any]]) -> list[str]:
    """What came of the calls, each in a transaction of its own, all at the same time."""

    async def one(call: Callable[[Tx], Awaitable[Any]]) -> str:
        try:
            async with runtime.tx(SYSTEM) as tx:
                await call(tx)
        except JishiError as refusal:
            return refusal.code
        except AssertionError:
            return "defect"
        return "done"

    return sorted(await asyncio.gather(*(one(call) for call in calls)))


def redeeming(order: Placed, code: str) -> Callable[[Tx], Awaitable[Any]]:
    return lambda tx: redemption.redeem(tx, order.merchant_id, code, None)


async def _deliveries(runtime: Any, order: Placed) -> tuple[int, int]:
    async with runtime.tx(SYSTEM) as tx:
        delivered = await tx.fetchval("select count(*) from parcel_event where status = 'delivered'")
        completed = await tx.fetchval(
            "select count(*) from order_log where order_id = $1 and new_status = 'completed'", order.id
        )
    return delivered, completed


async def test_a_code_redeemed_by_two_at_once_is_redeemed_once(runtime: Any) -> None:
    order = await ready_for_pickup(runtime)
    [code] = await codes_of(runtime, order)
    assert await at_once(runtime, *[redeeming(order, code)] * 4) == ["code_used"] * 3 + ["done"]
    assert await _deliveries(runtime, order) == (1, 1)


async def test_without_lock_and_condition_both_would_hand_over(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same race without the order's lock and without the condition on the parcel."""
    order = await ready_for_pickup(runtime)
    [code] = await codes_of(runtime, order)
    looked, both, look = 0, asyncio.Event(), repository.claimed

    async def unlocked(tx: Tx, merchant_id: Any, order_id: Any) -> Any:
        return await tx.fetchrow(
            "select * from orders where merchant_id = $1 and id = $2", merchant_id, order_id
        )

    async def claimed(tx: Tx, merchant_id: Any, parcel_id: Any) -> bool:
        nonlocal looked
        looked += 1
        if looked == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 10)
        return await look(tx, merchant_id, parcel_id)

    async def handed_over(*_: Any) -> None:
        return None

    monkeypatch.setattr(order_rows, "locked", unlocked)
    monkeypatch.setattr(repository, "claimed", claimed)
    monkeypatch.setattr(service, "handed_over", handed_over)
    monkeypatch.setattr(repository, "_REDEEM", repository._REDEEM.replace("and status = 'ready'", ""))
    assert await at_once(runtime, *[redeeming(order, code)] * 2) == ["done", "done"]
    assert await _deliveries(runtime, order) == (2, 0)


async def test_the_last_two_codes_at_once_complete_the_order_once(runtime: Any) -> None:
    order = await serviced(runtime, (2, 500))
    both = await codes_of(runtime, order)
    assert await at_once(runtime, *(redeeming(order, code) for code in both)) == ["done", "done"]
    assert await _deliveries(runtime, order) == (2, 1)


@pytest.mark.parametrize("turn", range(3))
async def test_a_unit_is_handed_over_or_withdrawn_never_both(runtime: Any, turn: int) -> None:
    order = await serviced(runtime, (1, 500))
    [code] = await codes_of(runtime, order)
    taken: list[int] = []

    async def refund(tx: Tx) -> None:
        if turn:
            await asyncio.sleep(0.002 * turn)
        await order_rows.locked(tx, order.merchant_id, order.id)
        found = await service.withdraw(tx, order.merchant_id, order.id, [(order.lines[0].id, 1)])
        taken.append(sum(found.values()))

    outcomes = await at_once(runtime, redeeming(order, code), refund)
    [parcel] = await parcels_of(runtime, order)
    expected = (["code_voided", "done"], "voided") if taken == [1] else (["done", "done"], "delivered")
    assert (outcomes, parcel["status"]) == expected
    assert (await _deliveries(runtime, order))[1] == 1


async def test_two_changes_of_a_waybill_at_once_are_both_counted_and_told(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    parcel = await ship(runtime, order, EXPRESS)

    def changing(number: int) -> Callable[[Tx], Awaitable[Any]]:
        data = WaybillIn(waybill_no=f"SF00000{number}")
        return lambda tx: delivery.change_waybill(tx, order.merchant_id, order.id, parcel, data)

    outcomes = await at_once(runtime, *(changing(n) for n in range(5)))
    assert outcomes == ["done"] * 3 + ["too_many_changes"] * 2
    async with runtime.tx(SYSTEM) as tx:
        texts = [
            row["text"]
            for row in await tx.fetch(
                "select text from parcel_event where status = 'changed' order by at, id"
            )
        ]
    [row] = await parcels_of(runtime, order)
    assert row["changes"] == len(texts) == 3
    # Each change starts from what the one before it had left.
    old, new = zip(*(text.removeprefix("运单由 ").split(" 改为 ") for text in texts), strict=True)
    assert sorted([*old, f"sf {row['waybill_no']}"]) == sorted([*new, "sf SF1234567890123"])


async def test_accepting_twice_at_once_makes_codes_once(runtime: Any) -> None:
    order = await place_order(runtime, lines=((2, 500),))
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update order_line set requires_shipping = false where order_id = $1", order.id)
    accepting = [lambda tx: service.accept(tx, order.merchant_id, order.id, None)] * 3
    assert await at_once(runtime, *accepting) == ["done", "wrong_status", "wrong_status"]
    assert len(await codes_of(runtime, order)) == 2
