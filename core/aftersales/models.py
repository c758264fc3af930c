"""Tables of refunds and of the cases that lead to them. A refund takes units of an order back, and what was paid for
them."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, fen, flag, json, number, one_of, secret, text, texts, uuid
from core.db.registry import METADATA

# `amount` is what the buyer gets: goods and shipping, less deductions, which are given back below 0. `market_borne` goes
# back to the market, of the discounts it had borne, and `deducted_market` of the deductions; `commission` is the part of the
# market's fee that these units give up, `earnings` that of others who earned on them. `draft` is the refund as guards were
# told of it; `unsettled` are the plugins that still have to settle it.
refund = sa.Table(
    "refund",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("trade_id"),
    uuid("account_id"),
    text("number", unique=True),
    text("status", server_default="refunding"),
    fen("goods_amount"),
    fen("shipping_amount"),
    fen("deducted_amount"),
    fen("deducted_market"),
    fen("amount"),
    fen("market_borne"),
    fen("commission"),
    json("deductions", nullable=False, server_default="[]"),
    json("draft", nullable=False),
    texts("unsettled"),
    flag("whole_order"),
    text("origin"),
    text("reason"),
    uuid("actor_id", nullable=True),
    fen("earnings", server_default="0"),
    uuid("aftersale_id", nullable=True),
    at("created_at", nullable=False),
    at("done_at"),
    sa.ForeignKeyConstraint(["merchant_id", "order_id"], ["orders.merchant_id", "orders.id"]),
    one_of("status", "refunding", "done"),
    one_of("origin", "buyer", "merchant", "platform", "system"),
    sa.CheckConstraint("(status = 'done') = (done_at is not null)", name="done"),
    sa.CheckConstraint(
        "amount = goods_amount + shipping_amount - deducted_amount and amount >= 0 and goods_amount >= 0"
        " and shipping_amount >= 0 and market_borne >= 0 and commission >= 0 and earnings >= 0",
        name="amount",
    ),
    sa.Index("ix_refund_order", "merchant_id", "order_id"),
    sa.Index("ix_refund_account", "account_id", "id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

# Units `first_unit` .. `first_unit + quantity - 1` of a line, with what they had cost buyer, market and merchant.
refund_line = sa.Table(
    "refund_line",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("refund_id"),
    uuid("order_id"),
    uuid("account_id"),
    uuid("line_id"),
    number("first_unit"),
    number("quantity"),
    fen("amount"),
    fen("market_borne"),
    fen("merchant_borne"),
    sa.ForeignKeyConstraint(["merchant_id", "refund_id"], ["refund.merchant_id", "refund.id"]),
    sa.UniqueConstraint("merchant_id", "line_id", "first_unit"),
    sa.CheckConstraint("quantity > 0 and first_unit >= 0", name="quantity"),
    sa.CheckConstraint("amount >= 0 and market_borne >= 0 and merchant_borne >= 0", name="amount"),
    sa.Index("ix_refund_line_refund", "merchant_id", "refund_id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

# A buyer's case: what went wrong with which units, and what was agreed. `deadline` is when silence decides. `fault` is who
# bears freight. The refund that settles it carries its id; so does the parcel of an exchange.
aftersale = sa.Table(
    "aftersale",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id"),
    uuid("trade_id"),
    uuid("account_id"),
    text("number", unique=True),
    text("kind"),
    text("status", server_default="applied"),
    text("fault", server_default="none"),
    text("reason"),
    texts("images"),
    fen("shipping_amount", server_default="0"),
    secret("return_address"),
    text("carrier", server_default=""),
    text("waybill_no", server_default=""),
    text("refusal", server_default=""),
    uuid("refund_id", nullable=True),
    at("deadline"),
    at("created_at", nullable=False),
    at("updated_at", nullable=False),
    at("closed_at"),
    sa.ForeignKeyConstraint(["merchant_id", "order_id"], ["orders.merchant_id", "orders.id"]),
    one_of("kind", "refund_only", "return_refund", "exchange"),
    one_of(
        "status",
        "applied",
        "agreed",
        "sent",
        "received",
        "reshipped",
        "refunding",
        "refused",
        "arbitration",
        "done",
        "cancelled",
        "closed",
    ),
    one_of("fault", "none", "buyer", "merchant"),
    sa.CheckConstraint("shipping_amount >= 0", name="shipping_amount"),
    sa.CheckConstraint(
        "(status in ('done', 'cancelled', 'closed')) = (closed_at is not null)", name="closed"
    ),
    sa.Index("ix_aftersale_order", "merchant_id", "order_id"),
    sa.Index("ix_aftersale_merchant_status", "merchant_id", "status", "id"),
    sa.Index("ix_aftersale_account", "account_id", "id"),
    # The market's lists: all cases, and those in one status.
    sa.Index("ix_aftersale_id", "id"),
    sa.Index("ix_aftersale_status", "status", "id"),
    # Lists of orders with an open case: a shop's, and all.
    sa.Index("ix_aftersale_open", "merchant_id", "order_id", postgresql_where=sa.text("closed_at is null")),
    sa.Index("ix_aftersale_open_order", "order_id", postgresql_where=sa.text("closed_at is null")),
    info=access(Owner.MERCHANT, buyer_read=True),
)

_CASE = (["merchant_id", "aftersale_id"], ["aftersale.merchant_id", "aftersale.id"])

aftersale_line = sa.Table(
    "aftersale_line",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("aftersale_id", primary_key=True),
    uuid("line_id", primary_key=True),
    uuid("account_id"),
    number("quantity"),
    sa.ForeignKeyConstraint(*_CASE),
    sa.CheckConstraint("quantity > 0", name="quantity"),
    sa.Index("ix_aftersale_line_line", "merchant_id", "line_id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)

aftersale_log = sa.Table(
    "aftersale_log",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("aftersale_id"),
    uuid("account_id"),
    text("party"),
    uuid("actor_id", nullable=True),
    text("event"),
    text("old_status"),
    text("new_status"),
    text("note", server_default=""),
    at("at", nullable=False),
    sa.ForeignKeyConstraint(*_CASE),
    one_of("party", "buyer", "merchant", "platform", "system"),
    sa.Index("ix_aftersale_log_case", "merchant_id", "aftersale_id"),
    info=access(Owner.MERCHANT, buyer_read=True, append_only=True),
)
