"""Claiming due deliveries: from then on a message for each is somebody's business, and overdue again if it gets lost.

Each plugin has its own room, so that one with thousands due is claimed beside the others and not before them. A delivery
with a lane waits until those before it in the lane are done or dropped.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from core.deployment.runtime import Runtime
from core.types.scope import SYSTEM

# Deliveries of one plugin that are claimed at a time.
BATCH = 400
# Seconds until a delivery whose message shows no outcome is sent again; doubles with each try, up to the maximum. Who has
# the message at hand puts it off (`renew`).
RESEND = 10.0
_MAX_RESEND = 300.0


class Claimed(msgspec.Struct, frozen=True):
    """One delivery on its way to a worker, and when it was due."""

    event_id: UUID
    plugin: str
    due_at: datetime


# The plans are kept, and made when the table may be empty and its policies let next to no rows be seen, as the planner
# believes. So they are left no choice but the index that suits thousands due: nothing is joined, and rows are found by
# their key alone (`status || ''` keeps the index of what is due out of it).
_BY_INDEX = "SET LOCAL enable_seqscan=off;SET LOCAL enable_bitmapscan=off"

_AMONG = """
event_id = any(array(select event_id from some)) and ((event_id, plugin) in (select event_id, plugin from some)) is true
"""

# Plugins are found by skipping from one to the next in the index: it costs as many looks as there are plugins.
_CLAIM = """
with recursive who(plugin) as (
  (select plugin from delivery where status in ('new', 'sent') order by plugin limit 1)
  union all
  select (select d.plugin from delivery d where d.status in ('new', 'sent') and d.plugin > who.plugin
          order by d.plugin limit 1)
  from who where who.plugin is not null
), due as materialized (
  select found.* from who left join unnest($5::text[], $6::int[]) r(plugin, room) on r.plugin = who.plugin
  cross join lateral (
    select x.event_id, x.plugin, x.due_at from delivery x
    where x.plugin = who.plugin and x.status in ('new', 'sent') and x.due_at <= $1
      and (x.lane is null or not exists (
        select from delivery e where e.plugin = x.plugin and e.lane = x.lane and e.lane is not null
          and e.status in ('new', 'sent', 'parked') and e.seq < x.seq))
    order by x.due_at limit coalesce(r.room, $2) for update skip locked
  ) found
  where who.plugin is not null
), sent as (
  update delivery set status = 'sent', tries = tries + 1,
    due_at = $1::timestamptz + make_interval(secs => least($4, $3 * power(2, least(tries, 12))))
  where (among due)
)
select event_id, plugin, due_at from due
""".replace("(among due)", _AMONG.replace("some", "due"))
# Rows whose effect runs are locked by it and need no putting off.
_RENEW = """
with given as materialized (
  select * from unnest($1::uuid[], $2::text[]) g(event_id, plugin)
), held as materialized (
  select event_id, plugin from delivery where (among given) and status || '' = 'sent' for update skip locked
)
update delivery set due_at = $3::timestamptz + make_interval(secs => $4) where (among held)
""".replace("(among given)", _AMONG.replace("some", "given")).replace(
    "(among held)", _AMONG.replace("some", "held")
)
_GIVE_BACK = _RENEW.replace("set due_at", "set status = 'new', tries = greatest(0, tries - 1), due_at")


async def claim(
    runtime: Runtime,
    *,
    now: datetime | None = None,
    batch: int = BATCH,
    room: Mapping[str, int] | None = None,
) -> list[Claimed]:
    """Up to `batch` due deliveries of each plugin, or what there is `room` for, oldest event first; committed before
    anything is sent."""
    room = room or {}
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_BY_INDEX)
        rows = await tx.fetch(
            _CLAIM, now or tx.now, batch, RESEND, _MAX_RESEND, list(room), list(room.values())
        )
    return [Claimed(*r) for r in sorted(rows, key=lambda r: (r["event_id"], r["plugin"]))]


async def renew(runtime: Runtime, held: Collection[Claimed]) -> None:
    """Put off sending these again: they wait their turn here."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_BY_INDEX)
        await tx.execute(_RENEW, [c.event_id for c in held], [c.plugin for c in held], tx.now, RESEND)


async def give_back(runtime: Runtime, held: Collection[Claimed]) -> int:
    """Make these due at once for any worker, as if they had not been claimed. Returns how many were still open."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_BY_INDEX)
        tag = await tx.execute(_GIVE_BACK, [c.event_id for c in held], [c.plugin for c in held], tx.now, 0.0)
    return int(tag.rpartition(" ")[2])


async def revive(runtime: Runtime) -> int:
    """Make every delivery that was sent due at once, because the messages are lost. Returns how many."""
    async with runtime.tx(SYSTEM) as tx:
        tag = await tx.execute(
            "update delivery set due_at = $1 where status = 'sent' and due_at > $1", tx.now
        )
    return int(tag.rpartition(" ")[2])
