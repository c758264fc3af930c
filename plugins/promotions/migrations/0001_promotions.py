"""Promotions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "promotions_0001"
down_revision = None
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "promotions_account",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("promotion_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_promotions_account_used")),
        sa.PrimaryKeyConstraint("account_id", "promotion_id", name=op.f("pk_promotions_account")),
    )
    op.create_table(
        "promotions_promotion",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), server_default="draft", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("owners", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("skus", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("per_account", sa.Integer(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("claimed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("mark", postgresql.NUMRANGE(), nullable=False),
        sa.Column("during", postgresql.TSTZRANGE(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("mark"), "&&"),
            (sa.column("during"), "&&"),
            where=sa.text("kind = 'reduction' and status = 'scheduled'"),
            using="gist",
            name="ex_promotions_promotion_one_reduction",
        ),
        sa.CheckConstraint(
            "(status = 'stopped') = (stopped_at is not null)", name=op.f("ck_promotions_promotion_stopped")
        ),
        sa.CheckConstraint(
            "kind in ('limited', 'nth', 'bundle', 'gift', 'reduction', 'free_shipping')",
            name=op.f("ck_promotions_promotion_kind"),
        ),
        sa.CheckConstraint(
            "status in ('draft', 'scheduled', 'stopped')", name=op.f("ck_promotions_promotion_status")
        ),
        sa.CheckConstraint(
            "cardinality(owners) = cardinality(skus)", name=op.f("ck_promotions_promotion_skus")
        ),
        sa.CheckConstraint(
            "claimed >= 0 and (total is null or claimed <= total)",
            name=op.f("ck_promotions_promotion_claimed"),
        ),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_promotions_promotion_period")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_promotions_promotion")),
    )
    op.create_index(
        "ix_promotions_promotion_running",
        "promotions_promotion",
        ["merchant_id", "ends_at"],
        unique=False,
        postgresql_where=sa.text("status = 'scheduled'"),
    )
    op.create_table(
        "promotions_use",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("promotion_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("given", postgresql.JSONB(), nullable=True),
        sa.Column("deducted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status in ('open', 'closed', 'refunded')", name=op.f("ck_promotions_use_status")),
        sa.CheckConstraint("units >= 0 and deducted >= 0", name=op.f("ck_promotions_use_units")),
        sa.PrimaryKeyConstraint("account_id", "promotion_id", "order_id", name=op.f("pk_promotions_use")),
    )
    op.create_index(
        "ix_promotions_use_promotion",
        "promotions_use",
        ["promotion_id"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_promotions_use_trade", "promotions_use", ["account_id", "trade_id"], unique=False)
    protect(op, "promotions_account", "buyer")
    protect(op, "promotions_promotion", "merchant", public_read=True)
    protect(op, "promotions_use", "buyer")


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_promotions_use_trade", table_name="promotions_use")
    op.drop_index(
        "ix_promotions_use_promotion",
        table_name="promotions_use",
        postgresql_where=sa.text("status = 'open'"),
    )
    op.drop_table("promotions_use")
    op.drop_index(
        "ix_promotions_promotion_running",
        table_name="promotions_promotion",
        postgresql_where=sa.text("status = 'scheduled'"),
    )
    op.drop_table("promotions_promotion")
    op.drop_table("promotions_account")
