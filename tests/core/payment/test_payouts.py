"""Payouts: all that is owed once, less what is owed back; returned ones are owed again; never the same fen twice."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from core.deployment.runtime import Runtime
from core.kit.errors import Conflict, NotFound
from core.kit.ids import new_id, parse_pair, ref
from core.ledger import balances
from core.ledger import service as ledger
from core.ledger.text import trace_text
from core.payment import payout_rows, payouts, sandbox
from core.payment.call_rows import Call, Detail
from core.payment.calls import CallsDue, channel_calls
from core.payment.payouts import PayOutDue
from core.payment.provider import Outside
from core.sandbox.messages import Behaviour
from core.types.scope import PLATFORM
from tests.support.refunds import Bought, Paid, Till


@pytest.fixture
def till(runtime: Runtime, client: httpx.AsyncClient) -> Till:
    """See `Till`."""
    return Till(runtime, client)


async def _released(till: Till, *, amount: int = 1_000, merchant_id: Any = None) -> Paid:
    order = await till.sell(Bought(2, amount), commission=100, merchant_id=merchant_id)
    await till.accept(order)
    await till.ship(order)
    await till.complete(order)
    await till.drain()
    return order


async def _payouts(till: Till) -> list[tuple[Any, ...]]:
    async with till.begin() as tx:
        return [tuple(r) for r in await tx.fetch("select amount, netted, status from payout order by id")]


async def test_a_payout_takes_all_that_is_owed_and_says_of_which_orders(till: Till) -> None:
    first = await _released(till)
    second = await _released(till, merchant_id=first.merchant_id)
    made = await till.pay_out(first.merchant_id)
    assert made is not None
    assert await till.pay_out(first.merchant_id) is None
    await till.drain()
    assert await _payouts(till) == [(3_800, 0, "paid")]
    async with till.begin(PLATFORM) as tx:
        page = await payouts.made_of(tx, first.merchant_id, made, None, 1)
        rest = await payouts.made_of(tx, first.merchant_id, made, page.next_cursor, 5)
        number = await tx.fetchval("select number from payout")
        posted = await ledger.trace(tx, number)
        text = trace_text(await ledger.trace(tx, first.ref), await ledger.payouts_of(tx, [first.id]))
    assert [(parse_pair(o.order_id)[1], o.amount) for o in [*page.items, *rest.items]] == [
        (first.id, 1_900),
        (second.id, 1_900),
    ]
    assert [p.transfer.code for p in posted] == ["payout.sent", "payout.done"]
    assert f"19.00 of it is in payout {number} of 38.00, which reached the bank" in text
    await till.assert_balanced()


async def test_a_payout_that_the_bank_returns_is_owed_again_and_goes_out_with_the_next(till: Till) -> None:
    order = await _released(till)
    outside = Outside(till.runtime.env, till.http, till.begin, till.runtime.clock)
    await sandbox.behave(outside, Behaviour(payouts_returned=100))
    await till.pay_out(order.merchant_id)
    await till.drain()
    assert await _payouts(till) == [(1_900, 0, "returned")]
    await till.assert_balanced()
    assert (await till.balances())["payable"] == -1_900
    await sandbox.behave(outside, Behaviour())
    await till.pay_out(order.merchant_id)
    await till.drain()
    assert await _payouts(till) == [(1_900, 0, "returned"), (1_900, 0, "paid")]
    assert await till.row(
        "select count(*), sum(amount)::int from payout_entry where payout_id is not null"
    ) == (1, 1_900)
    await till.assert_balanced()


async def test_a_debt_above_what_is_owed_takes_all_of_it(till: Till) -> None:
    first = await _released(till, amount=5_000)
    await till.pay_out(first.merchant_id)
    await till.drain()
    await till.refund(first, everything=True)
    await till.drain()
    assert (await till.balances())["debt"] == 9_900
    await _released(till, merchant_id=first.merchant_id)
    await till.pay_out(first.merchant_id)
    await till.drain()
    assert await _payouts(till) == [(9_900, 0, "paid"), (0, 1_900, "paid")]
    assert (await till.balances())["debt"] == 8_000
    await till.assert_balanced()


async def test_the_cycle_pays_who_is_owed_enough_once_in_each_span(till: Till) -> None:
    small, large = await _released(till, amount=70), await _released(till)
    for _ in range(2):
        async with till.begin() as tx:
            await payouts.cycle(tx)
        await till.drain()
    assert await _payouts(till) == [(1_900, 0, "paid")]
    await _released(till, merchant_id=large.merchant_id)
    async with till.begin() as tx:
        await payouts.cycle(tx)
    due = msgspec.Raw(msgspec.json.encode(PayOutDue(large.merchant_id)))
    async with till.begin() as tx:
        await payouts.pay_out_due(tx, due)
    await till.drain()
    assert await _payouts(till) == [(1_900, 0, "paid")]
    later = till.runtime.clock() + timedelta(days=2)
    till.runtime.clock = lambda: later  # type: ignore[assignment, misc]
    async with till.begin() as tx:
        await payouts.cycle(tx)
    await till.drain()
    assert await _payouts(till) == [(1_900, 0, "paid"), (1_900, 0, "paid")]
    async with till.begin() as tx:
        with pytest.raises(NotFound):
            await payouts.start(tx, new_id(), new_id())
    assert small.payable == 140


async def test_payouts_at_once_pay_once(till: Till) -> None:
    order = await _released(till)
    made = await asyncio.gather(*(till.pay_out(order.merchant_id) for _ in range(6)))
    assert len([m for m in made if m]) == 1
    await till.drain()
    assert await _payouts(till) == [(1_900, 0, "paid")]
    await till.assert_balanced()


@pytest.mark.parametrize("_", range(3))
async def test_a_payout_and_refunds_at_once_never_spend_the_same_fen(till: Till, _: int) -> None:
    order = await _released(till)
    await asyncio.gather(
        till.refund(order, (0, 1)), till.pay_out(order.merchant_id), till.pay_out(order.merchant_id)
    )
    await asyncio.gather(till.drain(), till.pay_out(order.merchant_id))
    await till.drain()
    await till.assert_balanced()
    paid = sum(amount for amount, _, _ in await _payouts(till))
    debt = (await till.balances()).get("debt", 0)
    assert (paid, debt) in ((950, 0), (1_900, 950))
    await till.assert_mirrored()


async def test_a_payout_rolled_up_meanwhile_sees_the_same_balance(till: Till) -> None:
    order = await _released(till)

    async def roll() -> None:
        for _ in range(5):
            async with till.begin() as tx:
                await balances.roll_up(tx, 3)

    await asyncio.gather(roll(), roll(), till.pay_out(order.merchant_id), till.drain())
    await till.drain()
    assert await _payouts(till) == [(1_900, 0, "paid")]
    await till.assert_balanced()


EVENTS = ("paid", "returned", "pay_out")


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", ["sending", "paid", "returned"])
async def test_every_event_in_every_state_of_a_payout(till: Till, state: str, event: str) -> None:
    order = await _released(till)
    await till.pay_out(order.merchant_id)

    async def tell(outcome: str) -> None:
        async with till.begin() as tx:
            row = await tx.fetchrow("select * from payout order by id limit 1")
            assert row is not None
            key = (row["merchant_id"], row["id"], None, None, "sandbox", "pay_out", row["amount"], row["id"])
            if await payout_rows_waiting(tx, row["id"]):
                await payout_rows.close(tx, Call(*key, Detail()), returned=outcome == "returned")
                await tx.execute(
                    "update channel_call set status = 'done', done_at = now() where id = $1", row["id"]
                )

    if state != "sending":
        await tell(state)
    if event == "pay_out":
        again = await till.pay_out(order.merchant_id)
        assert (again is not None) is (state == "returned")
    else:
        await tell(event)
    expected = state if state != "sending" else event if event != "pay_out" else "sending"
    assert (await _payouts(till))[0] == (1_900, 0, expected)
    async with till.begin() as tx:
        codes = [
            r[0]
            for r in await tx.fetch(
                "select code from ledger_transfer where code in ('payout.done', 'payout.returned')"
            )
        ]
    assert len(codes) == (expected != "sending")


async def payout_rows_waiting(tx: Any, payout_id: Any) -> bool:
    """Whether the call still waits, which is what lets an outcome in."""
    return bool(
        await tx.fetchval("select status = 'waiting' from channel_call where id = $1 for update", payout_id)
    )


async def test_a_repeated_answer_of_the_bank_changes_nothing(till: Till) -> None:
    order = await _released(till)
    await till.pay_out(order.merchant_id)
    due = msgspec.Raw(msgspec.json.encode(CallsDue(order.merchant_id)))

    async def look() -> None:
        async with till.begin() as tx:
            await channel_calls(tx, due)

    await asyncio.gather(*(look() for _ in range(5)))
    await till.drain()
    assert await _payouts(till) == [(1_900, 0, "paid")]
    await till.assert_balanced()


async def test_staff_starts_payouts_and_shops_see_their_own(market: Any) -> None:
    shop, other = await market.merchant("pear"), await market.merchant("plum")
    item = await market.product(shop, price=5_000)
    person, operator = await market.buyer(), await market.operator()
    trade = await market.purchase(person, [(item, 1)])
    await market.fulfil(person, trade)
    await market.drain()
    owner, stranger = await market.staff(shop), await market.staff(other)
    path = "/api/platform/payouts"
    assert (await owner.post(path, {})).status_code == 403
    assert (await operator.post(path, {"merchant_id": other.ref})).json()["code"] == "nothing_left"
    assert (await operator.post(path, {"merchant_id": ref(new_id())})).status_code == 404
    started = await operator.post(path, {"merchant_id": shop.ref})
    assert started.status_code == 201, started.text
    made = started.json()["items"][0]
    assert (await operator.post(path, {})).json() == {"started": 0, "items": []}
    await market.drain()
    found = (await owner.get("/api/merchant/payouts")).json()["items"]
    assert [(p["id"], p["status"]) for p in found] == [(made["id"], "paid")]
    assert (await stranger.get("/api/merchant/payouts")).json()["items"] == []
    assert (await stranger.get(f"/api/merchant/payouts/{made['id']}/orders")).status_code == 404
    orders = (await owner.get(f"/api/merchant/payouts/{made['id']}/orders")).json()["items"]
    assert [(o["order_id"], o["amount"]) for o in orders] == [(trade["orders"][0]["id"], made["amount"])]
    assert (await operator.get("/api/platform/payments/calls?status=waiting")).json()["items"] == []
    assert (await operator.get("/api/platform/payments/calls?status=lost")).status_code == 422
    call = (await operator.get("/api/platform/payments/calls?limit=1")).json()["items"][0]
    retried = await operator.post(f"/api/platform/payments/calls/{call['id']}/retry")
    assert (retried.status_code, retried.json()["code"]) == (409, "wrong_status")
    transfers = (await operator.get(f"/api/platform/ledger/transfers?reference={made['number']}")).json()[
        "items"
    ]
    assert {t["code"] for t in transfers} == {"payout.sent", "payout.done"}
    assert (await operator.get("/api/platform/ledger/check")).json() == {"balanced": True, "problems": []}


async def test_a_refusal_names_what_is_wrong(till: Till) -> None:
    order = await _released(till)
    async with till.begin() as tx:
        await tx.execute(
            "insert into merchant (id, slug, name, status, location, created_at, opened_at)"
            " values ($1, 'pear', 'pear', 'open', point(1, 1), $2, $2)",
            order.merchant_id,
            tx.now,
        )
        await payouts.start(tx, order.merchant_id, new_id())
        with pytest.raises(Conflict) as refused:
            await payouts.start(tx, order.merchant_id, new_id())
    assert refused.value.code == "nothing_left"


async def test_an_order_released_while_a_payout_is_made_out_is_in_it_with_its_money_or_not_at_all(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _released(till)
    second = await till.sell(Bought(2, 1_000), commission=100, merchant_id=first.merchant_id)
    await till.accept(second)
    await till.ship(second)
    await till.complete(second)
    real = balances.held

    async def then_another_is_released(tx: Any, accounts: Any) -> Any:
        found = await real(tx, accounts)
        monkeypatch.setattr(balances, "held", real)
        await till.release(second)
        return found

    monkeypatch.setattr(balances, "held", then_another_is_released)
    await till.pay_out(first.merchant_id)
    await till.drain()
    assert await _payouts(till) == [(3_800, 0, "paid")]
    await till.assert_balanced()


async def test_transfers_are_found_by_the_number_of_a_refund(till: Till) -> None:
    order = await _released(till)
    refund = await till.refund(order, (0, 1))
    async with till.begin(PLATFORM) as tx:
        assert await ledger.resolve(tx, refund.number) == [order.id]
        assert await ledger.resolve(tx, "123") == []
