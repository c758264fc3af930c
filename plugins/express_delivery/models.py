"""Tables of express delivery."""

import sqlalchemy as sa

from core.api import Owner, access, fen, metadata, uuid

METADATA = metadata()

express_delivery_shop = sa.Table(
    "express_delivery_shop",
    METADATA,
    uuid("merchant_id", primary_key=True),
    fen("fee"),
    fen("free_from", nullable=True),
    sa.CheckConstraint("fee >= 0", name="fee"),
    sa.CheckConstraint("free_from >= 0", name="free_from"),
    info=access(Owner.MERCHANT, public_read=True),
)
