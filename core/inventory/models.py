"""Tables of inventory. What is available is public; `on_hand - reserved`."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, number, text, uuid
from core.db.registry import METADATA

stock = sa.Table(
    "stock",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("sku_id", primary_key=True),
    number("on_hand", server_default="0"),
    number("reserved", server_default="0"),
    sa.CheckConstraint("on_hand >= 0", name="on_hand"),
    sa.CheckConstraint("reserved >= 0 and reserved <= on_hand", name="reserved"),
    info=access(Owner.MERCHANT, public_read=True),
)

stock_move = sa.Table(
    "stock_move",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("sku_id"),
    number("on_hand_delta"),
    number("reserved_delta"),
    text("reason"),
    uuid("reference", nullable=True),
    uuid("account_id", nullable=True),
    at("at", nullable=False),
    sa.Index("ix_stock_move_sku", "merchant_id", "sku_id", "id"),
    info=access(Owner.MERCHANT, append_only=True),
)
