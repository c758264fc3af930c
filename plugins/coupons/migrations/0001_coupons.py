"""Coupons."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "coupons_0001"
down_revision = None
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "coupons_coupon",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), server_default="unused", nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_trade_id", sa.Uuid(), nullable=True),
        sa.Column("used_order_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'used') = (used_trade_id is not null)", name=op.f("ck_coupons_coupon_used")
        ),
        sa.CheckConstraint("status in ('unused', 'used')", name=op.f("ck_coupons_coupon_status")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_coupons_coupon")),
        sa.UniqueConstraint(
            "account_id",
            "merchant_id",
            "template_id",
            "ordinal",
            name=op.f("uq_coupons_coupon_account_id_merchant_id_template_id_ordinal"),
        ),
    )
    op.create_table(
        "coupons_template",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("per_account", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_days", sa.Integer(), nullable=True),
        sa.Column("claimed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("orders_brought", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status in ('open', 'closed')", name=op.f("ck_coupons_template_status")),
        sa.CheckConstraint("claimed >= 0 and claimed <= total", name=op.f("ck_coupons_template_claimed")),
        sa.CheckConstraint("per_account > 0", name=op.f("ck_coupons_template_per_account")),
        sa.CheckConstraint(
            "valid_to is not null or valid_days > 0", name=op.f("ck_coupons_template_validity")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_coupons_template")),
    )
    op.create_index(
        "ix_coupons_template_open",
        "coupons_template",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    protect(op, "coupons_coupon", "buyer")
    protect(op, "coupons_template", "merchant", public_read=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index(
        "ix_coupons_template_open", table_name="coupons_template", postgresql_where=sa.text("status = 'open'")
    )
    op.drop_table("coupons_template")
    op.drop_table("coupons_coupon")
