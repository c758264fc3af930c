"""Tables of promotions: a promotion belongs to who runs it (the market is a merchant), what is used of it to the buyer."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from core.api import Owner, access, at, fen, json, metadata, number, one_of, text, uuid, uuids

METADATA = metadata()

# `id` is the activity's in the calendar, which a draft is not in yet. `terms` (terms.Terms) change before the start only.
# `owners` and `skus`, pairs by place, are the SKUs of items and what makes them found by badges. `claimed` counts against
# `total` of the terms, and only with it. `mark` is the owner's id as a number in a range of one: PostgreSQL excludes
# overlaps of ranges without any extension, so a shop has one full reduction at a time.
promotion = sa.Table(
    "promotions_promotion",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    text("kind"),
    json("terms", nullable=False),
    text("status", server_default="draft"),
    at("starts_at", nullable=False),
    at("ends_at", nullable=False),
    at("stopped_at"),
    text("stop_reason", server_default=""),
    uuid("campaign_id", nullable=True),
    uuids("owners"),
    uuids("skus"),
    number("per_account", nullable=True),
    number("total", nullable=True),
    number("claimed", server_default="0"),
    sa.Column("mark", pg.NUMRANGE(), nullable=False),
    sa.Column("during", pg.TSTZRANGE(), nullable=False),
    at("created_at", nullable=False),
    uuid("created_by", nullable=True),
    one_of("kind", "limited", "nth", "bundle", "gift", "reduction", "free_shipping"),
    one_of("status", "draft", "scheduled", "stopped"),
    sa.CheckConstraint("ends_at > starts_at", name="period"),
    sa.CheckConstraint("(status = 'stopped') = (stopped_at is not null)", name="stopped"),
    sa.CheckConstraint("claimed >= 0 and (total is null or claimed <= total)", name="claimed"),
    sa.CheckConstraint("cardinality(owners) = cardinality(skus)", name="skus"),
    pg.ExcludeConstraint(
        ("mark", "&&"),
        ("during", "&&"),
        using="gist",
        where=sa.text("kind = 'reduction' and status = 'scheduled'"),
        name="ex_promotions_promotion_one_reduction",
    ),
    sa.Index(
        "ix_promotions_promotion_running",
        "merchant_id",
        "ends_at",
        postgresql_where=sa.text("status = 'scheduled'"),
    ),
    info=access(Owner.MERCHANT, public_read=True),
)

# What an account has used of a promotion that bounds it per account.
account = sa.Table(
    "promotions_account",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("promotion_id", primary_key=True),
    uuid("merchant_id"),
    number("used", server_default="0"),
    sa.CheckConstraint("used >= 0", name="used"),
    info=access(Owner.BUYER),
)

# What an order used: `units` of the limits; the orders of one trade have them together when `shared`, as a promotion counts
# once a trade. `given` (gifts.Given): gifts, and the goods that earned them as they were reckoned; `deducted` is what
# refunds kept back for gifts so far.
use = sa.Table(
    "promotions_use",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("promotion_id", primary_key=True),
    uuid("order_id", primary_key=True),
    uuid("merchant_id"),
    uuid("trade_id"),
    number("units"),
    sa.Column("shared", sa.Boolean(), nullable=False),
    text("status", server_default="open"),
    json("given"),
    fen("deducted", server_default="0"),
    at("at", nullable=False),
    one_of("status", "open", "closed", "refunded"),
    sa.CheckConstraint("units >= 0 and deducted >= 0", name="units"),
    sa.Index("ix_promotions_use_trade", "account_id", "trade_id"),
    sa.Index("ix_promotions_use_promotion", "promotion_id", postgresql_where=sa.text("status = 'open'")),
    info=access(Owner.BUYER),
)
