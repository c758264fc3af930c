"""Tables that are not what the models say."""

import sqlalchemy as sa
from alembic import op

from core.api import protect

revision = "sloppy_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for name in ("sloppy_bare", "sloppy_shown", "sloppy_log"):
        op.create_table(
            name,
            sa.Column("merchant_id", sa.Uuid(), primary_key=True),
            sa.Column("id", sa.Uuid(), primary_key=True),
            sa.Column("note", sa.Text(), nullable=False),
        )
    op.execute("grant select, insert, update, delete on sloppy_bare to jishi_app")
    protect(op, "sloppy_shown", "merchant", public_read=True)
    protect(op, "sloppy_log", "merchant")


def downgrade() -> None:
    """Take back."""
    op.drop_table("sloppy_bare")
    op.drop_table("sloppy_shown")
