"""Cycles of plugins: each span of time becomes one delivery, whichever worker sees it first.

The delivery's id is derived from plugin, cycle and span, and in the order of time as other ids are, so all workers may
try; the rows are those of any timer, with its retries. A span whose delivery is still waiting gets no successor: a slow
cycle never queues up behind itself.
"""

from datetime import datetime
from uuid import UUID

from core.deployment.runtime import Runtime
from core.kit.ids import derived_id
from core.types.scope import SYSTEM

LOOK = 1.0
_NAMESPACE = UUID("6a697368-6963-5963-8000-6379636c6573")

_BEGIN = """
with due as (
  select * from unnest($1::uuid[], $2::text[], $3::text[]) d(id, plugin, event)
  where not exists (select from delivery x join outbox o on o.id = x.event_id
    where x.plugin = d.plugin and o.event = d.event and x.status in ('new', 'sent') and x.due_at <= $4)
), e as (
  insert into outbox (id, event, payload, scope, at) select id, event, '{}', 'system', $4 from due
  on conflict do nothing returning id
)
insert into delivery (event_id, plugin, due_at) select id, plugin, $4 from due join e using (id)
"""


class Cycles:
    """What one worker remembers of the spans it has begun."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._seen: dict[tuple[str, str], int] = {}

    async def begin(self) -> int:
        """Write the deliveries of spans that have begun since the last look; how many cycles were due here."""
        now = self._runtime.clock()
        due = []
        for plugin in self._runtime.snapshot.installed.values():
            for name, cycle in plugin.cycles.items():
                began = _began(now, cycle.every.total_seconds())
                if self._seen.get((plugin.name, name)) != began:
                    due.append((plugin.name, name, began))
        if due:
            async with self._runtime.tx(SYSTEM) as tx:
                await tx.execute(
                    _BEGIN,
                    [event_id(plugin, name, began) for plugin, name, began in due],
                    [plugin for plugin, _, _ in due],
                    [f"timer:{name}" for _, name, _ in due],
                    now,
                )
            self._seen.update({(plugin, name): began for plugin, name, began in due})
        return len(due)


def event_id(plugin: str, cycle: str, began: int) -> UUID:
    """The id of the delivery of the span that began at `began` (seconds since 1970): a UUID of version 7 whose random part
    is derived."""
    derived = derived_id(_NAMESPACE, f"{plugin}:{cycle}:{began}").int
    return UUID(
        int=began * 1000 << 80 | 7 << 76 | (derived >> 80 & 0xFFF) << 64 | 2 << 62 | derived & (1 << 62) - 1
    )


def _began(now: datetime, seconds: float) -> int:
    every = max(1, round(seconds))
    return int(now.timestamp()) // every * every
