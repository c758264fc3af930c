"""Which plugins had a part in an order. Not known of those that were placed before."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "core_0008"
down_revision = "core_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("orders", sa.Column("contributors", postgresql.ARRAY(sa.Text()), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("orders", "contributors")
