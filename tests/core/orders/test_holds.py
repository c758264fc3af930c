"""Holds: put on and taken off in a plugin's own name, told in the log."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.ids import new_id
from core.orders import holds, service
from core.orders.finding import ORDER_STATUSES
from core.orders.holds import Hold
from core.types import scope as scopes
from core.types.scope import SYSTEM
from tests.support.placed_orders import Placed, place_order


async def _logged(tx: Any, order: Placed) -> list[tuple[str, str, str, str]]:
    rows = await tx.fetch(
        "select event, old_status, new_status, reason from order_log where order_id = $1 order by at, id",
        order.id,
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("status", ORDER_STATUSES)
async def test_an_order_is_held_and_lifted_in_any_status_but_closed(runtime: Any, status: str) -> None:
    order = await place_order(runtime, status=status)
    key = order.merchant_id, order.id
    async with runtime.tx(SYSTEM) as tx:
        if status == "closed":
            with pytest.raises(Conflict) as refused:
                await holds.hold(tx, *key, "group_buy", "two are missing")
            assert refused.value.code == "wrong_status"
            assert await holds.lift(tx, *key, "group_buy") is False
            return
        await holds.hold(tx, *key, "group_buy", "  two are\nmissing ", tx.now + timedelta(hours=1))
        with pytest.raises(Conflict, match="two are missing") as held:
            await service.refuse_held(tx, *key)
        assert held.value.code == "on_hold"
        await holds.hold(tx, *key, "group_buy", "one is missing")
        assert (
            await tx.fetchval("select reason from order_hold where order_id = $1", order.id)
            == "one is missing"
        )
        assert await holds.lift(tx, *key, "another") is False
        assert await holds.lift(tx, *key, "group_buy") is True
        assert await holds.lift(tx, *key, "group_buy") is False
        await service.refuse_held(tx, *key)
        assert await _logged(tx, order) == [
            ("held", status, status, "group_buy: two are missing"),
            ("lifted", status, status, "group_buy: one is missing"),
        ]


async def test_what_is_released_or_not_there_is_not_held(runtime: Any) -> None:
    order = await place_order(runtime, status="completed")
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update orders set released_at = $2 where id = $1", order.id, tx.now)
        with pytest.raises(Conflict, match="released"):
            await holds.hold(tx, order.merchant_id, order.id, "group_buy", "late")
        for act in (
            holds.hold(tx, order.merchant_id, new_id(), "group_buy", "x"),
            holds.lift(tx, order.merchant_id, new_id(), "group_buy"),
        ):
            with pytest.raises(NotFound):
                await act
    async with runtime.tx(scopes.merchant(new_id())) as tx:
        with pytest.raises(NotFound):
            await holds.hold(tx, order.merchant_id, order.id, "group_buy", "foreign")


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 201])
async def test_a_hold_needs_a_short_reason(runtime: Any, reason: str) -> None:
    order = await place_order(runtime)
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(Invalid):
            await holds.hold(tx, order.merchant_id, order.id, "group_buy", reason)


async def test_a_plugin_does_not_lift_what_core_holds_for_it(runtime: Any) -> None:
    order = await place_order(runtime)
    key = order.merchant_id, order.id
    async with runtime.tx(SYSTEM) as tx:
        await holds.put(tx, [Hold(*key, "group_buy", "it failed", cause="paying")])
        await holds.hold(tx, *key, "group_buy", "its own")
        assert await holds.lift(tx, *key, "group_buy") is True
        with pytest.raises(Conflict, match="it failed"):
            await service.refuse_held(tx, *key)
        assert await holds.take_off(tx, *key, "group_buy", "paying") is True
        await service.refuse_held(tx, *key)


async def test_holding_and_lifting_at_once_ends_as_one_of_both(runtime: Any) -> None:
    order = await place_order(runtime)
    key = order.merchant_id, order.id

    async def hold() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await holds.hold(tx, *key, "group_buy", "two are missing")

    async def lift() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await holds.lift(tx, *key, "group_buy")

    await asyncio.gather(*(step() for _ in range(5) for step in (hold, lift)))
    async with runtime.tx(SYSTEM) as tx:
        events = [event for event, *_ in await _logged(tx, order)]
        left = await tx.fetchval("select count(*) from order_hold where order_id = $1", order.id)
    assert events.count("held") - events.count("lifted") == left
