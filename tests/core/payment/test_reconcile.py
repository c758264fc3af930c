"""A day of our books against the sandbox's bill: what is lost, changed or twice on either side, and no false alarm."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest

from core.deployment.runtime import Runtime
from core.kit.errors import Invalid, Unavailable
from core.kit.ids import new_id, ref
from core.payment import sandbox
from core.payment.provider import BillRow, Outside
from core.payment.reconcile import CHINA, TOLERANCE, Compared, Reconciliation, reconcile
from core.payment.reconcile_rows import Movement
from core.sandbox.messages import Behaviour
from tests.support.bills import DAY, NOON, Books

KINDS = ("pay", "refund", "subsidise", "return_subsidy", "split", "pay_out")


@pytest.fixture
def books(runtime: Runtime, client: httpx.AsyncClient) -> Books:
    """See `Books`."""
    return Books(runtime, client)


async def test_on_a_clean_day_all_movements_agree(books: Books) -> None:
    order = await books.sold()
    await books.refund(order, everything=True)
    await books.drain()
    found = await books.look()
    assert list(found.differences) == []
    kinds = {row.kind for row in await sandbox.SandboxProvider().bill(books.outside, DAY)}
    assert kinds == {"return_split", *KINDS}
    assert found.agreed == 9
    for empty in (DAY - timedelta(days=1), DAY - timedelta(days=400)):
        assert await books.look(empty) == Reconciliation(empty, 0, [])


async def test_a_payment_captured_there_and_lost_here_is_missing_here(books: Books) -> None:
    lost = await books.buy()
    await books.ours("update payment set status = 'created', paid_at = null")
    assert await books.found() == [("open", "pay", 2_000, 2_000)]
    books.now += TOLERANCE + timedelta(seconds=1)
    found = await books.look()
    (one,) = found.differences
    assert (one.problem, one.kind, one.merchant_id, one.here) == (
        "missing_here",
        "pay",
        lost.merchant_id,
        None,
    )
    assert one.there is not None
    assert one.there.amount == 2_000
    assert found.wrong == 1


async def test_a_payment_that_nobody_told_us_of_is_missing_here(books: Books) -> None:
    await sandbox.behave(books.outside, Behaviour(notify_lost=100))
    with pytest.raises(AssertionError, match='"notified":false'):
        await books.buy()
    assert [d[0] for d in await books.found()] == ["open"]
    books.now += timedelta(hours=1)
    assert await books.found() == [("missing_here", "pay", None, 2_000)]
    await sandbox.behave(books.outside, Behaviour())
    await sandbox.notify(books.outside)
    assert (await books.look()).agreed == 1


async def test_a_payment_that_is_only_ours_is_missing_there(books: Books) -> None:
    await books.buy()
    books.change("delete from operation where account = :account and kind = 'pay'")
    assert await books.found() == [("missing_there", "pay", 2_000, None)]


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("pay", "update payment_leg set amount = amount + 7 where amount > 0"),
        ("refund", "update refund set amount = amount + 7, goods_amount = goods_amount + 7"),
        ("refund", "update channel_call set detail = '{\"advance\": 1}' where kind = 'refund'"),
        ("subsidise", "update channel_call set amount = amount + 7 where kind = 'subsidise'"),
        ("return_subsidy", "update channel_call set amount = amount + 7 where kind = 'return_subsidy'"),
        ("split", "update channel_call set amount = amount + 7 where kind = 'split'"),
        ("pay_out", "update payout set amount = amount + 7"),
        ("pay_out", "update payout set netted = netted + 7"),
    ],
)
async def test_a_row_changed_on_our_side_differs(books: Books, kind: str, sql: str) -> None:
    order = await books.sold()
    agreed = (await books.look()).agreed
    await books.ours(sql)
    found = await books.look()
    assert [(d.problem, d.kind, d.merchant_id) for d in found.differences] == [
        ("amount_differs", kind, order.merchant_id)
    ]
    assert found.agreed == agreed - 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_row_changed_lost_or_twice_on_the_other_side_is_found(books: Books, kind: str) -> None:
    await books.sold()
    assert await books.found() == []
    where = f"where account = :account and kind = '{kind}'"
    books.change(f"update operation set amount = amount + 1 {where}")
    ((problem, _, here, there),) = await books.found()
    assert (problem, there) == ("amount_differs", (here or 0) + 1)
    books.change(f"update operation set merchant_id = '{new_id()}' {where}")
    assert [d[:2] for d in await books.found()] == [("missing_here", kind), ("missing_there", kind)]
    books.change(f"delete from operation {where}")
    assert await books.found() == [("missing_there", kind, here, None)]


async def test_a_payout_that_the_bank_returned_is_on_both_sides(books: Books) -> None:
    order = await books.buy()
    await books.accept(order)
    await books.release_of(order)
    await sandbox.behave(books.outside, Behaviour(payouts_returned=100))
    await books.pay_out(order.merchant_id)
    await books.drain()
    await sandbox.behave(books.outside, Behaviour())
    await books.pay_out(order.merchant_id)
    await books.drain()
    assert (await books.look()).agreed == 5
    await books.ours("update payout set status = 'paid' where status = 'returned'")
    assert await books.found() == [("missing_here", "payout_returned", None, 1_850)]


async def test_calls_that_wait_are_open_whether_the_service_has_done_them_or_not(books: Books) -> None:
    order = await books.buy(borne=300)
    await books.accept(order)
    await sandbox.behave(books.outside, Behaviour(fail_before=100))
    await books.drain()
    await sandbox.behave(books.outside, Behaviour())
    assert await books.found() == [("open", "subsidise", 300, None)]
    await sandbox.behave(books.outside, Behaviour(working=3))
    books.now += timedelta(minutes=5)
    await books.drain()
    found = await books.look()
    assert [(d.problem, d.here and d.here.amount, d.there and d.there.amount) for d in found.differences] == [
        ("open", 300, 300)
    ]
    assert (found.wrong, found.agreed) == (0, 1)
    await sandbox.behave(books.outside, Behaviour())
    for _ in range(4):
        books.now += timedelta(minutes=10)
        await books.drain()
    assert (await books.look()).agreed == 2


async def test_around_midnight_a_movement_counts_once_and_raises_no_alarm(books: Books) -> None:
    books.now = datetime(2026, 3, 5, 23, 58, tzinfo=CHINA)
    order = await books.buy(borne=300)
    await books.accept(order)
    await books.refund(order, (0, 1))
    # Asked for and done after midnight.
    books.now += timedelta(minutes=5)
    await books.drain()
    assert await books.found(DAY) == []
    assert await books.found(DAY + timedelta(days=1)) == []
    # The other clock is behind: done there before midnight, known here after it.
    books.change("update operation set at = at - 6 * 60000000 where account = :account and kind = 'refund'")
    assert await books.found(DAY) == []
    assert await books.found(DAY + timedelta(days=1)) == []
    # And ahead: a payment of this day that is booked on the next.
    books.change("update operation set at = at + 6 * 60000000 where account = :account and kind = 'pay'")
    assert await books.found(DAY) == []
    assert await books.found(DAY + timedelta(days=1)) == []
    books.change("update operation set amount = amount + 1 where account = :account and kind = 'pay'")
    for day in (DAY, DAY + timedelta(days=1)):
        assert [d[:2] for d in await books.found(day)] == [("amount_differs", "pay")]
    books.change("delete from operation where account = :account and kind = 'pay'")
    assert await books.found(DAY) == [("missing_there", "pay", 1_700, None)]
    assert await books.found(DAY + timedelta(days=1)) == []


async def test_a_call_that_took_days_is_found_on_both_of_them(books: Books) -> None:
    order = await books.buy(borne=300)
    await books.accept(order)
    await sandbox.behave(books.outside, Behaviour(working=100))
    await books.drain()
    for _ in range(3):
        books.now += timedelta(days=1)
        await books.drain()
    assert await books.found() == [("open", "subsidise", 300, 300)]
    books.change("update operation set asks = 0 where account = :account")
    books.now += timedelta(days=1)
    await books.drain()
    assert await books.found() == []
    assert (await books.look()).agreed == 2
    assert (await books.look(DAY + timedelta(days=4))).agreed == 1
    assert (await books.look(DAY + timedelta(days=2))).agreed == 0


def _booked(mine: Movement, at: datetime, amount: int | None = None) -> BillRow:
    return BillRow("refund", mine.reference, mine.merchant_id, mine.amount if amount is None else amount, at)


@pytest.mark.parametrize(
    ("times", "problems"),
    [
        ((0,), []),
        ((0, 60), ["missing_here"]),
        ((0, 60, 120), ["missing_here", "missing_here"]),
        # The first was booked the day before.
        ((-13 * 60, 0), ["missing_here"]),
        # The second counts on its own day.
        ((0, 13 * 60), []),
    ],
)
def test_what_is_booked_again_is_missing_here_on_the_day_of_the_repeat(
    times: tuple[int, ...], problems: list[str]
) -> None:
    mine = Movement("refund", new_id(), new_id(), 500, 0, NOON - timedelta(days=1), NOON)
    compared = Compared("sandbox", DAY, NOON + timedelta(days=9))
    rows = [_booked(mine, NOON + timedelta(minutes=m)) for m in times]
    compared.all({("refund", mine.reference, mine.merchant_id): mine}, rows)
    assert [d.problem for d in compared.found] == problems
    assert compared.agreed == 1


def test_what_moved_nothing_and_references_of_others_are_no_reason_to_fail() -> None:
    compared = Compared("sandbox", DAY, NOON)
    nothing = Movement("pay_out", new_id(), new_id(), 0, 0, NOON, NOON)
    strange = BillRow("refund", "not ours at all", new_id(), 5, NOON)
    empty = BillRow("payout_returned", ref(new_id()), new_id(), 0, NOON)
    compared.all({("pay_out", nothing.reference, nothing.merchant_id): nothing}, [strange, empty])
    assert [(d.problem, d.reference) for d in compared.found] == [("missing_here", "not ours at all")]


async def test_no_transaction_is_open_while_the_service_is_asked(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    await books.buy()
    bill: Callable[..., Any] = sandbox.SandboxProvider.bill
    asked: list[int] = []

    async def watched(self: Any, outside: Outside, day: date) -> Any:
        async with books.begin() as tx:
            asked.append(
                await tx.fetchval(
                    "select count(*) from pg_stat_activity where datname = current_database()"
                    " and state like 'idle in transaction%' and pid <> pg_backend_pid()"
                )
            )
        return await bill(self, outside, day)

    monkeypatch.setattr(sandbox.SandboxProvider, "bill", watched)
    assert await books.found() == []
    assert set(asked) == {0}


async def test_a_day_to_come_an_unknown_service_and_one_that_is_down(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid, match="to come"):
        await reconcile(books.outside, DAY + timedelta(days=1), books.now)
    with pytest.raises(Invalid, match="provider"):
        await reconcile(books.outside, DAY, books.now, "nobody")
    await sandbox.behave(books.outside, Behaviour(fail_before=100))
    with pytest.raises(Unavailable):
        await books.look()
