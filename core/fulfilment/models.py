"""Tables of fulfilment. Warehouses and methods split parcels, never orders."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, number, one_of, text, uuid
from core.db.registry import METADATA

parcel = sa.Table(
    "parcel",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("account_id"),
    text("kind", server_default="express"),
    text("carrier", server_default=""),
    text("waybill_no", server_default=""),
    text("status", server_default="shipped"),
    at("shipped_at", nullable=False),
    at("delivered_at"),
    sa.ForeignKeyConstraint(["merchant_id", "order_id"], ["orders.merchant_id", "orders.id"]),
    one_of("kind", "express", "pickup", "service", "instant"),
    one_of("status", "shipped", "delivered"),
    sa.Index("ix_parcel_order", "merchant_id", "order_id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

_PARCEL = (["merchant_id", "parcel_id"], ["parcel.merchant_id", "parcel.id"])

parcel_line = sa.Table(
    "parcel_line",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("parcel_id", primary_key=True),
    uuid("line_id", primary_key=True),
    uuid("account_id"),
    number("quantity"),
    sa.ForeignKeyConstraint(*_PARCEL),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

parcel_event = sa.Table(
    "parcel_event",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("parcel_id"),
    uuid("account_id"),
    at("at", nullable=False),
    text("status"),
    text("text"),
    sa.ForeignKeyConstraint(*_PARCEL),
    sa.Index("ix_parcel_event_parcel", "merchant_id", "parcel_id"),
    info=access(Owner.MERCHANT, buyer_read=True, append_only=True),
)
