"""Flash sale."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "flash_sale_0001"
down_revision = None
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "flash_sale_entry",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("per_order", sa.Integer(), nullable=False),
        sa.Column("per_account", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="applied", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "status in ('applied', 'passed', 'refused', 'withdrawn')", name=op.f("ck_flash_sale_entry_status")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_flash_sale_entry")),
        sa.UniqueConstraint(
            "merchant_id",
            "activity_id",
            "sku_id",
            name=op.f("uq_flash_sale_entry_merchant_id_activity_id_sku_id"),
        ),
    )
    op.create_index("ix_flash_sale_entry_event", "flash_sale_entry", ["event_id", "id"], unique=False)
    op.create_table(
        "flash_sale_event",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), server_default="", nullable=False),
        sa.Column("sign_up_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("invited", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("category_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("merchant_share_bp", sa.Integer(), nullable=False),
        sa.Column("market_coupons", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("token_required", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("merchant_share_bp between 0 and 10000", name=op.f("ck_flash_sale_event_share")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_flash_sale_event")),
    )
    op.create_table(
        "flash_sale_item",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("per_order", sa.Integer(), nullable=False),
        sa.Column("per_account", sa.Integer(), nullable=False),
        sa.Column("sold", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("per_order > 0 and per_account > 0", name=op.f("ck_flash_sale_item_limits")),
        sa.CheckConstraint("price > 0", name=op.f("ck_flash_sale_item_price")),
        sa.CheckConstraint("sold between 0 and quantity", name=op.f("ck_flash_sale_item_sold")),
        sa.PrimaryKeyConstraint("merchant_id", "activity_id", "sku_id", name=op.f("pk_flash_sale_item")),
    )
    op.create_index("ix_flash_sale_item_activity", "flash_sale_item", ["activity_id"], unique=False)
    op.create_table(
        "flash_sale_taking",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.CheckConstraint("taken >= 0", name=op.f("ck_flash_sale_taking_taken")),
        sa.PrimaryKeyConstraint("account_id", "activity_id", "sku_id", name=op.f("pk_flash_sale_taking")),
    )
    op.create_table(
        "flash_sale_use",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("back", sa.Integer(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("nonce", sa.Uuid(), nullable=True),
        sa.Column("refund_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status in ('open', 'closed')", name=op.f("ck_flash_sale_use_status")),
        sa.CheckConstraint("back between 0 and quantity", name=op.f("ck_flash_sale_use_back")),
        sa.PrimaryKeyConstraint("account_id", "trade_id", name=op.f("pk_flash_sale_use")),
        sa.UniqueConstraint("account_id", "nonce", name=op.f("uq_flash_sale_use_account_id_nonce")),
    )
    op.create_table(
        "flash_sale_slot",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_flash_sale_slot_period")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "event_id"],
            ["flash_sale_event.merchant_id", "flash_sale_event.id"],
            name=op.f("fk_flash_sale_slot_merchant_id_event_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_flash_sale_slot")),
    )
    op.create_index("ix_flash_sale_slot_ends", "flash_sale_slot", ["ends_at"], unique=False)
    op.create_index("ix_flash_sale_slot_event", "flash_sale_slot", ["merchant_id", "event_id"], unique=False)
    op.create_index("ix_flash_sale_slot_id", "flash_sale_slot", ["id"], unique=False)
    protect(op, "flash_sale_entry", "merchant")
    protect(op, "flash_sale_event", "merchant", public_read=True)
    protect(op, "flash_sale_item", "merchant", public_read=True)
    protect(op, "flash_sale_taking", "buyer")
    protect(op, "flash_sale_use", "buyer")
    protect(op, "flash_sale_slot", "merchant", public_read=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_flash_sale_slot_id", table_name="flash_sale_slot")
    op.drop_index("ix_flash_sale_slot_event", table_name="flash_sale_slot")
    op.drop_index("ix_flash_sale_slot_ends", table_name="flash_sale_slot")
    op.drop_table("flash_sale_slot")
    op.drop_table("flash_sale_use")
    op.drop_table("flash_sale_taking")
    op.drop_index("ix_flash_sale_item_activity", table_name="flash_sale_item")
    op.drop_table("flash_sale_item")
    op.drop_table("flash_sale_event")
    op.drop_index("ix_flash_sale_entry_event", table_name="flash_sale_entry")
    op.drop_table("flash_sale_entry")
