"""What may happen to a case, by whom, and what becomes of it. Pure: a table and a look into it.

refund_only    applied -> agreed -> refunding -> done
return_refund  applied -> agreed -> sent -> received -> refunding -> done
exchange       applied -> agreed -> sent -> received -> reshipped -> done
all            applied | sent -> refused -> arbitration -> refunding | closed;  applied | agreed -> cancelled
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, NamedTuple, get_args

Kind = Literal["refund_only", "return_refund", "exchange"]
Party = Literal["buyer", "merchant", "platform", "system"]
Status = Literal[
    "applied",
    "agreed",
    "sent",
    "received",
    "reshipped",
    "refunding",
    "refused",
    "arbitration",
    "done",
    "cancelled",
    "closed",
]
Code = Literal["wrong_status", "wrong_kind", "not_yours"]

KINDS: tuple[Kind, ...] = get_args(Kind)
PARTIES: tuple[Party, ...] = get_args(Party)
STATUSES: tuple[Status, ...] = get_args(Status)
# A case that has come to its end; its units may be asked for again.
ENDED: frozenset[Status] = frozenset({"done", "cancelled", "closed"})
# The units of a case in one of these are spoken for. Those of one that is `refunding` are refunded already.
CLAIMING: tuple[Status, ...] = tuple(s for s in STATUSES if s not in ENDED and s != "refunding")


class Event(StrEnum):
    """What can happen to a case."""

    AGREE = "agree"
    REFUSE = "refuse"
    CANCEL = "cancel"
    SEND = "send"
    RECEIVE = "receive"
    RESHIP = "reship"
    CONVERT = "convert"
    CONFIRM = "confirm"
    ARBITRATE = "arbitrate"
    DECIDE_REFUND = "decide_refund"
    DECIDE_REJECT = "decide_reject"
    # Nobody asks for these: they follow from another event, or from silence.
    REFUND = "refund"
    REFUNDED = "refunded"
    LAPSE = "lapse"
    ESCALATE = "escalate"
    REAPPLY = "reapply"
    WITHDRAW = "withdraw"


class Step(NamedTuple):
    """What an event makes of a case: `status` and `kind` afterwards; `moves` is False when it had happened before; with a
    `code` it is refused, and nothing changes."""

    status: Status
    kind: Kind
    moves: bool
    code: Code | None = None


class _Rule(NamedTuple):
    parties: frozenset[Party]
    kinds: frozenset[Kind]
    moves: Mapping[Status, Status]
    # In these the event has happened already.
    again: frozenset[Status] = frozenset()
    # What the case is about afterwards; None: as before.
    becomes: Kind | None = None


def _rule(
    parties: str,
    kinds: str,
    moves: Mapping[Status, Status],
    again: str = "",
    becomes: Kind | None = None,
) -> _Rule:
    named = KINDS if kinds == "all" else kinds.split()
    return _Rule(
        frozenset(parties.split()),  # type: ignore[arg-type]
        frozenset(named),  # type: ignore[arg-type]
        moves,
        frozenset(again.split()),  # type: ignore[arg-type]
        becomes,
    )


_OPEN: tuple[Status, ...] = ("applied", "agreed", "sent", "received", "reshipped", "refused", "arbitration")
_BACK = "return_refund exchange"

RULES: Mapping[Event, _Rule] = {
    Event.AGREE: _rule("merchant system", "all", {"applied": "agreed"}, "agreed refunding done"),
    Event.REFUSE: _rule("merchant", "all", {"applied": "refused", "sent": "refused"}, "refused"),
    Event.CANCEL: _rule("buyer", "all", {"applied": "cancelled", "agreed": "cancelled"}, "cancelled"),
    Event.SEND: _rule("buyer", _BACK, {"agreed": "sent"}, "sent"),
    Event.RECEIVE: _rule("merchant system", _BACK, {"sent": "received"}, "received refunding done"),
    Event.RESHIP: _rule("merchant", "exchange", {"received": "reshipped"}, "reshipped"),
    Event.CONVERT: _rule(
        "merchant system",
        "exchange",
        {"applied": "applied", "agreed": "agreed", "sent": "sent", "received": "received"},
        becomes="return_refund",
    ),
    Event.CONFIRM: _rule("buyer system", "exchange", {"reshipped": "done"}, "done"),
    Event.ARBITRATE: _rule("buyer", "all", {"refused": "arbitration"}, "arbitration"),
    Event.DECIDE_REFUND: _rule("platform", "all", dict.fromkeys(_OPEN, "refunding")),
    Event.DECIDE_REJECT: _rule("platform", "all", dict.fromkeys(_OPEN, "closed")),
    Event.REFUND: _rule(
        "merchant system", "refund_only return_refund", {"agreed": "refunding", "received": "refunding"}
    ),
    Event.REFUNDED: _rule("system", "refund_only return_refund", {"refunding": "done"}, "done"),
    Event.LAPSE: _rule("system", "all", {"agreed": "cancelled", "refused": "closed"}, "cancelled closed"),
    Event.ESCALATE: _rule("system", _BACK, {"agreed": "arbitration"}, "arbitration"),
    Event.REAPPLY: _rule("buyer", "all", {"refused": "closed"}, "closed"),
    Event.WITHDRAW: _rule("system", "all", dict.fromkeys(_OPEN, "closed"), "closed cancelled"),
}


def step(status: Status, event: Event, party: Party, kind: Kind) -> Step:
    """What `event`, brought about by `party`, makes of a case of this kind in this status."""
    rule = RULES[event]
    if party not in rule.parties:
        return Step(status, kind, moves=False, code="not_yours")
    if kind not in rule.kinds:
        return Step(status, kind, moves=False, code="wrong_kind")
    if event is Event.REFUND and status != _PAID_BACK_IN[kind]:
        return Step(status, kind, moves=False, code="wrong_status")
    if status in rule.moves:
        return Step(rule.moves[status], _kind_after(rule, event, kind), moves=True)
    if status in rule.again and not _another(status, event, kind):
        return Step(status, kind, moves=False)
    return Step(status, kind, moves=False, code="wrong_status")


# Money goes back once the shop has agreed, or has what was to be returned.
_PAID_BACK_IN: Mapping[Kind, Status] = {"refund_only": "agreed", "return_refund": "received"}


def _kind_after(rule: _Rule, event: Event, kind: Kind) -> Kind:
    if event is Event.DECIDE_REFUND and kind == "exchange":
        return "return_refund"
    return rule.becomes or kind


def _another(status: Status, event: Event, kind: Kind) -> bool:
    """Whether a case of this kind has come to `status` by something else than `event` (or long after it)."""
    if event is Event.AGREE:
        return status != "agreed" and kind != "refund_only"
    return event is Event.RECEIVE and kind == "exchange" and status == "done"
