"""Looking at deliveries, trying them again, dropping them. In the system scope; rows belong to the market as a whole."""

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.db.outbox import OUTBOUND, TIMER
from core.db.tx import Tx
from core.events.schemas import Delivery, Dropped, Event, Kind, Retried, Status, Summary, SummaryLine
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import parse_ref, ref
from core.kit.paging import DEFAULT_LIMIT, Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean

_COLUMNS = """d.event_id, d.plugin, o.event, d.status, d.tries, o.at, d.due_at, d.error, d.lane, d.done_at, d.dropped_at,
  d.dropped_by, d.drop_reason"""
# Spelled out, so that the partial indexes serve.
_WHICH = {
    None: "true",
    Status.NEW: "d.status = 'new' and d.status in ('new', 'sent')",
    Status.SENT: "d.status = 'sent' and d.status in ('new', 'sent')",
    Status.FAILED: "d.status in ('new', 'sent') and d.error is not null",
    Status.PARKED: "d.status = 'parked' and d.status in ('parked', 'dropped')",
    Status.DROPPED: "d.status = 'dropped' and d.status in ('parked', 'dropped')",
    Status.DONE: "d.status = 'done'",
}
_LIST = """
select {columns} from delivery d join outbox o on o.id = d.event_id
where {which} and ($1::text is null or d.plugin = $1) and ($2::text is null or o.event = $2)
  and ($3::uuid is null or (d.event_id, d.plugin) < ($3, $4))
order by d.event_id desc, d.plugin desc limit $5
"""
_ONE = "select id, event, at, scope, payload::text as payload from outbox where id = $1"
_DELIVERIES = """
select {columns}, d.answer::text as answer from delivery d join outbox o on o.id = d.event_id
where d.event_id = $1 order by d.plugin
"""
_SUMMARY = """
select d.plugin, o.event, count(*) filter (where d.status <> 'parked')::int as waiting,
  count(*) filter (where d.status <> 'parked' and d.error is not null)::int as failed,
  count(*) filter (where d.status = 'parked')::int as parked,
  min(d.due_at) filter (where d.status = 'new' and d.due_at <= $1) as oldest_due
from delivery d join outbox o on o.id = d.event_id
where d.status in ('new', 'sent') or (d.status = 'parked' and d.status in ('parked', 'dropped'))
group by 1, 2 order by 1, 2
"""
_RETRY = """
update delivery set status = 'new', tries = 0, due_at = $3
where event_id = $1 and plugin = $2 and status in ('new', 'parked')
"""
_RETRY_ALL = """
update delivery d set status = 'new', tries = 0, due_at = $3
from outbox o where o.id = d.event_id and d.status = 'parked' and d.status in ('parked', 'dropped')
  and ($1::text is null or d.plugin = $1) and ($2::text is null or o.event = $2)
"""
_DROP = """
update delivery set status = 'dropped', dropped_at = $3, dropped_by = $4, drop_reason = $5
where event_id = $1 and plugin = $2 and status in ('new', 'sent', 'parked')
"""


async def page(
    tx: Tx,
    *,
    status: Status | None = None,
    plugin: str | None = None,
    event: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Delivery]:
    """Deliveries, the newest event first. `event` is the name in the list: timers are `timer:<name>`, outside calls
    `outbound:<name>`."""
    after_id, after_plugin = decode_cursor(cursor, tuple[UUID, str]) if cursor else (None, None)
    sql = _LIST.format(columns=_COLUMNS, which=_WHICH[status])
    rows = await tx.fetch(sql, plugin, event, after_id, after_plugin, check_limit(limit) + 1)
    more = len(rows) > limit
    last = (rows[limit - 1]["event_id"], rows[limit - 1]["plugin"]) if more else None
    return Page([_delivery(r) for r in rows[:limit]], encode_cursor(last) if last else None)


async def show(tx: Tx, event_id: str) -> Event:
    """One event with its deliveries. Raises `NotFound`."""
    found = await tx.fetchrow(_ONE, parse_ref(event_id))
    if found is None:
        raise NotFound(f"No event {event_id[:60]}; what was delivered is kept for seven days.")
    rows = await tx.fetch(_DELIVERIES.format(columns=_COLUMNS), found["id"])
    return Event(
        event_id=ref(found["id"]),
        event=found["event"],
        kind=_kind(found["event"]),
        at=found["at"],
        scope=found["scope"],
        payload=msgspec.json.decode(found["payload"]),
        deliveries=[_delivery(r) for r in rows],
        answers={r["plugin"]: msgspec.json.decode(r["answer"]) for r in rows if r["answer"] is not None},
    )


async def summary(tx: Tx) -> Summary:
    """What is not done, by plugin and event."""
    rows = await tx.fetch(_SUMMARY, tx.now)
    return Summary([_line(tx, r) for r in rows])


async def retry(tx: Tx, event_id: str, plugin: str) -> Event:
    """Have a waiting or parked delivery tried at once, with all its tries. Raises `NotFound`, and `Conflict`
    (`delivery_not_waiting`) for one that is done, dropped or under way."""
    await _change(tx, event_id, plugin, _RETRY, tx.now)
    return await show(tx, event_id)


async def retry_parked(tx: Tx, plugin: str | None, event: str | None) -> Retried:
    """Have all parked deliveries, or those of one plugin or event, tried again."""
    tag = await tx.execute(_RETRY_ALL, plugin, event, tx.now)
    return Retried(int(tag.rpartition(" ")[2]))


async def drop(tx: Tx, event_id: str, plugin: str, reason: str, by: UUID | None) -> Event:
    """Never deliver it; what comes after it in its lane goes on. Raises as `retry`, but one under way is waited for."""
    reason = clean(reason).strip()
    if not reason:
        raise Invalid("Say why.", FieldError("reason", "missing", "Say why it shall not be delivered."))
    await _change(tx, event_id, plugin, _DROP, tx.now, by, reason)
    return await show(tx, event_id)


async def _change(tx: Tx, event_id: str, plugin: str, sql: str, *args: Any) -> None:
    key = parse_ref(event_id)
    if (await tx.execute(sql, key, plugin, *args)).endswith(" 1"):
        return
    status = await tx.fetchval("select status from delivery where event_id = $1 and plugin = $2", key, plugin)
    if status is None:
        raise NotFound(f"No delivery of {event_id[:60]} to {plugin[:60]}.")
    raise Conflict(
        f"This delivery is {status}; only what waits or is parked can be changed.",
        code="delivery_not_waiting",
    )


def _line(tx: Tx, r: asyncpg.Record) -> SummaryLine:
    due = r["oldest_due"]
    delay = 0.0 if due is None else round((tx.now - due).total_seconds(), 3)
    return SummaryLine(
        r["plugin"], r["event"], _kind(r["event"]), r["waiting"], r["failed"], r["parked"], due, delay
    )


def _delivery(r: asyncpg.Record) -> Delivery:
    dropped = None
    if r["dropped_at"] is not None:
        by = r["dropped_by"]
        dropped = Dropped(r["dropped_at"], ref(by) if by else None, r["drop_reason"])
    return Delivery(
        event_id=ref(r["event_id"]),
        plugin=r["plugin"],
        event=r["event"],
        kind=_kind(r["event"]),
        status=Status(r["status"]),
        tries=r["tries"],
        at=r["at"],
        due_at=r["due_at"],
        error=r["error"],
        lane=r["lane"],
        done_at=r["done_at"],
        dropped=dropped,
    )


def _kind(event: str) -> Kind:
    if event.startswith(TIMER):
        return Kind.TIMER
    return Kind.OUTBOUND if event.startswith(OUTBOUND) else Kind.EFFECT
