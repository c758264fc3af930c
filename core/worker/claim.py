"""Claiming due deliveries: from then on a message for each is somebody's business, and overdue again if it gets lost."""

from datetime import datetime
from uuid import UUID

from core.deployment.runtime import Runtime
from core.types.scope import SYSTEM

BATCH = 200
# Seconds until a delivery whose message shows no outcome is sent again; doubles with each try, up to the maximum.
RESEND = 30.0
_MAX_RESEND = 300.0

Claimed = tuple[UUID, str]

_CLAIM = """
with due as (
  select event_id, plugin from delivery where status in ('new', 'sent') and due_at <= $1
  order by due_at limit $2 for update skip locked
)
update delivery d set status = 'sent', tries = d.tries + 1,
  due_at = $1::timestamptz + make_interval(secs => least($4, $3 * power(2, least(d.tries, 12))))
from due where (d.event_id, d.plugin) = (due.event_id, due.plugin)
returning d.event_id, d.plugin
"""


async def claim(runtime: Runtime, *, now: datetime | None = None, batch: int = BATCH) -> list[Claimed]:
    """Up to `batch` due deliveries as (event id, plugin), oldest event first; committed before anything is sent."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(_CLAIM, now or tx.now, batch, RESEND, _MAX_RESEND)
    return sorted((r["event_id"], r["plugin"]) for r in rows)


async def revive(runtime: Runtime) -> int:
    """Make every delivery that was sent due at once, because the messages are lost. Returns how many."""
    async with runtime.tx(SYSTEM) as tx:
        tag = await tx.execute(
            "update delivery set due_at = $1 where status = 'sent' and due_at > $1", tx.now
        )
    return int(tag.rpartition(" ")[2])
