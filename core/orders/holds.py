"""Holds: while there is any on an order it is neither accepted nor shipped nor released.

Each is a plugin's, and lifted under the same name. What holds and what lifts is told in the order's log.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from core.db.tx import Tx, columns
from core.kit.errors import Conflict, FieldError, Invalid
from core.kit.ids import new_id
from core.orders import service

# Why there is a hold: the plugin wants it, or core holds for a plugin that could not be asked about a captured order.
Cause = Literal["plugin", "paying"]

_MAX_REASON = 200

# A hold that is there gets the newer reason; only a new one is told in the log.
_HOLD = """
with want as (
  select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::uuid[])
    w(merchant_id, order_id, plugin, cause, reason, until, log_id)
), held as (
  insert into order_hold (merchant_id, order_id, plugin, cause, account_id, reason, until, created_at)
  select w.merchant_id, w.order_id, w.plugin, w.cause, o.account_id, w.reason, w.until, $8
  from want w join orders o on o.merchant_id = w.merchant_id and o.id = w.order_id
  on conflict (merchant_id, order_id, plugin, cause) do update set reason = excluded.reason, until = excluded.until
  returning merchant_id, order_id, plugin, cause, account_id, (xmax = 0) as fresh
)
insert into order_log (merchant_id, id, order_id, account_id, old_status, new_status, reason, event, at)
select h.merchant_id, w.log_id, h.order_id, h.account_id, o.status, o.status, h.plugin || ': ' || w.reason, 'held', $8
from held h join want w using (merchant_id, order_id, plugin, cause)
join orders o on o.merchant_id = h.merchant_id and o.id = h.order_id where h.fresh
"""

_LIFT = """
with lifted as (
  delete from order_hold where merchant_id = $1 and order_id = $2 and plugin = $3 and cause = $4
  returning merchant_id, order_id, plugin, account_id, reason
), logged as (
  insert into order_log (merchant_id, id, order_id, account_id, old_status, new_status, reason, event, at)
  select l.merchant_id, $5, l.order_id, l.account_id, o.status, o.status, l.plugin || ': ' || l.reason, 'lifted', $6
  from lifted l join orders o on o.merchant_id = l.merchant_id and o.id = l.order_id
)
select exists (select from lifted)
"""


class Hold(msgspec.Struct, frozen=True):
    """A hold about to be put on an order; `until` is when it is expected to end, if that is known."""

    merchant_id: UUID
    order_id: UUID
    plugin: str
    reason: str
    until: datetime | None = None
    cause: Cause = "plugin"


async def hold(
    tx: Tx, merchant_id: UUID, order_id: UUID, plugin: str, reason: str, until: datetime | None = None
) -> None:
    """Hold an order in the name of `plugin`, which is the caller's own; a hold that it has there gets the new reason.

    `until` is only told; nothing lifts the hold by itself. In the system scope or that of the order's merchant. Raises
    `NotFound`; `Invalid` without a reason or for one above 200 characters; `Conflict` (`wrong_status`) for an order that is
    closed or whose money is released.
    """
    text = " ".join(reason.split())
    if not 0 < len(text) <= _MAX_REASON:
        raise Invalid(
            "This order cannot be held.",
            FieldError("reason", "length", f"Say why in at most {_MAX_REASON} characters."),
        )
    row = await service.locked(tx, merchant_id, order_id)
    if row["status"] == "closed" or row["released_at"] is not None:
        present = "closed" if row["status"] == "closed" else "released"
        raise Conflict(
            f"The order is {present}; nothing of it is left to be held.",
            code="wrong_status",
            order_status=row["status"],
        )
    await put(tx, [Hold(merchant_id, order_id, plugin, text, until)])


async def lift(tx: Tx, merchant_id: UUID, order_id: UUID, plugin: str) -> bool:
    """Take the hold of `plugin`, the caller's own name, off an order; False when it had none there. What core holds for a
    plugin that failed stays. In the system scope or that of the order's merchant. Raises `NotFound`."""
    await service.locked(tx, merchant_id, order_id)
    return await take_off(tx, merchant_id, order_id, plugin, "plugin")


async def put(tx: Tx, wanted: list[Hold]) -> None:
    """Write holds, whatever the orders' status, in one statement; for core, which has locked the orders."""
    rows = [(h.merchant_id, h.order_id, h.plugin, h.cause, h.reason, h.until, new_id()) for h in wanted]
    await tx.execute(_HOLD, *columns(rows, 7), tx.now)


async def take_off(tx: Tx, merchant_id: UUID, order_id: UUID, plugin: str, cause: Cause) -> bool:
    """Delete a hold of this cause; False when there was none. For core, which has locked the order."""
    found: bool = await tx.fetchval(_LIFT, merchant_id, order_id, plugin, cause, new_id(), tx.now)
    return found


async def is_held(tx: Tx, merchant_id: UUID, order_id: UUID, plugin: str, cause: Cause) -> bool:
    """Whether the order has a hold of this plugin and cause."""
    found: bool = await tx.fetchval(
        "select exists (select from order_hold where merchant_id = $1 and order_id = $2 and plugin = $3 and cause = $4)",
        merchant_id,
        order_id,
        plugin,
        cause,
    )
    return found
