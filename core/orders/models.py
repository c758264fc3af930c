"""Tables of trades and orders. A trade is one purchase by one buyer; it holds one order per merchant."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, fen, flag, json, number, one_of, secret, text, texts, uuid
from core.db.registry import METADATA

trade = sa.Table(
    "trade",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("id", primary_key=True),
    text("number", unique=True),
    text("status", server_default="unpaid"),
    fen("goods_amount"),
    fen("discount_amount"),
    fen("shipping_amount"),
    fen("payable"),
    json("explain", nullable=False, server_default="[]"),
    at("created_at", nullable=False),
    at("expires_at", nullable=False),
    at("paid_at"),
    at("closed_at"),
    one_of("status", "unpaid", "paid", "closed"),
    sa.CheckConstraint(
        "payable = goods_amount - discount_amount + shipping_amount and payable >= 0", name="payable"
    ),
    sa.Index("ix_trade_id", "id"),
    info=access(Owner.BUYER),
)

# `earnings` is what others earn on the order, borne by the merchant. What refunds took: `refunding_amount` is on its way to
# the buyer, `refunded_amount` has arrived; `refunded_market` and `deducted_market` went back to the market;
# `refunded_commission` is given up by it, `refunded_earnings` by the earners. `contributors` are the plugins that had a part
# in the order: a rule of theirs was applied to its trade, somebody earns on it by them, they planned its parcels. Null where
# that was not noted yet.
orders = sa.Table(
    "orders",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("trade_id"),
    uuid("account_id"),
    text("number", unique=True),
    text("merchant_name"),
    text("status", server_default="unpaid"),
    fen("goods_amount"),
    fen("discount_amount"),
    fen("shipping_amount"),
    fen("payable"),
    fen("market_borne"),
    fen("commission"),
    text("commission_rule"),
    fen("refunded_amount", server_default="0"),
    fen("refunded_shipping", server_default="0"),
    fen("refunded_market", server_default="0"),
    fen("refunded_commission", server_default="0"),
    fen("refunding_amount", server_default="0"),
    fen("deducted_market", server_default="0"),
    fen("earnings", server_default="0"),
    fen("refunded_earnings", server_default="0"),
    secret("address"),
    text("province", server_default=""),
    text("city", server_default=""),
    text("district", server_default=""),
    secret("phone_index"),
    json("shipping", nullable=False, server_default="{}"),
    text("remark", server_default=""),
    json("touch"),
    texts("contributors", nullable=True),
    at("created_at", nullable=False),
    at("paid_at"),
    at("accepted_at"),
    at("shipped_at"),
    at("completed_at"),
    at("closed_at"),
    at("released_at"),
    one_of("status", "unpaid", "paid", "accepted", "shipped", "completed", "closed"),
    sa.CheckConstraint(
        "payable = goods_amount - discount_amount + shipping_amount and payable >= 0", name="payable"
    ),
    sa.CheckConstraint("refunded_amount >= 0 and refunded_amount <= payable", name="refunded_amount"),
    sa.CheckConstraint("market_borne >= 0 and commission >= 0", name="market_borne"),
    sa.CheckConstraint(
        "refunded_shipping between 0 and shipping_amount and refunded_market between 0 and market_borne"
        " and refunded_commission between 0 and commission",
        name="refunded",
    ),
    sa.CheckConstraint(
        "refunding_amount >= 0 and deducted_market >= 0"
        " and refunded_amount + refunding_amount + deducted_market <= payable",
        name="refunding",
    ),
    sa.CheckConstraint(
        "earnings between 0 and payable + market_borne and refunded_earnings between 0 and earnings",
        name="earnings",
    ),
    sa.Index("ix_orders_id", "id"),
    sa.Index("ix_orders_phone", "phone_index", "merchant_id", "id"),
    sa.Index("ix_orders_trade", "trade_id"),
    # With the last column of these two, what the policies look at is in the index: counting reads nothing else.
    sa.Index("ix_orders_account_status", "account_id", "status", "id", "merchant_id"),
    sa.Index("ix_orders_merchant_status", "merchant_id", "status", "id", "account_id"),
    sa.Index("ix_orders_status", "status", "id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

_ORDER = (["merchant_id", "order_id"], ["orders.merchant_id", "orders.id"])

order_line = sa.Table(
    "order_line",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("account_id"),
    text("kind", server_default="sale"),
    uuid("sku_id"),
    uuid("product_id"),
    uuid("parent_id", nullable=True),
    text("title"),
    texts("specs"),
    text("image_url", nullable=True),
    flag("requires_shipping", default=True),
    number("quantity"),
    fen("unit_price"),
    fen("amount"),
    fen("payable"),
    number("shipped_quantity", server_default="0"),
    number("refunded_quantity", server_default="0"),
    number("cancelled_quantity", server_default="0"),
    json("source"),
    uuid("activity_id", nullable=True),
    sa.ForeignKeyConstraint(*_ORDER),
    one_of("kind", "sale", "gift"),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.CheckConstraint("payable >= 0 and payable <= amount", name="payable"),
    sa.CheckConstraint("shipped_quantity >= 0 and shipped_quantity <= quantity", name="shipped_quantity"),
    sa.CheckConstraint("refunded_quantity >= 0 and refunded_quantity <= quantity", name="refunded_quantity"),
    # Of the refunded units, those that were cancelled never left; all others had.
    sa.CheckConstraint(
        "cancelled_quantity between 0 and refunded_quantity and shipped_quantity + cancelled_quantity <= quantity"
        " and refunded_quantity - cancelled_quantity <= shipped_quantity",
        name="cancelled_quantity",
    ),
    sa.Index("ix_order_line_order", "merchant_id", "order_id"),
    sa.Index("ix_order_line_sku", "merchant_id", "sku_id", "order_id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

order_discount = sa.Table(
    "order_discount",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("account_id"),
    uuid("line_id", nullable=True),
    text("plugin"),
    text("rule"),
    text("kind"),
    text("label"),
    uuid("activity_id", nullable=True),
    fen("amount"),
    fen("bearer_market"),
    fen("bearer_merchant"),
    sa.ForeignKeyConstraint(*_ORDER),
    sa.CheckConstraint(
        "amount = bearer_market + bearer_merchant and bearer_market >= 0 and bearer_merchant >= 0",
        name="bearers",
    ),
    sa.Index("ix_order_discount_order", "merchant_id", "order_id"),
    sa.Index(
        "ix_order_discount_activity",
        "activity_id",
        "merchant_id",
        postgresql_where=sa.text("activity_id is not null"),
    ),
    info=access(Owner.MERCHANT, buyer_read=True),
)

# What somebody else earns on a line: an account that brought the buyer, for instance. The merchant bears it.
order_earning = sa.Table(
    "order_earning",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("line_id"),
    uuid("owner_id"),
    text("plugin"),
    text("label"),
    fen("amount"),
    fen("refunded_amount", server_default="0"),
    at("paid_at"),
    sa.ForeignKeyConstraint(*_ORDER),
    sa.CheckConstraint("amount > 0 and refunded_amount between 0 and amount", name="amount"),
    sa.Index("ix_order_earning_order", "merchant_id", "order_id"),
    info=access(Owner.MERCHANT),
)

# `cause`: a plugin holds the order by itself (`plugin`), or core does because the plugin failed when it was asked about the
# captured order (`paying`) or has not settled a refund (`refund`); a plugin lifts only its own.
order_hold = sa.Table(
    "order_hold",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("order_id", primary_key=True),
    text("plugin", primary_key=True),
    text("cause", primary_key=True, server_default="plugin"),
    uuid("account_id"),
    text("reason"),
    at("until"),
    at("created_at", nullable=False),
    sa.ForeignKeyConstraint(*_ORDER),
    one_of("cause", "plugin", "paying", "refund"),
    sa.Index("ix_order_hold_order", "order_id"),
    sa.Index("ix_order_hold_account", "account_id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

# `event`: the status moved, or a hold was put on the order or taken off, which leaves the status as it is.
order_log = sa.Table(
    "order_log",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("account_id"),
    uuid("actor_id", nullable=True),
    text("old_status"),
    text("new_status"),
    text("reason"),
    text("event", server_default="moved"),
    at("at", nullable=False),
    sa.ForeignKeyConstraint(*_ORDER),
    one_of("event", "moved", "held", "lifted"),
    sa.Index("ix_order_log_order", "merchant_id", "order_id"),
    info=access(Owner.MERCHANT, buyer_read=True, append_only=True),
)
