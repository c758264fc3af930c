"""The life of a group, and what is made of an event in it. Pure.

opening ── leader paid ──> running ── last seat paid ──> succeeded
   │                        │   │                            ^
   │ leader's trade given up│   │ time is over ── virtual fill┘
   v                        │   └───────────────> failing ── all refunds decided ──> failed
closed <── last one left ───┘
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class Status(StrEnum):
    """Of a group."""

    OPENING = "opening"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILING = "failing"
    FAILED = "failed"
    CLOSED = "closed"


class Event(StrEnum):
    """What happens to a group."""

    LEADER_PAID = "leader_paid"
    MEMBER_PAID = "member_paid"
    FILLED = "filled"
    LEADER_GAVE_UP = "leader_gave_up"
    MEMBER_LEFT = "member_left"
    EMPTIED = "emptied"
    FAILED = "failed"
    ALL_REFUNDED = "all_refunded"


# An event that is not listed for a status changes nothing there.
MOVES: Mapping[tuple[Status, Event], Status] = {
    (Status.OPENING, Event.LEADER_PAID): Status.RUNNING,
    (Status.OPENING, Event.LEADER_GAVE_UP): Status.CLOSED,
    (Status.RUNNING, Event.MEMBER_PAID): Status.RUNNING,
    (Status.RUNNING, Event.FILLED): Status.SUCCEEDED,
    (Status.RUNNING, Event.MEMBER_LEFT): Status.RUNNING,
    (Status.RUNNING, Event.EMPTIED): Status.CLOSED,
    (Status.RUNNING, Event.FAILED): Status.FAILING,
    (Status.FAILING, Event.ALL_REFUNDED): Status.FAILED,
}

# Nothing changes these any more.
OVER = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CLOSED})


class Group(NamedTuple):
    """A group, its row locked."""

    merchant_id: UUID
    id: UUID
    activity_id: UUID
    status: Status
    size: int
    paid: int
    hours: int
    virtual_fill: bool
    expires_at: datetime | None

    @property
    def key(self) -> tuple[UUID, UUID]:
        """(merchant id, group id)."""
        return self.merchant_id, self.id

    def after(self, event: Event) -> Status | None:
        """Its status after the event; None when that changes nothing."""
        return MOVES.get((self.status, event))

    def open_at(self, now: datetime) -> bool:
        """Whether somebody may join, or leave, or be paid for."""
        return self.status is Status.RUNNING and self.expires_at is not None and now < self.expires_at


class Seat(NamedTuple):
    """A seat as a payment finds it; `welcome` unless it is for new buyers only and this is none."""

    id: UUID
    status: str
    leader: bool
    welcome: bool


class Payment(StrEnum):
    """What a payment brings about."""

    STARTS = "starts"
    JOINS = "joins"
    FILLS = "fills"
    LATE = "late"
    NOT_NEW = "not_new"
    WAITS = "waits"
    NOTHING = "nothing"


def on_payment(group: Group, seat: Seat, now: datetime) -> Payment:
    """What becomes of a paid seat. `WAITS` and `NOTHING` are for one that was counted before."""
    if seat.status == "paid":
        return Payment.WAITS if group.status is Status.RUNNING else Payment.NOTHING
    if seat.status != "held":
        return Payment.LATE
    if seat.leader and group.after(Event.LEADER_PAID):
        return Payment.STARTS
    if not group.open_at(now):
        return Payment.LATE
    if not seat.welcome:
        return Payment.NOT_NEW
    return Payment.FILLS if group.paid + 1 == group.size else Payment.JOINS


def on_time(group: Group, now: datetime) -> Event | None:
    """What the end of its time means for a group; None while there is time, or it is over."""
    if group.status is not Status.RUNNING or group.open_at(now):
        return None
    return Event.FILLED if group.virtual_fill else Event.FAILED
