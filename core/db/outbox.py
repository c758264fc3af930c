"""Events and timers as rows, written in the transaction that caused them.

`outbox` holds the event, `delivery` one row per (event, plugin): the set of plugins is frozen at commit. A timer is an
event for one plugin that is due later, an outside call one whose id is the idempotency key. The worker relays due
deliveries (`core.worker.relay`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from core.kit.ids import new_id

if TYPE_CHECKING:
    from core.db.tx import Tx


# What the names of timers and outside calls begin with, in `outbox.event`; events have none of it.
TIMER = "timer:"
OUTBOUND = "outbound:"


class Pending:
    """An event that waits for the commit of its transaction. `plugins` with the lane of each delivery, None for no order."""

    __slots__ = ("at", "due_at", "event", "id", "payload", "plugins", "scope")

    def __init__(
        self,
        event: str,
        payload: bytes,
        scope: str,
        plugins: Sequence[tuple[str, str | None]],
        at: datetime,
        due_at: datetime,
    ) -> None:
        self.id: UUID = new_id()
        self.event, self.payload, self.scope, self.plugins, self.at, self.due_at = (
            event,
            payload,
            scope,
            plugins,
            at,
            due_at,
        )


_WRITE = """
with e as (
  insert into outbox (id, event, payload, scope, at)
  select * from unnest($1::uuid[], $2::text[], $3::text[]::jsonb[], $4::text[], $5::timestamptz[])
)
insert into delivery (event_id, plugin, lane, due_at)
select event_id, plugin, lane, case when immediate then least(due_at, now()) else due_at end
from unnest($6::uuid[], $7::text[], $8::text[], $9::timestamptz[], $10::boolean[])
  t(event_id, plugin, lane, due_at, immediate)
"""
_ANSWER = """, a as (
  insert into idempotency (account_id, route, key, body_hash, status, response, content_type, at)
  values ($11, $12, $13, $14, $15, $16, $17, $18)
)
insert into delivery"""
_WRITE_WITH_ANSWER = _WRITE.replace("\ninsert into delivery", _ANSWER, 1)

# account, route, key, hash of the body, status, response, content type: see `core.web.idempotency`.
Answer = tuple[UUID, str, str, bytes, int, bytes, str]


async def write(tx: "Tx", events: Sequence[Pending], answer: Answer | None = None) -> None:
    """Store events, their deliveries and the answer to an idempotency key in one statement.

    What is due at once is due by the database's clock too, however far ahead this process's clock is.
    """
    targets = [(e.id, plugin, lane, e.due_at, e.due_at <= e.at) for e in events for plugin, lane in e.plugins]
    await tx.execute(
        _WRITE if answer is None else _WRITE_WITH_ANSWER,
        [e.id for e in events],
        [e.event for e in events],
        [e.payload.decode() for e in events],
        [e.scope for e in events],
        [e.at for e in events],
        [t[0] for t in targets],
        [t[1] for t in targets],
        [t[2] for t in targets],
        [t[3] for t in targets],
        [t[4] for t in targets],
        *(() if answer is None else (*answer, tx.now)),
    )
