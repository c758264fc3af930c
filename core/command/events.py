"""`jishi events ...`."""

import msgspec

from core.deployment.runtime import Runtime
from core.events import service
from core.events.schemas import Delivery, Event, Status
from core.types.scope import SYSTEM


async def show_list(
    runtime: Runtime, status: Status | None, plugin: str | None, event: str | None, limit: int
) -> str:
    """Deliveries, the newest event first."""
    async with runtime.tx(SYSTEM) as tx:
        page = await service.page(tx, status=status, plugin=plugin, event=event, limit=limit)
    more = ["... more; narrow it with --status, --plugin or --event."] if page.next_cursor else []
    return "\n".join([*(_row(d) for d in page.items), *more]) or "Nothing."


async def show(runtime: Runtime, event_id: str) -> str:
    """One event with its payload and deliveries."""
    async with runtime.tx(SYSTEM) as tx:
        return _text(await service.show(tx, event_id))


async def retry(runtime: Runtime, event_id: str, plugin: str) -> str:
    """Try one delivery at once."""
    async with runtime.tx(SYSTEM) as tx:
        return _text(await service.retry(tx, event_id, plugin))


async def retry_parked(runtime: Runtime, plugin: str | None, event: str | None) -> str:
    """Try all that are parked again."""
    async with runtime.tx(SYSTEM) as tx:
        return f"{(await service.retry_parked(tx, plugin, event)).retried} to be tried again."


async def drop(runtime: Runtime, event_id: str, plugin: str, reason: str) -> str:
    """Never deliver it."""
    async with runtime.tx(SYSTEM) as tx:
        return _text(await service.drop(tx, event_id, plugin, reason, None))


async def summary(runtime: Runtime) -> str:
    """What is not done, by plugin and event."""
    async with runtime.tx(SYSTEM) as tx:
        lines = (await service.summary(tx)).items
    rows = [("plugin", "event", "waiting", "failed", "parked", "delay")]
    rows += [
        (s.plugin, s.event, str(s.waiting), str(s.failed), str(s.parked), f"{s.delay:.1f} s") for s in lines
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(text) if lines else "Everything is done."


def _row(d: Delivery) -> str:
    text = f"{d.event_id}  {d.at:%Y-%m-%d %H:%M:%S}  {d.plugin}  {d.event}  {d.status}  {d.tries} tries"
    return f"{text}  {d.error.splitlines()[0][:100]}" if d.error else text


def _text(event: Event) -> str:
    lines = [
        f"{event.event} {event.event_id} of {event.at:%Y-%m-%d %H:%M:%S} UTC, scope {event.scope}",
        f"  {msgspec.json.encode(event.payload).decode()}",
    ]
    for d in event.deliveries:
        lines.append(f"  {d.plugin}: {d.status}, {d.tries} tries, due {d.due_at:%Y-%m-%d %H:%M:%S}")
        if d.lane:
            lines.append(f"    in order of {d.lane}")
        if d.error:
            lines.append(f"    {d.error}")
        if d.dropped:
            lines.append(f"    dropped {d.dropped.at:%Y-%m-%d %H:%M:%S}: {d.dropped.reason}")
        if d.plugin in event.answers:
            lines.append(f"    answer: {msgspec.json.encode(event.answers[d.plugin]).decode()}")
    return "\n".join(lines)
