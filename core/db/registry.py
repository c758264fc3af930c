"""Core's table registry, and the tables that belong to no domain: events, deliveries, idempotency, deployments."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, flag, json, metadata, number, one_of, secret, text, texts, uuid
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
    # In the order of commits of whoever held the same rows; deliveries of one lane are done in this order.
    sa.Column("seq", sa.BigInteger(), sa.Identity(), nullable=False),
    text("lane", nullable=True),
    # What an outside call answered.
    json("answer"),
    at("dropped_at"),
    uuid("dropped_by", nullable=True),
    text("drop_reason", nullable=True),
    one_of("status", "new", "sent", "parked", "done", "dropped"),
    sa.CheckConstraint("(status = 'dropped') = (dropped_at is not null)", name="dropped"),
    sa.Index("ix_delivery_due", "plugin", "due_at", postgresql_where=sa.text("status in ('new', 'sent')")),
    sa.Index(
        "ix_delivery_lane",
        "plugin",
        "lane",
        "seq",
        postgresql_where=sa.text("lane is not null and status in ('new', 'sent', 'parked')"),
    ),
    sa.Index(
        "ix_delivery_aside",
        "event_id",
        "plugin",
        postgresql_where=sa.text("status in ('parked', 'dropped')"),
    ),
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
    # Why nothing of it may run; null when it may.
    text("quarantine", nullable=True),
    # What it has made, so that it can be purged when its code is gone.
    texts("tables"),
    info=access(Owner.MARKET, public_read=True, platform_write=True),
)

# `state` is the deployment as this generation has it (`core.deployment.state.Stored`), `previous` as it was before. Proposed
# ones become active once every live process can run them; after `until` nobody waits any more.
generation = sa.Table(
    "generation",
    METADATA,
    sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
    at("at", nullable=False),
    uuid("by", nullable=True),
    text("change"),
    text("status", server_default="active"),
    json("state"),
    json("previous"),
    text("reason", nullable=True),
    at("until"),
    one_of("status", "proposed", "active", "withdrawn"),
    sa.Index("ix_generation_proposed", "id", postgresql_where=sa.text("status = 'proposed'")),
    info=access(Owner.MARKET, public_read=True, platform_write=True),
)

# Every live web and worker process, and the generation it runs.
process = sa.Table(
    "process",
    METADATA,
    uuid("id", primary_key=True),
    text("kind"),
    text("host"),
    number("pid"),
    at("started_at", nullable=False),
    at("seen_at", nullable=False),
    sa.Column("generation", sa.BigInteger(), nullable=False),
    one_of("kind", "web", "worker"),
    info=access(Owner.MARKET),
)

# A process's answer to a proposed generation: it can run it, or `problem` says why not.
acknowledgement = sa.Table(
    "acknowledgement",
    METADATA,
    sa.Column("generation", sa.BigInteger(), primary_key=True, autoincrement=False),
    uuid("process_id", primary_key=True),
    text("problem", nullable=True),
    at("at", nullable=False),
    info=access(Owner.MARKET),
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
