"""Plugins whose effects leave a row for each time they ran, in a table that lets them run twice.

`python host.py` finds them when the folder that `install` wrote is on PYTHONPATH, as it finds all plugins. `chaos` takes
the events over HTTP, `chaos_ordered` works in lanes and fails at first, `chaos_fan` begins timers and outside calls.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import httpx
import msgspec
from litestar import post

from core.db.outside import Outside
from core.db.tx import Tx
from core.hooks import effect, hookimpl
from core.plugin import Outbound, Plugin, TimerHandler
from core.worker import claim

PEER = "CHAOS_PEER"
RESEND = "CHAOS_RESEND"
# A folder with a file for each event that has failed.
FAILED = "CHAOS_FAILED"

# No constraint on (what, n): what is done twice has to show. Its ids are in the order of the commits of one lane.
TABLES = """
create table chaos_asked (n int primary key, lane text not null, via text not null);
create table chaos_effect (id bigserial primary key, what text not null, n int not null, lane text not null);
grant select, insert on chaos_asked, chaos_effect to jishi_app;
grant usage on sequence chaos_effect_id_seq to jishi_app;
"""
_ASKED = "insert into chaos_asked (n, lane, via) values ($1, $2, $3)"
_DONE = "insert into chaos_effect (what, n, lane) values ($1, $2, $3)"

# Every fourth event has to be done in order. Every which fails the first time, in order or not, begins a
# timer, and makes an outside call.
ORDERED, FAILS_ORDERED, FAILS, TIMES, CALLS = 4, 52, 31, 5, 10


class Marked(msgspec.Struct, frozen=True):
    """The event: a number that comes once, and within what it keeps its order."""

    n: int
    lane: str


@effect
async def chaos_marked(tx: Tx, event: Marked) -> None:
    """A number was asked for."""


@effect
async def chaos_stepped(tx: Tx, event: Marked) -> None:
    """A number was asked for, and the order counts."""


async def ask(tx: Tx, event: Marked, via: str) -> None:
    """What a request or a transaction does: a row and an event, both or neither."""
    await tx.execute(_ASKED, event.n, event.lane, via)
    tx.emit(chaos_marked if event.n % ORDERED else chaos_stepped, event)


async def note(tx: Tx, what: str, event: Marked) -> None:
    """Leave the trace of one effect."""
    await tx.execute(_DONE, what, event.n, event.lane)


@post("/marks")
async def mark(tx: Tx, data: Marked) -> Marked:
    """Ask over HTTP."""
    await ask(tx, data, "http")
    return data


class Chaos(Plugin):
    """Declares the events and takes one; some fail at first, after they have written."""

    name = "chaos"
    title = "Chaos"
    summary = "Counts."
    shop_routes = [mark]
    events = {"chaos_marked": chaos_marked, "chaos_stepped": chaos_stepped}

    @hookimpl
    async def chaos_marked(self, tx: Tx, event: Marked) -> None:
        """Once for each."""
        await note(tx, "plain", event)
        if event.n % FAILS == 0:
            fail_at_first(event)


class ChaosOrdered(Plugin):
    """Takes the event whose order counts; some fail at first, and hold up their lane."""

    name = "chaos_ordered"
    title = "Chaos in order"
    summary = "Counts in order."
    requires = ("chaos",)

    @hookimpl(ordered_by="lane")
    async def chaos_stepped(self, tx: Tx, event: Marked) -> None:
        """Once for each, those of a lane one after another."""
        await note(tx, "ordered", event)
        if event.n % FAILS_ORDERED == 0:
            fail_at_first(event)


def fail_at_first(event: Marked) -> None:
    """Raise the first time that any process sees it."""
    try:
        (Path(os.environ[FAILED]) / str(event.n)).touch(exist_ok=False)
    except FileExistsError:
        return
    raise httpx.TransportError("fails at first")


async def ring(tx: Tx, payload: msgspec.Raw) -> None:
    """The timer."""
    await note(tx, "timer", msgspec.json.decode(payload, type=Marked))


async def call(outside: Outside, key: UUID, payload: msgspec.Raw) -> None:
    """The outside call."""
    answer = await outside.http.post(
        os.environ[PEER], content=bytes(payload), headers={"Idempotency-Key": str(key)}
    )
    answer.raise_for_status()


async def called(tx: Tx, key: UUID, payload: msgspec.Raw, answer: Any) -> None:
    """In the transaction that notes the call as done."""
    await note(tx, "call", msgspec.json.decode(payload, type=Marked))


class ChaosFan(Plugin):
    """Begins timers and outside calls for some of the events."""

    name = "chaos_fan"
    title = "Chaos that spreads"
    summary = "Counts, and begins more."
    requires = ("chaos",)
    timers: ClassVar[Mapping[str, TimerHandler]] = {"ring": ring}
    outbound: ClassVar[Mapping[str, Outbound]] = {"call": Outbound(call, called)}

    @hookimpl
    async def chaos_marked(self, tx: Tx, event: Marked) -> None:
        """Once for each."""
        await self._spread(tx, event)

    @hookimpl
    async def chaos_stepped(self, tx: Tx, event: Marked) -> None:
        """Once for each."""
        await self._spread(tx, event)

    async def _spread(self, tx: Tx, event: Marked) -> None:
        await note(tx, "fan", event)
        if event.n % TIMES == 0:
            tx.schedule(self.name, "ring", event, tx.now + timedelta(seconds=event.n % 4))
        if event.n % CALLS == 0:
            tx.outbound(self.name, "call", event)


CLASSES: dict[str, type[Plugin]] = {c.name: c for c in (Chaos, ChaosOrdered, ChaosFan)}


def wanted(n: int) -> list[str]:
    """What has to be done once, and only once, for an event."""
    more = [("timer", TIMES), ("call", CALLS)]
    first = "plain" if n % ORDERED else "ordered"
    return [first, "fan", *(what for what, every in more if n % every == 0)]


def install(folder: Path) -> None:
    """Make the plugins those of whoever has `folder` on PYTHONPATH."""
    about = folder / "chaos-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 1.0\n")
    entries = [f"{name} = {cls.__module__}:{cls.__name__}" for name, cls in CLASSES.items()]
    (about / "entry_points.txt").write_text("\n".join(["[jishi.plugins]", *entries, ""]))


if RESEND in os.environ:
    # What died with its worker is sent again after this, not after the time of production.
    claim.RESEND = float(os.environ[RESEND])
