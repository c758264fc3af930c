"""Orders as a table for spreadsheet programs: CSV, one row for each line of an order, sent page by page as it is read.

Each page is a transaction of its own, so neither memory nor the database minds how many there are; orders placed meanwhile
are not in it. Amounts of the whole order stand in its first row only, so that columns can be summed up.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec

from core.db.tx import Tx, TxFactory
from core.kit.errors import FieldError, Invalid
from core.kit.money import format_yuan
from core.orders import repository
from core.orders.finding import OrderFilter
from core.orders.rows import order_out
from core.orders.schemas import LineOut, OrderOut
from core.pricing.text import Language
from core.types.scope import Audience, Scope

MAX_ORDERS = 100_000
MAX_SPAN = timedelta(days=93)
USUAL_SPAN = timedelta(days=31)
PAGE = 200

# What a spreadsheet program would take for a formula when it opens the file.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# China has had one time, without summer time, for as long as there are orders.
_CHINA = timezone(timedelta(hours=8))

# Name in English and Chinese of each column.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("order number", "订单号"),
    ("shop", "店铺"),
    ("status", "状态"),
    ("placed (UTC+8)", "下单时间"),
    ("paid (UTC+8)", "付款时间"),
    ("shipped (UTC+8)", "发货时间"),
    ("completed (UTC+8)", "完成时间"),
    ("held because", "暂停原因"),
    ("kind", "类型"),
    ("product", "商品"),
    ("specs", "规格"),
    ("SKU code", "商品编码"),
    ("quantity", "数量"),
    ("shipped quantity", "已发数量"),
    ("refunded quantity", "已退数量"),
    ("unit price (yuan)", "单价（元）"),
    ("line payable (yuan)", "行实付（元）"),
    ("goods (yuan)", "商品总额（元）"),
    ("discount (yuan)", "优惠（元）"),
    ("freight (yuan)", "运费（元）"),
    ("payable (yuan)", "实付（元）"),
    ("refunded (yuan)", "已退款（元）"),
    ("shipping", "配送方式"),
    ("recipient", "收货人"),
    ("phone", "电话"),
    ("province", "省"),
    ("city", "市"),
    ("district", "区"),
    ("street", "详细地址"),
    ("remark", "备注"),
    ("waybills", "运单"),
)


async def checked(tx: Tx, which: OrderFilter) -> tuple[OrderFilter, int]:
    """The filter with a period, by default the last 31 days, and how many orders it finds. Raises `Invalid`: `span_too_long`
    for more than 93 days, `export_too_large` for more than 100,000 orders."""
    end = which.placed_to or tx.now
    start = which.placed_from or end - USUAL_SPAN
    if end - start > MAX_SPAN:
        raise Invalid(
            f"An export spans at most {MAX_SPAN.days} days; make several.",
            FieldError("from", "span_too_long", f"Use a time at most {MAX_SPAN.days} days before to."),
            code="span_too_long",
        )
    bounded = msgspec.structs.replace(which, placed_from=start, placed_to=which.placed_to)
    found = await repository.count(tx, bounded, MAX_ORDERS + 1)
    if found > MAX_ORDERS:
        raise Invalid(
            f"There are more than {MAX_ORDERS:,} orders in it; shorten the period or name a status.",
            FieldError("from", "export_too_large", "Use a later time."),
            code="export_too_large",
        )
    return bounded, found


async def table(
    new_tx: TxFactory, scope: Scope, which: OrderFilter, audience: Audience, language: Language
) -> AsyncIterator[bytes]:
    """The file in parts. Addresses are masked as in the view of each order."""
    yield "\ufeff".encode() + _csv([[zh if language == "zh" else en for en, zh in COLUMNS]])
    while True:
        async with new_tx(scope) as tx:
            page = await repository.orders(tx, which, PAGE)
            codes = await _codes(tx, page)
            vault = tx.env.vault
        if not page:
            return
        orders = [order_out(vault, row, audience) for row in page]
        yield _csv(row for order in orders for row in rows_of(order, codes))
        if len(page) < PAGE:
            return
        which = msgspec.structs.replace(which, before=page[-1]["id"])


def rows_of(order: OrderOut, codes: dict[str, str]) -> Iterable[list[str]]:
    """The rows of one order; `codes` are the SKUs' codes by id."""
    for place, line in enumerate(order.lines):
        yield [*_head(order), *_goods(line, codes), *_amounts(order, first=place == 0), *_delivery(order)]


def cell(text: str) -> str:
    """The text of a cell, with an apostrophe before what would be a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _head(order: OrderOut) -> list[str]:
    times = (order.created_at, order.paid_at, order.shipped_at, order.completed_at)
    reasons = "; ".join(hold.reason for hold in order.holds)
    return [order.number, order.merchant.name, order.status, *[_time(at) for at in times], reasons]


def _goods(line: LineOut, codes: dict[str, str]) -> list[str]:
    counts = (line.quantity, line.shipped_quantity, line.refunded_quantity)
    return [
        line.kind,
        line.title,
        " ".join(line.specs),
        codes.get(line.sku_id, ""),
        *[str(count) for count in counts],
        format_yuan(line.unit_price),
        format_yuan(line.payable),
    ]


def _amounts(order: OrderOut, *, first: bool) -> list[str]:
    amounts = (
        order.goods_amount,
        order.discount_amount,
        order.shipping_amount,
        order.payable,
        order.refunded_amount,
    )
    return [format_yuan(amount) if first else "" for amount in amounts]


def _delivery(order: OrderOut) -> list[str]:
    to = order.address
    place = (
        [to.recipient, to.phone, to.province, to.city, to.district, to.street] if to is not None else [""] * 6
    )
    waybills = "; ".join(f"{p.carrier} {p.waybill_no}".strip() for p in order.parcels if p.waybill_no)
    return [order.shipping.name, *place, order.remark, waybills]


def _time(at: datetime | None) -> str:
    return at.astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


async def _codes(tx: Tx, page: Sequence[Any]) -> dict[str, str]:
    lines = msgspec.json.decode(
        f"[{','.join(row['lines'] for row in page)}]", type=list[list[_Sku]], strict=False
    )
    keys = {
        (row["merchant_id"], line.sku_id) for row, found in zip(page, lines, strict=True) for line in found
    }
    return await repository.sku_codes(tx, sorted(keys)) if keys else {}


class _Sku(msgspec.Struct):
    sku_id: UUID


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([cell(text) for text in row] for row in rows)
    return out.getvalue().encode()
