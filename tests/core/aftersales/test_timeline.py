"""What happened with an order, told to each party."""

from typing import Any

from core.aftersales import service as aftersales
from core.aftersales.cases.machine import Event
from core.aftersales.timeline import _TITLES, timeline
from core.fulfilment import delivery, redemption, service
from core.fulfilment.schemas import WaybillIn
from core.kit.ids import new_id, ref
from core.orders import holds
from core.types import scope as scopes
from core.types.scope import SYSTEM, Audience
from tests.support.handover import EXPRESS, accept, codes_of, parcels_of, ship, virtual
from tests.support.placed_orders import Placed, bearer, place_order


async def lived(runtime: Any) -> Placed:
    """An order of one line by express and one service, with all that may happen to it."""
    order = await place_order(runtime)
    merchant_id, clerk = order.merchant_id, new_id()
    await virtual(runtime, order, 1)
    async with runtime.tx(SYSTEM) as tx:
        await holds.hold(tx, merchant_id, order.id, "group_buy", "拼团未满")
    async with runtime.tx(SYSTEM) as tx:
        await holds.lift(tx, merchant_id, order.id, "group_buy")
    await accept(runtime, order)
    parcel = await ship(runtime, order, EXPRESS)
    async with runtime.tx(SYSTEM) as tx:
        data = WaybillIn("yto", "YT7654321")
        await delivery.change_waybill(tx, merchant_id, order.id, parcel, data)
    async with runtime.tx(SYSTEM) as tx:
        await delivery.parcel_event(tx, merchant_id, parcel, "到达重庆", tx.now)
    [code] = await codes_of(runtime, order)
    async with runtime.tx(SYSTEM) as tx:
        await redemption.redeem(tx, merchant_id, code, clerk)
    async with runtime.tx(SYSTEM) as tx:
        await service.receive(tx, order.account_id, merchant_id, order.id)
    await case(runtime, order)
    async with runtime.tx(SYSTEM) as tx:
        await aftersales.decide(
            tx, merchant_id, order.id, [(order.lines[0].id, 1)], shipping=None, restock=False, origin="merchant",
            actor_id=clerk, reason="坏了一件",
        )  # fmt: skip
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update orders set released_at = $2 where id = $1", order.id, tx.now)
    return order


async def case(runtime: Any, order: Placed) -> None:
    """A case of the order that the buyer took back."""
    row = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into aftersale (merchant_id, id, order_id, trade_id, account_id, number, kind, status, reason, created_at,"
            " updated_at, closed_at) values ($1, $2, $3, $4, $5, $6, 'refund_only', 'cancelled', 'x', $7, $7, $7)",
            order.merchant_id, row, order.id, order.trade_id, order.account_id, row.hex, tx.now,
        )  # fmt: skip
        for event, old, new in (("apply", "", "applied"), ("cancel", "applied", "cancelled")):
            await tx.execute(
                "insert into aftersale_log (merchant_id, id, aftersale_id, account_id, party, actor_id, event, old_status,"
                " new_status, at) values ($1, $2, $3, $4, 'buyer', $4, $5, $6, $7, $8)",
                order.merchant_id, new_id(), row, order.account_id, event, old, new, tx.now,
            )  # fmt: skip


HAPPENED = [
    ("order_placed", "buyer"),
    ("order_paid", "buyer"),
    ("order_held", "system"),
    ("order_lifted", "system"),
    ("order_accepted", "system"),
    ("parcel_ready", "merchant"),
    ("parcel_shipped", "merchant"),
    ("order_shipped", "system"),
    ("parcel_changed", "merchant"),
    ("parcel_transit", "system"),
    ("parcel_delivered", "merchant"),
    ("parcel_delivered", "buyer"),
    ("order_completed", "buyer"),
    ("case_apply", "buyer"),
    ("case_cancel", "buyer"),
    ("refund_decided", "merchant"),
    ("order_released", "system"),
]


async def test_each_party_is_told_what_happened_in_the_order_of_time(runtime: Any, client: Any) -> None:
    order = await lived(runtime)
    shop = await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id)
    market = await bearer(runtime, Audience.PLATFORM, roles=("admin",))
    buyer = await bearer(runtime, Audience.SHOP, order.account_id)
    found = {}
    for path, who in (("merchant", shop), ("platform", market), ("shop", buyer)):
        answer = await client.get(f"/api/{path}/orders/{order.ref}/timeline", headers=who)
        assert answer.status_code == 200, answer.text
        found[path] = answer.json()["items"]
    assert [(item["kind"], item["actor"]) for item in found["merchant"]] == HAPPENED
    assert found["platform"] == found["merchant"]
    assert [(i["kind"], i["actor"]) for i in found["shop"]] == [
        h for h in HAPPENED if h[0] != "order_released"
    ]
    assert [item["at"] for item in found["merchant"]] == sorted(item["at"] for item in found["merchant"])

    told = {item["kind"]: item for item in found["merchant"]}
    assert told["order_held"]["detail"] == "group_buy: 拼团未满"
    assert told["order_completed"]["detail"] == "买家确认收货"
    assert told["refund_decided"]["amount"] == 500
    [express] = [row for row in await parcels_of(runtime, order) if row["kind"] == "express"]
    assert told["parcel_transit"]["id"] == ref(order.merchant_id, express["id"])
    assert told["parcel_transit"]["detail"] == "到达重庆 yto YT7654321"
    assert {item["title"] for item in found["shop"]}.isdisjoint(
        {"", "订单更新", "包裹更新", "退款更新", "售后更新"}
    )


async def test_buyers_see_nothing_that_was_written_for_staff(runtime: Any, client: Any) -> None:
    order = await lived(runtime)
    buyer = await bearer(runtime, Audience.SHOP, order.account_id)
    seen = await client.get(f"/api/shop/orders/{order.ref}/timeline", headers=buyer)
    for word in ("group_buy", "released", "commission", "货款", *await codes_of(runtime, order)):
        assert word not in seen.text


async def test_strangers_find_nothing(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    other_shop = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    stranger = await bearer(runtime, Audience.SHOP)
    market = await bearer(runtime, Audience.PLATFORM, roles=("admin",))
    for path, order_id, who in (
        ("merchant", order.ref, other_shop),
        ("shop", order.ref, stranger),
        ("platform", ref(order.merchant_id, new_id()), market),
        ("platform", "rubbish", market),
    ):
        answer = await client.get(f"/api/{path}/orders/{order_id}/timeline", headers=who)
        assert answer.status_code == 404, path


async def test_a_timeline_is_read_in_one_statement(runtime: Any) -> None:
    order = await lived(runtime)
    async with runtime.tx(scopes.buyer(order.account_id)) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        await timeline(tx, order.merchant_id, order.id, order.account_id, Audience.SHOP)
        assert tx.statements == before + 1


def test_every_event_of_a_case_has_a_title() -> None:
    assert {event.value for event in Event} | {"apply"} <= set(_TITLES["case"])
