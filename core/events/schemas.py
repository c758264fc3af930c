"""Deliveries as the operator sees them. Payloads hold ids only."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec


class Kind(StrEnum):
    """What is delivered."""

    EFFECT = "effect"
    TIMER = "timer"
    OUTBOUND = "outbound"


class Status(StrEnum):
    """How a delivery stands. `failed`, for filters only: waiting, and failed before."""

    NEW = "new"
    SENT = "sent"
    FAILED = "failed"
    PARKED = "parked"
    DROPPED = "dropped"
    DONE = "done"


class Dropped(msgspec.Struct, frozen=True):
    """Who gave it up, when and why; `by` is null for the command line."""

    at: datetime
    by: str | None
    reason: str


class Delivery(msgspec.Struct, frozen=True):
    """One event for one plugin. `event_id` is the idempotency key of an outside call. `due_at`: when it is tried next, or
    sent again. `error` is the last one. `lane`: what it is ordered by, if its plugin asks for that."""

    event_id: str
    plugin: str
    event: str
    kind: Kind
    status: Status
    tries: int
    at: datetime
    due_at: datetime
    error: str | None
    lane: str | None
    done_at: datetime | None
    dropped: Dropped | None


class Event(msgspec.Struct, frozen=True):
    """What happened, and its delivery to each plugin; `answers` are those of outside calls."""

    event_id: str
    event: str
    kind: Kind
    at: datetime
    scope: str
    payload: Any
    deliveries: list[Delivery]
    answers: dict[str, Any]


class SummaryLine(msgspec.Struct, frozen=True):
    """One event of one plugin: deliveries that wait, those among them that failed before, and those that are parked.
    `delay`: seconds since `oldest_due`, the earliest that is due."""

    plugin: str
    event: str
    kind: Kind
    waiting: int
    failed: int
    parked: int
    oldest_due: datetime | None
    delay: float


class Summary(msgspec.Struct, frozen=True):
    """Only what is not done."""

    items: list[SummaryLine]


class DropIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it shall never be delivered."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class RetryIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which parked deliveries; without fields, all."""

    plugin: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    event: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class Retried(msgspec.Struct, frozen=True):
    """How many are due again."""

    retried: int
