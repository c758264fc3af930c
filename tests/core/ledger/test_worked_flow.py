"""The worked example of the design over the real flow: paid, released, split, paid out, half refunded after that. To the
fen, and the sandbox's books say the same."""

import httpx
import pytest

from core.deployment.runtime import Runtime
from core.kit.ids import MARKET_ID, new_id
from core.kit.money import rate
from tests.support.refunds import Bought, Paid, Till

TEA = Bought(2, 5_000, ((0, 500), (1_000, 0)))
PROMOTER = new_id()


@pytest.fixture
def till(runtime: Runtime, client: httpx.AsyncClient) -> Till:
    """See `Till`."""
    return Till(runtime, client)


async def _rows(till: Till, merchant: Paid) -> list[tuple[str, str, str, int]]:
    names = {merchant.merchant_id: "merchant", MARKET_ID: "market", PROMOTER: "promoter"}
    async with till.begin() as tx:
        rows = await tx.fetch("select * from ledger_transfer order by at, id")
    return [
        (
            r["code"],
            f"{names[r['debit_owner']]} {r['debit_kind']}",
            f"{names[r['credit_owner']]} {r['credit_kind']}",
            r["amount"],
        )
        for r in rows
    ]


async def _step(
    till: Till, order: Paid, seen: set[tuple[str, str, str, int]]
) -> list[tuple[str, str, str, int]]:
    await till.drain()
    await till.assert_balanced()
    new = [row for row in await _rows(till, order) if row not in seen]
    seen.update(new)
    return sorted(new)


async def _sell(till: Till) -> Paid:
    order = await till.sell(
        TEA, shipping=800, commission=rate(9_500, 500), earnings=[(0, PROMOTER, rate(8_500, 300))]
    )
    assert order.payable == 9_300
    return order


async def _released(till: Till, order: Paid) -> None:
    await till.accept(order)
    await till.ship(order)
    await till.complete(order)


async def test_the_worked_example_to_the_fen(till: Till) -> None:
    order, seen = await _sell(till), set[tuple[str, str, str, int]]()
    assert await _step(till, order, seen) == sorted(
        [
            ("pay.buyer", "merchant gateway", "merchant frozen", 9_300),
            ("pay.subsidy", "market subsidy", "merchant frozen", 1_000),
            ("pay.funds", "merchant gateway", "market funds", 1_000),
            ("pay.earning", "merchant frozen", "promoter frozen", 255),
        ]
    )
    await _released(till, order)
    assert await _step(till, order, seen) == sorted(
        [
            ("release.commission", "merchant frozen", "market revenue", 475),
            ("release.payable", "merchant frozen", "merchant payable", 9_570),
            ("release.earning", "promoter frozen", "promoter payable", 255),
            ("split.commission", "market funds", "merchant gateway", 475),
            ("split.earning", "promoter payable", "merchant gateway", 255),
        ]
    )
    assert await till.row("select paid_at is not null from order_earning") == (True,)
    assert await till.pay_out(order.merchant_id) is not None
    assert await _step(till, order, seen) == [
        ("payout.done", "merchant payout_transit", "merchant gateway", 9_570),
        ("payout.sent", "merchant payable", "merchant payout_transit", 9_570),
    ]
    assert (await till.balances()).get("gateway", 0) == 0
    await till.refund(order, (0, 1))
    assert await _step(till, order, seen) == sorted(
        [
            ("refund.debt", "merchant debt", "merchant payable", 4_386),
            ("refund.buyer", "merchant payable", "merchant refund_transit", 4_250),
            ("refund.subsidy", "merchant payable", "market subsidy", 500),
            ("refund.commission", "market revenue", "merchant payable", 237),
            ("refund.earning", "promoter debt", "merchant payable", 127),
            ("refund.fee", "merchant gateway", "market funds", 237),
            ("refund.advance", "merchant gateway", "market funds", 4_250),
            ("refund.done", "merchant refund_transit", "merchant gateway", 4_250),
            ("refund.advance", "merchant gateway", "market funds", 263),
            ("refund.funds", "market funds", "merchant gateway", 500),
        ]
    )
    assert await till.balances() == {
        "debt": 4_386 + 127,
        "funds": -1_000 + 475 - 4_250 - 263 + 500 - 237,
        "subsidy": 500,
        "revenue": -238,
    }
    assert await till.row("select status, amount, earnings from refund") == ("done", 4_250, 127)


async def test_what_the_merchant_and_the_promoter_owe_is_taken_from_what_comes_next(till: Till) -> None:
    first = await _sell(till)
    await _released(till, first)
    await till.drain()
    await till.pay_out(first.merchant_id)
    await till.refund(first, (0, 1))
    await till.drain()
    second = await till.sell(
        Bought(1, 10_000), commission=500, earnings=[(0, PROMOTER, 300)], merchant_id=first.merchant_id
    )
    await _released(till, second)
    await till.drain()
    await till.assert_balanced()
    assert await till.row(
        "select sum(amount) filter (where code = 'release.netted')::int,"
        " sum(amount) filter (where code = 'split.earning')::int, sum(amount) filter (where code = 'split.recovered')::int"
        " from ledger_transfer where reference = $1",
        second.id,
    ) == (127, 173, 127)
    await till.pay_out(first.merchant_id)
    await till.drain()
    await till.assert_balanced()
    assert await till.row("select amount, netted, status from payout order by id desc limit 1") == (
        9_200 - 4_386,
        4_386,
        "paid",
    )
    balances = await till.balances()
    assert "debt" not in balances
    assert "gateway" not in balances
