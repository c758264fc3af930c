"""The JSON inside an order's record, typed, and how a record becomes what clients see."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from core.kit.crypto import Vault
from core.kit.ids import ref
from core.orders import address as addresses
from core.orders import codes
from core.orders.schemas import (
    DiscountOut,
    HoldOut,
    LineOut,
    MerchantName,
    OrderOut,
    ParcelEventOut,
    ParcelLineOut,
    ParcelOut,
    ShippingOut,
    TradeOut,
)
from core.types.pricing import Bearer
from core.types.scope import Audience


class LineRow(msgspec.Struct):
    """An `order_line`."""

    id: UUID
    kind: str
    sku_id: UUID
    product_id: UUID
    parent_id: UUID | None
    title: str
    specs: list[str]
    image_url: str | None
    quantity: int
    unit_price: int
    amount: int
    payable: int
    shipped_quantity: int
    refunded_quantity: int
    cancelled_quantity: int


class DiscountRow(msgspec.Struct):
    """An `order_discount`."""

    line_id: UUID | None
    plugin: str
    kind: str
    label: str
    activity_id: UUID | None
    amount: int
    bearer_market: int
    bearer_merchant: int


class ParcelLineRow(msgspec.Struct):
    """A `parcel_line`."""

    line_id: UUID
    quantity: int


class ParcelRow(msgspec.Struct):
    """A `parcel` with its lines and events."""

    id: UUID
    kind: str
    carrier: str
    waybill_no: str
    status: str
    shipped_at: datetime
    delivered_at: datetime | None
    place: str
    aftersale_id: UUID | None
    code: bytes | None
    lines: list[ParcelLineRow]
    events: list[ParcelEventOut]


_lines = msgspec.json.Decoder(list[LineRow])
_discounts = msgspec.json.Decoder(list[DiscountRow])
_parcels = msgspec.json.Decoder(list[ParcelRow])
_holds = msgspec.json.Decoder(list[HoldOut])
_shipping = msgspec.json.Decoder(ShippingOut)


def order_out(vault: Vault, row: asyncpg.Record, audience: Audience) -> OrderOut:
    """One order's record as `audience` may see it."""
    merchant_id, order_id = row["merchant_id"], row["id"]
    staff = audience is not Audience.SHOP
    place = None
    if row["address"] is not None:
        place = addresses.shown(addresses.unseal(vault, order_id, row["address"]), audience, row["status"])
    return OrderOut(
        id=ref(merchant_id, order_id),
        number=row["number"],
        trade_id=ref(row["trade_id"]),
        merchant=MerchantName(ref(merchant_id), row["merchant_name"]),
        status=row["status"],
        holds=_holds.decode(row["holds"]),
        goods_amount=row["goods_amount"],
        discount_amount=row["discount_amount"],
        shipping_amount=row["shipping_amount"],
        payable=row["payable"],
        refunded_amount=row["refunded_amount"],
        market_borne=row["market_borne"] if staff else UNSET,
        commission=row["commission"] if staff else UNSET,
        lines=[_line(merchant_id, line) for line in _lines.decode(row["lines"])],
        discounts=[_discount(merchant_id, d) for d in _discounts.decode(row["discounts"])],
        parcels=[_parcel(vault, merchant_id, p, audience) for p in _parcels.decode(row["parcels"])],
        shipping=_shipping.decode(row["shipping_json"]),
        remark=row["remark"],
        address=place,
        created_at=row["created_at"],
        paid_at=row["paid_at"],
        accepted_at=row["accepted_at"],
        shipped_at=row["shipped_at"],
        completed_at=row["completed_at"],
        closed_at=row["closed_at"],
        released_at=row["released_at"] if staff else UNSET,
    )


def trades_out(vault: Vault, rows: Iterable[asyncpg.Record], audience: Audience) -> list[TradeOut]:
    """Trades from rows of one order each, in the order in which the trades come."""
    trades: dict[UUID, TradeOut] = {}
    for row in rows:
        trade = trades.get(row["t_id"])
        if trade is None:
            trade = trades[row["t_id"]] = _trade(row)
        if row["id"] is not None:
            trade.orders.append(order_out(vault, row, audience))
    return list(trades.values())


def _trade(row: asyncpg.Record) -> TradeOut:
    return TradeOut(
        id=ref(row["t_id"]),
        number=row["t_number"],
        status=row["t_status"],
        goods_amount=row["t_goods_amount"],
        discount_amount=row["t_discount_amount"],
        shipping_amount=row["t_shipping_amount"],
        payable=row["t_payable"],
        created_at=row["t_created_at"],
        paid_at=row["t_paid_at"],
        expires_at=row["t_expires_at"],
        closed_at=row["t_closed_at"],
        orders=[],
    )


def _line(merchant_id: UUID, row: LineRow) -> LineOut:
    return LineOut(
        id=ref(merchant_id, row.id),
        kind=row.kind,
        sku_id=ref(merchant_id, row.sku_id),
        product_id=ref(merchant_id, row.product_id),
        title=row.title,
        specs=row.specs,
        image_url=row.image_url,
        quantity=row.quantity,
        unit_price=row.unit_price,
        amount=row.amount,
        payable=row.payable,
        shipped_quantity=row.shipped_quantity,
        refunded_quantity=row.refunded_quantity,
        parent_id=ref(merchant_id, row.parent_id) if row.parent_id else None,
        cancelled_quantity=row.cancelled_quantity,
    )


def _discount(merchant_id: UUID, row: DiscountRow) -> DiscountOut:
    return DiscountOut(
        line_id=ref(merchant_id, row.line_id) if row.line_id else None,
        plugin=row.plugin,
        kind=row.kind,
        label=row.label,
        amount=row.amount,
        bearer=Bearer(row.bearer_market, row.bearer_merchant),
        activity_id=ref(row.activity_id) if row.activity_id else None,
    )


def _parcel(vault: Vault, merchant_id: UUID, row: ParcelRow, audience: Audience) -> ParcelOut:
    buyer = audience is Audience.SHOP
    return ParcelOut(
        id=ref(merchant_id, row.id),
        kind=row.kind,
        carrier=row.carrier,
        waybill_no=row.waybill_no,
        status=row.status,
        shipped_at=row.shipped_at,
        delivered_at=row.delivered_at,
        lines=[ParcelLineOut(ref(merchant_id, line.line_id), line.quantity) for line in row.lines],
        events=row.events,
        aftersale_id=ref(merchant_id, row.aftersale_id) if row.aftersale_id else None,
        code=codes.unseal(vault, row.id, row.code)
        if buyer and row.code and row.status != "voided"
        else UNSET,
        place=UNSET if buyer else row.place,
    )
