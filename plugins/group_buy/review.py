"""The life of what a shop hands in for the market's review, for an event or of its own. Pure.

            ┌── handed in again ──┐
            v                     │
handed in ─> waiting ── refuse ──> refused
            │   └──── withdraw ────┐ │
         approve                   v v
            v                  withdrawn
         approved ── withdraw ─────^   (of an event, while its sign-up is open)
"""

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """Of what was handed in."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What somebody does with it: the shop hands it in again and withdraws, the market approves and refuses."""

    HAND_IN = "hand_in"
    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


# A step that is not listed for a status is not possible there.
MOVES: Mapping[tuple[Status, Step], Status] = {
    (Status.WAITING, Step.HAND_IN): Status.WAITING,
    (Status.WAITING, Step.APPROVE): Status.APPROVED,
    (Status.WAITING, Step.REFUSE): Status.REFUSED,
    (Status.WAITING, Step.WITHDRAW): Status.WITHDRAWN,
    (Status.REFUSED, Step.HAND_IN): Status.WAITING,
    (Status.REFUSED, Step.WITHDRAW): Status.WITHDRAWN,
    (Status.APPROVED, Step.WITHDRAW): Status.WITHDRAWN,
}


def after(status: Status, step: Step, *, of_event: bool) -> Status | None:
    """The status after a step; None when it is not possible. What was approved of the shop's own is an activity by now,
    which is stopped and not withdrawn."""
    if status is Status.APPROVED and not of_event:
        return None
    return MOVES.get((status, step))
