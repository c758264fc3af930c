"""Why the market stopped a shop's promotion."""

import sqlalchemy as sa
from alembic import op

revision = "promotions_0002"
down_revision = "promotions_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "promotions_promotion", sa.Column("stop_reason", sa.Text(), server_default="", nullable=False)
    )


def downgrade() -> None:
    """Take back."""
    op.drop_column("promotions_promotion", "stop_reason")
