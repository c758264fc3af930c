"""Tables of the cart."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, fen, flag, json, number, uuid
from core.db.registry import METADATA

cart_line = sa.Table(
    "cart_line",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("merchant_id", primary_key=True),
    uuid("sku_id", primary_key=True),
    number("quantity"),
    flag("selected", default=True),
    fen("price_seen"),
    json("source"),
    at("added_at", nullable=False),
    sa.CheckConstraint("quantity > 0 and quantity <= 9999", name="quantity"),
    info=access(Owner.BUYER),
)
