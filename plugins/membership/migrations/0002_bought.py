"""Levels that are bought; guests that became part of an account."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "membership_0002"
down_revision = "membership_0001"
branch_labels = None
depends_on = None

_KINDS = "'earned', 'used', 'returned', 'taken_back', 'expired', 'granted', 'revoked', 'adjusted'"
_CHECKS = (
    ("membership_journal", "unit", "unit in ('points', 'growth', 'level')"),
    ("membership_journal", "kind", f"kind in ({_KINDS}, 'bought', 'merged')"),
    ("membership_level", "growth", "growth >= 0 and (gained_by = 'growth') = (growth is not null)"),
)
_FORMER = (
    ("membership_journal", "unit", "unit in ('points', 'growth')"),
    ("membership_journal", "kind", f"kind in ({_KINDS})"),
    ("membership_level", "growth", "growth >= 0"),
)
_NEW = (
    ("membership_journal", "level", "(unit = 'level') = (level_id is not null)"),
    ("membership_account", "merged", "merged_into is null or (points = 0 and debt = 0)"),
)

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "membership_term",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("level_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("extra", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "level_id", name=op.f("pk_membership_term")),
    )
    op.create_index("ix_membership_term_level", "membership_term", ["level_id", "until"], unique=False)
    op.create_table(
        "membership_sale",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("level_id", sa.Uuid(), nullable=False),
        sa.Column("shop_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("months > 0", name=op.f("ck_membership_sale_months")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "level_id"],
            ["membership_level.merchant_id", "membership_level.id"],
            name=op.f("fk_membership_sale_merchant_id_level_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_membership_sale")),
    )
    op.create_index("ix_membership_sale_level", "membership_sale", ["merchant_id", "level_id"], unique=False)
    op.create_index("ix_membership_sale_sku", "membership_sale", ["shop_id", "sku_id"], unique=False)
    op.create_index(
        "uq_membership_sale_now",
        "membership_sale",
        ["merchant_id", "sku_id"],
        unique=True,
        postgresql_where=sa.text("until_at is null"),
    )
    op.add_column("membership_account", sa.Column("merged_into", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_membership_account_merged",
        "membership_account",
        ["merged_into"],
        unique=False,
        postgresql_where=sa.text("merged_into is not null"),
    )
    op.add_column("membership_journal", sa.Column("level_id", sa.Uuid(), nullable=True))
    op.alter_column("membership_level", "growth", existing_type=sa.BIGINT(), nullable=True)
    op.add_column(
        "membership_order", sa.Column("bought", postgresql.JSONB(), server_default="[]", nullable=False)
    )
    _replace(_CHECKS)
    for table, name, condition in _NEW:
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
    protect(op, "membership_term", "buyer")
    protect(op, "membership_sale", "merchant", public_read=True)


def downgrade() -> None:
    """Take back."""
    for table, name, _ in _NEW:
        op.drop_constraint(f"ck_{table}_{name}", table)
    op.execute("delete from membership_journal where unit = 'level'")
    op.execute("update membership_journal set kind = 'adjusted' where kind = 'merged'")
    op.execute("delete from membership_level where gained_by = 'purchase'")
    _replace(_FORMER)
    op.drop_column("membership_order", "bought")
    op.alter_column("membership_level", "growth", existing_type=sa.BIGINT(), nullable=False)
    op.drop_column("membership_journal", "level_id")
    op.drop_index(
        "ix_membership_account_merged",
        table_name="membership_account",
        postgresql_where=sa.text("merged_into is not null"),
    )
    op.drop_column("membership_account", "merged_into")
    op.drop_index(
        "uq_membership_sale_now", table_name="membership_sale", postgresql_where=sa.text("until_at is null")
    )
    op.drop_index("ix_membership_sale_sku", table_name="membership_sale")
    op.drop_index("ix_membership_sale_level", table_name="membership_sale")
    op.drop_table("membership_sale")
    op.drop_index("ix_membership_term_level", table_name="membership_term")
    op.drop_table("membership_term")


def _replace(checks: tuple[tuple[str, str, str], ...]) -> None:
    for table, name, condition in checks:
        op.drop_constraint(f"ck_{table}_{name}", table)
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
