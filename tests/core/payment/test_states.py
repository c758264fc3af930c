"""Every event in every state of a payment: what does not fit changes nothing, and money is never lost."""

import contextlib
from typing import Any

import msgspec
import pytest

from core.kit.errors import Conflict
from core.kit.ids import parse_ref
from core.ledger.check import check
from core.payment import applying, repository, timers
from core.payment.calls import channel_calls
from core.payment.provider import PaidLeg, PaidNotice
from core.payment.service import QueryDue
from core.types.scope import PLATFORM, SYSTEM

Desk = Any
STATES = ("created", "paid", "closed", "refunding", "refunded")
EVENTS = ("notified", "mismatch", "query", "close", "expire", "open", "calls")

# What a payment becomes; it stays as it is where nothing is said. A payment that is closed at the service, and one that was
# sent back, was of a trade that is closed here.
BECOMES = {
    ("created", "notified"): "paid",
    ("created", "expire"): "closed",
    ("created", "close"): "closed",
    ("closed", "notified"): "refunding",
    ("refunding", "calls"): "refunded",
}


async def _bring(desk: Desk, state: str) -> tuple[Any, Any]:
    placed = await desk.place([5_000, 300])
    payment = await desk.open(placed)
    if state == "paid":
        await desk.pay(payment)
    elif state == "closed":
        await desk.close(placed)
        async with desk.begin(SYSTEM) as tx:
            await repository.mark_closed(tx, placed.account_id, parse_ref(payment.id))
    elif state in ("refunding", "refunded"):
        await desk.close(placed)
        await desk.pay(payment)
        if state == "refunded":
            await desk.run_timers("channel_calls", channel_calls)
    assert await desk.payment(payment) == state
    return placed, payment


def _notice(desk: Desk, placed: Any, payment: Any, *, amount: int = 300) -> PaidNotice:
    (first, _), (second, _) = placed.orders
    legs = [PaidLeg(first, 5_000, "g1"), PaidLeg(second, amount, "g2")]
    return PaidNotice(parse_ref(payment.id), "sandbox", 5_000 + amount, legs, "ref", desk.runtime.clock())


async def _query(desk: Desk, payment: Any) -> None:
    due = QueryDue(parse_ref(payment.id))
    async with desk.begin(SYSTEM) as tx:
        await timers.query_payment(tx, msgspec.Raw(msgspec.json.encode(due)))


async def _happen(desk: Desk, placed: Any, payment: Any, event: str) -> None:
    match event:
        case "notified":
            async with desk.begin(SYSTEM) as tx:
                await applying.apply(tx, _notice(desk, placed, payment))
        case "mismatch":
            async with desk.begin(SYSTEM) as tx:
                assert await applying.apply(tx, _notice(desk, placed, payment, amount=301)) == "mismatch"
        case "query":
            await _query(desk, payment)
        case "close":
            async with desk.begin(SYSTEM) as tx:
                await repository.mark_closed(tx, placed.account_id, parse_ref(payment.id))
        case "expire":
            await desk.rows("update payment set expires_at = expires_at - interval '2 hours' returning 1")
            await _query(desk, payment)
        case "calls":
            await desk.run_timers("channel_calls", channel_calls)
        case _:
            with contextlib.suppress(Conflict):
                await desk.open(placed)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
async def test_every_event_in_every_state_of_a_payment(desk: Desk, state: str, event: str) -> None:
    placed, payment = await _bring(desk, state)
    before = await desk.transfers()
    await _happen(desk, placed, payment, event)
    assert await desk.payment(payment) == BECOMES.get((state, event), state)
    if (state, event) not in BECOMES:
        assert await desk.transfers() == before
    await _happen(desk, placed, payment, event)
    async with desk.begin(PLATFORM) as tx:
        assert (await check(tx)).problems == []
    # Whatever came first, what was paid late has gone back in the end, once.
    await desk.run_timers("channel_calls", channel_calls)
    if await desk.payment(payment) == "refunded":
        amounts = [amount for code, amount in await desk.transfers() if code == "late.out"]
        assert sorted(amounts) == ([300, 5_000])
