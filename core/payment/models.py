"""Tables of payments."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, fen, flag, json, number, one_of, secret, text, uuid
from core.db.registry import METADATA

payment = sa.Table(
    "payment",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("id", primary_key=True),
    text("subject_kind"),
    uuid("subject_id"),
    text("provider"),
    fen("amount"),
    text("status", server_default="created"),
    text("provider_ref", nullable=True),
    json("client"),
    at("created_at", nullable=False),
    at("expires_at", nullable=False),
    at("paid_at"),
    at("closed_at"),
    one_of("subject_kind", "trade", "bill"),
    one_of("status", "created", "paid", "closed", "refunding", "refunded"),
    sa.Index("ix_payment_subject", "subject_id"),
    sa.Index("ix_payment_id", "id"),
    info=access(Owner.BUYER),
)

payment_leg = sa.Table(
    "payment_leg",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("payment_id", primary_key=True),
    uuid("merchant_id", primary_key=True),
    uuid("order_id", nullable=True),
    fen("amount"),
    text("gateway_ref", nullable=True),
    fen("refunded_amount", server_default="0"),
    sa.ForeignKeyConstraint(["account_id", "payment_id"], ["payment.account_id", "payment.id"]),
    sa.CheckConstraint("amount >= 0 and refunded_amount >= 0 and refunded_amount <= amount", name="amounts"),
    info=access(Owner.BUYER),
)

payment_notification = sa.Table(
    "payment_notification",
    METADATA,
    text("provider", primary_key=True),
    text("event_id", primary_key=True),
    uuid("payment_id", nullable=True),
    secret("body", nullable=False),
    at("received_at", nullable=False),
    at("applied_at"),
    text("result", nullable=True),
    info=access(Owner.MARKET),
)

sandbox_payment = sa.Table(
    "sandbox_payment",
    METADATA,
    uuid("id", primary_key=True),
    text("reference", unique=True),
    fen("amount"),
    json("legs", nullable=False),
    text("status", server_default="open"),
    at("created_at", nullable=False),
    at("paid_at"),
    fen("refunded", server_default="0"),
    at("expires_at", nullable=False),
    flag("notified"),
    number("attempts", server_default="0"),
    one_of("status", "open", "paid", "closed", "refunded"),
    info=access(Owner.MARKET),
)
