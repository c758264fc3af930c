"""Orders of goods that are handed over by a code: placed, accepted, made ready."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.fulfilment import redemption, service
from core.fulfilment.schemas import ParcelIn
from core.kit.errors import Conflict
from core.kit.ids import new_id
from core.orders import codes
from core.types.scope import SYSTEM
from tests.support.placed_orders import Placed, place_order

PICKUP = msgspec.convert({"kind": "pickup"}, ParcelIn)
EXPRESS = ParcelIn("sf", "SF1234567890123")


async def virtual(runtime: Any, order: Placed, *places: int) -> None:
    """Let the lines at these places need no shipping."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "update order_line set requires_shipping = false where id = any($1::uuid[])",
            [order.lines[place].id for place in places],
        )


async def accept(runtime: Any, order: Placed) -> None:
    """The shop takes the order on."""
    async with runtime.tx(SYSTEM) as tx:
        await service.accept(tx, order.merchant_id, order.id, None)


async def ship(runtime: Any, order: Placed, parcel: ParcelIn) -> UUID:
    """A parcel leaves, or is ready."""
    async with runtime.tx(SYSTEM) as tx:
        return await service.ship(tx, order.merchant_id, order.id, parcel, None)


async def ready_for_pickup(runtime: Any, **options: Any) -> Placed:
    """A shipped order, all of it waiting in one parcel to be picked up."""
    order = await place_order(runtime, status="accepted", **options)
    await ship(runtime, order, PICKUP)
    return order


async def serviced(runtime: Any, *lines: tuple[int, int]) -> Placed:
    """A shipped order of services, `lines` being (quantity, unit price), with its codes."""
    order = await place_order(runtime, lines=lines)
    await virtual(runtime, order, *range(len(lines)))
    await accept(runtime, order)
    return order


async def parcels_of(runtime: Any, order: Placed) -> list[Any]:
    """The rows of the order's parcels, oldest first, each with `quantity`, the sum of its lines."""
    async with runtime.tx(SYSTEM) as tx:
        return list(
            await tx.fetch(
                "select p.*, (select sum(quantity)::int from parcel_line l where l.merchant_id = p.merchant_id"
                " and l.parcel_id = p.id) as quantity from parcel p where p.order_id = $1 order by p.id",
                order.id,
            )
        )


async def codes_of(runtime: Any, order: Placed) -> list[str]:
    """The codes of the order's parcels, oldest first."""
    rows = await parcels_of(runtime, order)
    return [codes.unseal(runtime.env.vault, row["id"], row["code"]) for row in rows if row["code"]]


async def order_of(runtime: Any, order: Placed) -> Any:
    """The order's row."""
    async with runtime.tx(SYSTEM) as tx:
        return await tx.fetchrow("select * from orders where id = $1", order.id)


async def redeem(runtime: Any, order: Placed, code: str) -> Any:
    """The shop redeems a code."""
    async with runtime.tx(SYSTEM) as tx:
        return await redemption.redeem(tx, order.merchant_id, code, new_id())


async def refusal_of(runtime: Any, order: Placed, code: str) -> str:
    """The code with which redeeming is refused."""
    with pytest.raises(Conflict) as refusal:
        await redeem(runtime, order, code)
    return refusal.value.code
