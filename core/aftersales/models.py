"""Tables of refunds. A refund takes units of an order back, and what was paid for them."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, fen, flag, json, number, one_of, text, texts, uuid
from core.db.registry import METADATA

# `amount` is what the buyer gets: goods and shipping, less deductions. `market_borne` goes back to the market, of the
# discounts it had borne, and `deducted_market` of the deductions; `commission` is the part of the market's fee that these
# units give up. `draft` is the refund as guards were told of it; `unsettled` are the plugins that still have to settle it.
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
    at("created_at", nullable=False),
    at("done_at"),
    sa.ForeignKeyConstraint(["merchant_id", "order_id"], ["orders.merchant_id", "orders.id"]),
    one_of("status", "refunding", "done"),
    one_of("origin", "buyer", "merchant", "platform", "system"),
    sa.CheckConstraint("(status = 'done') = (done_at is not null)", name="done"),
    sa.CheckConstraint(
        "amount = goods_amount + shipping_amount - deducted_amount and amount >= 0 and goods_amount >= 0"
        " and shipping_amount >= 0 and deducted_amount >= 0 and market_borne >= 0 and commission >= 0"
        " and deducted_market between 0 and deducted_amount",
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
