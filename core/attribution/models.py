"""Tables of visits. No account stands here, only its pseudonym."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, json, text, uuid
from core.db.registry import METADATA

visit = sa.Table(
    "visit",
    METADATA,
    uuid("id", primary_key=True),
    uuid("pseudonym"),
    text("kind"),
    text("reference", server_default=""),
    text("page", server_default=""),
    uuid("merchant_id", nullable=True),
    uuid("product_id", nullable=True),
    at("at", nullable=False),
    sa.Index("ix_visit_merchant", "merchant_id", "id"),
    sa.Index("ix_visit_pseudonym", "pseudonym", "id"),
    info=access(Owner.MARKET, insert_any=True),
)

# `first` is kept for good, `last` moves; a visit without a source of its own (direct) moves neither.
touch = sa.Table(
    "touch",
    METADATA,
    uuid("pseudonym", primary_key=True),
    json("first", nullable=False),
    json("last", nullable=False),
    at("first_at", nullable=False),
    at("last_at", nullable=False),
    info=access(Owner.MARKET),
)
