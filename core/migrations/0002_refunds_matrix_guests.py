"""Refunds, the stacking matrix, guests, what an account holds, quantities per purchase."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.db.revision import PgPoint, open_table, protect

revision = "core_0002"
down_revision = "core_0001"
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "holding",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "plugin", name=op.f("pk_holding")),
    )
    op.create_table(
        "pricing_matrix",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("edits", postgresql.JSONB(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_pricing_matrix")),
    )
    op.create_table(
        "refund",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="refunding", nullable=False),
        sa.Column("goods_amount", sa.BigInteger(), nullable=False),
        sa.Column("shipping_amount", sa.BigInteger(), nullable=False),
        sa.Column("deducted_amount", sa.BigInteger(), nullable=False),
        sa.Column("deducted_market", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("market_borne", sa.BigInteger(), nullable=False),
        sa.Column("commission", sa.BigInteger(), nullable=False),
        sa.Column("deductions", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("draft", postgresql.JSONB(), nullable=False),
        sa.Column("unsettled", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("whole_order", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'done') = (done_at is not null)", name=op.f("ck_refund_done")),
        sa.CheckConstraint(
            "origin in ('buyer', 'merchant', 'platform', 'system')", name=op.f("ck_refund_origin")
        ),
        sa.CheckConstraint("status in ('refunding', 'done')", name=op.f("ck_refund_status")),
        sa.CheckConstraint(
            "amount = goods_amount + shipping_amount - deducted_amount and amount >= 0 and goods_amount >= 0 and shipping_amount >= 0 and deducted_amount >= 0 and market_borne >= 0 and commission >= 0 and deducted_market between 0 and deducted_amount",
            name=op.f("ck_refund_amount"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_refund_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_refund")),
        sa.UniqueConstraint("number", name=op.f("uq_refund_number")),
    )
    op.create_index("ix_refund_account", "refund", ["account_id", "id"], unique=False)
    op.create_index("ix_refund_order", "refund", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "refund_line",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("refund_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("first_unit", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("market_borne", sa.BigInteger(), nullable=False),
        sa.Column("merchant_borne", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "amount >= 0 and market_borne >= 0 and merchant_borne >= 0", name=op.f("ck_refund_line_amount")
        ),
        sa.CheckConstraint("quantity > 0 and first_unit >= 0", name=op.f("ck_refund_line_quantity")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "refund_id"],
            ["refund.merchant_id", "refund.id"],
            name=op.f("fk_refund_line_merchant_id_refund_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_refund_line")),
        sa.UniqueConstraint(
            "merchant_id", "line_id", "first_unit", name=op.f("uq_refund_line_merchant_id_line_id_first_unit")
        ),
    )
    op.create_index("ix_refund_line_refund", "refund_line", ["merchant_id", "refund_id"], unique=False)
    op.add_column(
        "account", sa.Column("guest", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_index("ix_account_guest", "account", ["id"], unique=False, postgresql_where=sa.text("guest"))
    op.add_column("listing_sku", sa.Column("min_quantity", sa.Integer(), server_default="1", nullable=False))
    op.add_column("listing_sku", sa.Column("max_quantity", sa.Integer(), nullable=True))
    op.add_column(
        "orders", sa.Column("refunded_shipping", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("orders", sa.Column("refunded_market", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "orders", sa.Column("refunded_commission", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "orders", sa.Column("refunding_amount", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("orders", sa.Column("deducted_market", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "order_line", sa.Column("cancelled_quantity", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("sku", sa.Column("min_quantity", sa.Integer(), server_default="1", nullable=False))
    op.add_column("sku", sa.Column("max_quantity", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_orders_refunded"),
        "orders",
        "refunded_shipping between 0 and shipping_amount and refunded_market between 0 and market_borne"
        " and refunded_commission between 0 and commission",
    )
    op.create_check_constraint(
        op.f("ck_orders_refunding"),
        "orders",
        "refunding_amount >= 0 and deducted_market >= 0"
        " and refunded_amount + refunding_amount + deducted_market <= payable",
    )
    op.create_check_constraint(
        op.f("ck_order_line_cancelled_quantity"),
        "order_line",
        "cancelled_quantity between 0 and refunded_quantity and shipped_quantity + cancelled_quantity <= quantity"
        " and refunded_quantity - cancelled_quantity <= shipped_quantity",
    )
    op.create_check_constraint(
        op.f("ck_sku_quantities"), "sku", "min_quantity >= 1 and max_quantity >= min_quantity"
    )
    protect(op, "holding", "buyer")
    protect(op, "pricing_matrix", "market", public_read=True, platform_write=True)
    protect(op, "refund", "merchant", buyer_read=True)
    protect(op, "refund_line", "merchant", buyer_read=True)


def downgrade() -> None:
    """Take back."""
    op.drop_column("sku", "max_quantity")
    op.drop_column("sku", "min_quantity")
    op.drop_column("order_line", "cancelled_quantity")
    op.drop_column("orders", "deducted_market")
    op.drop_column("orders", "refunding_amount")
    op.drop_column("orders", "refunded_commission")
    op.drop_column("orders", "refunded_market")
    op.drop_column("orders", "refunded_shipping")
    op.drop_column("listing_sku", "max_quantity")
    op.drop_column("listing_sku", "min_quantity")
    op.drop_index("ix_account_guest", table_name="account", postgresql_where=sa.text("guest"))
    op.drop_column("account", "guest")
    op.drop_index("ix_refund_line_refund", table_name="refund_line")
    op.drop_table("refund_line")
    op.drop_index("ix_refund_order", table_name="refund")
    op.drop_index("ix_refund_account", table_name="refund")
    op.drop_table("refund")
    op.drop_table("pricing_matrix")
    op.drop_table("holding")
