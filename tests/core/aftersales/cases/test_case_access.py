"""Bad input, lists, and who may not."""

from typing import Any

from core.kit.ids import new_id, ref
from tests.support.cases import ADDRESS, PARCEL, Desk


async def test_bad_input_is_refused_field_by_field(desk: Desk) -> None:
    order = await desk.buy()
    line = {"line_id": order["lines"][0]["id"], "quantity": 1}
    path = f"/api/shop/orders/{order['id']}/aftersales"
    good = {"kind": "refund_only", "lines": [line], "reason": "x"}
    for bad in (
        {"kind": "gift"},
        {"lines": []},
        {"lines": [line, line]},
        {"lines": [line | {"quantity": 0}]},
        {"reason": ""},
        {"reason": " \n"},
        {"reason": "x" * 501},
        {"images": ["http://a.example/x.jpg"]},
        {"images": ["/media/a.jpg"] * 10},
        {"images": ["https://a.example/" + "x" * 500]},
        {"more": 1},
    ):
        assert (await desk.buyer.post(path, good | bad)).status_code == 422, bad
    other = await desk.buy()
    for line_id in (other["lines"][0]["id"], ref(new_id(), new_id()), "x"):
        answer = await desk.buyer.post(path, good | {"lines": [{"line_id": line_id, "quantity": 1}]})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    keyless = await desk.buyer.client.post(path, json=good, headers=desk.buyer.headers)
    assert (keyless.status_code, keyless.json()["code"]) == (400, "idempotency_key_required")
    first, again = [await desk.buyer.post(path, good, key="k1") for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]
    for query in ("status=lost", "cursor=x", "limit=0"):
        assert (await desk.buyer.get(f"/api/shop/aftersales?{query}")).status_code == 422
    assert (await desk.staff.get("/api/merchant/aftersales?kind=gift")).status_code == 422
    assert (await desk.apply(order, "refund_only", 3)).json()["code"] == "in_case"


async def test_lists_are_filtered_and_paged(desk: Desk) -> None:
    order = await desk.buy()
    cases = [await desk.case(order, kind) for kind in ("refund_only", "return_refund", "exchange")]
    await desk.does("shop", cases[0], "cancel")
    for person, who in ((desk.buyer, "shop"), (desk.staff, "merchant"), (desk.operator, "platform")):
        base = f"/api/{who}/aftersales"
        first = (await person.get(f"{base}?limit=2")).json()
        assert [x["id"] for x in first["items"]] == [cases[2], cases[1]]
        assert first["items"][0]["estimate"] == {"goods": 1000, "shipping": 0}
        assert "log" not in first["items"][0]
        last = (await person.get(f"{base}?limit=2&cursor={first['next_cursor']}")).json()
        assert ([x["id"] for x in last["items"]], last["next_cursor"]) == ([cases[0]], None)
        some = (await person.get(f"{base}?status=applied,agreed&order_id={order['id']}")).json()
        assert [x["id"] for x in some["items"]] == [cases[2], cases[1]]
    swaps = (await desk.staff.get("/api/merchant/aftersales?kind=exchange")).json()
    assert [x["id"] for x in swaps["items"]] == [cases[2]]
    rest = (await desk.operator.get(f"/api/platform/aftersales?merchant_id={desk.shop.ref}")).json()
    assert len(rest["items"]) == 3
    none = (await desk.operator.get(f"/api/platform/aftersales?merchant_id={ref(new_id())}")).json()
    assert none["items"] == []


async def test_strangers_find_nothing(desk: Desk) -> None:
    order = await desk.buy()
    case = await desk.case(order, "return_refund")
    stranger = await desk.market.buyer()
    rival = await desk.market.staff(await desk.market.merchant("rival"))
    body = {"kind": "refund_only", "lines": [{"line_id": order["lines"][0]["id"], "quantity": 1}]}
    applied = await stranger.post(f"/api/shop/orders/{order['id']}/aftersales", body | {"reason": "x"})
    assert applied.status_code == 404
    tries: list[tuple[Any, str, str, Any]] = [
        (stranger, "shop", "cancel", {}),
        (stranger, "shop", "return-parcel", PARCEL),
        (stranger, "shop", "arbitrate", {}),
        (stranger, "shop", "confirm", {}),
        (rival, "merchant", "agree", {"return_address": ADDRESS}),
        (rival, "merchant", "refuse", {"reason": "x"}),
        (rival, "merchant", "receive", {}),
        (rival, "merchant", "reship", PARCEL),
        (rival, "merchant", "convert", {}),
    ]
    for who, audience, step, sent in tries:
        answer = await who.post(f"/api/{audience}/aftersales/{case}/{step}", sent)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), step
    for who, audience in ((stranger, "shop"), (rival, "merchant")):
        assert (await who.get(f"/api/{audience}/aftersales/{case}")).status_code == 404
        listed = await who.get(f"/api/{audience}/aftersales?order_id={order['id']}")
        assert listed.status_code == 404 or listed.json()["items"] == []
    nobody = ref(new_id(), new_id())
    decided = await desk.tries("platform", nobody, "decide", {"outcome": "reject", "reason": "x"})
    assert decided.status_code == 404
    assert (await desk.operator.get(f"/api/platform/aftersales/{nobody}")).status_code == 404
    assert (await desk.sees("shop", case))["status"] == "applied"


async def test_staff_need_the_permission(desk: Desk) -> None:
    case = await desk.case(await desk.buy(), "refund_only")
    for role, read, write in (("clerk", 200, 200), ("finance", 200, 403), ("marketing", 403, 403)):
        person = await desk.market.staff(desk.shop, role)
        assert (await person.get("/api/merchant/aftersales")).status_code == read
        refuse = await person.post(f"/api/merchant/aftersales/{case}/refuse", {"reason": "no"})
        assert refuse.status_code == write
    for role, read, decide in (("finance", 200, 403), ("reviewer", 200, 200)):
        person = await desk.market.operator(role)
        assert (await person.get(f"/api/platform/aftersales/{case}")).status_code == read
        body = {"outcome": "reject", "reason": "no"}
        answer = await person.post(f"/api/platform/aftersales/{case}/decide", body)
        assert answer.status_code == decide
