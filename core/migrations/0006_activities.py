"""The calendar of activities, visits and touches, what an order carries of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.db.revision import PgPoint, open_table, protect

revision = "core_0006"
down_revision = "core_0005"
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "activity",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("exclusive", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), server_default="scheduled", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(status = 'stopped') = (stopped_at is not null)", name=op.f("ck_activity_stopped")
        ),
        sa.CheckConstraint("status in ('scheduled', 'stopped')", name=op.f("ck_activity_status")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_activity_period")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_activity")),
    )
    op.create_index("ix_activity_id", "activity", ["id"], unique=False)
    op.create_index("ix_activity_period", "activity", ["merchant_id", "starts_at", "id"], unique=False)
    op.create_table(
        "activity_sku",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("exclusive", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("mark", postgresql.NUMRANGE(), nullable=False),
        sa.Column("during", postgresql.TSTZRANGE(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("mark"), "&&"),
            (sa.column("during"), "&&"),
            where=sa.text("exclusive"),
            using="gist",
            name="ex_activity_sku_one_at_a_time",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "activity_id", "sku_id", name=op.f("pk_activity_sku")),
    )
    op.create_index("ix_activity_sku_activity", "activity_sku", ["activity_id"], unique=False)
    op.create_index("ix_activity_sku_sku", "activity_sku", ["merchant_id", "sku_id"], unique=False)
    op.create_table(
        "campaign",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_campaign_period")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_campaign")),
    )
    op.create_table(
        "touch",
        sa.Column("pseudonym", sa.Uuid(), nullable=False),
        sa.Column("first", postgresql.JSONB(), nullable=False),
        sa.Column("last", postgresql.JSONB(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_touch")),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pseudonym", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("page", sa.Text(), server_default="", nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=True),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
    )
    op.create_index("ix_visit_merchant", "visit", ["merchant_id", "id"], unique=False)
    op.create_index("ix_visit_pseudonym", "visit", ["pseudonym", "id"], unique=False)
    op.create_index(
        "ix_order_discount_activity",
        "order_discount",
        ["activity_id", "merchant_id"],
        unique=False,
        postgresql_where=sa.text("activity_id is not null"),
    )
    op.add_column("orders", sa.Column("touch", postgresql.JSONB(), nullable=True))
    op.create_table(
        "rule_version",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "plugin", name=op.f("pk_rule_version")),
    )
    protect(op, "rule_version", "merchant", public_read=True, platform_write=True)
    protect(op, "activity", "merchant", platform_write=True)
    protect(op, "activity_sku", "merchant")
    protect(op, "campaign", "merchant", platform_write=True)
    protect(op, "touch", "market")
    protect(op, "visit", "market", insert_any=True)


def downgrade() -> None:
    """Take back."""
    op.drop_table("rule_version")
    op.drop_column("orders", "touch")
    op.drop_index(
        "ix_order_discount_activity",
        table_name="order_discount",
        postgresql_where=sa.text("activity_id is not null"),
    )
    op.drop_index("ix_visit_pseudonym", table_name="visit")
    op.drop_index("ix_visit_merchant", table_name="visit")
    op.drop_table("visit")
    op.drop_table("touch")
    op.drop_table("campaign")
    op.drop_index("ix_activity_sku_sku", table_name="activity_sku")
    op.drop_index("ix_activity_sku_activity", table_name="activity_sku")
    op.drop_table("activity_sku")
    op.drop_index("ix_activity_period", table_name="activity")
    op.drop_index("ix_activity_id", table_name="activity")
    op.drop_table("activity")
