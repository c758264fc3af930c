"""Tables of payments."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, fen, json, number, one_of, secret, text, uuid
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
    # Of a day, for its reconciliation; as good as free to keep.
    sa.Index("ix_payment_paid_at", "paid_at", postgresql_using="brin"),
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

# What the payment service is asked to do with money that it holds, one after another for each payment and merchant (`seq`).
# The id is the idempotency key. `reference` is what it is for: a refund, an order, a payout.
channel_call = sa.Table(
    "channel_call",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    sa.Column("seq", sa.BigInteger(), sa.Identity(), nullable=False),
    uuid("payment_id", nullable=True),
    uuid("order_id", nullable=True),
    text("provider"),
    text("kind"),
    fen("amount"),
    json("detail", nullable=False, server_default="{}"),
    uuid("reference"),
    text("status", server_default="waiting"),
    number("tries", server_default="0"),
    text("error", nullable=True),
    at("created_at", nullable=False),
    at("done_at"),
    one_of("kind", "subsidise", "return_subsidy", "refund", "split", "return_split", "finish", "pay_out"),
    one_of("status", "waiting", "done", "refused"),
    sa.CheckConstraint("amount >= 0", name="amount"),
    sa.CheckConstraint("(status = 'done') = (done_at is not null)", name="done"),
    sa.Index("ix_channel_call_payment", "merchant_id", "payment_id", "seq"),
    sa.Index("ix_channel_call_reference", "reference"),
    sa.Index("ix_channel_call_done_at", "done_at", postgresql_using="brin"),
    sa.Index("ix_channel_call_open", "status", "seq", postgresql_where=sa.text("status <> 'done'")),
    info=access(Owner.MERCHANT),
)

# Money that a merchant is owed, sent to its bank: `amount`, after `netted` of it has paid what the merchant owed.
# `returned`: the bank sent the amount back, so it is owed again.
payout = sa.Table(
    "payout",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    text("number", unique=True),
    text("provider"),
    fen("amount"),
    fen("netted", server_default="0"),
    text("status", server_default="sending"),
    text("reason", server_default=""),
    uuid("actor_id", nullable=True),
    at("created_at", nullable=False),
    at("done_at"),
    one_of("status", "sending", "paid", "returned"),
    sa.CheckConstraint("amount >= 0 and netted >= 0 and amount + netted > 0", name="amount"),
    sa.CheckConstraint("(status = 'sending') = (done_at is null)", name="done"),
    sa.Index("ix_payout_merchant", "merchant_id", "id"),
    info=access(Owner.MERCHANT),
)

# What a merchant's payable is made of: what an order brought at its release (`id` is the order's), what a refund after that
# took (negative; the refund's), what a payout took for the merchant's debt (negative; the payout's). `payout_id` is the
# payout that all of it went into; without one it is still owed, and those rows sum up to the balance of the account.
payout_entry = sa.Table(
    "payout_entry",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("order_id", nullable=True),
    fen("amount"),
    uuid("payout_id", nullable=True),
    at("at", nullable=False),
    sa.CheckConstraint("amount <> 0", name="amount"),
    sa.Index("ix_payout_entry_order", "order_id"),
    sa.Index("ix_payout_entry_payout", "payout_id", postgresql_where=sa.text("payout_id is not null")),
    sa.Index("ix_payout_entry_open", "merchant_id", postgresql_where=sa.text("payout_id is null")),
    info=access(Owner.MERCHANT),
)
