"""Tables of coupons: templates belong to their issuer (the market is a merchant), claimed coupons to the
buyer."""

import sqlalchemy as sa

from core.api import Owner, access, at, json, metadata, number, one_of, text, uuid, uuids

METADATA = metadata()

# `terms` (rules.Terms) never change; `used` and `orders_brought` count paid orders.
template = sa.Table(
    "coupons_template",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    json("terms", nullable=False),
    text("status", server_default="open"),
    text("claim"),
    number("total"),
    number("per_account"),
    at("valid_from"),
    at("valid_to"),
    number("valid_days", nullable=True),
    number("claimed", server_default="0"),
    number("used", server_default="0"),
    number("orders_brought", server_default="0"),
    at("created_at", nullable=False),
    one_of("status", "open", "closed"),
    sa.CheckConstraint("claimed >= 0 and claimed <= total", name="claimed"),
    sa.CheckConstraint("per_account > 0", name="per_account"),
    sa.CheckConstraint("valid_to is not null or valid_days > 0", name="validity"),
    sa.Index("ix_coupons_template_open", "id", postgresql_where=sa.text("status = 'open'")),
    info=access(Owner.MERCHANT, public_read=True),
)

# `terms` are those of the template when it was claimed; `ordinal` counts the account's coupons of one
# template.
coupon = sa.Table(
    "coupons_coupon",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("merchant_id"),
    uuid("template_id"),
    number("ordinal"),
    json("terms", nullable=False),
    text("status", server_default="unused"),
    at("valid_from", nullable=False),
    at("expires_at", nullable=False),
    at("claimed_at", nullable=False),
    uuid("used_trade_id", nullable=True),
    uuids("used_order_ids"),
    at("used_at"),
    at("paid_at"),
    one_of("status", "unused", "used"),
    sa.CheckConstraint("(status = 'used') = (used_trade_id is not null)", name="used"),
    sa.UniqueConstraint("account_id", "merchant_id", "template_id", "ordinal"),
    info=access(Owner.BUYER),
)
