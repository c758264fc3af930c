"""Two members of staff, and two clicks, at once."""

import asyncio
from typing import Any

import pytest

from core.db.tx import Tx
from core.fulfilment import repository, service
from core.fulfilment.schemas import ParcelIn
from core.kit.errors import Conflict
from core.orders import repository as order_rows
from core.types.scope import SYSTEM
from tests.support.placed_orders import Placed, place_order

PARCEL = ParcelIn("sf", "SF1234567890123")


async def _ship_at_once(runtime: Any, order: Placed, times: int) -> list[str]:
    async def ship() -> str:
        try:
            async with runtime.tx(SYSTEM) as tx:
                await service.ship(tx, order.merchant_id, order.id, PARCEL, None)
        except Conflict as refusal:
            return refusal.code
        except Exception as error:  # noqa: BLE001 -- what the database refuses counts as well
            return type(error).__name__
        return "done"

    return sorted(await asyncio.gather(*(ship() for _ in range(times))))


async def _shipped(runtime: Any, order: Placed) -> tuple[int, int]:
    async with runtime.tx(SYSTEM) as tx:
        parcels = await tx.fetchval("select count(*) from parcel where order_id = $1", order.id)
        units = await tx.fetchval("select coalesce(sum(quantity), 0) from parcel_line")
    return parcels, units


async def test_an_order_ships_once_however_many_ship_it(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    assert await _ship_at_once(runtime, order, 4) == ["done", "wrong_status", "wrong_status", "wrong_status"]
    assert await _shipped(runtime, order) == (1, 3)


async def test_without_the_lock_both_would_pack_the_same_units(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same race with the lock taken out gets past the checks twice."""
    order = await place_order(runtime, status="accepted")
    packed, both = 0, asyncio.Event()
    read = repository.open_lines

    async def unlocked(tx: Tx, merchant_id: Any, order_id: Any) -> Any:
        return await tx.fetchrow(
            "select * from orders where merchant_id = $1 and id = $2", merchant_id, order_id
        )

    async def open_lines(tx: Tx, merchant_id: Any, order_id: Any) -> Any:
        nonlocal packed
        found = await read(tx, merchant_id, order_id)
        packed += 1
        if packed == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 10)
        return found

    monkeypatch.setattr(order_rows, "locked", unlocked)
    monkeypatch.setattr(repository, "open_lines", open_lines)
    outcomes = await _ship_at_once(runtime, order, 2)
    # Both found everything left; only the database's check of the quantities stopped the second.
    assert packed == 2
    assert outcomes == ["CheckViolationError", "done"]


async def test_with_the_lock_the_second_never_gets_to_packing(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await place_order(runtime, status="accepted")
    packed = 0
    read = repository.open_lines

    async def open_lines(tx: Tx, merchant_id: Any, order_id: Any) -> Any:
        nonlocal packed
        packed += 1
        await asyncio.sleep(0.05)
        return await read(tx, merchant_id, order_id)

    monkeypatch.setattr(repository, "open_lines", open_lines)
    await _ship_at_once(runtime, order, 2)
    assert packed == 1


async def test_a_hold_that_comes_at_the_same_moment_is_seen_or_waits(runtime: Any) -> None:
    order = await place_order(runtime)
    async with runtime.tx(SYSTEM) as holder:
        await holder.fetchrow("select 1 from orders where id = $1 for update", order.id)
        await holder.execute(
            "insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)"
            " values ($1, $2, 'risk', $3, 'check', $4)",
            order.merchant_id,
            order.id,
            order.account_id,
            holder.now,
        )

        async def accept() -> None:
            async with runtime.tx(SYSTEM) as tx:
                await service.accept(tx, order.merchant_id, order.id, None)

        accepting = asyncio.create_task(accept())
        await asyncio.sleep(0.1)
        assert not accepting.done()
    with pytest.raises(Conflict) as refusal:
        await accepting
    assert refusal.value.code == "on_hold"


async def test_receiving_twice_at_once_completes_once(runtime: Any) -> None:
    order = await place_order(runtime, status="shipped")

    async def receive() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await service.receive(tx, order.account_id, order.merchant_id, order.id)

    await asyncio.gather(*(receive() for _ in range(4)))
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from order_log where order_id = $1", order.id) == 1
        assert await tx.fetchval("select count(*) from outbox where event = 'timer:release'") == 1
