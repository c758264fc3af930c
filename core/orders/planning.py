"""Which place ships which units of an order: plugins are asked, what they answer is checked and kept (`parcel_plan`)."""

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
import structlog

from core import hookspecs
from core.db.tx import Tx, columns
from core.kit.errors import Conflict
from core.kit.ids import new_id
from core.types.orders import PlanLine, PlannedPart, Planning

_LOG = structlog.get_logger()
_MAX_PLACE = 64

# Who plans has a part in the order.
_KEEP = """
with kept as (
  insert into parcel_plan (merchant_id, id, order_id, account_id, line_id, quantity, plugin, place, stage, aftersale_id,
    created_at)
  select w.*, $11::timestamptz from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::text[],
    $8::text[], $9::text[], $10::uuid[]) w
  returning merchant_id, order_id, plugin
)
update orders o set contributors = o.contributors || k.plugins
from (select merchant_id, order_id, array_agg(distinct plugin) as plugins from kept group by 1, 2) k
where o.merchant_id = k.merchant_id and o.id = k.order_id and not o.contributors @> k.plugins
"""


async def plan(tx: Tx, wanted: Callable[[], Sequence[Planning]]) -> None:
    """Have places found for the orders that `wanted` gives, and keep the answers; one statement for all of them. Without
    a plugin that plans, `wanted` is not even called.

    Raises `Conflict` (`bad_plan`) naming the plugin that answers what it was not asked.
    """
    planners = tx.hooks.of(hookspecs.parcel_planning)
    if not planners:
        return
    rows = [row for planning in wanted() for row in await _planned(tx, planning)]
    if rows:
        await tx.execute(_KEEP, *columns(rows, 10), tx.now)


async def _planned(tx: Tx, planning: Planning) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    left = [line for line in planning.lines if line.quantity > 0]
    for plugin, ask in tx.hooks.of(hookspecs.parcel_planning):
        if not left:
            break
        parts = await ask(tx, msgspec.structs.replace(planning, lines=tuple(left)))
        left = subtract(plugin, left, parts)
        rows += [_row(planning, plugin, part) for part in parts]
    return rows


def subtract(plugin: str, lines: Sequence[PlanLine], parts: Sequence[PlannedPart]) -> list[PlanLine]:
    """What `plugin`'s answer leaves of the lines it was asked for. Raises `Conflict` (`bad_plan`)."""
    left: dict[UUID, int] = {line.line_id: line.quantity for line in lines}
    for part in parts:
        if part.line_id not in left:
            raise _bad(plugin, "names a line that it was not asked for")
        if part.quantity < 1:
            raise _bad(plugin, f"answers {part.quantity} units")
        if not 1 <= len(part.place) <= _MAX_PLACE:
            raise _bad(plugin, f"names no place of 1 to {_MAX_PLACE} characters")
        left[part.line_id] -= part.quantity
        if left[part.line_id] < 0:
            raise _bad(plugin, "answers more units than it was asked for")
    return [
        msgspec.structs.replace(line, quantity=left[line.line_id]) for line in lines if left[line.line_id] > 0
    ]


def _bad(plugin: str, fault: str) -> Conflict:
    _LOG.error("bad_plan", plugin=plugin, fault=fault)
    return Conflict(
        f"The plugin {plugin} {fault} when it plans parcels; this is a defect of it.",
        code="bad_plan",
        plugin=plugin,
    )


def _row(planning: Planning, plugin: str, part: PlannedPart) -> tuple[object, ...]:
    return (
        planning.merchant_id,
        new_id(),
        planning.order_id,
        planning.account_id,
        part.line_id,
        part.quantity,
        plugin,
        part.place,
        planning.stage,
        planning.aftersale_id,
    )
