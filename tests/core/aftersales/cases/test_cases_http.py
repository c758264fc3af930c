"""Each way a case can go, over HTTP."""

from typing import Any

import pytest

from core import hookspecs
from core.kit.ids import new_id, parse_pair, ref
from core.types.orders import Deduction
from core.types.scope import SYSTEM
from tests.support.cases import ADDRESS, PARCEL, Desk
from tests.support.refunds import hook


def steps(case: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(party, event, status afterwards) of a case's log."""
    return [(x["party"], x["event"], x["new_status"]) for x in case["log"]]


async def test_a_refund_without_return_goes_out_as_soon_as_the_shop_agrees(desk: Desk) -> None:
    order = await desk.buy()
    answer = await desk.apply(order, "refund_only", 2, images=["/media/a.jpg"], reason=" 坏\x00了 ")
    made = answer.json()
    assert answer.status_code == 201, answer.text
    assert (answer.status_code, made["status"], made["kind"]) == (201, "applied", "refund_only")
    assert (made["reason"], made["images"]) == ("坏了", ["/media/a.jpg"])
    assert made["estimate"] == {"goods": 2000, "shipping": 0}
    assert made["order_id"] == order["id"]
    assert made["lines"][0] == {
        "line_id": order["lines"][0]["id"],
        "quantity": 2,
        "title": "Tea",
        "specs": [],
        "image_url": None,
        "unit_price": 1000,
    }
    agreed = await desk.does("merchant", made["id"], "agree", {"shipping_amount": 100})
    assert (agreed["status"], agreed["fault"], agreed["estimate"]) == ("refunding", "merchant", None)
    assert (agreed["refund"]["amount"], agreed["refund"]["status"]) == (2100, "refunding")
    await desk.market.drain()
    done = await desk.sees("shop", made["id"])
    assert (done["status"], done["refund"]["status"], done["deadline"]) == ("done", "done", None)
    assert steps(done) == [
        ("buyer", "apply", "applied"),
        ("merchant", "agree", "agreed"),
        ("merchant", "refund", "refunding"),
        ("system", "refunded", "done"),
    ]
    assert (await desk.order(order))["refunded_amount"] == 2100
    assert await desk.stock() == (97, 0)
    assert await desk.balanced()


async def test_goods_are_sent_back_received_and_refunded(desk: Desk) -> None:
    order = await desk.buy()
    case = await desk.case(order, "return_refund", 2)
    agreed = await desk.does("merchant", case, "agree", {"return_address": ADDRESS})
    assert agreed["status"] == "agreed"
    assert agreed["return_address"]["phone"] == "13912345678"
    mine = await desk.sees("shop", case)
    assert mine["return_address"]["street"] == "南山路 8 号"
    assert (await desk.sees("platform", case))["return_address"]["phone"] == "139****5678"
    sent = await desk.does("shop", case, "return-parcel", PARCEL)
    assert (sent["status"], sent["return_parcel"]) == ("sent", PARCEL)
    assert (await desk.does("shop", case, "return-parcel", PARCEL))["status"] == "sent"
    assert await desk.refused("shop", case, "return-parcel", PARCEL | {"waybill_no": "SF9"}) == "wrong_status"
    assert await desk.refused("shop", case, "cancel") == "wrong_status"
    got = await desk.does("merchant", case, "receive", {"restock": True})
    assert (got["status"], got["refund"]["amount"]) == ("refunding", 2000)
    await desk.market.drain()
    done = await desk.sees("merchant", case)
    assert done["status"] == "done"
    assert [event for _, event, _ in steps(done)] == [
        "apply",
        "agree",
        "send",
        "receive",
        "refund",
        "refunded",
    ]
    assert await desk.stock() == (99, 0)
    shown = (await desk.order(order))["lines"][0]
    assert (shown["refunded_quantity"], shown["cancelled_quantity"]) == (2, 0)
    assert (await desk.sees("shop", case))["return_address"]["street"] == "****"
    assert await desk.balanced()


async def test_goods_that_cannot_be_sold_again_stay_off_the_shelf(desk: Desk) -> None:
    order, case = await desk.sent(quantity=2)
    line = order["lines"][0]["id"]
    body = {"restock": True, "lines": [{"line_id": line, "restock": False}]}
    assert (await desk.does("merchant", case, "receive", body))["status"] == "refunding"
    assert await desk.stock() == (97, 0)


async def test_only_lines_of_the_case_are_received(desk: Desk) -> None:
    _, case = await desk.sent()
    for line in (ref(desk.shop.id, new_id()), ref(new_id(), new_id())):
        body = {"lines": [{"line_id": line, "restock": True}]}
        assert (await desk.tries("merchant", case, "receive", body)).status_code == 404


async def test_units_still_to_be_shipped_are_not_taken_for_those_that_came_back(desk: Desk) -> None:
    order = await desk.buy(3, "accepted")
    line = order["lines"][0]["id"]
    parcel = PARCEL | {"lines": [{"line_id": line, "quantity": 1}]}
    assert (await desk.staff.post(f"/api/merchant/orders/{order['id']}/parcels", parcel)).status_code == 201
    assert (await desk.apply(order, "return_refund", 2)).json()["code"] == "not_shipped"
    case = await desk.case(order, "return_refund", 1)
    await desk.does("merchant", case, "agree", {"return_address": ADDRESS})
    await desk.does("shop", case, "return-parcel", PARCEL)
    await desk.does("merchant", case, "receive", {"restock": False})
    shown = (await desk.order(order))["lines"][0]
    assert (shown["refunded_quantity"], shown["cancelled_quantity"]) == (1, 0)
    assert await desk.stock() == (99, 2)


async def test_an_exchange_is_reshipped_and_confirmed(desk: Desk) -> None:
    order, case = await desk.sent("exchange")
    got = await desk.does("merchant", case, "receive", {"restock": True})
    assert got["status"] == "received"
    assert await desk.stock() == (98, 0)
    bad = await desk.tries("merchant", case, "reship", {"carrier": "", "waybill_no": ""})
    assert (bad.status_code, (await desk.sees("merchant", case))["status"]) == (422, "received")
    lines = [{"line_id": order["lines"][0]["id"], "quantity": 1}]
    assert (await desk.tries("merchant", case, "reship", PARCEL | {"lines": lines})).status_code == 422
    out = await desk.does("merchant", case, "reship", PARCEL)
    assert (out["status"], len(out["parcels"])) == ("reshipped", 1)
    assert len((await desk.does("merchant", case, "reship", PARCEL))["parcels"]) == 1
    assert await desk.stock() == (97, 0)
    done = await desk.does("shop", case, "confirm")
    assert (done["status"], done["refund"]) == ("done", None)
    assert (await desk.does("shop", case, "confirm"))["status"] == "done"
    assert (await desk.order(order))["refunded_amount"] == 0
    # What replaced it may be asked about again.
    assert (await desk.apply(order, "return_refund", 3)).status_code == 201
    assert await desk.balanced()


async def test_an_exchange_out_of_stock_becomes_a_refund(desk: Desk) -> None:
    order = await desk.buy(2)
    case = await desk.case(order, "exchange", 2)
    gone = {"sku_id": desk.tea.ref, "delta": -98, "reason": "sold elsewhere"}
    assert (await desk.staff.post("/api/merchant/stock/moves", gone)).status_code < 300
    answer = await desk.tries("merchant", case, "agree", {"return_address": ADDRESS})
    assert (answer.status_code, answer.json()["code"]) == (409, "out_of_stock")
    assert answer.json()["skus"] == [desk.tea.ref]
    agreed = await desk.does("merchant", case, "agree", {"return_address": ADDRESS, "as": "refund"})
    assert (agreed["status"], agreed["kind"]) == ("agreed", "return_refund")
    await desk.does("shop", case, "return-parcel", PARCEL)
    await desk.does("merchant", case, "receive", {"restock": True})
    await desk.market.drain()
    assert (await desk.sees("shop", case))["status"] == "done"
    assert await desk.stock() == (2, 0)


async def test_an_exchange_whose_goods_are_back_is_converted_and_restocked_once(desk: Desk) -> None:
    order, case = await desk.sent("exchange")
    await desk.does("merchant", case, "receive", {"restock": True})
    gone = {"sku_id": desk.tea.ref, "delta": -98, "reason": "sold elsewhere"}
    await desk.staff.post("/api/merchant/stock/moves", gone)
    assert await desk.refused("merchant", case, "reship", PARCEL) == "out_of_stock"
    turned = await desk.does("merchant", case, "convert")
    assert (turned["status"], turned["kind"], turned["refund"]["amount"]) == (
        "refunding",
        "return_refund",
        1000,
    )
    await desk.market.drain()
    assert await desk.stock() == (0, 0)
    assert (await desk.order(order))["refunded_amount"] == 1000
    assert await desk.refused("merchant", case, "convert") == "wrong_kind"
    assert await desk.balanced()


async def test_what_is_refused_may_be_asked_for_again(desk: Desk) -> None:
    order = await desk.buy()
    first = await desk.case(order, "refund_only", 2)
    refused = await desk.does("merchant", first, "refuse", {"reason": "没有 坏"})
    assert (refused["status"], refused["refusal"]) == ("refused", "没有 坏")
    assert (await desk.does("merchant", first, "refuse", {"reason": "again"}))["refusal"] == "没有 坏"
    second = await desk.case(order, "return_refund", 3)
    assert (await desk.sees("shop", first))["status"] == "closed"
    assert await desk.refused("shop", first, "arbitrate") == "wrong_status"
    assert (await desk.does("shop", second, "cancel"))["status"] == "cancelled"
    assert (await desk.does("shop", second, "cancel"))["status"] == "cancelled"


@pytest.mark.parametrize("amount", [None, 700, 0])
async def test_the_market_decides_what_the_shop_has_refused(desk: Desk, amount: int | None) -> None:
    order = await desk.buy()
    case = await desk.case(order, "refund_only", 1)
    assert await desk.refused("shop", case, "arbitrate") == "wrong_status"
    await desk.does("merchant", case, "refuse", {"reason": "no"})
    asked = await desk.does("shop", case, "arbitrate", {"reason": "看照片"})
    assert (asked["status"], asked["deadline"], asked["log"][-1]["note"]) == ("arbitration", None, "看照片")
    body = {"outcome": "refund", "reason": "half", "amount": amount, "shipping_amount": 50}
    decided = await desk.does("platform", case, "decide", body)
    expected = (1000 if amount is None else amount) + 50
    assert (decided["status"], decided["refund"]["amount"]) == ("refunding", expected)
    await desk.market.drain()
    assert (await desk.sees("shop", case))["status"] == "done"
    assert (await desk.order(order))["refunded_amount"] == expected
    refund = (await desk.buyer.get(f"/api/shop/orders/{order['id']}/refunds")).json()["items"][0]
    assert (refund["goods_amount"], refund["deducted_amount"]) == (1000, 1050 - expected)
    assert refund["origin"] == "platform"
    assert await desk.balanced()
    await desk.market.drain(days=9)
    assert await desk.released(order)
    assert await desk.balanced()


async def test_nothing_at_all_is_decided_and_the_case_is_done_at_once(desk: Desk) -> None:
    case = await desk.case(await desk.buy(), "refund_only", 1)
    body = {"outcome": "refund", "reason": "a gesture", "amount": 0}
    decided = await desk.does("platform", case, "decide", body)
    assert (decided["status"], decided["refund"]["status"]) == ("done", "done")


async def test_the_market_may_reject(desk: Desk) -> None:
    case = await desk.case(await desk.buy(), "refund_only", 1)
    await desk.does("merchant", case, "refuse", {"reason": "no"})
    await desk.does("shop", case, "arbitrate")
    closed = await desk.does("platform", case, "decide", {"outcome": "reject", "reason": "no fault"})
    assert (closed["status"], closed["log"][-1]["note"]) == ("closed", "no fault")
    again = {"outcome": "refund", "reason": "yes after all"}
    assert await desk.refused("platform", case, "decide", again) == "wrong_status"


@pytest.mark.parametrize("kind", ["refund_only", "return_refund", "exchange"])
async def test_the_market_may_force_a_refund_without_being_asked(desk: Desk, kind: str) -> None:
    order = await desk.buy()
    case = await desk.case(order, kind, 2)
    too_much = {"outcome": "refund", "reason": "x", "amount": 2001}
    assert await desk.refused("platform", case, "decide", too_much) == "refund_exceeds"
    too_far = {"outcome": "refund", "reason": "x", "shipping_amount": 801}
    assert await desk.refused("platform", case, "decide", too_far) == "refund_exceeds"
    decided = await desk.does("platform", case, "decide", {"outcome": "refund", "reason": "unsafe"})
    assert (decided["status"], decided["refund"]["amount"]) == ("refunding", 2000)
    assert decided["kind"] == ("return_refund" if kind == "exchange" else kind)
    assert await desk.stock() == (97, 0)


async def test_goods_that_do_not_pass_inspection_are_refused_and_go_to_the_market(desk: Desk) -> None:
    _, case = await desk.sent()
    assert (await desk.tries("merchant", case, "receive", {"accepted": False})).status_code == 422
    body = {"accepted": False, "reason": "worn"}
    refused = await desk.does("merchant", case, "receive", body)
    assert (refused["status"], refused["refusal"]) == ("refused", "worn")
    assert (await desk.does("merchant", case, "receive", body))["status"] == "refused"
    await desk.does("shop", case, "arbitrate")
    await desk.does("platform", case, "decide", {"outcome": "refund", "reason": "not worn"})
    assert await desk.stock() == (97, 0)
    assert await desk.refused("merchant", case, "receive", body) == "wrong_status"


async def test_an_address_is_needed_once(desk: Desk) -> None:
    order = await desk.buy()
    first = await desk.case(order, "return_refund", 1)
    answer = await desk.tries("merchant", first, "agree")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "return_address")
    bad = await desk.tries("merchant", first, "agree", {"return_address": ADDRESS | {"phone": "1"}})
    assert bad.status_code == 422
    await desk.does("merchant", first, "agree", {"return_address": ADDRESS})
    second = await desk.case(order, "exchange", 1)
    agreed = await desk.does("merchant", second, "agree")
    assert agreed["return_address"]["street"] == ADDRESS["street"]
    async with desk.market.runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select return_address from aftersale")
    assert len({row["return_address"] for row in rows}) == 2
    assert not any("南山路".encode() in row["return_address"] for row in rows)


async def test_a_paid_order_is_only_refunded_and_closed_with_its_freight(desk: Desk) -> None:
    order = await desk.buy(2, "paid")
    assert (await desk.apply(order, "return_refund", 1)).json()["code"] == "not_shipped"
    case = await desk.apply(order, "refund_only", 2)
    assert case.json()["estimate"] == {"goods": 2000, "shipping": 800}
    await desk.does("merchant", case.json()["id"], "agree")
    await desk.market.drain()
    shown = await desk.order(order)
    assert (shown["status"], shown["refunded_amount"]) == ("closed", 2800)
    assert await desk.stock() == (100, 0)


async def test_a_part_amount_for_a_whole_paid_order_keeps_what_was_decided(desk: Desk) -> None:
    order = await desk.buy(2, "paid")
    case = await desk.case(order, "refund_only", 2)
    body = {"outcome": "refund", "reason": "late", "amount": 1500}
    decided = await desk.does("platform", case, "decide", body)
    assert decided["refund"]["amount"] == 2300
    await desk.market.drain(days=1)
    assert (await desk.order(order))["status"] == "closed"
    assert await desk.balanced()


async def test_no_unit_is_in_two_cases_or_refunded_as_well(desk: Desk) -> None:
    order = await desk.buy(3)
    case = await desk.case(order, "refund_only", 2)
    assert (await desk.apply(order, "refund_only", 2)).json()["code"] == "in_case"
    assert (await desk.apply(order, "refund_only", 4)).json()["code"] == "refund_exceeds"
    refunds = f"/api/merchant/orders/{order['id']}/refunds"
    lines = [{"line_id": order["lines"][0]["id"], "quantity": 2}]
    answer = await desk.staff.post(refunds, {"lines": lines, "reason": "x"})
    assert (answer.json()["code"], answer.json()["aftersales"]) == ("in_case", [case])
    assert (await desk.staff.post(refunds, {"reason": "x"})).json()["code"] == "in_case"
    lines[0]["quantity"] = 1
    assert (await desk.staff.post(refunds, {"lines": lines, "reason": "x"})).status_code == 201
    assert (await desk.apply(order, "refund_only", 1)).json()["code"] == "in_case"
    await desk.does("merchant", case, "agree")
    assert (await desk.apply(order, "refund_only", 1)).json()["code"] == "refund_exceeds"


async def test_cancelling_the_order_gives_its_case_up(desk: Desk) -> None:
    order = await desk.buy(2, "paid")
    case = await desk.case(order, "refund_only", 1)
    assert (await desk.buyer.post(f"/api/shop/orders/{order['id']}/cancel")).status_code == 200
    closed = await desk.sees("shop", case)
    assert (closed["status"], closed["log"][-1]["event"]) == ("closed", "withdraw")
    await desk.market.drain(days=3)
    assert (await desk.order(order))["refunded_amount"] == 2800


async def test_cases_are_for_orders_that_are_paid_not_held_and_within_their_time(desk: Desk) -> None:
    trade = (await desk.buyer.checkout((desk.tea.ref, 1))).json()
    assert (await desk.apply(trade["orders"][0], "refund_only")).json()["code"] == "wrong_status"
    order = await desk.buy()
    case = await desk.case(order, "refund_only")
    async with desk.market.runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at)"
            " values ($1, $2, 'group_buy', $3, 'the group is running', $4)",
            *parse_pair(order["id"]),
            desk.buyer.me.account_id,
            tx.now,
        )
    assert (await desk.apply(order, "refund_only")).json()["code"] == "on_hold"
    assert await desk.refused("merchant", case, "agree") == "on_hold"
    await desk.does("platform", case, "decide", {"outcome": "refund", "reason": "forced"})
    async with desk.market.runtime.tx(SYSTEM) as tx:
        await tx.execute("delete from order_hold")
    desk.market.runtime.clock.advance(days=7)  # type: ignore[attr-defined]
    assert (await desk.apply(order, "refund_only")).json()["code"] == "window_over"


@pytest.mark.parametrize(("amount", "paid", "in_part"), [(900, 700, 0), (700, 700, 0), (500, 500, 200)])
async def test_what_plugins_keep_back_counts_towards_a_part_amount(
    desk: Desk, amount: int, paid: int, in_part: int
) -> None:
    async def keeps(tx: Any, refund: Any) -> list[Deduction]:
        return [Deduction("coupons", "a gift that was used", 300, "market")]

    hook(desk.market.runtime, hookspecs.refund_requesting, ("coupons", keeps))
    order = await desk.buy()
    case = await desk.case(order, "refund_only")
    body = {"outcome": "refund", "reason": "part", "amount": amount}
    assert (await desk.does("platform", case, "decide", body))["refund"]["amount"] == paid
    refund = (await desk.buyer.get(f"/api/shop/orders/{order['id']}/refunds")).json()["items"][0]
    kept = {x["plugin"]: x["amount"] for x in refund["deductions"]}
    assert kept == {"coupons": 300} | ({"core": in_part} if in_part else {})
    await desk.market.drain()
    assert await desk.balanced()
