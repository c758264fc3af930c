"""What runs: plugins, the processes and their generations, deliveries, and how much waits or piles up."""

from datetime import datetime, timedelta

from core.deployment import state as states
from core.deployment.following import DEAD
from core.deployment.runtime import Runtime
from core.doctor.report import Finding, Status, failing, listed, ok, warning
from core.types.scope import SYSTEM

# A process that was not seen for this long no longer counts.
_ALIVE = timedelta(seconds=DEAD)
# A delivery that should have been made this long ago: nobody works.
_LATE = timedelta(minutes=5)
_MANY_ROWS = 5_000_000

_PROCESSES = """
select kind, count(*) as running, count(*) filter (where generation <> g.id) as other, g.id as present
from (select coalesce(max(id), 0) as id, max(at) as at from generation where status = 'active') g
left join process p on p.seen_at > $1
group by g.id, kind order by kind
"""
_DELIVERIES = """
select plugin, count(*) filter (where status = 'parked') as parked,
  count(*) filter (where status in ('new', 'sent') and tries > 1 and error is not null) as failed,
  count(*) filter (where status in ('new', 'sent') and due_at < $1) as late
from delivery where status <> 'done' group by plugin order by plugin
"""
_SIZES = """
select c.relname::text as name, greatest(c.reltuples, 0)::bigint as rows, pg_total_relation_size(c.oid) as bytes
from pg_class c where c.relnamespace = current_schema()::regnamespace
  and c.relname in ('outbox', 'delivery', 'idempotency') order by c.relname
"""


async def plugins(runtime: Runtime) -> list[Finding]:
    """Plugins of the deployment that cannot be had."""
    async with runtime.tx(SYSTEM) as tx:
        state = await states.read(tx, runtime.env.settings.pins)
    unusable = states.unusable(state, runtime.classes)
    findings = [
        warning(
            "plugins", f"{r.name} is in quarantine: {r.quarantine}", "Mend it and take it out of quarantine."
        )
        for r in state.rows.values()
        if r.quarantine is not None and r.name not in unusable
    ]
    for name, reason in sorted(unusable.items()):
        if not state.rows[name].enabled:
            mend = "Install its code again so that what it began can end, or purge it."
            findings.append(warning("plugins", f"{name} is off, and cannot wind down: {reason}", mend))
            continue
        mend = f"Install it, or mend its config (`jishi plugin config {name}`), or `jishi plugin disable {name}`."
        findings.append(failing("plugins", f"{name} is on but left out: {reason}", mend))
    return findings or [ok("plugins", f"On: {listed(sorted(state.on()), 50) or 'none'}.")]


async def generations(runtime: Runtime) -> list[Finding]:
    """Live processes, and whether all of them run the present generation."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(_PROCESSES, tx.now - _ALIVE)
    kinds = {r["kind"]: r["running"] for r in rows if r["kind"] is not None}
    present, other = rows[0]["present"], sum(r["other"] for r in rows)
    missing = [kind for kind in ("web", "worker") if kind not in kinds]
    findings = []
    if other:
        text = f"{other} of {sum(kinds.values())} processes do not run generation {present}."
        mend = "Look again in a few seconds; if it stays, see their logs and restart them one by one."
        findings.append(failing("generations", text, mend))
    if missing:
        text = f"No {' and no '.join(missing)} process was seen in the last {_ALIVE.seconds} s."
        mend = f"Start {' and '.join(f'`jishi {kind}`' for kind in missing)}, or `jishi run`."
        findings.append(warning("generations", text, mend))
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return findings or [ok("generations", f"All run generation {present}: {shown}.")]


async def deliveries(runtime: Runtime) -> list[Finding]:
    """Events and timers that did not arrive, by plugin."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(_DELIVERIES, tx.now - _LATE)
    findings = []
    for row in rows:
        for count, status, what, mend in (
            (
                row["parked"],
                Status.FAILING,
                "parked after too many tries",
                "See and re-drive them with `jishi events`.",
            ),
            (
                row["failed"],
                Status.WARNING,
                "failed and tried again",
                "Their errors are in the worker's log.",
            ),
            (
                row["late"],
                Status.FAILING,
                "more than five minutes late",
                "Is a worker running? Start `jishi worker`.",
            ),
        ):
            if count:
                findings.append(Finding("deliveries", status, f"{row['plugin']}: {count} {what}.", mend))
    return findings or [ok("deliveries", "None is parked, failing or late.")]


async def sizes(runtime: Runtime) -> list[Finding]:
    """Tables that housekeeping keeps small."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(_SIZES)
        oldest: datetime | None = await tx.fetchval("select min(at) from idempotency")
        now = tx.now
    text = ", ".join(f"{r['name']} about {r['rows']} rows, {r['bytes'] >> 20} MiB" for r in rows) + "."
    overdue = oldest is not None and now - oldest > timedelta(days=9)
    if overdue or any(r["rows"] > _MANY_ROWS for r in rows):
        mend = "Keep a worker running: it deletes what is older than seven days, once an hour."
        return [warning("sizes", text, mend)]
    return [ok("sizes", text)]
