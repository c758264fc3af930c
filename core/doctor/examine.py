"""All checks, one after another; one that fails itself is a finding too."""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from core.deployment.runtime import AWAY, Runtime
from core.doctor import books, machine, protection, running, servers
from core.doctor.report import Finding, Report, failing, report

Check = Callable[[Runtime], Awaitable[list[Finding]]]

# Those that need the database come after the one that looks whether it is there.
CHECKS: Mapping[str, Check] = {
    "settings": machine.settings,
    "secret": machine.secret,
    "disk": machine.disk,
    "redis": servers.redis,
    "database": servers.database,
    "migrations": servers.migrated,
    "clock": servers.clock,
    "row security": protection.row_security,
    "roles": protection.roles,
    "append-only": protection.append_only,
    "stored values": books.stored,
    "plugins": running.plugins,
    "generations": running.generations,
    "deliveries": running.deliveries,
    "sizes": running.sizes,
    "ledger": books.ledger,
    "payment calls": books.calls,
    "stock": books.stock,
}
_WITHOUT_DATABASE = ("settings", "secret", "disk", "redis", "database")

_log = structlog.get_logger("jishi.doctor")


async def examine(runtime: Runtime) -> Report:
    """Look at everything. Never raises for what is broken."""
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        away = any(f.check == "database" and f.status == "failing" for f in findings)
        if not away or name in _WITHOUT_DATABASE:
            findings += await _checked(name, check, runtime)
    return report(findings)


async def _checked(name: str, check: Check, runtime: Runtime) -> list[Finding]:
    try:
        return await check(runtime)
    except AWAY as error:
        return [
            failing(
                name,
                f"The database refused: {type(error).__name__}: {error}.",
                "See the findings before this.",
            )
        ]
    except Exception as error:  # noqa: BLE001 -- whatever is wrong is the answer
        _log.exception("check failed", check=name)
        return [failing(name, f"The check itself failed: {type(error).__name__}: {error}.", "See the log.")]
