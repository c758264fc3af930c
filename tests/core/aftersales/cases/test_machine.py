"""Every status, event, kind and party: the case moves as the table below says, stands as it is, or refuses with a code."""

import itertools

import pytest

from core.aftersales.cases.machine import (
    CLAIMING,
    ENDED,
    KINDS,
    PARTIES,
    RULES,
    STATUSES,
    Event,
    Kind,
    Party,
    Status,
    step,
)

RETURN, ONLY, SWAP = "return_refund", "refund_only", "exchange"

# (event, status) -> next status by kind: R(eturn and refund), O(nly a refund), S(wap). `=` is: as it is, once more.
MOVES = {
    ("agree", "applied"): {RETURN: "agreed", ONLY: "agreed", SWAP: "agreed"},
    ("agree", "agreed"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("agree", "refunding"): {ONLY: "="},
    ("agree", "done"): {ONLY: "="},
    ("refuse", "applied"): {RETURN: "refused", ONLY: "refused", SWAP: "refused"},
    ("refuse", "sent"): {RETURN: "refused", ONLY: "refused", SWAP: "refused"},
    ("refuse", "refused"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("cancel", "applied"): {RETURN: "cancelled", ONLY: "cancelled", SWAP: "cancelled"},
    ("cancel", "agreed"): {RETURN: "cancelled", ONLY: "cancelled", SWAP: "cancelled"},
    ("cancel", "cancelled"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("send", "agreed"): {RETURN: "sent", SWAP: "sent"},
    ("send", "sent"): {RETURN: "=", SWAP: "="},
    ("receive", "sent"): {RETURN: "received", SWAP: "received"},
    ("receive", "received"): {RETURN: "=", SWAP: "="},
    ("receive", "refunding"): {RETURN: "=", SWAP: "="},
    ("receive", "done"): {RETURN: "="},
    ("reship", "received"): {SWAP: "reshipped"},
    ("reship", "reshipped"): {SWAP: "="},
    ("convert", "applied"): {SWAP: "applied"},
    ("convert", "agreed"): {SWAP: "agreed"},
    ("convert", "sent"): {SWAP: "sent"},
    ("convert", "received"): {SWAP: "received"},
    ("confirm", "reshipped"): {SWAP: "done"},
    ("confirm", "done"): {SWAP: "="},
    ("arbitrate", "refused"): {RETURN: "arbitration", ONLY: "arbitration", SWAP: "arbitration"},
    ("arbitrate", "arbitration"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("refund", "agreed"): {ONLY: "refunding"},
    ("refund", "received"): {RETURN: "refunding"},
    ("refunded", "refunding"): {RETURN: "done", ONLY: "done"},
    ("refunded", "done"): {RETURN: "=", ONLY: "="},
    ("lapse", "agreed"): {RETURN: "cancelled", ONLY: "cancelled", SWAP: "cancelled"},
    ("lapse", "refused"): {RETURN: "closed", ONLY: "closed", SWAP: "closed"},
    ("lapse", "cancelled"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("lapse", "closed"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("escalate", "agreed"): {RETURN: "arbitration", SWAP: "arbitration"},
    ("escalate", "arbitration"): {RETURN: "=", SWAP: "="},
    ("reapply", "refused"): {RETURN: "closed", ONLY: "closed", SWAP: "closed"},
    ("reapply", "closed"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("withdraw", "closed"): {RETURN: "=", ONLY: "=", SWAP: "="},
    ("withdraw", "cancelled"): {RETURN: "=", ONLY: "=", SWAP: "="},
} | {
    (event, status): {RETURN: after, ONLY: after, SWAP: after}
    for event, after in (("decide_refund", "refunding"), ("decide_reject", "closed"), ("withdraw", "closed"))
    for status in ("applied", "agreed", "sent", "received", "reshipped", "refused", "arbitration")
}  # fmt: skip

WHO = {
    "agree": {"merchant", "system"},
    "refuse": {"merchant"},
    "cancel": {"buyer"},
    "send": {"buyer"},
    "receive": {"merchant", "system"},
    "reship": {"merchant"},
    "convert": {"merchant", "system"},
    "confirm": {"buyer", "system"},
    "arbitrate": {"buyer"},
    "decide_refund": {"platform"},
    "decide_reject": {"platform"},
    "refund": {"merchant", "system"},
    "refunded": {"system"},
    "lapse": {"system"},
    "escalate": {"system"},
    "reapply": {"buyer"},
    "withdraw": {"system"},
}
NOT_FOR = {
    ONLY: {"send", "receive", "reship", "convert", "confirm", "escalate"},
    RETURN: {"reship", "convert", "confirm"},
    SWAP: {"refund", "refunded"},
}


@pytest.mark.parametrize(
    ("status", "event", "kind"),
    list(itertools.product(STATUSES, Event, KINDS)),
    ids=lambda value: str(getattr(value, "value", value)),
)
def test_each_event_in_each_status_moves_stands_or_is_refused(
    status: Status, event: Event, kind: Kind
) -> None:
    wanted = MOVES.get((event.value, status), {}).get(kind)
    for party in PARTIES:
        found = step(status, event, party, kind)
        if party not in WHO[event.value]:
            assert found == (status, kind, False, "not_yours")
        elif event.value in NOT_FOR[kind]:
            assert found == (status, kind, False, "wrong_kind")
        elif wanted is None:
            assert found == (status, kind, False, "wrong_status")
        elif wanted == "=":
            assert found == (status, kind, False, None)
        else:
            becomes = RETURN if kind == SWAP and event.value in ("convert", "decide_refund") else kind
            assert found == (wanted, becomes, True, None)


def test_the_table_names_every_event() -> None:
    assert set(RULES) == set(Event)
    assert {event for event, _ in MOVES} == set(WHO) == {event.value for event in Event}


def test_nothing_moves_a_case_that_is_over() -> None:
    for status, event, party, kind in itertools.product(sorted(ENDED), Event, PARTIES, KINDS):
        assert not step(status, event, party, kind).moves


def test_every_open_status_is_left_by_silence_or_by_the_market() -> None:
    decided: Party = "platform"
    for status, kind in itertools.product(CLAIMING, KINDS):
        assert step(status, Event.DECIDE_REJECT, decided, kind).status == "closed"
    assert set(STATUSES) == {*CLAIMING, *ENDED, "refunding"}
