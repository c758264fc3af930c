"""People, shops and goods for a test that has a runtime but no `market`; see `core.testkit.market`."""

from typing import Any
from uuid import UUID

from core.deployment.runtime import Runtime
from core.kit.ids import MARKET_ID
from core.testkit.market import Market, bearer, sign_in
from core.testkit.market import Person as Session
from core.types.scope import Audience, Principal

__all__ = ["Session", "a_buyer", "add_product", "an_operator", "bearer", "open_shop", "sign_in"]

_NO_CLIENT: Any = None


async def open_shop(runtime: Runtime, slug: str) -> UUID:
    """An open merchant."""
    return (await Market(runtime, _NO_CLIENT).merchant(slug)).id


async def add_product(
    runtime: Runtime, merchant_id: UUID, *, title: str = "Tea", price: int = 1000, on_hand: int = 100
) -> str:
    """A listed product with one SKU; the SKU's id as clients know it."""
    made = await Market(runtime, _NO_CLIENT).product(merchant_id, title=title, price=price, on_hand=on_hand)
    return made.ref


async def a_buyer(runtime: Runtime) -> Principal:
    """A buyer with a default address."""
    return (await Market(runtime, _NO_CLIENT).buyer()).me


async def an_operator(runtime: Runtime) -> Principal:
    """Platform staff with every permission."""
    return await sign_in(runtime, Audience.PLATFORM, MARKET_ID)
