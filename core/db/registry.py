"""Core's table registry, and the tables that belong to no domain: events, deliveries, idempotency, deployments."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, flag, json, metadata, number, one_of, secret, text, uuid
from core.db.policies import setting

METADATA = metadata()

outbox = sa.Table(
    "outbox",
    METADATA,
    uuid("id", primary_key=True),
    text("event"),
    json("payload", nullable=False),
    text("scope"),
    at("at", nullable=False),
    info=access(Owner.MARKET, insert_any=True),
)

delivery = sa.Table(
    "delivery",
    METADATA,
    uuid("event_id", primary_key=True),
    text("plugin", primary_key=True),
    text("status", server_default="new"),
    at("due_at", nullable=False),
    number("tries", server_default="0"),
    text("error", nullable=True),
    at("done_at"),
    one_of("status", "new", "sent", "parked", "done"),
    sa.Index("ix_delivery_due", "due_at", postgresql_where=sa.text("status in ('new', 'sent')")),
    info=access(Owner.MARKET, insert_any=True),
)

idempotency = sa.Table(
    "idempotency",
    METADATA,
    uuid("account_id", primary_key=True),
    text("route", primary_key=True),
    text("key", primary_key=True),
    secret("body_hash", nullable=False),
    number("status"),
    secret("response", nullable=False),
    text("content_type"),
    at("at", nullable=False),
    sa.Index("ix_idempotency_at", "at"),
    info=access(Owner.MARKET, own=f"account_id = {setting('actor_id')}"),
)

deployment_plugin = sa.Table(
    "deployment_plugin",
    METADATA,
    text("name", primary_key=True),
    flag("enabled"),
    json("config", nullable=False, server_default="{}"),
    at("updated_at", nullable=False),
    uuid("updated_by", nullable=True),
    json("previous"),
    info=access(Owner.MARKET, public_read=True, platform_write=True),
)

generation = sa.Table(
    "generation",
    METADATA,
    sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
    at("at", nullable=False),
    uuid("by", nullable=True),
    text("change"),
    info=access(Owner.MARKET, public_read=True, platform_write=True),
)

# Every version of the stacking matrix as the operator published it; the newest counts.
pricing_matrix = sa.Table(
    "pricing_matrix",
    METADATA,
    number("version", primary_key=True),
    json("edits", nullable=False),
    text("note"),
    uuid("by", nullable=True),
    at("at", nullable=False),
    info=access(Owner.MARKET, public_read=True, platform_write=True),
)
