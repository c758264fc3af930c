"""Which coupons an order still brings after a refund, for any goods and any portions."""

from typing import Any

from hypothesis import given, strategies
from hypothesis import settings as examples

from core.api import PaidLine, RefundDraft, RefundLine, new_id
from plugins.coupons import granting
from plugins.coupons.schemas import Gift

_AMOUNTS = strategies.lists(
    strategies.tuples(strategies.integers(0, 5), strategies.integers(0, 2000)), max_size=6
)


@examples(max_examples=200, deadline=None)
@given(_AMOUNTS, strategies.integers(0, 8000), strategies.data())
def test_what_is_kept_brings_a_gift_just_as_if_only_that_had_been_bought(
    bought: list[tuple[int, int]], min_paid: int, data: Any
) -> None:
    shop, gift = new_id(), Gift(min_paid)
    lines = [PaidLine(new_id(), new_id(), new_id(), "sale", n, n * each) for n, each in bought]
    back = [data.draw(strategies.integers(0, n)) for n, _ in bought]
    parts = tuple(
        RefundLine(line.line_id, line.product_id, line.sku_id, n, n * each)
        for line, n, (_, each) in zip(lines, back, bought, strict=True)
    )
    found = RefundDraft(new_id(), shop, new_id(), new_id(), new_id(), parts, 0, 0, False, "")
    kept = granting._less(lines, found)
    rest = [
        PaidLine(line.line_id, line.product_id, line.sku_id, "sale", n - gone, (n - gone) * each)
        for line, gone, (n, each) in zip(lines, back, bought, strict=True)
    ]
    assert kept == rest
    total = sum(line.amount for line in rest)
    has_some = any(line.quantity for line in rest)
    assert granting._brings(gift, shop, kept) == (has_some and total >= min_paid)
