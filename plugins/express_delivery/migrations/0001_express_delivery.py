"""Express delivery."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "express_delivery_0001"
down_revision = None
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "express_delivery_shop",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("free_from", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("fee >= 0", name=op.f("ck_express_delivery_shop_fee")),
        sa.CheckConstraint("free_from >= 0", name=op.f("ck_express_delivery_shop_free_from")),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_express_delivery_shop")),
    )
    protect(op, "express_delivery_shop", "merchant", public_read=True)


def downgrade() -> None:
    """Take back."""
    op.drop_table("express_delivery_shop")
