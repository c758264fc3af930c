"""Tables of fulfilment. Warehouses and methods split parcels, never orders."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, number, one_of, secret, text, uuid
from core.db.registry import METADATA

# One of kind pickup or service is `ready` until its code is redeemed, or `voided` when a refund took what was in it;
# the others are `shipped`. `changes` counts how often its waybill was changed; `aftersale_id` is the exchange that it
# replaces goods for.
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
    text("place", server_default=""),
    secret("code"),
    secret("code_index"),
    number("changes", server_default="0"),
    uuid("aftersale_id", nullable=True),
    uuid("redeemed_by", nullable=True),
    at("shipped_at", nullable=False),
    at("delivered_at"),
    sa.ForeignKeyConstraint(["merchant_id", "order_id"], ["orders.merchant_id", "orders.id"]),
    one_of("kind", "express", "pickup", "service", "instant"),
    one_of("status", "ready", "shipped", "delivered", "voided"),
    sa.CheckConstraint("(code is null) = (code_index is null)", name="code"),
    sa.Index("ix_parcel_order", "merchant_id", "order_id"),
    sa.Index(
        "uq_parcel_code",
        "merchant_id",
        "code_index",
        unique=True,
        postgresql_where=sa.text("code_index is not null"),
    ),
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

# Which place ships which line: guessed at placement (`provisional`), settled when the shop accepts or replaces goods
# (`final`). Lines of no row ship from the shop itself.
parcel_plan = sa.Table(
    "parcel_plan",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("account_id"),
    uuid("line_id"),
    number("quantity"),
    text("plugin"),
    text("place"),
    text("stage"),
    uuid("aftersale_id", nullable=True),
    at("created_at", nullable=False),
    sa.ForeignKeyConstraint(["merchant_id", "order_id"], ["orders.merchant_id", "orders.id"]),
    one_of("stage", "provisional", "final"),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.Index("ix_parcel_plan_order", "merchant_id", "order_id"),
    info=access(Owner.MERCHANT),
)
