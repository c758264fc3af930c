"""Events of the market, and what is handed in for review."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "group_buy_0002"
down_revision = "group_buy_0001"
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "group_buy_entry",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=True),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "status in ('waiting', 'approved', 'refused', 'withdrawn')",
            name=op.f("ck_group_buy_entry_status"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_group_buy_entry")),
    )
    op.create_index("ix_group_buy_entry_event", "group_buy_entry", ["event_id", "id"], unique=False)
    op.create_index("ix_group_buy_entry_status", "group_buy_entry", ["status", "id"], unique=False)
    op.create_index(
        "uq_group_buy_entry_once",
        "group_buy_entry",
        ["merchant_id", "event_id", "product_id"],
        unique=True,
        postgresql_where=sa.text("event_id is not null and status <> 'withdrawn'"),
    )
    op.create_table(
        "group_buy_event",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), server_default="", nullable=False),
        sa.Column("sign_up_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sizes", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("new_only", sa.Text(), nullable=True),
        sa.Column("invited", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("category_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("merchant_share_bp", sa.Integer(), nullable=False),
        sa.Column("market_coupons", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("new_only in ('market', 'shop')", name=op.f("ck_group_buy_event_new_only")),
        sa.CheckConstraint(
            "cardinality(sizes) > 0 and 2 <= all(sizes) and 10 >= all(sizes)",
            name=op.f("ck_group_buy_event_sizes"),
        ),
        sa.CheckConstraint(
            "ends_at > starts_at and sign_up_until <= starts_at", name=op.f("ck_group_buy_event_period")
        ),
        sa.CheckConstraint("hours between 1 and 72", name=op.f("ck_group_buy_event_hours")),
        sa.CheckConstraint("merchant_share_bp between 0 and 10000", name=op.f("ck_group_buy_event_share")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_group_buy_event")),
    )
    op.create_index("ix_group_buy_event_id", "group_buy_event", ["id"], unique=False)
    op.create_index("ix_group_buy_event_ends", "group_buy_event", ["ends_at"], unique=False)
    op.add_column("group_buy_activity", sa.Column("event_id", sa.Uuid(), nullable=True))
    op.add_column(
        "group_buy_activity",
        sa.Column("merchant_share_bp", sa.Integer(), server_default="10000", nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_group_buy_activity_share"), "group_buy_activity", "merchant_share_bp between 0 and 10000"
    )
    op.create_index(
        "ix_group_buy_activity_event",
        "group_buy_activity",
        ["event_id", "id"],
        unique=False,
        postgresql_where=sa.text("event_id is not null"),
    )
    protect(op, "group_buy_entry", "merchant")
    protect(op, "group_buy_event", "merchant", public_read=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index(
        "ix_group_buy_activity_event",
        table_name="group_buy_activity",
        postgresql_where=sa.text("event_id is not null"),
    )
    op.drop_constraint(op.f("ck_group_buy_activity_share"), "group_buy_activity", type_="check")
    op.drop_column("group_buy_activity", "merchant_share_bp")
    op.drop_column("group_buy_activity", "event_id")
    op.drop_index("ix_group_buy_event_ends", table_name="group_buy_event")
    op.drop_index("ix_group_buy_event_id", table_name="group_buy_event")
    op.drop_table("group_buy_event")
    op.drop_index(
        "uq_group_buy_entry_once",
        table_name="group_buy_entry",
        postgresql_where=sa.text("event_id is not null and status <> 'withdrawn'"),
    )
    op.drop_index("ix_group_buy_entry_status", table_name="group_buy_entry")
    op.drop_index("ix_group_buy_entry_event", table_name="group_buy_entry")
    op.drop_table("group_buy_entry")
