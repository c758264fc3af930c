"""A plugin whose effects leave marks in a scratch table; run as a program, a worker process around it."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import asyncpg
import msgspec

from core import hookspecs
from core.db.tx import Tx
from core.deployment.runtime import AWAY, Runtime
from core.deployment.service import ensure
from core.hooks import hookimpl
from core.kit.clock import system_clock
from core.kit.crypto import Vault
from core.kit.ids import new_id
from core.kit.settings import Env, Settings
from core.plugin import Plugin, TimerHandler
from core.types.events import AccountEvent, MerchantEvent
from core.types.scope import SYSTEM
from core.worker import claim
from core.worker.main import run_worker, sized

Start = Callable[[Runtime], Awaitable[asyncio.subprocess.Process]]


class Ring(msgspec.Struct):
    """Payload of the probe's timer."""

    mark: UUID


async def ring(tx: Tx, payload: msgspec.Raw) -> None:
    await tx.execute(
        "insert into mark (id, what, at) values ($1, 'ring', $2)",
        msgspec.json.decode(payload, type=Ring).mark,
        tx.now,
    )


async def tick(tx: Tx) -> None:
    await tx.execute("insert into mark (id, what, at) values ($1, 'tick', $2)", new_id(), tx.now)


class ProbeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pause: float = 0.0
    broken: bool = False


class Probe(Plugin):
    name = "probe"
    title = "Probe"
    summary = "Marks what it is told."
    Config = ProbeConfig
    config: ProbeConfig
    timers: ClassVar[dict[str, TimerHandler]] = {"ring": ring}

    @hookimpl
    async def account_registered(self, tx: Tx, event: AccountEvent) -> None:
        await tx.execute(
            "insert into mark (id, what, at) select $1, 'account', $2 from pg_sleep($3)",
            event.account_id,
            tx.now,
            self.config.pause,
        )
        if self.config.broken:
            raise RuntimeError("broken on purpose")

    @hookimpl
    async def merchant_changed(self, tx: Tx, event: MerchantEvent) -> None:
        seen = await tx.fetchval(
            "select concat(current_setting('jishi.scope'), ' ', current_setting('jishi.merchant_id', true))"
        )
        await tx.execute("insert into mark (id, what) values ($1, $2)", event.merchant_id, seen)


class Follower(Plugin):
    name = "follower"
    title = "Follower"
    summary = "Needs the probe."
    requires = ("probe",)
    timers: ClassVar[dict[str, TimerHandler]] = {"ring": ring}


class Misfit(Plugin):
    """Its hook takes other arguments than the spec."""

    name = "misfit"
    title = "Misfit"
    summary = "Does not fit."

    @hookimpl
    async def order_paid(self, tx: Tx) -> None: ...


CLASSES: dict[str, type[Plugin]] = {c.name: c for c in (Probe, Follower, Misfit)}


def make_runtime(settings: Settings, classes: dict[str, type[Plugin]] = CLASSES) -> Runtime:
    return Runtime(Env(settings, Vault(b"0123456789abcdef" * 2)), classes, hookspecs)


async def prepare(settings: Settings, owner_dsn: str) -> None:
    """A scratch table, and the probe as the only plugin that is on."""
    owner = await asyncpg.connect(owner_dsn)
    await owner.execute("""
        begin; set local jishi.scope = 'system'; delete from deployment_plugin; delete from generation; commit;
        create table mark (id uuid, what text, at timestamptz); grant select, insert on mark to jishi_app;
    """)
    await owner.close()
    await ensure(settings.database_url, CLASSES, ["probe", "follower"], hookspecs)


async def register(runtime: Runtime, count: int) -> set[UUID]:
    """That many `account_registered` events in one transaction."""
    ids = {new_id() for _ in range(count)}
    async with runtime.tx(SYSTEM) as tx:
        for account_id in ids:
            tx.emit(hookspecs.account_registered, AccountEvent(account_id))
    return ids


async def marks(runtime: Runtime) -> list[UUID]:
    """What was marked, in order of the ids."""
    async with runtime.tx(SYSTEM) as tx:
        return [r["id"] for r in await tx.fetch("select id from mark order by id")]


async def statuses(runtime: Runtime) -> dict[str, int]:
    """Deliveries by status."""
    async with runtime.tx(SYSTEM) as tx:
        return dict(await tx.fetch("select status, count(*) from delivery group by 1"))


async def until(runtime: Runtime, count: int, seconds: float) -> list[UUID]:
    """The marks once there are `count`, or what there is after that time."""
    found: list[UUID] = []
    for _ in range(int(seconds / 0.05)):
        with contextlib.suppress(*AWAY):
            found = await marks(runtime)
        if len(found) >= count:
            break
        await asyncio.sleep(0.05)
    return found


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=Settings)
    # A message that died with its worker is sent again after this, not after the time of production.
    claim.RESEND = float(os.environ.get("PROBE_RESEND", "1"))
    given = sized(given)
    ahead = timedelta(seconds=float(os.environ.get("PROBE_CLOCK_AHEAD", "0")))

    def made() -> Runtime:
        runtime = make_runtime(given)
        runtime.clock = lambda: system_clock() + ahead
        return runtime

    run_worker(made, given)
