"""Refunds that give back what earlier ones kept back."""

from alembic import op

revision = "core_0007"
down_revision = "core_0006"
branch_labels = None
depends_on = None

_AMOUNT = "amount = goods_amount + shipping_amount - deducted_amount and amount >= 0 and goods_amount >= 0"
_NEW = f"{_AMOUNT} and shipping_amount >= 0 and market_borne >= 0 and commission >= 0 and earnings >= 0"
_OLD = (
    f"{_AMOUNT} and shipping_amount >= 0 and deducted_amount >= 0 and market_borne >= 0 and commission >= 0"
    " and deducted_market between 0 and deducted_amount and earnings >= 0"
)


def upgrade() -> None:
    """Apply."""
    op.drop_constraint(op.f("ck_refund_amount"), "refund", type_="check")
    op.create_check_constraint(op.f("ck_refund_amount"), "refund", _NEW)


def downgrade() -> None:
    """Undo. What was given back by then stays as it is."""
    op.drop_constraint(op.f("ck_refund_amount"), "refund", type_="check")
    op.create_check_constraint(op.f("ck_refund_amount"), "refund", _OLD, postgresql_not_valid=True)
