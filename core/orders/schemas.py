"""Trades and orders as clients see them. Amounts in fen, ids opaque, times in UTC."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from core.orders.address import Address
from core.types.pricing import Bearer


class MerchantName(msgspec.Struct, frozen=True):
    """Whose order it is; the name as it was at placement."""

    id: str
    name: str


class HoldOut(msgspec.Struct, frozen=True):
    """Why an order must not go on: the plugin that holds it, its reason, until when if that is known."""

    plugin: str
    reason: str
    until: datetime | None = None


class LineOut(msgspec.Struct, frozen=True):
    """One line. `payable` is after all goods discounts; `parent_id` is the line that a gift came with.

    Of the refunded units, `cancelled_quantity` never left: `quantity - shipped_quantity - cancelled_quantity` are still to
    be shipped.
    """

    id: str
    kind: str
    sku_id: str
    product_id: str
    title: str
    specs: list[str]
    image_url: str | None
    quantity: int
    unit_price: int
    amount: int
    payable: int
    shipped_quantity: int
    refunded_quantity: int
    parent_id: str | None = None
    cancelled_quantity: int = 0


class DiscountOut(msgspec.Struct, frozen=True):
    """One discount as it was spread: on a line, or on shipping when `line_id` is null."""

    line_id: str | None
    plugin: str
    kind: str
    label: str
    amount: int
    bearer: Bearer
    activity_id: str | None = None


class ParcelLineOut(msgspec.Struct, frozen=True):
    """How many units of a line are in a parcel."""

    line_id: str
    quantity: int


class ParcelEventOut(msgspec.Struct, frozen=True):
    """A step of a parcel's way."""

    at: datetime
    status: str
    text: str


class ParcelOut(msgspec.Struct, frozen=True):
    """What left the merchant together.

    `kind`: express, pickup, service or instant; `status`: shipped or delivered. One of kind pickup or service is `ready`
    until its code is redeemed, or `voided` once all of it is refunded; its `code` is shown to the buyer only. `aftersale_id`
    is the exchange that it replaces goods for; `place`, shown to staff, is where it left from.
    """

    id: str
    kind: str
    carrier: str
    waybill_no: str
    status: str
    shipped_at: datetime
    delivered_at: datetime | None
    lines: list[ParcelLineOut]
    events: list[ParcelEventOut]
    aftersale_id: str | None = None
    code: str | UnsetType = UNSET
    place: str | UnsetType = UNSET


class ShippingOut(msgspec.Struct, frozen=True):
    """The way to ship that the buyer chose; empty strings when nothing is shipped."""

    key: str = ""
    kind: str = ""
    name: str = ""


class OrderOut(msgspec.Struct, frozen=True, kw_only=True):
    """One merchant's part of a trade.

    `market_borne` (discounts the market pays for), `commission` and `released_at` are not shown to buyers;
    `address` is masked by audience.
    """

    id: str
    number: str
    trade_id: str
    merchant: MerchantName
    status: str
    holds: list[HoldOut]
    goods_amount: int
    discount_amount: int
    shipping_amount: int
    payable: int
    refunded_amount: int
    market_borne: int | UnsetType = UNSET
    commission: int | UnsetType = UNSET
    lines: list[LineOut]
    discounts: list[DiscountOut]
    parcels: list[ParcelOut]
    shipping: ShippingOut
    remark: str
    address: Address | None
    created_at: datetime
    paid_at: datetime | None
    accepted_at: datetime | None
    shipped_at: datetime | None
    completed_at: datetime | None
    closed_at: datetime | None
    released_at: datetime | UnsetType | None = UNSET


class OrderCounts(msgspec.Struct, frozen=True):
    """How many orders there are in each status, on hold, and with an open after-sales case. Nothing is counted beyond
    `cap`: a number that equals it means as many or more."""

    unpaid: int
    paid: int
    accepted: int
    shipped: int
    completed: int
    closed: int
    held: int
    in_case: int
    cap: int


class TradeOut(msgspec.Struct, frozen=True, kw_only=True):
    """One purchase with one payment; `expires_at` is when it closes if it stays unpaid."""

    id: str
    number: str
    status: str
    goods_amount: int
    discount_amount: int
    shipping_amount: int
    payable: int
    created_at: datetime
    paid_at: datetime | None
    expires_at: datetime
    closed_at: datetime | None
    orders: list[OrderOut]
