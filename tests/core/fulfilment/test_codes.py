"""Goods that are picked up and services that are used: codes, and each of them once."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core import hookspecs
from core.fulfilment import delivery, service
from core.fulfilment.schemas import ParcelIn
from core.fulfilment.service import OrderTimer
from core.fulfilment.timers import TIMERS
from core.kit.errors import Conflict, NotFound
from core.kit.ids import new_id
from core.orders import codes
from core.types.orders import ParcelDraft
from core.types.scope import SYSTEM, Audience
from tests.support.handover import (
    EXPRESS,
    PICKUP,
    accept,
    codes_of,
    order_of,
    parcels_of,
    ready_for_pickup,
    redeem,
    refusal_of,
    serviced,
    ship,
    virtual,
)
from tests.support.placed_orders import Placed, bearer, hold_order, place_order
from tests.support.refunds import hook

AT = "/api/merchant/redemptions"


async def due_of(runtime: Any, order: Placed) -> list[timedelta]:
    """When the order is received by itself, counted from when it was shipped."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select d.due_at - r.shipped_at as wait from outbox o join delivery d on d.event_id = o.id, orders r"
            " where o.payload->>'order_id' = $1 and r.id = $1::uuid and o.event = 'timer:auto_receive' order by o.id",
            str(order.id),
        )
    return [row["wait"] for row in rows]


async def test_accepting_gives_each_unit_of_a_service_its_code_and_the_rest_is_shipped(runtime: Any) -> None:
    order = await place_order(runtime, lines=((3, 500), (21, 100), (2, 800)))
    await virtual(runtime, order, 0, 1)
    await accept(runtime, order)
    rows = await parcels_of(runtime, order)
    assert [(row["kind"], row["status"], row["quantity"]) for row in rows] == [
        ("service", "ready", 1),
        ("service", "ready", 1),
        ("service", "ready", 1),
        ("service", "ready", 21),
    ]
    found = await codes_of(runtime, order)
    assert len(set(found)) == 4
    assert all(len(code) == 12 and code.isdecimal() for code in found)
    assert (await order_of(runtime, order))["status"] == "accepted"
    async with runtime.tx(SYSTEM) as tx:
        stock = await tx.fetch(
            "select reserved from stock where merchant_id = $1 order by sku_id", order.merchant_id
        )
    assert [row["reserved"] for row in stock] == [0, 0, 2]

    await ship(runtime, order, EXPRESS)
    assert (await order_of(runtime, order))["status"] == "shipped"


async def test_an_order_of_services_is_shipped_by_accepting_and_completed_by_its_last_code(
    runtime: Any,
) -> None:
    order = await serviced(runtime, (2, 500))
    assert (await order_of(runtime, order))["status"] == "shipped"
    first, last = await codes_of(runtime, order)
    assert (await redeem(runtime, order, first)).order_status == "shipped"
    done = await redeem(runtime, order, f" {last[:4]} {last[4:8]}-{last[8:]}")
    assert (done.order_status, done.kind, [line.quantity for line in done.lines]) == (
        "completed",
        "service",
        [1],
    )
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from outbox where event = 'timer:release'") == 1


async def test_a_code_is_redeemed_once_over_http(runtime: Any, client: Any) -> None:
    order = await ready_for_pickup(runtime)
    [code] = await codes_of(runtime, order)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    other = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    buyer = await bearer(runtime, Audience.SHOP, order.account_id)
    platform = await bearer(runtime, Audience.PLATFORM, roles=("admin",))
    mine = (await client.get(f"/api/shop/orders/{order.ref}", headers=buyer)).json()["parcels"][0]
    assert (mine["status"], mine["code"]) == ("ready", code)
    for path, who in (("merchant", shop), ("platform", platform)):
        seen = await client.get(f"/api/{path}/orders/{order.ref}", headers=who)
        assert seen.status_code == 200, seen.text
        assert code not in seen.text
        assert "code" not in seen.json()["parcels"][0]

    assert (await client.post(AT, json={"code": code}, headers=other)).status_code == 404
    assert (await client.post(AT, json={"code": code}, headers=buyer)).status_code == 403
    assert (await client.post(AT, json={"code": "000000000000"}, headers=shop)).status_code == 404
    for rubbish in (
        "",
        "12",
        "1234567890123",
        "12345678901x",
        "１２３４５６７８９０１２",
        None,
        123456789012,
    ):
        assert (await client.post(AT, json={"code": rubbish}, headers=shop)).status_code == 422, rubbish

    look = await client.post(AT, json={"code": code, "dry_run": True}, headers=shop)
    assert (look.status_code, look.json()["redeemed_at"], look.json()["order_id"]) == (200, None, order.ref)
    assert [line["quantity"] for line in look.json()["lines"]] == [2, 1]
    done = await client.post(AT, json={"code": code}, headers=shop)
    assert (done.status_code, done.json()["order_status"]) == (200, "completed")
    for body in ({"code": code}, {"code": code, "dry_run": True}):
        again = await client.post(AT, json=body, headers=shop)
        assert (again.status_code, again.json()["code"]) == (409, "code_used")
        assert again.json()["used_at"] == done.json()["redeemed_at"]


async def test_redeeming_needs_the_right_to_write_orders(runtime: Any, client: Any) -> None:
    order = await ready_for_pickup(runtime)
    [code] = await codes_of(runtime, order)
    finance = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id, roles=("finance",))
    assert (await client.post(AT, json={"code": code}, headers=finance)).status_code == 403
    clerk = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id, roles=("clerk",))
    assert (await client.post(AT, json={"code": code}, headers=clerk)).status_code == 200


async def test_receipt_is_not_confirmed_while_codes_wait(runtime: Any) -> None:
    order = await serviced(runtime, (2, 500))
    first, last = await codes_of(runtime, order)
    await redeem(runtime, order, first)
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(Conflict) as refusal:
            await service.receive(tx, order.account_id, order.merchant_id, order.id)
    assert (refusal.value.code, refusal.value.extra["codes"]) == ("not_redeemed", 1)
    await redeem(runtime, order, last)
    async with runtime.tx(SYSTEM) as tx:
        await service.receive(tx, order.account_id, order.merchant_id, order.id)


async def test_codes_give_an_order_more_time_and_outlive_its_completion(runtime: Any) -> None:
    order = await serviced(runtime, (2, 500))
    settings = runtime.env.settings
    assert await due_of(runtime, order) == [timedelta(seconds=settings.auto_service)]
    payload = msgspec.Raw(msgspec.json.encode(OrderTimer(order.merchant_id, order.id)))
    async with runtime.tx(SYSTEM) as tx:
        await TIMERS["auto_receive"](tx, payload)
    assert (await order_of(runtime, order))["status"] == "shipped", "too early for codes"
    async with runtime.tx(SYSTEM) as tx:
        tx.now += timedelta(seconds=settings.auto_service)
        await TIMERS["auto_receive"](tx, payload)
    assert (await order_of(runtime, order))["status"] == "completed"
    first, _ = await codes_of(runtime, order)
    assert (await redeem(runtime, order, first)).order_status == "completed"
    assert await refusal_of(runtime, order, first) == "code_used"


async def test_an_order_with_codes_and_a_parcel_waits_for_the_buyer_after_the_last_code(runtime: Any) -> None:
    order = await place_order(runtime)
    await virtual(runtime, order, 1)
    await accept(runtime, order)
    await ship(runtime, order, EXPRESS)
    settings = runtime.env.settings
    [code] = await codes_of(runtime, order)
    assert (await redeem(runtime, order, code)).order_status == "shipped"
    assert await due_of(runtime, order) == [
        timedelta(seconds=settings.auto_service),
        timedelta(seconds=settings.auto_receive),
    ]
    async with runtime.tx(SYSTEM) as tx:
        await service.receive(tx, order.account_id, order.merchant_id, order.id)
    assert [row["status"] for row in await parcels_of(runtime, order)] == ["delivered", "delivered"]


async def test_a_held_order_hands_nothing_over(runtime: Any) -> None:
    order = await ready_for_pickup(runtime)
    await hold_order(runtime, order)
    [code] = await codes_of(runtime, order)
    assert await refusal_of(runtime, order, code) == "on_hold"


async def test_a_code_that_was_drawn_before_is_drawn_again(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await ready_for_pickup(runtime)
    [used] = await codes_of(runtime, order)
    monkeypatch.setattr(codes, "new_codes", lambda count: [used, "000000000001"][:count])
    other = await place_order(runtime, status="accepted", merchant_id=order.merchant_id)
    await ship(runtime, other, PICKUP)
    assert await codes_of(runtime, other) == ["000000000001"]


async def test_parcel_delivered_tells_once_and_the_buyer_still_confirms(runtime: Any) -> None:
    order = await place_order(runtime, status="accepted")
    parcel = await ship(runtime, order, ParcelIn(kind="instant"))
    async with runtime.tx(SYSTEM) as tx:
        for _ in range(2):
            await delivery.parcel_event(tx, order.merchant_id, parcel, "骑手\x00 已取货 ", tx.now)
        for _ in range(2):
            await delivery.parcel_delivered(tx, order.merchant_id, parcel, tx.now, "放门口")
        events = await tx.fetch(
            "select status, text from parcel_event where parcel_id = $1 order by id", parcel
        )
    assert [tuple(row) for row in events] == [
        ("shipped", "商家已安排配送"),
        ("transit", "骑手 已取货"),
        ("delivered", "放门口"),
    ]
    assert (await order_of(runtime, order))["status"] == "shipped"
    async with runtime.tx(SYSTEM) as tx:
        for call in (
            delivery.parcel_event(tx, new_id(), parcel, "x", tx.now),
            delivery.parcel_delivered(tx, new_id(), parcel, tx.now),
        ):
            with pytest.raises(NotFound):
                await call


async def test_a_parcel_with_a_code_is_not_just_delivered(runtime: Any, client: Any) -> None:
    order = await ready_for_pickup(runtime)
    [parcel] = await parcels_of(runtime, order)
    async with runtime.tx(SYSTEM) as tx:
        with pytest.raises(Conflict) as refusal:
            await delivery.parcel_delivered(tx, order.merchant_id, parcel["id"], tx.now)
        assert refusal.value.code == "not_redeemed"


async def test_the_shop_says_that_its_own_rider_has_delivered(runtime: Any, client: Any) -> None:
    order = await place_order(runtime, status="accepted")
    await ship(runtime, order, ParcelIn(kind="instant"))
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    other = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    seen = (await client.get(f"/api/merchant/orders/{order.ref}", headers=shop)).json()
    at = f"/api/merchant/orders/{order.ref}/parcels/{seen['parcels'][0]['id']}/deliver"
    assert (await client.post(at, headers=other)).status_code == 404
    for _ in range(2):
        done = await client.post(at, headers=shop)
        assert (done.status_code, done.json()["parcels"][0]["status"]) == (200, "delivered")
        assert [e["status"] for e in done.json()["parcels"][0]["events"]] == ["shipped", "delivered"]


async def test_parcel_delivered_is_told_of_codes_and_of_what_the_buyer_confirms(runtime: Any) -> None:
    async def listen(*_: Any) -> None:
        return None

    hook(runtime, hookspecs.parcel_delivered, ("tests", listen))
    picked = await ready_for_pickup(runtime)
    [code] = await codes_of(runtime, picked)
    await redeem(runtime, picked, code)
    sent = await place_order(runtime, status="accepted")
    await ship(runtime, sent, EXPRESS)
    async with runtime.tx(SYSTEM) as tx:
        await service.receive(tx, sent.account_id, sent.merchant_id, sent.id)
        await service.receive(tx, sent.account_id, sent.merchant_id, sent.id)
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(
            "select payload->>'order_id' as id from outbox where event = 'parcel_delivered' order by id"
        )
    assert sorted(row["id"] for row in rows) == sorted([str(picked.id), str(sent.id)])


async def test_a_shop_accepts_services_and_each_parcel_may_be_refused(runtime: Any, client: Any) -> None:
    order = await place_order(runtime, lines=((2, 500),))
    await virtual(runtime, order, 0)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    asked: list[str] = []

    async def refuse(_: Any, parcel: ParcelDraft) -> None:
        asked.append(parcel.kind)
        if len(asked) == 2:
            raise Conflict("Closed for today.", code="closed_today")

    hook(runtime, hookspecs.parcel_shipping, ("tests", refuse))
    at = f"/api/merchant/orders/{order.ref}/accept"
    refused = await client.post(at, headers=shop)
    assert (refused.status_code, refused.json()["code"]) == (409, "closed_today")
    assert await parcels_of(runtime, order) == []
    accepted = await client.post(at, headers=shop)
    assert (accepted.status_code, accepted.json()["status"]) == (200, "shipped")
    assert [p["status"] for p in accepted.json()["parcels"]] == ["ready", "ready"]
