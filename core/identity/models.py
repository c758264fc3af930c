"""Tables of identity."""

import sqlalchemy as sa

from core.db.base import Owner, PgPoint, access, at, flag, json, one_of, secret, text, texts, uuid
from core.db.policies import setting
from core.db.registry import METADATA

account = sa.Table(
    "account",
    METADATA,
    uuid("id", primary_key=True),
    text("login", unique=True),
    text("password_hash"),
    text("nickname"),
    uuid("pseudonym"),
    text("status", server_default="active"),
    flag("guest"),
    at("created_at", nullable=False),
    one_of("status", "active", "blocked", "deleted"),
    sa.Index("ix_account_guest", "id", postgresql_where=sa.text("guest")),
    info=access(Owner.MARKET, own=f"id = {setting('account_id')}"),
)

staff = sa.Table(
    "staff",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("account_id", primary_key=True),
    texts("roles"),
    at("created_at", nullable=False),
    sa.Index("ix_staff_account_id", "account_id"),
    info=access(Owner.MERCHANT),
)

session = sa.Table(
    "session",
    METADATA,
    uuid("id", primary_key=True),
    uuid("account_id"),
    text("audience"),
    uuid("merchant_id", nullable=True),
    texts("roles"),
    secret("refresh_hash", nullable=False),
    secret("previous_hash"),
    at("created_at", nullable=False),
    at("expires_at", nullable=False),
    at("revoked_at"),
    one_of("audience", "shop", "merchant", "platform"),
    sa.Index("ix_session_account_id", "account_id"),
    sa.Index("uq_session_refresh_hash", "refresh_hash", unique=True),
    sa.Index("ix_session_previous_hash", "previous_hash"),
    info=access(Owner.MARKET, own=f"id = {setting('session_id')}"),
)

address = sa.Table(
    "address",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("id", primary_key=True),
    secret("recipient", nullable=False),
    secret("phone", nullable=False),
    secret("phone_index", nullable=False),
    secret("street", nullable=False),
    text("province"),
    text("city"),
    text("district"),
    sa.Column("location", PgPoint(), nullable=True),
    flag("is_default"),
    at("created_at", nullable=False),
    sa.Index("uq_address_default", "account_id", unique=True, postgresql_where=sa.text("is_default")),
    info=access(Owner.BUYER),
)

audit = sa.Table(
    "audit",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("account_id"),
    text("action"),
    text("target"),
    json("detail", nullable=False, server_default="{}"),
    at("at", nullable=False),
    text("request_id"),
    sa.Index("ix_audit_id", "id"),
    info=access(Owner.MERCHANT, append_only=True),
)

# Which plugins an account owns something of (coupons, points), so that the others need no statement to find out.
# `until`: when the last of it ends, null for never.
holding = sa.Table(
    "holding",
    METADATA,
    uuid("account_id", primary_key=True),
    text("plugin", primary_key=True),
    at("until"),
    info=access(Owner.BUYER),
)
