"""Transfers of any order: nothing is lost, nothing is negative, a repeat is the same."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kit.ids import MARKET_ID, new_id
from core.ledger.back import late_payment_transfers, late_refund_transfers
from core.ledger.rules import (
    Account,
    Earning,
    OrderMoney,
    Transfer,
    pay_transfers,
    release_transfers,
    subsidised_transfers,
)

MERCHANT, ORDER, EARNER = new_id(), new_id(), new_id()
FEN = st.integers(0, 10**9)


def balances(transfers: list[Transfer]) -> Counter[Account]:
    """Debit less credit of each account."""
    sums: Counter[Account] = Counter()
    for t in transfers:
        sums[t.debit] += t.amount
        sums[t.credit] -= t.amount
    return sums


def _at(sums: Counter[Account], owner: UUID, kind: str) -> int:
    return sums[Account(owner, kind)]


@given(payable=FEN, borne=FEN, commission=FEN, part=st.integers(0, 100))
def test_release_leaves_nothing_frozen_and_pays_out_exactly_what_was_frozen(
    payable: int, borne: int, commission: int, part: int
) -> None:
    earning = Earning(EARNER, (payable + borne) * part // 100)
    order = OrderMoney(MERCHANT, ORDER, payable, borne, commission, (earning,))
    sums = balances([*pay_transfers(order), *subsidised_transfers(order), *release_transfers(order)])
    assert _at(sums, MERCHANT, "frozen") == 0
    assert _at(sums, EARNER, "frozen") == 0
    owed = -_at(sums, MERCHANT, "payable") - _at(sums, EARNER, "payable") - _at(sums, MARKET_ID, "revenue")
    assert owed == payable + borne == _at(sums, MERCHANT, "gateway")
    assert _at(sums, MARKET_ID, "subsidy") == borne == -_at(sums, MARKET_ID, "funds")
    assert sum(sums.values()) == 0


@given(payable=FEN, borne=FEN, commission=FEN)
def test_commission_never_exceeds_what_is_frozen(payable: int, borne: int, commission: int) -> None:
    order = OrderMoney(MERCHANT, ORDER, payable, borne, commission)
    sums = balances(release_transfers(order))
    assert -_at(sums, MARKET_ID, "revenue") == min(commission, payable + borne)
    assert _at(sums, MERCHANT, "payable") <= 0


@given(payable=FEN, borne=FEN, commission=FEN)
def test_no_transfer_is_zero_and_ids_are_the_same_each_time(
    payable: int, borne: int, commission: int
) -> None:
    order = OrderMoney(MERCHANT, ORDER, payable, borne, commission)
    transfers = [*pay_transfers(order), *release_transfers(order)]
    assert all(t.amount > 0 for t in transfers)
    assert len({t.id for t in transfers}) == len(transfers)
    assert transfers == [*pay_transfers(order), *release_transfers(order)]
    assert {t.merchant_id for t in transfers} <= {MERCHANT}


def test_a_late_payment_goes_in_and_out_and_leaves_nothing() -> None:
    payment, legs = new_id(), [(MERCHANT, ORDER, 9_300), (new_id(), new_id(), 0)]
    arrived = late_payment_transfers(payment, legs)
    assert [(t.debit.kind, t.credit.kind, t.amount) for t in arrived] == [
        ("gateway", "refund_transit", 9_300)
    ]
    assert not any(balances([*arrived, *late_refund_transfers(payment, legs)]).values())


def test_two_late_payments_of_one_order_are_two_transfers() -> None:
    legs = [(MERCHANT, ORDER, 9_300)]
    first, second = late_payment_transfers(new_id(), legs), late_payment_transfers(new_id(), legs)
    assert first[0].id != second[0].id


def test_earnings_beyond_the_order_are_refused() -> None:
    with pytest.raises(ValueError, match="earnings exceed"):
        pay_transfers(OrderMoney(MERCHANT, ORDER, 100, 0, 0, (Earning(EARNER, 101),)))
