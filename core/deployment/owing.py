"""What a plugin that is off, or may not run, still owes."""

from collections.abc import Collection, Mapping

import msgspec
import structlog

from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.plugin import parse_config

# A cycle's own delivery is no business: it comes again anyway. Holds are those a plugin has on money to be paid out.
_COUNTS = """
select d.plugin, case when starts_with(o.event, 'timer:') then 'timers' else 'deliveries' end as what, count(*) as n
from delivery d join outbox o on o.id = d.event_id
where d.plugin = any($1::text[]) and d.status in ('new', 'sent', 'parked')
  and not (o.event || ' ' || d.plugin = any($2::text[]))
group by 1, 2
union all
select plugin, 'holds', count(*) from order_hold where plugin = any($1::text[]) group by 1
"""

_log = structlog.get_logger("jishi.deployment")


async def open_business(tx: Tx, runtime: Runtime, names: Collection[str]) -> dict[str, Mapping[str, int]]:
    """By plugin, counts above zero: open `deliveries`, `timers` and `holds`, and what the plugin itself counts.

    Reads in `tx`, which is of the platform or the system. A plugin whose own count fails has the count `unknown`: 1.
    """
    if not names:
        return {}
    cycles = [
        f"timer:{cycle} {name}"
        for name in names
        if name in runtime.classes
        for cycle in runtime.classes[name].cycles
    ]
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for row in await tx.fetch(_COUNTS, list(names), cycles):
        found[row["plugin"]][row["what"]] = row["n"]
    for name in names:
        own = await _own(tx, runtime, name)
        found[name] |= {what: count for what, count in own.items() if count}
    return dict(found)


async def _own(tx: Tx, runtime: Runtime, name: str) -> Mapping[str, int]:
    """The plugin's own count, also of one that may not run. None of one that was never on: it has no tables."""
    cls = runtime.classes.get(name)
    config = await tx.fetchval("select config::text from deployment_plugin where name = $1", name)
    if cls is None or config is None:
        return {}
    try:
        async with tx.savepoint("open_business"):
            return await cls(parse_config(cls, msgspec.json.decode(config))).open_business(tx)
    except Exception:
        if tx.lost:
            raise
        _log.exception("a plugin cannot count its open business", plugin=name)
        return {"unknown": 1}
