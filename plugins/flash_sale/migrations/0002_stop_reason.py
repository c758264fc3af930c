"""Why the market stopped a sale."""

import sqlalchemy as sa
from alembic import op

revision = "flash_sale_0002"
down_revision = "flash_sale_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("flash_sale_slot", sa.Column("stop_reason", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Take back."""
    op.drop_column("flash_sale_slot", "stop_reason")
