"""Tables of coupons: templates belong to their issuer (the market is a merchant), claimed coupons to the
buyer."""

import sqlalchemy as sa

from core.api import Owner, access, at, fen, json, metadata, number, one_of, text, uuid, uuids

METADATA = metadata()

# Of `terms` (rules.Terms) only the name may change. `claim_from` and `claim_to` bound the claiming, `valid_...` the using of
# what was claimed. `gift` (schemas.Gift): which orders bring one. `closed` hands out no more; `void` voided the unused ones
# too, and what comes back from an order later. `used`, `orders_brought` and the costs count paid orders.
template = sa.Table(
    "coupons_template",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    json("terms", nullable=False),
    text("status", server_default="open"),
    text("claim"),
    json("gift"),
    number("total"),
    number("per_account"),
    at("claim_from"),
    at("claim_to"),
    at("valid_from"),
    at("valid_to"),
    number("valid_days", nullable=True),
    number("delay_days", server_default="0"),
    number("claimed", server_default="0"),
    number("used", server_default="0"),
    number("orders_brought", server_default="0"),
    number("expired", server_default="0"),
    number("voided", server_default="0"),
    fen("cost_market", server_default="0"),
    fen("cost_merchant", server_default="0"),
    at("created_at", nullable=False),
    one_of("status", "open", "closed", "void"),
    sa.CheckConstraint("claimed >= 0 and claimed <= total", name="claimed"),
    sa.CheckConstraint("per_account > 0", name="per_account"),
    sa.CheckConstraint("valid_to is not null or valid_days > 0", name="validity"),
    sa.CheckConstraint("delay_days >= 0", name="delay"),
    sa.CheckConstraint("cost_market >= 0 and cost_merchant >= 0", name="cost"),
    one_of("claim", "open", "new_account", "targeted", "gift", "code"),
    sa.Index("ix_coupons_template_open", "id", postgresql_where=sa.text("status = 'open'")),
    sa.Index(
        "ix_coupons_template_gift",
        "merchant_id",
        postgresql_where=sa.text("status = 'open' and gift is not null"),
    ),
    info=access(Owner.MERCHANT, public_read=True),
)

# `terms` are those of the template when it was claimed; `ordinal` counts the account's coupons of one template. `origin` is
# how it came to the account, `cause` for what (a code, an order, a grant): the same cause gives the same coupon but once.
# `expired` and `void` are final; `reminded_at`: the buyer was told that it ends soon. `deducted_at`: the order that had
# brought it went back, and the worth of this used coupon was kept back then. The buyer has paid for it, so it is theirs.
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
    text("origin", server_default="open"),
    text("cause", nullable=True),
    uuid("used_trade_id", nullable=True),
    at("used_at"),
    at("reminded_at"),
    at("voided_at"),
    text("void_reason", nullable=True),
    at("deducted_at"),
    one_of("status", "unused", "used", "expired", "void"),
    one_of("origin", "open", "new_account", "targeted", "gift", "code"),
    sa.CheckConstraint("(status = 'used') = (used_trade_id is not null)", name="used"),
    sa.UniqueConstraint("account_id", "merchant_id", "template_id", "ordinal"),
    sa.Index("ix_coupons_coupon_cause", "account_id", "cause", postgresql_where=sa.text("cause is not null")),
    sa.Index(
        "ix_coupons_coupon_trade", "used_trade_id", postgresql_where=sa.text("used_trade_id is not null")
    ),
    sa.Index("ix_coupons_coupon_ends", "expires_at", postgresql_where=sa.text("status = 'unused'")),
    sa.Index(
        "ix_coupons_coupon_remind",
        "expires_at",
        postgresql_where=sa.text("status = 'unused' and reminded_at is null"),
    ),
    sa.Index("ix_coupons_coupon_template", "merchant_id", "template_id", "id"),
    info=access(Owner.BUYER),
)

# One row for each order that a used coupon touched, with what it took off there, by bearer; `back_...` is what the refunds
# `refund_ids` took back of it. The coupon returns to its buyer when none of its rows is `open` or `paid` any more.
# `counted_...` is what of this row its template's statistics hold: orders brought, coupons used, cost.
use = sa.Table(
    "coupons_use",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("coupon_id", primary_key=True),
    uuid("order_id", primary_key=True),
    uuid("merchant_id"),
    uuid("template_id"),
    uuid("trade_id"),
    text("status", server_default="open"),
    fen("market"),
    fen("merchant"),
    fen("back_market", server_default="0"),
    fen("back_merchant", server_default="0"),
    uuids("refund_ids"),
    number("counted_orders", server_default="0"),
    number("counted_used", server_default="0"),
    fen("counted_market", server_default="0"),
    fen("counted_merchant", server_default="0"),
    at("at", nullable=False),
    one_of("status", "open", "paid", "closed", "refunded"),
    sa.CheckConstraint(
        "back_market between 0 and market and back_merchant between 0 and merchant", name="back"
    ),
    sa.ForeignKeyConstraint(["account_id", "coupon_id"], ["coupons_coupon.account_id", "coupons_coupon.id"]),
    sa.Index("ix_coupons_use_trade", "account_id", "trade_id"),
    info=access(Owner.BUYER),
)

# What people type in. A code works `uses` times over all accounts; one account uses it once.
code = sa.Table(
    "coupons_code",
    METADATA,
    uuid("merchant_id", primary_key=True),
    text("code", primary_key=True),
    uuid("template_id"),
    number("uses"),
    number("used", server_default="0"),
    at("created_at", nullable=False),
    sa.ForeignKeyConstraint(
        ["merchant_id", "template_id"], ["coupons_template.merchant_id", "coupons_template.id"]
    ),
    sa.CheckConstraint("used >= 0 and used <= uses", name="uses"),
    sa.Index("uq_coupons_code_code", "code", unique=True),
    sa.Index("ix_coupons_code_template", "merchant_id", "template_id"),
    info=access(Owner.MERCHANT),
)
