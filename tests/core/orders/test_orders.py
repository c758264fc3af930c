"""Orders: read by each audience, moved by compare-and-set."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from core.kit.errors import Conflict, NotFound
from core.kit.ids import new_id, ref
from core.orders import address as addresses
from core.orders import repository, service
from core.orders.finding import OrderFilter
from core.types import scope as scopes
from core.types.scope import SYSTEM, Audience
from tests.support.placed_orders import ADDRESS, bearer, hold_order, place_order


async def test_the_buyer_reads_the_own_order_with_everything_in_one_statement(runtime: Any) -> None:
    order = await place_order(runtime, market_borne=300, commission=50)
    await hold_order(runtime, order)
    async with runtime.tx(scopes.buyer(order.account_id)) as tx:
        page = await service.order_page(tx, OrderFilter(account_id=order.account_id), Audience.SHOP, 20)
        assert tx.statements == 2, "BEGIN with the scope, and one read"
    [found] = page.items
    assert found.id == order.ref
    assert [line.quantity for line in found.lines] == [2, 1]
    assert [(d.amount, d.bearer.market) for d in found.discounts] == [(300, 300)]
    assert [(h.plugin, h.reason) for h in found.holds] == [("group_buy", "拼团未满")]
    assert (found.goods_amount, found.discount_amount, found.payable) == (4000, 300, 3700)
    assert found.address == ADDRESS


async def test_what_the_market_bears_is_not_sent_to_buyers(runtime: Any, client: Any) -> None:
    order = await place_order(runtime, market_borne=300, commission=50)
    mine = await bearer(runtime, Audience.SHOP, order.account_id)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    seen = (await client.get(f"/api/shop/orders/{order.ref}", headers=mine)).json()
    assert not {"market_borne", "commission", "released_at"} & seen.keys()
    theirs = (await client.get(f"/api/merchant/orders/{order.ref}", headers=shop)).json()
    assert (theirs["market_borne"], theirs["commission"]) == (300, 50)


@pytest.mark.parametrize(
    ("audience", "status", "whole"),
    [
        (Audience.SHOP, "unpaid", True),
        (Audience.SHOP, "completed", True),
        (Audience.MERCHANT, "unpaid", False),
        (Audience.MERCHANT, "paid", True),
        (Audience.MERCHANT, "accepted", True),
        (Audience.MERCHANT, "shipped", True),
        (Audience.MERCHANT, "completed", False),
        (Audience.MERCHANT, "closed", False),
        (Audience.PLATFORM, "paid", False),
        (Audience.PLATFORM, "shipped", False),
    ],
)
def test_the_address_is_whole_only_for_whom_delivery_needs_it(
    audience: Audience, status: str, whole: bool
) -> None:
    shown = addresses.shown(ADDRESS, audience, status)
    assert (shown == ADDRESS) is whole
    if not whole:
        assert (shown.recipient, shown.phone, shown.street) == ("王**", "138****5678", "****")
        assert shown.location is None


async def test_an_address_opens_for_its_own_order_only(env: Any) -> None:
    order_id = new_id()
    sealed = addresses.seal(env.vault, order_id, ADDRESS)
    assert addresses.unseal(env.vault, order_id, sealed) == ADDRESS
    assert ADDRESS.phone.encode() not in sealed
    with pytest.raises(ValueError, match="does not belong"):
        addresses.unseal(env.vault, new_id(), sealed)


async def test_pages_go_downwards_without_gap_or_repetition(runtime: Any) -> None:
    buyer = new_id()
    placed = [await place_order(runtime, account_id=buyer, lines=[(1, 100)]) for _ in range(5)]
    await place_order(runtime)
    seen: list[str] = []
    before = None
    async with runtime.tx(scopes.buyer(buyer)) as tx:
        while True:
            page = await service.order_page(
                tx, OrderFilter(account_id=buyer, before=before), Audience.SHOP, 2
            )
            seen += [order.id for order in page.items]
            if page.next_cursor is None:
                break
            before = service.page_start(page.next_cursor)
    assert seen == [order.ref for order in reversed(placed)]


async def test_a_trade_comes_with_the_orders_of_all_its_shops(runtime: Any, client: Any) -> None:
    first = await place_order(runtime)
    second = await place_order(runtime, account_id=first.account_id, trade_id=first.trade_id)
    mine = await bearer(runtime, Audience.SHOP, first.account_id)
    trade = (await client.get(f"/api/shop/trades/{ref(first.trade_id)}", headers=mine)).json()
    assert [o["id"] for o in trade["orders"]] == [first.ref, second.ref]
    assert {"id", "number", "status", "payable", "paid_at", "expires_at"} <= trade.keys()
    page = (await client.get("/api/shop/trades?limit=1", headers=mine)).json()
    assert [len(t["orders"]) for t in page["items"]] == [2]
    assert page["next_cursor"] is None


async def test_trades_are_paged_by_trade_not_by_order(runtime: Any, client: Any) -> None:
    buyer = new_id()
    older = await place_order(runtime, account_id=buyer)
    newer = await place_order(runtime, account_id=buyer)
    await place_order(runtime, account_id=buyer, trade_id=newer.trade_id)
    mine = await bearer(runtime, Audience.SHOP, buyer)
    page = (await client.get("/api/shop/trades?limit=1", headers=mine)).json()
    assert [(t["id"], len(t["orders"])) for t in page["items"]] == [(ref(newer.trade_id), 2)]
    rest = (await client.get(f"/api/shop/trades?limit=1&cursor={page['next_cursor']}", headers=mine)).json()
    assert [t["id"] for t in rest["items"]] == [ref(older.trade_id)]
    assert rest["next_cursor"] is None


async def test_foreign_orders_and_trades_are_not_found(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    stranger = await bearer(runtime, Audience.SHOP)
    other_shop = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    for path, who in (
        (f"/api/shop/orders/{order.ref}", stranger),
        (f"/api/shop/trades/{ref(order.trade_id)}", stranger),
        (f"/api/merchant/orders/{order.ref}", other_shop),
        ("/api/shop/orders/rubbish", stranger),
        (f"/api/shop/trades/{order.ref}", stranger),
    ):
        answer = await client.get(path, headers=who)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    for path, who in (
        ("/api/shop/orders", stranger),
        ("/api/shop/trades", stranger),
        ("/api/merchant/orders", other_shop),
    ):
        assert (await client.get(path, headers=who)).json()["items"] == []


async def test_the_shop_finds_an_order_by_number_or_by_the_recipients_phone(
    runtime: Any, client: Any
) -> None:
    order = await place_order(runtime)
    await place_order(runtime, merchant_id=order.merchant_id, address=None)
    await place_order(runtime)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    for q in (order.number, ADDRESS.phone, "138 1234 5678"):
        found = (await client.get("/api/merchant/orders", params={"q": q}, headers=shop)).json()["items"]
        assert [o["id"] for o in found] == [order.ref], q
    assert (await client.get("/api/merchant/orders?q=13900000000", headers=shop)).json()["items"] == []


async def test_lists_filter_by_status_and_refuse_an_unknown_one(runtime: Any, client: Any) -> None:
    order = await place_order(runtime, status="shipped")
    await place_order(runtime, merchant_id=order.merchant_id)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    found = (await client.get("/api/merchant/orders?status=shipped,closed", headers=shop)).json()["items"]
    assert [o["id"] for o in found] == [order.ref]
    for query in ("status=lost", "limit=0", "limit=101", "cursor=rubbish"):
        answer = await client.get(f"/api/merchant/orders?{query}", headers=shop)
        assert answer.status_code == 422, query


async def test_the_market_reads_all_with_masked_addresses(runtime: Any, client: Any) -> None:
    first, second = await place_order(runtime), await place_order(runtime)
    staff = await bearer(runtime, Audience.PLATFORM, merchant_id=scopes.MARKET_ID, roles=("reviewer",))
    orders = (await client.get("/api/platform/orders", headers=staff)).json()["items"]
    assert [o["id"] for o in orders] == [second.ref, first.ref]
    assert orders[0]["address"]["phone"] == "138****5678"
    one = (await client.get(f"/api/platform/orders/{first.ref}", headers=staff)).json()
    assert one["id"] == first.ref
    shop = {"merchant_id": ref(first.merchant_id)}
    for path, key in (("/api/platform/orders", first.ref), ("/api/platform/trades", ref(first.trade_id))):
        found = (await client.get(path, params=shop, headers=staff)).json()["items"]
        assert [o["id"] for o in found] == [key], path
    by_number = (await client.get(f"/api/platform/orders?number={second.number}", headers=staff)).json()[
        "items"
    ]
    assert [o["id"] for o in by_number] == [second.ref]


async def test_staff_without_the_permission_are_refused(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    marketing = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id, roles=("marketing",))
    assert (await client.get("/api/merchant/orders", headers=marketing)).status_code == 403


async def test_a_transition_moves_stamps_and_logs(runtime: Any) -> None:
    order, actor = await place_order(runtime), new_id()
    async with runtime.tx(scopes.merchant(order.merchant_id)) as tx:
        row = await service.transition(
            tx,
            order.merchant_id,
            order.id,
            ("paid",),
            "accepted",
            actor_id=actor,
            reason="ok",
            stamp="accepted_at",
        )
        assert (row["status"], row["accepted_at"]) == ("accepted", tx.now)
        log = await tx.fetchrow("select * from order_log where order_id = $1", order.id)
    assert (log["old_status"], log["new_status"], log["actor_id"], log["reason"]) == (
        "paid",
        "accepted",
        actor,
        "ok",
    )


async def test_a_transition_from_another_status_is_refused_and_writes_nothing(runtime: Any) -> None:
    order = await place_order(runtime, status="shipped")
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(Conflict, match="shipped") as refusal:
            await service.transition(
                tx, order.merchant_id, order.id, ("paid",), "accepted", actor_id=None, reason=""
            )
        assert refusal.value.code == "wrong_status"
        assert await tx.fetchval("select count(*) from order_log") == 0
        assert await tx.fetchval("select status from orders where id = $1", order.id) == "shipped"
        with pytest.raises(NotFound):
            await service.transition(
                tx, order.merchant_id, uuid4(), ("paid",), "accepted", actor_id=None, reason=""
            )


async def test_of_two_transitions_at_once_one_wins(runtime: Any) -> None:
    order = await place_order(runtime)

    async def move(new: str) -> str:
        try:
            async with runtime.tx(SYSTEM) as tx:
                await service.transition(
                    tx, order.merchant_id, order.id, ("paid",), new, actor_id=None, reason="race"
                )
                await asyncio.sleep(0.05)
        except Conflict as refusal:
            return refusal.code
        return "done"

    assert sorted(await asyncio.gather(move("accepted"), move("closed"))) == ["done", "wrong_status"]
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from order_log where order_id = $1", order.id) == 1


async def test_the_look_up_by_phone_needs_no_walk_through_other_shops(runtime: Any) -> None:
    mine = await place_order(runtime)
    await place_order(runtime)
    index = runtime.env.vault.blind(ADDRESS.phone)
    async with runtime.tx(SYSTEM) as tx:
        which = OrderFilter(merchant_id=mine.merchant_id, number="x", phone_index=index)
        assert [row["id"] for row in await repository.orders(tx, which, 10)] == [mine.id]
