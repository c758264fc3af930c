"""Tables of flash sales: events, their slots and what is sold in them belong to merchants (the market is one), what was
bought to the buyer."""

import sqlalchemy as sa

from core.api import Owner, access, at, fen, flag, metadata, number, one_of, text, uuid, uuids

METADATA = metadata()

# A market's event takes sign-ups until `sign_up_until`, of the `invited` shops (none named: all) and for products of
# `category_ids` (none named: all). A shop's own event has neither. `market_coupons`: the market's coupons go with the price.
event = sa.Table(
    "flash_sale_event",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    text("name"),
    text("rules", server_default=""),
    at("sign_up_until"),
    uuids("invited"),
    uuids("category_ids"),
    number("merchant_share_bp"),
    flag("market_coupons"),
    flag("token_required"),
    at("created_at", nullable=False),
    sa.CheckConstraint("merchant_share_bp between 0 and 10000", name="share"),
    info=access(Owner.MERCHANT, public_read=True),
)

# Its id is that of the calendar's activity.
slot = sa.Table(
    "flash_sale_slot",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("event_id"),
    at("starts_at", nullable=False),
    at("ends_at", nullable=False),
    at("stopped_at"),
    text("stop_reason", server_default=""),
    sa.ForeignKeyConstraint(
        ["merchant_id", "event_id"], ["flash_sale_event.merchant_id", "flash_sale_event.id"]
    ),
    sa.CheckConstraint("ends_at > starts_at", name="period"),
    sa.Index("ix_flash_sale_slot_id", "id"),
    sa.Index("ix_flash_sale_slot_event", "merchant_id", "event_id"),
    sa.Index("ix_flash_sale_slot_ends", "ends_at"),
    info=access(Owner.MERCHANT, public_read=True),
)

# What a shop offers for a slot of the market's.
entry = sa.Table(
    "flash_sale_entry",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("event_id"),
    uuid("activity_id"),
    uuid("sku_id"),
    uuid("product_id"),
    text("title"),
    fen("price"),
    number("quantity"),
    number("per_order"),
    number("per_account"),
    text("status", server_default="applied"),
    text("reason", server_default=""),
    at("applied_at", nullable=False),
    at("reviewed_at"),
    uuid("reviewed_by", nullable=True),
    one_of("status", "applied", "passed", "refused", "withdrawn"),
    sa.UniqueConstraint("merchant_id", "activity_id", "sku_id"),
    sa.Index("ix_flash_sale_entry_event", "event_id", "id"),
    info=access(Owner.MERCHANT),
)

# What is sold in a slot. `sold` counts pieces of trades that were placed and not given up; never more than `quantity`.
item = sa.Table(
    "flash_sale_item",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("activity_id", primary_key=True),
    uuid("sku_id", primary_key=True),
    uuid("product_id"),
    fen("price"),
    number("quantity"),
    number("per_order"),
    number("per_account"),
    number("sold", server_default="0"),
    at("created_at", nullable=False),
    sa.CheckConstraint("price > 0", name="price"),
    sa.CheckConstraint("sold between 0 and quantity", name="sold"),
    sa.CheckConstraint("per_order > 0 and per_account > 0", name="limits"),
    sa.Index("ix_flash_sale_item_activity", "activity_id"),
    info=access(Owner.MERCHANT, public_read=True),
)

# How many pieces of an item an account has.
taking = sa.Table(
    "flash_sale_taking",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("activity_id", primary_key=True),
    uuid("sku_id", primary_key=True),
    uuid("merchant_id"),
    number("taken"),
    sa.CheckConstraint("taken >= 0", name="taken"),
    info=access(Owner.BUYER),
)

# What a trade took of its item; `back` of it was given back since. A request token's `nonce` is used once.
use = sa.Table(
    "flash_sale_use",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("trade_id", primary_key=True),
    uuid("order_id"),
    uuid("merchant_id"),
    uuid("activity_id"),
    uuid("sku_id"),
    number("quantity"),
    number("back", server_default="0"),
    text("status", server_default="open"),
    uuid("nonce", nullable=True),
    uuids("refund_ids"),
    at("at", nullable=False),
    one_of("status", "open", "closed"),
    sa.CheckConstraint("back between 0 and quantity", name="back"),
    sa.UniqueConstraint("account_id", "nonce"),
    info=access(Owner.BUYER),
)
