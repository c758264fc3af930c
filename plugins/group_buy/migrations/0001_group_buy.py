"""Group buy."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "group_buy_0001"
down_revision = None
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "group_buy_activity",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("per_order", sa.Integer(), nullable=True),
        sa.Column("per_account", sa.Integer(), nullable=True),
        sa.Column("new_only", sa.Text(), nullable=True),
        sa.Column("show_open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("virtual_fill", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("market_coupons", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("new_only in ('market', 'shop')", name=op.f("ck_group_buy_activity_new_only")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_group_buy_activity_period")),
        sa.CheckConstraint("hours between 1 and 72", name=op.f("ck_group_buy_activity_hours")),
        sa.CheckConstraint("per_order > 0 and per_account > 0", name=op.f("ck_group_buy_activity_limits")),
        sa.CheckConstraint("size between 2 and 10", name=op.f("ck_group_buy_activity_size")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_group_buy_activity")),
    )
    op.create_index("ix_group_buy_activity_id", "group_buy_activity", ["id"], unique=False)
    op.create_index(
        "ix_group_buy_activity_product", "group_buy_activity", ["merchant_id", "product_id"], unique=False
    )
    op.create_table(
        "group_buy_group",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="opening", nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), server_default="1", nullable=False),
        sa.Column("paid", sa.Integer(), server_default="0", nullable=False),
        sa.Column("placeholders", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status <> 'succeeded' or paid + placeholders = size", name=op.f("ck_group_buy_group_full")
        ),
        sa.CheckConstraint(
            "status in ('opening', 'running', 'succeeded', 'failing', 'failed', 'closed')",
            name=op.f("ck_group_buy_group_status"),
        ),
        sa.CheckConstraint(
            "status not in ('running', 'succeeded', 'failing', 'failed') or opened_at is not null",
            name=op.f("ck_group_buy_group_began"),
        ),
        sa.CheckConstraint(
            "(opened_at is null) = (expires_at is null)", name=op.f("ck_group_buy_group_opened")
        ),
        sa.CheckConstraint(
            "taken between 0 and size and paid between 0 and taken", name=op.f("ck_group_buy_group_seats")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "activity_id"],
            ["group_buy_activity.merchant_id", "group_buy_activity.id"],
            name=op.f("fk_group_buy_group_merchant_id_activity_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_group_buy_group")),
    )
    op.create_index(
        "ix_group_buy_group_activity", "group_buy_group", ["merchant_id", "activity_id", "id"], unique=False
    )
    op.create_index(
        "ix_group_buy_group_running",
        "group_buy_group",
        ["merchant_id", "activity_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index("uq_group_buy_group_code", "group_buy_group", ["code"], unique=True)
    op.create_table(
        "group_buy_price",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("leader_price", sa.BigInteger(), nullable=True),
        sa.Column("quota", sa.Integer(), nullable=False),
        sa.Column("sold", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "price > 0 and (leader_price is null or leader_price between 1 and price)",
            name=op.f("ck_group_buy_price_price"),
        ),
        sa.CheckConstraint("sold between 0 and quota", name=op.f("ck_group_buy_price_sold")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "activity_id"],
            ["group_buy_activity.merchant_id", "group_buy_activity.id"],
            name=op.f("fk_group_buy_price_merchant_id_activity_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "activity_id", "sku_id", name=op.f("pk_group_buy_price")),
    )
    op.create_table(
        "group_buy_seat",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("leader", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("live", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("left_group", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), server_default="held", nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("returned", sa.Integer(), server_default="0", nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(number is not null) = (status in ('held', 'paid'))", name=op.f("ck_group_buy_seat_seated")
        ),
        sa.CheckConstraint("not live or status in ('held', 'paid')", name=op.f("ck_group_buy_seat_live")),
        sa.CheckConstraint(
            "status in ('held', 'paid', 'closed', 'expired', 'refused', 'leaving', 'refunded')",
            name=op.f("ck_group_buy_seat_status"),
        ),
        sa.CheckConstraint("number between 1 and size", name=op.f("ck_group_buy_seat_number")),
        sa.CheckConstraint(
            "units > 0 and returned between 0 and units", name=op.f("ck_group_buy_seat_units")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "group_id"],
            ["group_buy_group.merchant_id", "group_buy_group.id"],
            name=op.f("fk_group_buy_seat_merchant_id_group_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_group_buy_seat")),
        sa.UniqueConstraint(
            "merchant_id", "group_id", "number", name=op.f("uq_group_buy_seat_merchant_id_group_id_number")
        ),
        sa.UniqueConstraint("merchant_id", "order_id", name=op.f("uq_group_buy_seat_merchant_id_order_id")),
    )
    op.create_index("ix_group_buy_seat_account", "group_buy_seat", ["account_id", "id"], unique=False)
    op.create_index(
        "uq_group_buy_seat_live",
        "group_buy_seat",
        ["merchant_id", "activity_id", "account_id"],
        unique=True,
        postgresql_where=sa.text("live"),
    )
    protect(op, "group_buy_activity", "merchant", public_read=True)
    protect(op, "group_buy_group", "merchant", public_read=True)
    protect(op, "group_buy_price", "merchant", public_read=True)
    protect(op, "group_buy_seat", "merchant", buyer_read=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index("uq_group_buy_seat_live", table_name="group_buy_seat", postgresql_where=sa.text("live"))
    op.drop_index("ix_group_buy_seat_account", table_name="group_buy_seat")
    op.drop_table("group_buy_seat")
    op.drop_table("group_buy_price")
    op.drop_index("uq_group_buy_group_code", table_name="group_buy_group")
    op.drop_index(
        "ix_group_buy_group_running",
        table_name="group_buy_group",
        postgresql_where=sa.text("status = 'running'"),
    )
    op.drop_index("ix_group_buy_group_activity", table_name="group_buy_group")
    op.drop_table("group_buy_group")
    op.drop_index("ix_group_buy_activity_product", table_name="group_buy_activity")
    op.drop_index("ix_group_buy_activity_id", table_name="group_buy_activity")
    op.drop_table("group_buy_activity")
