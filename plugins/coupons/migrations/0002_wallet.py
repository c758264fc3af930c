"""Where coupons come from, which orders they touched and what they cost; codes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.api import PgPoint, open_table, protect

revision = "coupons_0002"
down_revision = "coupons_0001"
branch_labels = None
depends_on = None

# Coupons used before: what they took off is in the orders' discounts. Statistics had counted orders and coupons of paid
# trades already, but not what they cost.
_USES = """
insert into coupons_use (account_id, coupon_id, order_id, merchant_id, template_id, trade_id, status, market, merchant,
  counted_orders, at)
select c.account_id, c.id, o.order_id, c.merchant_id, c.template_id, c.used_trade_id,
  case when c.paid_at is null then 'open' else 'paid' end, coalesce(sum(d.bearer_market), 0),
  coalesce(sum(d.bearer_merchant), 0), (c.paid_at is not null)::int, coalesce(c.used_at, c.claimed_at)
from coupons_coupon c cross join unnest(c.used_order_ids) o(order_id)
left join order_discount d on d.order_id = o.order_id and d.plugin = 'coupons'
  and d.rule = translate(rtrim(encode(uuid_send(c.id), 'base64'), '='), '+/', '-_')
where c.status = 'used' group by c.account_id, c.id, o.order_id
"""
_COUNTED = """
update coupons_use u set counted_market = market, counted_merchant = merchant, counted_used = (not exists (
  select from coupons_use o where o.account_id = u.account_id and o.coupon_id = u.coupon_id
    and o.order_id < u.order_id))::int
where status = 'paid'
"""
_COSTS = """
update coupons_template t set cost_market = u.market, cost_merchant = u.merchant
from (select merchant_id, template_id, sum(counted_market) as market, sum(counted_merchant) as merchant
  from coupons_use group by merchant_id, template_id) u
where t.merchant_id = u.merchant_id and t.id = u.template_id
"""

_ORIGINS = "'open', 'new_account', 'targeted', 'gift', 'code'"
_CHECKS = (
    ("coupons_coupon", "status", "status in ('unused', 'used', 'expired', 'void')"),
    ("coupons_coupon", "origin", f"origin in ({_ORIGINS})"),
    ("coupons_template", "status", "status in ('open', 'closed', 'void')"),
    ("coupons_template", "claim", f"claim in ({_ORIGINS})"),
    ("coupons_template", "delay", "delay_days >= 0"),
    ("coupons_template", "cost", "cost_market >= 0 and cost_merchant >= 0"),
)

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "coupons_code",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("used >= 0 and used <= uses", name=op.f("ck_coupons_code_uses")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "template_id"],
            ["coupons_template.merchant_id", "coupons_template.id"],
            name=op.f("fk_coupons_code_merchant_id_template_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "code", name=op.f("pk_coupons_code")),
    )
    op.create_index("ix_coupons_code_template", "coupons_code", ["merchant_id", "template_id"], unique=False)
    op.create_index("uq_coupons_code_code", "coupons_code", ["code"], unique=True)
    op.create_table(
        "coupons_use",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("coupon_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("market", sa.BigInteger(), nullable=False),
        sa.Column("merchant", sa.BigInteger(), nullable=False),
        sa.Column("back_market", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("back_merchant", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refund_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("counted_orders", sa.Integer(), server_default="0", nullable=False),
        sa.Column("counted_used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("counted_market", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("counted_merchant", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status in ('open', 'paid', 'closed', 'refunded')", name=op.f("ck_coupons_use_status")
        ),
        sa.CheckConstraint(
            "back_market between 0 and market and back_merchant between 0 and merchant",
            name=op.f("ck_coupons_use_back"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "coupon_id"],
            ["coupons_coupon.account_id", "coupons_coupon.id"],
            name=op.f("fk_coupons_use_account_id_coupon_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "coupon_id", "order_id", name=op.f("pk_coupons_use")),
    )
    op.create_index("ix_coupons_use_trade", "coupons_use", ["account_id", "trade_id"], unique=False)
    op.add_column("coupons_coupon", sa.Column("origin", sa.Text(), server_default="open", nullable=False))
    op.add_column("coupons_coupon", sa.Column("cause", sa.Text(), nullable=True))
    op.add_column("coupons_coupon", sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("coupons_coupon", sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("coupons_coupon", sa.Column("void_reason", sa.Text(), nullable=True))
    op.add_column("coupons_coupon", sa.Column("deducted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_coupons_coupon_cause",
        "coupons_coupon",
        ["account_id", "cause"],
        unique=False,
        postgresql_where=sa.text("cause is not null"),
    )
    op.create_index(
        "ix_coupons_coupon_ends",
        "coupons_coupon",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'unused'"),
    )
    op.create_index(
        "ix_coupons_coupon_remind",
        "coupons_coupon",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'unused' and reminded_at is null"),
    )
    op.create_index(
        "ix_coupons_coupon_template", "coupons_coupon", ["merchant_id", "template_id", "id"], unique=False
    )
    op.create_index(
        "ix_coupons_coupon_trade",
        "coupons_coupon",
        ["used_trade_id"],
        unique=False,
        postgresql_where=sa.text("used_trade_id is not null"),
    )
    op.execute(_USES)
    op.drop_column("coupons_coupon", "used_order_ids")
    op.drop_column("coupons_coupon", "paid_at")
    op.add_column("coupons_template", sa.Column("gift", postgresql.JSONB(), nullable=True))
    op.create_index(
        "ix_coupons_template_gift",
        "coupons_template",
        ["merchant_id"],
        unique=False,
        postgresql_where=sa.text("status = 'open' and gift is not null"),
    )
    op.add_column("coupons_template", sa.Column("claim_from", sa.DateTime(timezone=True), nullable=True))
    op.add_column("coupons_template", sa.Column("claim_to", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "coupons_template", sa.Column("delay_days", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("coupons_template", sa.Column("expired", sa.Integer(), server_default="0", nullable=False))
    op.add_column("coupons_template", sa.Column("voided", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "coupons_template", sa.Column("cost_market", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "coupons_template", sa.Column("cost_merchant", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.drop_constraint("ck_coupons_coupon_status", "coupons_coupon")
    op.drop_constraint("ck_coupons_template_status", "coupons_template")
    for table, name, condition in _CHECKS:
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
    op.execute(_COUNTED)
    op.execute(_COSTS)
    protect(op, "coupons_code", "merchant")
    protect(op, "coupons_use", "buyer")


def downgrade() -> None:
    """Take back."""
    for table, name, _ in _CHECKS:
        op.drop_constraint(f"ck_{table}_{name}", table)
    op.execute("update coupons_template set status = 'closed' where status = 'void'")
    op.execute(
        "update coupons_coupon set status = 'unused', expires_at = least(expires_at, claimed_at)"
        " where status in ('expired', 'void')"
    )
    op.create_check_constraint(
        op.f("ck_coupons_coupon_status"), "coupons_coupon", "status in ('unused', 'used')"
    )
    op.create_check_constraint(
        op.f("ck_coupons_template_status"), "coupons_template", "status in ('open', 'closed')"
    )
    op.drop_index(
        "ix_coupons_template_gift",
        table_name="coupons_template",
        postgresql_where=sa.text("status = 'open' and gift is not null"),
    )
    op.drop_column("coupons_template", "claim_to")
    op.drop_column("coupons_template", "claim_from")
    op.drop_column("coupons_template", "cost_merchant")
    op.drop_column("coupons_template", "cost_market")
    op.drop_column("coupons_template", "voided")
    op.drop_column("coupons_template", "expired")
    op.drop_column("coupons_template", "delay_days")
    op.drop_column("coupons_template", "gift")
    op.add_column("coupons_coupon", sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "coupons_coupon",
        sa.Column(
            "used_order_ids",
            postgresql.ARRAY(sa.UUID()),
            server_default=sa.text("'{}'::uuid[]"),
            autoincrement=False,
            nullable=False,
        ),
    )
    op.drop_index(
        "ix_coupons_coupon_trade",
        table_name="coupons_coupon",
        postgresql_where=sa.text("used_trade_id is not null"),
    )
    op.drop_index("ix_coupons_coupon_template", table_name="coupons_coupon")
    op.drop_index(
        "ix_coupons_coupon_remind",
        table_name="coupons_coupon",
        postgresql_where=sa.text("status = 'unused' and reminded_at is null"),
    )
    op.drop_index(
        "ix_coupons_coupon_ends", table_name="coupons_coupon", postgresql_where=sa.text("status = 'unused'")
    )
    op.drop_index(
        "ix_coupons_coupon_cause", table_name="coupons_coupon", postgresql_where=sa.text("cause is not null")
    )
    op.drop_column("coupons_coupon", "deducted_at")
    op.drop_column("coupons_coupon", "void_reason")
    op.drop_column("coupons_coupon", "voided_at")
    op.drop_column("coupons_coupon", "reminded_at")
    op.drop_column("coupons_coupon", "cause")
    op.drop_column("coupons_coupon", "origin")
    op.drop_index("ix_coupons_use_trade", table_name="coupons_use")
    op.drop_table("coupons_use")
    op.drop_index("uq_coupons_code_code", table_name="coupons_code")
    op.drop_index("ix_coupons_code_template", table_name="coupons_code")
    op.drop_table("coupons_code")
