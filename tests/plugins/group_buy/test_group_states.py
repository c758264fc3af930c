"""Every event in every state of a group."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.api import (
    Closing,
    ClosingOrder,
    JishiError,
    Paying,
    RefundDraft,
    Tx,
    hookspecs,
    new_id,
)
from core.kit.ids import parse_pair, parse_ref
from core.testkit.market import Market, Person
from core.types.scope import SYSTEM
from plugins.group_buy import endings, seats
from plugins.group_buy.machine import MOVES, OVER, Event, Group, Payment, Seat, Status, on_payment, on_time
from tests.plugins.group_buy.test_group_endings import run
from tests.support.groups import Scene, scene

STATES = ("opening", "running", "succeeded", "failing", "failed", "closed")


def test_the_machine_only_leaves_states_that_are_not_over() -> None:
    assert {state for state, _ in MOVES} == set(Status) - OVER
    assert {event for _, event in MOVES} == set(Event)


class Cast:
    """Groups of three in every state, with a leader, a member and somebody who has not paid, as far as there can be."""

    def __init__(self, at: Scene) -> None:
        self.at = at
        self.groups: dict[str, str] = {}
        self.people: dict[str, tuple[Person, Person, Person]] = {}

    async def build(self) -> None:
        """Make them."""
        market, at = self.at.market, self.at
        # What drains what is due comes first.
        for state in sorted(STATES, key=lambda state: state != "failed"):
            leader, member, third = self.people[state] = (
                await market.buyer(),
                await market.buyer(),
                await market.buyer(),
            )
            trade = await at.place(leader)
            group = self.groups[state] = await at.group_of(leader)
            if state == "closed":
                await leader.post(f"/api/shop/trades/{trade}/close")
            if state in ("opening", "closed"):
                continue
            await at.pay(leader, trade)
            await at.join(member, group)
            if state in ("running", "succeeded"):
                unpaid = await at.place(third, group)
            if state == "succeeded":
                await at.pay(third, unpaid)
            if state in ("failing", "failed"):
                await run(at, endings.expire, group)
            if state == "failed":
                await market.drain()
        for state in STATES:
            assert await at.status(self.groups[state]) == state

    async def orders(self, tx: Tx, state: str) -> list[Any]:
        """The seats of a group, oldest first: leader, member, third."""
        sql = "select * from group_buy_seat where group_id = $1 order by id"
        return await tx.fetch(sql, parse_pair(self.groups[state])[1])


Act = Callable[[Cast, Tx, str], Awaitable[object]]


def paying(place: int) -> Act:
    """The order of the leader, the member or the third is paid."""

    async def act(cast: Cast, tx: Tx, state: str) -> object:
        rows = await cast.orders(tx, state)
        if place >= len(rows):
            return "-"
        row = rows[place]
        hook = dict(tx.hooks.of(hookspecs.order_paying))["group_buy"]
        answer = await hook(
            tx, Paying(row["merchant_id"], row["order_id"], new_id(), row["account_id"], tx.now)
        )
        return answer.outcome if answer is not None else "goes on"

    return act


async def gives_up(cast: Cast, tx: Tx, state: str) -> object:
    """The newest trade of the group is given up."""
    row = (await cast.orders(tx, state))[-1]
    order = ClosingOrder(row["order_id"], row["merchant_id"])
    closing = Closing(new_id(), row["account_id"], (order,), True, "unpaid")
    await dict(tx.hooks.of(hookspecs.order_closing))["group_buy"](tx, closing)
    return (await cast.orders(tx, state))[-1]["status"]


async def joins(cast: Cast, tx: Tx, state: str) -> object:
    """Somebody new takes a seat."""
    at = cast.at
    group = parse_pair(cast.groups[state])[1]
    key = (at.shop.id, parse_ref(at.activity), at.article.sku_id)
    taking = seats.Taking(*key, group, new_id(), new_id(), 1, 7000)
    room = await seats.join(tx, taking, group)
    if room is None:
        return "full" if await seats.is_full(tx, at.shop.id, group) else "over"
    return await seats.sit(tx, taking, room)


def leaves(place: int) -> Act:
    """The leader, the member or the third leaves."""

    async def act(cast: Cast, tx: Tx, state: str) -> object:
        person = cast.people[state][place]
        await endings.leave(tx, person.me.account_id, parse_pair(cast.groups[state]))
        return "left"

    return act


def refunding(origin: str) -> Act:
    """A refund of the leader's order is wanted."""

    async def act(cast: Cast, tx: Tx, state: str) -> object:
        row = (await cast.orders(tx, state))[0]
        ids = row["merchant_id"], row["order_id"], new_id(), row["account_id"]
        draft = RefundDraft(new_id(), *ids, (), 0, 0, True, "", origin)
        await dict(tx.hooks.of(hookspecs.refund_requesting))["group_buy"](tx, draft)
        return "allowed"

    return act


def timer(handler: Any, *, late: bool = True) -> Act:
    """A timer of the group, at the end of its time."""

    async def act(cast: Cast, tx: Tx, state: str) -> object:
        merchant_id, group_id = parse_pair(cast.groups[state])
        if late:
            until = await tx.fetchval("select expires_at from group_buy_group where id = $1", group_id)
            tx.now = until or tx.now
        await handler(tx, msgspec.json.encode(endings.GroupDue(merchant_id, group_id)))
        return "done"

    return act


def seat_timer(handler: Any) -> Act:
    """A timer of the member's seat, or the leader's if there is none."""

    async def act(cast: Cast, tx: Tx, state: str) -> object:
        rows = await cast.orders(tx, state)
        row = rows[min(1, len(rows) - 1)]
        await handler(tx, msgspec.json.encode(endings.SeatDue(row["merchant_id"], row["order_id"])))
        return (await cast.orders(tx, state))[min(1, len(rows) - 1)]["status"]

    return act


OVER_CODE = "group_over"
# For each event: what it answers, or is refused with, and what the group is afterwards, where that changes.
TABLE: dict[str, tuple[Act, tuple[object, ...], dict[str, str]]] = {
    "leader pays": (
        paying(0),
        ("hold", "hold", "goes on", "refund", "refund", "refund"),
        {"opening": "running"},
    ),
    "member pays": (paying(1), ("-", "hold", "goes on", "refund", "refund", "-"), {}),
    "last one pays": (paying(2), ("-", "goes on", "goes on", "-", "-", "-"), {"running": "succeeded"}),
    "trade given up": (
        gives_up,
        ("closed", "closed", "paid", "leaving", "refunded", "closed"),
        {"opening": "closed"},
    ),
    "joins": (joins, ("over", "full", "full", "over", "over", "over"), {}),
    "leader leaves": (leaves(0), ("not_paid", "left", OVER_CODE, "not_found", "not_found", "not_found"), {}),
    "member leaves": (
        leaves(1),
        ("not_found", "left", OVER_CODE, "not_found", "not_found", "not_found"),
        {},
    ),
    "unpaid one leaves": (
        leaves(2),
        ("not_found", "not_paid", OVER_CODE, "not_found", "not_found", "not_found"),
        {},
    ),
    "buyer wants a refund": (refunding("buyer"), ("allowed", "group_running", *["allowed"] * 4), {}),
    "shop wants a refund": (refunding("merchant"), ("allowed", "group_running", *["allowed"] * 4), {}),
    "market forces a refund": (refunding("platform"), ("allowed",) * 6, {}),
    "time is over": (timer(endings.expire), ("done",) * 6, {"running": "failing"}),
    "timer too early": (timer(endings.expire, late=False), ("done",) * 6, {}),
    "release": (timer(endings.release), ("done",) * 6, {}),
    "forced refund frees": (
        seat_timer(endings.give_up),
        ("held", "leaving", "paid", "leaving", "refunded", "closed"),
        {},
    ),
}


async def test_every_event_in_every_state(market: Market) -> None:
    cast = Cast(await scene(market, size=3))
    await cast.build()
    found: dict[tuple[str, str], tuple[object, str]] = {}
    wanted: dict[tuple[str, str], tuple[object, str]] = {}
    for event, (act, answers, moves) in TABLE.items():
        for state, answer in zip(STATES, answers, strict=True):
            found[event, state] = await _undone(cast, act, state)
            wanted[event, state] = (answer, moves.get(state, state))
    assert found == wanted


async def _undone(cast: Cast, act: Act, state: str) -> tuple[object, str]:
    """What an event answers and makes of the group, which is afterwards as it was."""
    group: UUID = parse_pair(cast.groups[state])[1]
    async with cast.at.runtime.tx(SYSTEM) as tx, tx.aside():
        try:
            answer = await act(cast, tx, state)
        except JishiError as error:
            answer = error.code
        return answer, await tx.fetchval("select status from group_buy_group where id = $1", group)


async def test_the_last_refund_of_a_failing_group_makes_it_failed(market: Market) -> None:
    cast = Cast(await scene(market, size=3))
    await cast.build()
    at, group = cast.at, cast.groups["failing"]
    for place, after in ((0, "failing"), (1, "failed")):
        async with at.runtime.tx(SYSTEM) as tx:
            row = (await cast.orders(tx, "failing"))[place]
            due = endings.SeatDue(row["merchant_id"], row["order_id"])
            await endings.refund(tx, msgspec.Raw(msgspec.json.encode(due)))
        assert await at.status(group) == after


PAYMENTS = [
    ("opening", "held", True, Payment.STARTS),
    ("running", "held", False, Payment.JOINS),
    ("running", "paid", True, Payment.WAITS),
    ("running", "leaving", False, Payment.LATE),
    ("running", "closed", False, Payment.LATE),
    ("succeeded", "paid", False, Payment.NOTHING),
    ("succeeded", "expired", False, Payment.LATE),
    ("failing", "expired", False, Payment.LATE),
    ("failed", "refunded", True, Payment.LATE),
    ("closed", "expired", False, Payment.LATE),
]


@pytest.mark.parametrize(("status", "seat", "leader", "wanted"), PAYMENTS)
def test_what_a_payment_makes_of_a_seat(status: str, seat: str, wanted: Payment, *, leader: bool) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ids = new_id(), new_id(), new_id()
    until = now + timedelta(hours=1)
    group = Group(*ids, Status(status), 3, 1, 24, virtual_fill=False, expires_at=until)
    mine = Seat(new_id(), seat, leader, welcome=True)
    assert on_payment(group, mine, now) is wanted
    if wanted is Payment.JOINS:
        assert on_payment(group, mine._replace(welcome=False), now) is Payment.NOT_NEW
        assert on_payment(group._replace(paid=2), mine, now) is Payment.FILLS
        assert on_payment(group, mine, until) is Payment.LATE
        assert on_time(group, now) is None
        assert on_time(group, until) is Event.FAILED
        assert on_time(group._replace(virtual_fill=True), until) is Event.FILLED
