"""Tables of the calendar. Plugins keep their own details of an activity, keyed by its id."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from core.db.base import Owner, access, at, flag, one_of, text, uuid
from core.db.registry import METADATA

campaign = sa.Table(
    "campaign",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    text("name"),
    at("starts_at", nullable=False),
    at("ends_at", nullable=False),
    at("created_at", nullable=False),
    uuid("created_by", nullable=True),
    sa.CheckConstraint("ends_at > starts_at", name="period"),
    info=access(Owner.MERCHANT, platform_write=True),
)

# The market's own are of the market's id. `stopped_at`: ended before its time.
activity = sa.Table(
    "activity",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    text("plugin"),
    text("kind"),
    text("name"),
    uuid("campaign_id", nullable=True),
    flag("exclusive"),
    text("status", server_default="scheduled"),
    at("starts_at", nullable=False),
    at("ends_at", nullable=False),
    at("stopped_at"),
    at("created_at", nullable=False),
    uuid("created_by", nullable=True),
    one_of("status", "scheduled", "stopped"),
    sa.CheckConstraint("ends_at > starts_at", name="period"),
    sa.CheckConstraint("(status = 'stopped') = (stopped_at is not null)", name="stopped"),
    sa.Index("ix_activity_period", "merchant_id", "starts_at", "id"),
    sa.Index("ix_activity_id", "id"),
    info=access(Owner.MERCHANT, platform_write=True),
)

# One row a SKU that an activity is about, of whichever merchant; its name stands here too, for a shop sees no row of the
# market's. `mark` is the SKU's id
# as a number in a range of one, for PostgreSQL can exclude overlaps of ranges without any extension.
activity_sku = sa.Table(
    "activity_sku",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("activity_id", primary_key=True),
    uuid("sku_id", primary_key=True),
    uuid("product_id"),
    uuid("owner_id"),
    text("plugin"),
    text("name"),
    flag("exclusive"),
    sa.Column("mark", pg.NUMRANGE(), nullable=False),
    sa.Column("during", pg.TSTZRANGE(), nullable=False),
    pg.ExcludeConstraint(
        ("mark", "&&"),
        ("during", "&&"),
        using="gist",
        where=sa.text("exclusive"),
        name="ex_activity_sku_one_at_a_time",
    ),
    sa.Index("ix_activity_sku_activity", "activity_id"),
    sa.Index("ix_activity_sku_sku", "merchant_id", "sku_id"),
    info=access(Owner.MERCHANT),
)
