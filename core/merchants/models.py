"""Tables of merchants."""

import sqlalchemy as sa

from core.db.base import Owner, PgPoint, access, at, json, number, one_of, text, texts, uuid
from core.db.policies import setting
from core.db.registry import METADATA

merchant = sa.Table(
    "merchant",
    METADATA,
    uuid("id", primary_key=True),
    text("slug", unique=True),
    text("name"),
    text("status", server_default="applied"),
    sa.Column("location", PgPoint(), nullable=True),
    text("about", server_default=""),
    json("licence", nullable=False, server_default="{}"),
    text("image_url", nullable=True),
    number("rating_bp", nullable=True),
    texts("grams"),
    at("created_at", nullable=False),
    at("opened_at"),
    at("suspended_at"),
    text("suspended_reason", nullable=True),
    one_of("status", "applied", "open", "suspended", "terminated"),
    sa.CheckConstraint("slug ~ '^[a-z0-9-]{3,40}$'", name="slug"),
    sa.Index("ix_merchant_grams", "grams", postgresql_using="gin"),
    sa.Index("ix_merchant_location", "location", postgresql_using="gist"),
    info=access(Owner.MARKET, public_read=True, platform_write=True, own=f"id = {setting('merchant_id')}"),
)
