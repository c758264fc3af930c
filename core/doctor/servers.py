"""The servers behind the market: there, new enough, migrated, and of one mind about the time."""

from datetime import UTC, datetime

from redis.exceptions import RedisError

from core.db import migrations
from core.deployment.runtime import AWAY, Runtime
from core.doctor.report import Finding, failing, listed, ok, warning
from core.types.scope import SYSTEM

OLDEST_POSTGRES = 15
OLDEST_REDIS = 6
# Seconds that clocks may differ before tokens and timers suffer.
_DRIFT_WARNING, _DRIFT_FAILING = 1.0, 10.0


async def redis(runtime: Runtime) -> list[Finding]:
    """Redis or Valkey answers."""
    try:
        info = await runtime.redis.info("server")
    except (RedisError, OSError) as error:
        return [
            failing(
                "redis",
                f"Redis does not answer: {error}.",
                "Start it, or mend JISHI_REDIS_URL; events wait in the database meanwhile.",
            )
        ]
    name = str(info.get("server_name", "redis"))
    version = str(info.get("valkey_version") or info.get("redis_version"))
    return [served("redis", name, version, OLDEST_REDIS)]


async def database(runtime: Runtime) -> list[Finding]:
    """PostgreSQL answers."""
    try:
        async with runtime.tx(SYSTEM) as tx:
            version = str(await tx.fetchval("select current_setting('server_version')"))
    except AWAY as error:
        return [
            failing(
                "database",
                f"PostgreSQL does not answer: {error.__cause__ or error}.",
                "Start it, or mend JISHI_DATABASE_URL and JISHI_APP_DATABASE_URL.",
            )
        ]
    return [served("database", "PostgreSQL", version, OLDEST_POSTGRES)]


def served(check: str, name: str, version: str, oldest: int) -> Finding:
    """A server that answers, by its version."""
    digits = version.split(".")[0].split()[0]
    if digits.isdecimal() and int(digits) < oldest:
        return failing(
            check,
            f"{name} {version} is too old.",
            f"Upgrade it: version {oldest} is the oldest that will do.",
        )
    return ok(check, f"{name} {version} answers.")


async def migrated(runtime: Runtime) -> list[Finding]:
    """Core's and the plugins' tables are at the head of their migrations."""
    histories = [migrations.CORE, *runtime.histories()]
    async with runtime.tx(SYSTEM) as tx:
        behind = [h.owner for h in histories if not await migrations.heads_reached(tx, [h])]
    if behind:
        return [
            failing(
                "migrations",
                f"The tables of {listed(behind)} are not at this code's version.",
                "jishi migrate",
            )
        ]
    return [ok("migrations", f"{listed([h.owner for h in histories])} are at their heads.")]


async def clock(runtime: Runtime) -> list[Finding]:
    """This machine's clock beside those of database and Redis."""
    found: dict[str, float] = {}
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("select 1")
        before = datetime.now(UTC)
        there: datetime = await tx.fetchval("select clock_timestamp()")
        found["PostgreSQL"] = _apart(before, there, datetime.now(UTC))
    try:
        before = datetime.now(UTC)
        seconds, micros = await runtime.redis.time()
        there = datetime.fromtimestamp(int(seconds) + int(micros) / 1e6, UTC)
        found["Redis"] = _apart(before, there, datetime.now(UTC))
    except (RedisError, OSError):
        pass
    return [drift(found)]


def _apart(before: datetime, there: datetime, after: datetime) -> float:
    """Seconds by which a clock lies outside the two looks at ours."""
    return max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)


def drift(apart: dict[str, float]) -> Finding:
    """Seconds by which other servers' clocks differ from this machine's."""
    worst = max(apart.values(), default=0.0)
    text = "; ".join(f"{name} differs by {seconds:.3f} s" for name, seconds in apart.items()) + "."
    if worst > _DRIFT_FAILING:
        return failing("clock", text, "Run a time service (chrony, systemd-timesyncd) on every machine.")
    if worst > _DRIFT_WARNING:
        return warning("clock", text, "Run a time service (chrony, systemd-timesyncd) on every machine.")
    return ok("clock", text)
