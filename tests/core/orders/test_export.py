"""Orders as CSV: what is in it, for whom, and how much at most."""

import csv
import io
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core.kit.ids import new_id, ref
from core.orders import export
from core.testkit.market import Market
from core.types import scope as scopes
from core.types.scope import SYSTEM, Audience
from tests.support.placed_orders import ADDRESS, Placed, bearer, place_order

_NAMES = [en for en, _ in export.COLUMNS]


async def _table(client: Any, path: str, who: dict[str, str], **params: Any) -> list[dict[str, str]]:
    answer = await client.get(path, params={"language": "en"} | params, headers=who)
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"\xef\xbb\xbf"), "spreadsheet programs take it for UTF-8 by that"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert head == _NAMES
    assert all(len(row) == len(head) for row in rows)
    return [dict(zip(head, row, strict=True)) for row in rows]


async def _staff(runtime: Any, order: Placed, *roles: str) -> dict[str, str]:
    return await bearer(runtime, Audience.MERCHANT, merchant_id=order.merchant_id, roles=roles or ("owner",))


async def test_each_line_is_a_row_and_the_orders_amounts_stand_once(runtime: Any, client: Any) -> None:
    order = await place_order(runtime, market_borne=300)
    await place_order(runtime)
    first, second = await _table(client, "/api/merchant/orders/export", await _staff(runtime, order))
    assert [first["order number"], second["order number"]] == [order.number] * 2
    assert [first["quantity"], second["quantity"]] == ["2", "1"]
    assert [first["unit price (yuan)"], second["unit price (yuan)"]] == ["5.00", "30.00"]
    assert [first["payable (yuan)"], second["payable (yuan)"]] == ["37.00", ""]
    assert [first["specs"], first["remark"], first["shipping"]] == ["5斤", "请放门口", "快递"]
    assert first["placed (UTC+8)"] == first["paid (UTC+8)"] != ""


async def test_whom_delivery_needs_is_told_as_in_the_orders_view(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    done = await place_order(runtime, status="completed", merchant_id=order.merchant_id)
    rows = await _table(client, "/api/merchant/orders/export", await _staff(runtime, order))
    by_number = {row["order number"]: row for row in rows}
    open_, closed = by_number[order.number], by_number[done.number]
    assert (open_["recipient"], open_["phone"], open_["street"]) == (
        ADDRESS.recipient,
        ADDRESS.phone,
        ADDRESS.street,
    )
    assert (closed["recipient"], closed["phone"], closed["street"]) == ("王**", "138****5678", "****")
    market = await bearer(runtime, Audience.PLATFORM, merchant_id=scopes.MARKET_ID, roles=("admin",))
    seen = await _table(client, "/api/platform/orders/export", market)
    assert {row["phone"] for row in seen} == {"138****5678"}
    assert {row["shop"] for row in seen} == {"南山果园"}


@pytest.mark.parametrize("text", ["=1+1", "+86 138", "-2", "@SUM(A1)", "\t=1", "\r=1"])
async def test_what_a_program_would_reckon_is_text(runtime: Any, client: Any, text: str) -> None:
    assert export.cell(text) == f"'{text}"
    order = await place_order(runtime, lines=[(1, 100)])
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update orders set remark = $2 where id = $1", order.id, text)
        await tx.execute("update order_line set title = $2 where order_id = $1", order.id, text)
    [row] = await _table(client, "/api/merchant/orders/export", await _staff(runtime, order))
    assert row["remark"] == row["product"] == f"'{text}"


async def test_the_head_is_chinese_unless_asked_otherwise(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    answer = await client.get("/api/merchant/orders/export", headers=await _staff(runtime, order))
    assert answer.content.decode("utf-8-sig").startswith("订单号,店铺,状态,")


async def test_an_export_goes_page_by_page_and_filters(
    runtime: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    shop = new_id()
    placed = [
        await place_order(runtime, merchant_id=shop, status=status, lines=[(1, 100)])
        for status in ("paid", "closed", "paid", "shipped", "paid")
    ]
    staff = await _staff(runtime, placed[0])
    numbers = [order.number for order in reversed(placed)]
    rows = await _table(client, "/api/merchant/orders/export", staff)
    assert [row["order number"] for row in rows] == numbers
    rows = await _table(client, "/api/merchant/orders/export", staff, status="paid,closed")
    assert [row["order number"] for row in rows] == [n for n in numbers if n != placed[3].number]
    rows = await _table(client, "/api/merchant/orders/export", staff, q=placed[1].number)
    assert [row["order number"] for row in rows] == [placed[1].number]


async def test_the_codes_of_skus_are_told(market: Market) -> None:
    shop = await market.merchant()
    article = await market.product(shop, code="=TEA")
    assert (await (await market.buyer()).checkout((article.ref, 1))).status_code == 201
    staff = await market.staff(shop)
    [row] = await _table(market.client, "/api/merchant/orders/export", staff.headers)
    assert row["SKU code"] == "'=TEA"


async def test_too_much_at_once_is_refused_with_what_to_do(
    runtime: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await place_order(runtime)
    await place_order(runtime, merchant_id=order.merchant_id)
    staff = await _staff(runtime, order)
    now = runtime.clock()
    long = {"from": (now - timedelta(days=94)).isoformat(), "to": now.isoformat()}
    answer = await client.get("/api/merchant/orders/export", params=long, headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (422, "span_too_long")
    monkeypatch.setattr(export, "MAX_ORDERS", 1)
    answer = await client.get("/api/merchant/orders/export", headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (422, "export_too_large")
    assert (await client.get("/api/merchant/orders/export?status=closed", headers=staff)).status_code == 200


async def test_who_exports_needs_the_permission_and_is_noted(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    marketing = await _staff(runtime, order, "marketing")
    assert (await client.get("/api/merchant/orders/export", headers=marketing)).status_code == 403
    staff = await _staff(runtime, order)
    await _table(client, "/api/merchant/orders/export", staff, status="paid")
    market = await bearer(runtime, Audience.PLATFORM, merchant_id=scopes.MARKET_ID, roles=("admin",))
    await _table(client, "/api/platform/orders/export", market, merchant_id=ref(order.merchant_id))
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select merchant_id, action, detail::text from audit order by id")
    assert [(row["merchant_id"], row["action"]) for row in rows] == [
        (order.merchant_id, "GET export_orders"),
        (scopes.MARKET_ID, "GET export_orders"),
    ]
    detail = msgspec.json.decode(rows[0]["detail"])
    assert (detail["orders"], detail["asked"]["status"]) == (1, "paid")


async def test_another_shops_orders_are_never_in_it(runtime: Any, client: Any) -> None:
    order = await place_order(runtime)
    other = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    assert await _table(client, "/api/merchant/orders/export", other) == []
    assert await _table(client, "/api/merchant/orders/export", other, q=order.number) == []
