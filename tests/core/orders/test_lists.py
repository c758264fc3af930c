"""Lists of orders for buyers, shops and the market: filters, words, counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.kit.ids import first_id, new_id, ref
from core.orders import counting, service
from core.orders.finding import ORDER_STATUSES, OrderFilter, ids
from core.types import scope as scopes
from core.types.scope import SYSTEM, Audience
from tests.support.placed_orders import ADDRESS, Placed, bearer, hold_order, place_order


async def _listed(client: Any, path: str, who: dict[str, str], **params: Any) -> list[str]:
    answer = await client.get(path, params=params, headers=who)
    assert answer.status_code == 200, answer.text
    return [order["id"] for order in answer.json()["items"]]


async def _walked(client: Any, path: str, who: dict[str, str], **params: Any) -> list[str]:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get(path, params=params | {"limit": 2} | cursor, headers=who)).json()
        seen += [order["id"] for order in page["items"]]
        if page["next_cursor"] is None:
            return seen
        cursor = {"cursor": page["next_cursor"]}


async def _titled(runtime: Any, order: Placed, title: str) -> None:
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update order_line set title = $2 where id = $1", order.lines[0].id, title)


async def _case(runtime: Any, order: Placed, status: str = "applied") -> None:
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into aftersale (merchant_id, id, order_id, trade_id, account_id, number, kind, status, reason,"
            " created_at, updated_at, closed_at) values ($1, $2, $3, $4, $5, $6, 'refund_only', $7, '', $8::timestamptz,"
            " $8::timestamptz, case when $7 = 'done' then $8::timestamptz end)",
            order.merchant_id,
            new_id(),
            order.id,
            order.trade_id,
            order.account_id,
            str(new_id()),
            status,
            tx.now,
        )


async def test_several_statuses_are_one_list_in_the_order_of_placing(runtime: Any, client: Any) -> None:
    shop, buyer = new_id(), new_id()
    placed = [
        await place_order(runtime, status=status, merchant_id=shop, account_id=buyer, lines=[(1, 100)])
        for status in ("paid", "closed", "accepted", "paid", "shipped", "closed", "completed")
    ]
    staff = await bearer(runtime, Audience.MERCHANT, merchant_id=shop)
    mine = await bearer(runtime, Audience.SHOP, buyer)
    newest = [order.ref for order in reversed(placed)]
    wanted = [ref for ref in newest if ref not in (placed[2].ref, placed[4].ref, placed[6].ref)]
    market = await bearer(runtime, Audience.PLATFORM, merchant_id=scopes.MARKET_ID, roles=("admin",))
    for path, who in (
        ("/api/merchant/orders", staff),
        ("/api/shop/orders", mine),
        ("/api/platform/orders", market),
    ):
        assert await _walked(client, path, who, status="paid,closed,paid") == wanted, path
        assert await _walked(client, path, who) == newest, path


async def test_the_buyer_finds_orders_by_number_and_by_words_of_a_title(runtime: Any, client: Any) -> None:
    buyer = new_id()
    tea, cup, both = [await place_order(runtime, account_id=buyer) for _ in range(3)]
    await _titled(runtime, tea, "永川 秀芽 Green Tea 100%")
    await _titled(runtime, cup, "荣昌陶 茶杯")
    await _titled(runtime, both, "Green 茶杯")
    await _titled(runtime, await place_order(runtime), "Green Tea of somebody else")
    mine = await bearer(runtime, Audience.SHOP, buyer)
    for q, found in (
        ("green", [both, tea]),
        ("TEA green", [tea]),
        ("茶杯", [both, cup]),
        ("茶杯 green", [both]),
        ("100%", [tea]),
        ("_", []),
        (tea.number, [tea]),
        ("", [both, cup, tea]),
    ):
        assert await _listed(client, "/api/shop/orders", mine, q=q) == [o.ref for o in found], q
    assert await _listed(client, "/api/shop/orders", mine, q="green", status="closed") == []
    for q in ("a b c d e f", "x" * 81):
        assert (await client.get("/api/shop/orders", params={"q": q}, headers=mine)).status_code in (400, 422)


async def test_words_are_looked_for_in_windows_that_leave_out_nothing(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_WINDOW", 2)
    buyer = new_id()
    placed = [await place_order(runtime, account_id=buyer, lines=[(1, 100)]) for _ in range(7)]
    for order in placed[::3]:
        await _titled(runtime, order, "Tea")
    seen: list[str] = []
    before, pages = None, 0
    async with runtime.tx(scopes.buyer(buyer)) as tx:
        while True:
            which = OrderFilter(account_id=buyer, words=["tea"], before=before)
            page = await service.order_page(tx, which, Audience.SHOP, 1)
            seen += [order.id for order in page.items]
            pages += 1
            assert pages < 20
            if page.next_cursor is None:
                break
            before = service.page_start(page.next_cursor)
    assert seen == [order.ref for order in reversed(placed[::3])]


async def test_the_shop_filters_by_the_time_of_placing(runtime: Any, client: Any) -> None:
    shop = new_id()
    order = await place_order(runtime, merchant_id=shop)
    staff = await bearer(runtime, Audience.MERCHANT, merchant_id=shop)
    async with runtime.tx(SYSTEM) as tx:
        at = await tx.fetchval("select created_at from orders where id = $1", order.id)
    second = timedelta(seconds=1)
    for start, end, found in (
        (at, None, 1),
        (at + second, None, 0),
        (None, at, 0),
        (None, at + second, 1),
        (at - 1000 * second, at + second, 1),
        (at - timedelta(days=9), at - timedelta(days=8), 0),
    ):
        period = {k: v.isoformat() for k, v in (("from", start), ("to", end)) if v}
        assert len(await _listed(client, "/api/merchant/orders", staff, **period)) == found, period
        several = period | {"status": "paid,accepted"}
        assert len(await _listed(client, "/api/merchant/orders", staff, **several)) == found, period
    naive = {"from": at.replace(tzinfo=None).isoformat()}
    assert len(await _listed(client, "/api/merchant/orders", staff, **naive)) == 1, "without a zone it is UTC"
    for params in ({"from": "yesterday"}, {"from": (at + second).isoformat(), "to": at.isoformat()}):
        answer = await client.get("/api/merchant/orders", params=params, headers=staff)
        assert answer.status_code in (400, 422), answer.text


async def test_the_shop_filters_by_sku_by_holds_and_by_open_cases(runtime: Any, client: Any) -> None:
    shop = new_id()
    plain, held, cased = [await place_order(runtime, merchant_id=shop) for _ in range(3)]
    other = await place_order(runtime)
    for order in (held, other):
        await hold_order(runtime, order)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)"
            " values ($1, $2, 'another', $3, 'x', $4)",
            held.merchant_id,
            held.id,
            held.account_id,
            tx.now,
        )
        await tx.execute(
            "update order_line set sku_id = $2 where order_id = $1", plain.id, plain.lines[0].sku_id
        )
    for order, status in ((cased, "applied"), (cased, "sent"), (plain, "done"), (other, "applied")):
        await _case(runtime, order, status)
    staff = await bearer(runtime, Audience.MERCHANT, merchant_id=shop)
    sku = ref(shop, plain.lines[0].sku_id)
    foreign = ref(other.merchant_id, other.lines[0].sku_id)
    for params, found in (
        ({"held": "true"}, [held]),
        ({"held": "true", "status": "paid"}, [held]),
        ({"held": "true", "status": "closed"}, []),
        ({"in_case": "true"}, [cased]),
        ({"in_case": "true", "held": "true"}, []),
        ({"sku": sku}, [plain]),
        ({"sku": sku, "status": "paid"}, [plain]),
        ({"sku": sku, "status": "completed"}, []),
        ({"sku": sku, "held": "true"}, []),
        ({"sku": foreign}, []),
        ({"sku": "no such code"}, []),
    ):
        assert await _listed(client, "/api/merchant/orders", staff, **params) == [o.ref for o in found], (
            params
        )
    market = await bearer(runtime, Audience.PLATFORM, merchant_id=scopes.MARKET_ID, roles=("admin",))
    assert await _listed(client, "/api/platform/orders", market, held=True) == [other.ref, held.ref]
    own = {"merchant_id": ref(shop)}
    assert await _listed(client, "/api/platform/orders", market, in_case=True, **own) == [cased.ref]
    assert await _listed(client, "/api/platform/orders", market, sku=sku, **own) == [plain.ref]
    assert (await client.get(f"/api/platform/orders?sku={sku}", headers=market)).status_code == 422


async def test_a_sku_is_found_by_its_code_in_the_own_shop_only(market: Any, purchase: Any) -> None:
    shop, rival = await market.merchant("shop"), await market.merchant("rival")
    buyer = await market.buyer()
    bought = await market.product(shop, code="TEA-1")
    theirs = await market.product(rival, code="TEA-1")
    await market.product(shop, title="Cup", code="CUP-1")
    for article in (bought, theirs):
        assert (await buyer.checkout((article.ref, 1))).status_code == 201
    staff = await market.staff(shop)
    found = (await staff.get("/api/merchant/orders?sku=TEA-1")).json()["items"]
    assert [[line["sku_id"] for line in order["lines"]] for order in found] == [[bought.ref]]
    assert (await staff.get("/api/merchant/orders?sku=CUP-1")).json()["items"] == []


async def test_the_market_finds_by_phone_over_all_shops(runtime: Any, client: Any) -> None:
    first, second = await place_order(runtime), await place_order(runtime)
    await place_order(runtime, address=None)
    market = await bearer(runtime, Audience.PLATFORM, merchant_id=scopes.MARKET_ID, roles=("reviewer",))
    for q, found in ((ADDRESS.phone, [second, first]), (first.number, [first]), ("nobody", [])):
        assert await _listed(client, "/api/platform/orders", market, q=q) == [o.ref for o in found], q


async def test_counts_are_of_the_own_orders_by_status(runtime: Any, client: Any) -> None:
    shop, buyer = new_id(), new_id()
    for status in ("paid", "paid", "closed", "shipped"):
        order = await place_order(runtime, status=status, merchant_id=shop, account_id=buyer)
    await place_order(runtime)
    await hold_order(runtime, order)
    await _case(runtime, order)
    await _case(runtime, order, "sent")
    expected = {
        "unpaid": 0,
        "paid": 2,
        "accepted": 0,
        "shipped": 1,
        "completed": 0,
        "closed": 1,
        "held": 1,
        "in_case": 1,
        "cap": 1000,
    }
    staff = await bearer(runtime, Audience.MERCHANT, merchant_id=shop)
    mine = await bearer(runtime, Audience.SHOP, buyer)
    assert (await client.get("/api/merchant/orders/counts", headers=staff)).json() == expected
    assert (await client.get("/api/shop/orders/counts", headers=mine)).json() == expected


async def test_nothing_is_counted_beyond_the_cap(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "CAP", 2)
    buyer = new_id()
    for _ in range(4):
        await place_order(runtime, account_id=buyer, lines=[(1, 100)])
    async with runtime.tx(scopes.buyer(buyer)) as tx:
        counts = await counting.of_buyer(tx, buyer)
        assert tx.statements == 2, "BEGIN with the scope, and one look"
    assert (counts.paid, counts.cap) == (2, 2)


async def test_a_list_of_several_statuses_sorts_no_more_than_a_page_of_each(runtime: Any) -> None:
    shop = new_id()
    await place_order(runtime, merchant_id=shop)
    sql, args = ids(OrderFilter(merchant_id=shop, statuses=ORDER_STATUSES), 20)
    assert sql.count("order by o.id desc limit 20") == len(ORDER_STATUSES)
    async with runtime.tx(SYSTEM) as tx:
        assert len(await tx.fetch(sql, *args)) == 1


def test_the_first_id_of_a_moment_bounds_those_made_then() -> None:
    before = first_id(datetime.now(UTC) - timedelta(milliseconds=1))
    made = new_id()
    after = first_id(datetime.now(UTC) + timedelta(seconds=1))
    assert before < made < after
    assert first_id(datetime(1960, 1, 1, tzinfo=UTC)).int >> 80 == 0
