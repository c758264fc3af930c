"""The worked example of the design: goods 100.00, market coupon 10.00 (market bears), shop discount 5.00 (merchant
bears), freight 8.00, commission 5 % of 95.00, promoter 3 % of 85.00 borne by the merchant; the buyer pays 93.00."""

from uuid import UUID

from core.kit.ids import MARKET_ID, new_id
from core.kit.money import rate
from core.ledger.rules import Earning, OrderMoney, Transfer, pay_transfers, release_transfers

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
    assert _rows(pay_transfers(_order(promoter))) == [
        ("merchant gateway", "merchant frozen", 9_300),
        ("market subsidy", "merchant frozen", 1_000),
        ("merchant gateway", "market funds", 1_000),
        ("merchant frozen", "promoter frozen", 255),
    ]


def test_releasing_posts_the_rows_of_the_worked_example_to_the_fen() -> None:
    promoter = Earning(PROMOTER, rate(GOODS - COUPON - SHOP_DISCOUNT, 300))
    assert _rows(release_transfers(_order(promoter))) == [
        ("merchant frozen", "market revenue", 475),
        ("merchant frozen", "merchant payable", 9_570),
        ("promoter frozen", "promoter payable", 255),
    ]


def test_without_a_promoter_the_merchant_keeps_that_share() -> None:
    assert _rows(pay_transfers(_order())) == [
        ("merchant gateway", "merchant frozen", 9_300),
        ("market subsidy", "merchant frozen", 1_000),
        ("merchant gateway", "market funds", 1_000),
    ]
    assert _rows(release_transfers(_order())) == [
        ("merchant frozen", "market revenue", 475),
        ("merchant frozen", "merchant payable", 9_825),
    ]
