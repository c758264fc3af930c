"""What others earn is frozen with the order; what has to be shipped is written with its lines."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from core import hookspecs
from core.kit.ids import new_id, parse_pair
from core.testkit import statements
from core.testkit.market import Market
from core.types.orders import Earning, Placement, Planning
from core.types.scope import SYSTEM
from tests.support.refunds import hook

PROMOTER = new_id()


def _earning(*amounts: int, **changed: Any) -> Callable[..., Any]:
    """Answers these amounts on the first line of each order."""

    async def earn(tx: Any, placement: Placement) -> Sequence[Earning]:
        return [
            Earning(
                changed.get("merchant_id", order.merchant_id),
                changed.get("line", order.priced.lines[0].key),
                PROMOTER,
                amount,
                "推广",
            )
            for order in placement.orders
            for amount in amounts
        ]

    return earn


async def _rows(market: Market, sql: str) -> list[tuple[Any, ...]]:
    async with market.runtime.tx(SYSTEM) as tx:
        return [tuple(row) for row in await tx.fetch(sql)]


async def test_earnings_are_frozen_with_the_orders_in_one_statement_more(market: Market) -> None:
    hook(market.runtime, hookspecs.earnings)
    articles = [await market.product(await market.merchant(f"shop-{n}"), price=10_000) for n in range(2)]
    buyer = await market.buyer()
    lines = [(article.ref, 1) for article in articles]
    quote = (await buyer.quote(*lines)).json()
    body = {
        "lines": [{"sku_id": sku, "quantity": n} for sku, n in lines],
        "expected_payable": quote["payable"],
    }
    counts = []
    for answers in ((), ("a", "b")):
        hook(market.runtime, hookspecs.earnings, *[(name, _earning(200, 55)) for name in answers])
        with statements() as sent:
            assert (await buyer.post("/api/shop/checkout", body)).status_code == 201
        counts.append(len(sent))
    assert counts[1] == counts[0] + 1
    assert await _rows(market, "select distinct earnings from orders order by 1") == [(0,), (510,)]
    rows = await _rows(
        market,
        "select e.plugin, e.amount, e.label, e.owner_id, count(*) from order_earning e"
        " join order_line l on l.merchant_id = e.merchant_id and l.id = e.line_id and l.order_id = e.order_id"
        " group by 1, 2, 3, 4 order by 1, 2",
    )
    assert rows == [(name, amount, "推广", PROMOTER, 2) for name in "ab" for amount in (55, 200)]


async def test_all_together_earn_at_most_what_the_fee_leaves_in_the_order_of_names(market: Market) -> None:
    hook(
        market.runtime,
        hookspecs.earnings,
        ("z", _earning(5)),
        ("a", _earning(600)),
        ("b", _earning(10**9, 7)),
    )
    article = await market.product(await market.merchant(), price=1_000)
    assert (await (await market.buyer()).checkout((article.ref, 1))).status_code == 201
    [(room, earnings)] = await _rows(
        market, "select payable + market_borne - commission, earnings from orders"
    )
    assert earnings == room
    assert await _rows(market, "select plugin, amount from order_earning order by plugin") == [
        ("a", 600),
        ("b", room - 600),
    ]


@pytest.mark.parametrize(
    "answer",
    [_earning(0), _earning(-5), _earning(5, line="another"), _earning(5, merchant_id=new_id())],
    ids=["nothing", "below nothing", "another line", "another merchant"],
)
async def test_an_earning_that_cannot_be_is_refused_naming_the_plugin(
    market: Market, answer: Callable[..., Any]
) -> None:
    hook(market.runtime, hookspecs.earnings, ("promoters", answer))
    article = await market.product(await market.merchant())
    refused = await (await market.buyer()).checkout((article.ref, 1))
    assert (refused.status_code, refused.json()["code"]) == (409, "bad_earning")
    assert "promoters" in refused.json()["detail"]
    assert await _rows(market, "select count(*) from trade") == [(0,)]


async def test_whether_a_line_is_shipped_is_written_and_planned(market: Market) -> None:
    asked: list[Planning] = []

    async def plan(tx: Any, planning: Planning) -> Sequence[Any]:
        asked.append(planning)
        return ()

    hook(market.runtime, hookspecs.parcel_planning, ("depots", plan))
    shop = await market.merchant()
    goods = await market.product(shop)
    voucher = await market.product(shop, title="Voucher", requires_shipping=False)
    answer = await (await market.buyer()).checkout((goods.ref, 2), (voucher.ref, 1))
    assert answer.status_code == 201, answer.text
    assert await _rows(
        market, "select sku_id, requires_shipping from order_line order by requires_shipping"
    ) == [
        (voucher.sku_id, False),
        (goods.sku_id, True),
    ]
    [planning] = asked
    order = answer.json()["orders"][0]
    assert (planning.stage, planning.order_id, planning.district) == (
        "provisional",
        parse_pair(order["id"])[1],
        "渝中区",
    )
    assert {(line.sku_id, line.quantity, line.requires_shipping) for line in planning.lines} == {
        (goods.sku_id, 2, True),
        (voucher.sku_id, 1, False),
    }
