"""Membership."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "membership_0001"
down_revision = None
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "membership_account",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("debt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("debt >= 0", name=op.f("ck_membership_account_debt")),
        sa.CheckConstraint("points = 0 or debt = 0", name=op.f("ck_membership_account_both")),
        sa.CheckConstraint("points >= 0", name=op.f("ck_membership_account_points")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_membership_account")),
    )
    op.create_table(
        "membership_journal",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind in ('earned', 'used', 'returned', 'taken_back', 'expired', 'granted', 'revoked', 'adjusted')",
            name=op.f("ck_membership_journal_kind"),
        ),
        sa.CheckConstraint("unit in ('points', 'growth')", name=op.f("ck_membership_journal_unit")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_membership_journal")),
    )
    op.create_index("uq_membership_journal_cause", "membership_journal", ["account_id", "cause"], unique=True)
    op.create_table(
        "membership_level",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("gained_by", sa.Text(), server_default="growth", nullable=False),
        sa.Column("growth", sa.BigInteger(), nullable=False),
        sa.Column("discount_bp", sa.Integer(), server_default="0", nullable=False),
        sa.Column("merchant_share_bp", sa.Integer(), nullable=False),
        sa.Column("prices", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("perks", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("gained_by in ('growth', 'purchase')", name=op.f("ck_membership_level_gained_by")),
        sa.CheckConstraint("discount_bp between 0 and 10000", name=op.f("ck_membership_level_discount")),
        sa.CheckConstraint("growth >= 0", name=op.f("ck_membership_level_growth")),
        sa.CheckConstraint("merchant_share_bp between 0 and 10000", name=op.f("ck_membership_level_share")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_membership_level")),
        sa.UniqueConstraint("merchant_id", "growth", name=op.f("uq_membership_level_merchant_id_growth")),
    )
    op.create_table(
        "membership_lot",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points >= 0", name=op.f("ck_membership_lot_points")),
        sa.PrimaryKeyConstraint("account_id", "expires_at", name=op.f("pk_membership_lot")),
    )
    op.create_index(
        "ix_membership_lot_ends",
        "membership_lot",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("points > 0"),
    )
    op.create_table(
        "membership_member",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("growth", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("growth >= 0", name=op.f("ck_membership_member_growth")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_membership_member")),
        sa.UniqueConstraint(
            "account_id", "merchant_id", name=op.f("uq_membership_member_account_id_merchant_id")
        ),
    )
    op.create_index("ix_membership_member_of", "membership_member", ["merchant_id", "id"], unique=False)
    op.create_table(
        "membership_order",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("used_points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("parts", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("refunds", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("back_points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("closed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("base_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("kept_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("points_per_yuan", sa.Integer(), server_default="0", nullable=False),
        sa.Column("growth_per_yuan", sa.Integer(), server_default="0", nullable=False),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("growth", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("earned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("back_points between 0 and used_points", name=op.f("ck_membership_order_back")),
        sa.CheckConstraint("kept_fen between 0 and base_fen", name=op.f("ck_membership_order_kept")),
        sa.CheckConstraint("points >= 0 and growth >= 0", name=op.f("ck_membership_order_brought")),
        sa.PrimaryKeyConstraint("account_id", "order_id", name=op.f("pk_membership_order")),
    )
    protect(op, "membership_account", "buyer")
    protect(op, "membership_journal", "buyer", append_only=True)
    protect(op, "membership_level", "merchant", public_read=True)
    protect(op, "membership_lot", "buyer")
    protect(op, "membership_member", "buyer")
    protect(op, "membership_order", "buyer")


def downgrade() -> None:
    """Take back."""
    op.drop_table("membership_order")
    op.drop_index("ix_membership_member_of", table_name="membership_member")
    op.drop_table("membership_member")
    op.drop_index(
        "ix_membership_lot_ends", table_name="membership_lot", postgresql_where=sa.text("points > 0")
    )
    op.drop_table("membership_lot")
    op.drop_table("membership_level")
    op.drop_index("uq_membership_journal_cause", table_name="membership_journal")
    op.drop_table("membership_journal")
    op.drop_table("membership_account")
