"""Deliveries in lanes, dropped ones, answers of outside calls, an index to claim by plugin."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "core_0004"
down_revision = "core_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("delivery", sa.Column("seq", sa.BigInteger(), sa.Identity(), nullable=False))
    op.add_column("delivery", sa.Column("lane", sa.Text(), nullable=True))
    op.add_column("delivery", sa.Column("answer", postgresql.JSONB(), nullable=True))
    op.add_column("delivery", sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("delivery", sa.Column("dropped_by", sa.Uuid(), nullable=True))
    op.add_column("delivery", sa.Column("drop_reason", sa.Text(), nullable=True))
    op.drop_constraint(op.f("ck_delivery_status"), "delivery", type_="check")
    op.create_check_constraint(
        op.f("ck_delivery_status"), "delivery", "status in ('new', 'sent', 'parked', 'done', 'dropped')"
    )
    op.create_check_constraint(
        op.f("ck_delivery_dropped"), "delivery", "(status = 'dropped') = (dropped_at is not null)"
    )
    op.drop_index("ix_delivery_due", table_name="delivery")
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["plugin", "due_at"],
        unique=False,
        postgresql_where=sa.text("status in ('new', 'sent')"),
    )
    op.create_index(
        "ix_delivery_lane",
        "delivery",
        ["plugin", "lane", "seq"],
        unique=False,
        postgresql_where=sa.text("lane is not null and status in ('new', 'sent', 'parked')"),
    )
    op.create_index(
        "ix_delivery_aside",
        "delivery",
        ["event_id", "plugin"],
        unique=False,
        postgresql_where=sa.text("status in ('parked', 'dropped')"),
    )


def downgrade() -> None:
    """Take back. What was dropped counts as parked again."""
    op.drop_index("ix_delivery_aside", table_name="delivery")
    op.drop_index("ix_delivery_lane", table_name="delivery")
    op.drop_index("ix_delivery_due", table_name="delivery")
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("status in ('new', 'sent')"),
    )
    op.drop_constraint(op.f("ck_delivery_dropped"), "delivery", type_="check")
    op.drop_constraint(op.f("ck_delivery_status"), "delivery", type_="check")
    op.execute("set local jishi.scope = 'system'")
    op.execute("update delivery set status = 'parked' where status = 'dropped'")
    op.create_check_constraint(
        op.f("ck_delivery_status"), "delivery", "status in ('new', 'sent', 'parked', 'done')"
    )
    for name in ("drop_reason", "dropped_by", "dropped_at", "answer", "lane", "seq"):
        op.drop_column("delivery", name)
