"""Whatever is asked in whatever order: the sums balance, nothing is booked twice, nothing goes below 0."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.kit.errors import Conflict
from core.kit.ids import MARKET_ID
from core.sandbox import messages as m
from core.sandbox.books import Account
from core.sandbox.operations import Operations
from core.sandbox.store import Store

_NOW = datetime(2026, 7, 1, tzinfo=UTC)
_PAYMENTS = [UUID(int=1), UUID(int=2)]
_SHOPS = [UUID(int=11), UUID(int=12)]
_PAID = 1_000
_FEN = st.integers(1, 700)
_PART = st.integers(0, 300)
_IDS = st.integers(100, 130).map(lambda n: UUID(int=n))
_LEG = (st.sampled_from(_PAYMENTS), st.sampled_from(_SHOPS))
_OWNERS = st.sampled_from([MARKET_ID, UUID(int=91)])
_ORDERS = st.one_of(
    st.builds(m.RefundIn, _IDS, *_LEG, _FEN, _PART),
    st.builds(m.SubsidyIn, _IDS, *_LEG, _FEN, st.booleans(), _PART),
    st.builds(m.SplitIn, _IDS, *_LEG, st.lists(st.builds(m.ShareIn, _OWNERS, _FEN), min_size=1, max_size=3)),
    st.builds(m.SplitReturnIn, _IDS, *_LEG, _FEN),
    st.builds(m.FinishIn, _IDS, *_LEG),
    st.builds(m.PayoutIn, _IDS, st.sampled_from(_SHOPS), _FEN, _PART),
)
_STEPS = st.lists(
    st.one_of(
        _ORDERS, st.tuples(st.sampled_from(["pay", "close", "return"]), st.sampled_from(_PAYMENTS), _IDS)
    ),
    max_size=40,
)


@contextmanager
def _books() -> Iterator[Account]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "x.sqlite", synchronous="off")
        yield Account(store, "market", lambda _: _NOW)
        store.close()


def _do(books: Account, step: Any) -> str:
    """The outcome: a status or the code of a refusal."""
    done = Operations(books)
    acts: dict[type, Callable[[Any], m.Done]] = {
        m.RefundIn: done.refund,
        m.SubsidyIn: done.subsidise,
        m.SplitIn: done.split,
        m.SplitReturnIn: done.return_split,
        m.FinishIn: done.finish,
        m.PayoutIn: done.pay_out,
    }
    try:
        if not isinstance(step, tuple):
            return acts[type(step)](step).status
        action, payment, payout = step
        if action == "pay":
            books.pay(str(payment), late=True)
        elif action == "close":
            books.close(str(payment))
        else:
            done.return_payout(str(payout))
    except Conflict as refused:
        return refused.code
    return "done"


def _check(books: Account) -> None:
    rows = books.store.rows("select name, amount from balance")
    entries: Counter[str] = Counter()
    for row in books.store.rows("select debit, credit, amount from entry"):
        entries[row["debit"]] -= row["amount"]
        entries[row["credit"]] += row["amount"]
    assert {r["name"]: r["amount"] for r in rows if r["amount"]} == {k: v for k, v in entries.items() if v}
    assert sum(r["amount"] for r in rows) == 0
    found = books.books()
    assert all(
        amount > 0 for held in (found.merchants, found.earners, found.banks) for amount in held.values()
    )
    assert found.buyers == found.funds + sum(
        sum(held.values()) for held in (found.merchants, found.earners, found.banks)
    ) + sum(leg.amount for leg in found.frozen)
    for leg in books.store.rows("select * from leg"):
        refunds = books.store.value(
            "select coalesce(sum(amount), 0) from operation where kind = 'refund' and payment_id = ? and merchant_id = ?",
            *(leg["payment_id"], leg["merchant_id"]),
        )
        assert refunds == leg["refunded"] <= leg["amount"]


def _moved(row: Any) -> int:
    """What an operation must have moved between accounts."""
    match row["kind"]:
        case "return_subsidy":
            return int(row["amount"] - row["advance"])
        case "pay_out":
            return int(row["amount"] + row["advance"])
        case _:
            return int(row["amount"])


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(_STEPS)
def test_sums_balance_after_every_step(steps: list[Any]) -> None:
    with _books() as books:
        for payment in _PAYMENTS:
            legs = [m.LegIn(shop, _PAID) for shop in _SHOPS]
            books.open(m.PaymentIn(payment, _PAID * len(_SHOPS), legs, "http://x/", _NOW))
        for step in steps:
            before = books.store.value("select count(*) from entry"), books.books()
            outcome = _do(books, step)
            _check(books)
            after = books.store.value("select count(*) from entry"), books.books()
            if outcome != "done":
                assert after == before
            assert _do(books, step) == outcome
            assert (books.store.value("select count(*) from entry"), books.books()) == after
        for row in books.store.rows("select * from operation"):
            entries = books.store.value(
                "select coalesce(sum(amount), 0) from entry where kind = ? and id = ?", row["kind"], row["id"]
            )
            assert entries == _moved(row)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(_STEPS)
def test_the_bill_accounts_for_every_balance(steps: list[Any]) -> None:
    with _books() as books:
        for payment in _PAYMENTS:
            legs = [m.LegIn(shop, _PAID) for shop in _SHOPS]
            books.open(m.PaymentIn(payment, _PAID * len(_SHOPS), legs, "http://x/", _NOW))
            books.pay(str(payment))
        for step in steps:
            _do(books, step)
        lines, found = books.bill(_NOW.date()).lines, books.books()
        sums: Counter[str] = Counter()
        for line in lines:
            sums[line.kind] += line.amount
        assert found.buyers == sums["pay"] - sums["refund"]
        assert sum(found.banks.values()) == sums["pay_out"] - sums["payout_returned"]


def test_a_failure_in_the_middle_leaves_nothing_behind() -> None:
    with _books() as books:
        legs = [m.LegIn(_SHOPS[0], 100)]
        books.open(m.PaymentIn(_PAYMENTS[0], 100, legs, "http://x/", _NOW))
        books.pay(str(_PAYMENTS[0]))
        shares = [m.ShareIn(UUID(int=91), 90), m.ShareIn(UUID(int=92), 90)]
        with pytest.raises(Conflict):
            Operations(books).split(m.SplitIn(UUID(int=5), _PAYMENTS[0], _SHOPS[0], shares))
        assert books.books().earners == {}
        assert books.operation("split", str(UUID(int=5))) is None
