"""The worked example of the design: goods 100.00, market coupon 10.00 (market bears), shop discount 5.00 (merchant
bears), freight 8.00, commission 5 % of 95.00, promoter 3 % of 85.00 borne by the merchant; the buyer pays 93.00."""

from uuid import UUID

from core.kit.ids import MARKET_ID, new_id
from core.kit.money import rate
from core.ledger.back import (
    PayoutMoney,
    RefundMoney,
    fee_back_transfers,
    payout_done_transfers,
    payout_transfers,
    refund_done_transfers,
    refund_transfers,
    subsidy_back_transfers,
    with_shortfall,
)
from core.ledger.rules import (
    Earning,
    OrderMoney,
    Transfer,
    pay_transfers,
    release_transfers,
    split_transfers,
    subsidised_transfers,
)

MERCHANT, PROMOTER = new_id(), new_id()
NAMES = {MERCHANT: "merchant", MARKET_ID: "market", PROMOTER: "promoter"}
GOODS, COUPON, SHOP_DISCOUNT, FREIGHT = 10_000, 1_000, 500, 800


def _order(*earnings: Earning) -> OrderMoney:
    payable = GOODS - COUPON - SHOP_DISCOUNT + FREIGHT
    return OrderMoney(MERCHANT, new_id(), payable, COUPON, rate(GOODS - SHOP_DISCOUNT, 500), earnings)


def _rows(transfers: list[Transfer]) -> list[tuple[str, str, int]]:
    def name(owner: UUID, kind: str) -> str:
        return f"{NAMES[owner]} {kind}"

    return [
        (name(t.debit.owner, t.debit.kind), name(t.credit.owner, t.credit.kind), t.amount) for t in transfers
    ]


def test_paying_posts_the_rows_of_the_worked_example_to_the_fen() -> None:
    promoter = Earning(PROMOTER, rate(GOODS - COUPON - SHOP_DISCOUNT, 300))
    assert _rows([*pay_transfers(_order(promoter)), *subsidised_transfers(_order())]) == [
        ("merchant gateway", "merchant frozen", 9_300),
        ("market subsidy", "merchant frozen", 1_000),
        ("merchant frozen", "promoter frozen", 255),
        ("merchant gateway", "market funds", 1_000),
    ]


def test_releasing_posts_the_rows_of_the_worked_example_to_the_fen() -> None:
    promoter = Earning(PROMOTER, rate(GOODS - COUPON - SHOP_DISCOUNT, 300))
    assert _rows(release_transfers(_order(promoter))) == [
        ("merchant frozen", "market revenue", 475),
        ("merchant frozen", "merchant payable", 9_570),
        ("promoter frozen", "promoter payable", 255),
    ]


def test_without_a_promoter_the_merchant_keeps_that_share() -> None:
    assert _rows([*pay_transfers(_order()), *subsidised_transfers(_order())]) == [
        ("merchant gateway", "merchant frozen", 9_300),
        ("market subsidy", "merchant frozen", 1_000),
        ("merchant gateway", "market funds", 1_000),
    ]
    assert _rows(release_transfers(_order())) == [
        ("merchant frozen", "market revenue", 475),
        ("merchant frozen", "merchant payable", 9_825),
    ]


def test_settling_posts_the_rows_of_the_worked_example_to_the_fen() -> None:
    promoter = Earning(PROMOTER, 255)
    order, payout = _order(promoter), PayoutMoney(MERCHANT, new_id(), 9_570)
    assert _rows(split_transfers(order)) == [
        ("market funds", "merchant gateway", 475),
        ("promoter payable", "merchant gateway", 255),
    ]
    assert _rows([*payout_transfers(payout), *payout_done_transfers(payout, returned=False)]) == [
        ("merchant payable", "merchant payout_transit", 9_570),
        ("merchant payout_transit", "merchant gateway", 9_570),
    ]
    assert _rows(payout_done_transfers(payout, returned=True)) == [
        ("merchant payout_transit", "merchant payable", 9_570)
    ]


def test_half_refunded_after_the_payout_posts_the_rows_of_the_worked_example_to_the_fen() -> None:
    promoter = Earning(PROMOTER, 127)
    half = RefundMoney(MERCHANT, new_id(), new_id(), 4_250, 500, 0, 237, released=True, earnings=[promoter])
    short = with_shortfall(half, 0, 0)
    assert (short.charge, short.debt, short.advance) == (4_386, 4_386, 4_513)
    assert _rows(refund_transfers(short)) == [
        ("merchant debt", "merchant payable", 4_386),
        ("merchant payable", "merchant refund_transit", 4_250),
        ("merchant payable", "market subsidy", 500),
        ("market revenue", "merchant payable", 237),
        ("promoter debt", "merchant payable", 127),
    ]
    cash = [
        *fee_back_transfers(short),
        *refund_done_transfers(short, 4_250),
        *subsidy_back_transfers(short, 263),
    ]
    assert _rows(cash) == [
        ("merchant gateway", "market funds", 237),
        ("merchant gateway", "market funds", 4_250),
        ("merchant refund_transit", "merchant gateway", 4_250),
        ("merchant gateway", "market funds", 263),
        ("market funds", "merchant gateway", 500),
    ]


def test_the_deposit_makes_good_what_it_can_before_there_is_debt() -> None:
    half = RefundMoney(MERCHANT, new_id(), new_id(), 4_250, 500, 0, 237, released=True)
    for payable, deposit, expected in (
        (0, 9_999, (4_513, 0)),
        (513, 1_000, (1_000, 3_000)),
        (5_000, 1, (0, 0)),
    ):
        short = with_shortfall(half, payable, deposit)
        assert (short.from_deposit, short.debt) == expected
    assert with_shortfall(RefundMoney(MERCHANT, new_id(), new_id(), 99), 0, 0).advance == 0
