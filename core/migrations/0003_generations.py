"""Generations that are proposed, acknowledged by every live process, and then active or withdrawn; quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.db.migrations import protect

revision = "core_0003"
down_revision = "core_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Generations of before were active at once."""
    op.add_column("generation", sa.Column("status", sa.Text(), server_default="active", nullable=False))
    op.add_column("generation", sa.Column("state", postgresql.JSONB(), nullable=True))
    op.add_column("generation", sa.Column("previous", postgresql.JSONB(), nullable=True))
    op.add_column("generation", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("generation", sa.Column("until", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_generation_status"), "generation", "status in ('proposed', 'active', 'withdrawn')"
    )
    op.create_index(
        "ix_generation_proposed",
        "generation",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'proposed'"),
    )
    op.add_column("deployment_plugin", sa.Column("quarantine", sa.Text(), nullable=True))
    op.add_column(
        "deployment_plugin",
        sa.Column("tables", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    op.create_table(
        "process",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind in ('web', 'worker')", name=op.f("ck_process_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process")),
    )
    op.create_table(
        "acknowledgement",
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("process_id", sa.Uuid(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("generation", "process_id", name=op.f("pk_acknowledgement")),
    )
    protect(op, "process", "market")
    protect(op, "acknowledgement", "market")


def downgrade() -> None:
    """Take back. What was not active counts no more."""
    op.drop_table("acknowledgement")
    op.drop_table("process")
    op.drop_column("deployment_plugin", "tables")
    op.drop_column("deployment_plugin", "quarantine")
    op.execute("set local jishi.scope = 'system'")
    op.execute("delete from generation where status <> 'active'")
    op.drop_index("ix_generation_proposed", table_name="generation")
    op.drop_constraint(op.f("ck_generation_status"), "generation", type_="check")
    for name in ("until", "reason", "previous", "state", "status"):
        op.drop_column("generation", name)
