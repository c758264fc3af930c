"""The plugin's own events, for plugins that tell people. Payloads are stored as JSON, so fields are only ever added."""

from uuid import UUID

import msgspec

from core.api import Tx, effect


class GroupOrder(msgspec.Struct, frozen=True):
    """An order of a group, and whose it is."""

    order_id: UUID
    account_id: UUID


class GroupEnded(msgspec.Struct, frozen=True):
    """A group is over. `orders`: those that were paid."""

    merchant_id: UUID
    activity_id: UUID
    group_id: UUID
    orders: tuple[GroupOrder, ...]


@effect
async def group_succeeded(tx: Tx, event: GroupEnded) -> None:
    """A group is full, or was filled up: its orders go on. Once per group."""


@effect
async def group_failed(tx: Tx, event: GroupEnded) -> None:
    """A group did not fill in time, and the refunds of all its orders are decided. Once per group."""
