"""After the purchase: calls of the payment service, payouts, balances, cases, earnings, codes of parcels."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.db.revision import PgPoint, open_table, protect

revision = "core_0005"
down_revision = "core_0004"
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]

_REFUND = (
    "amount = goods_amount + shipping_amount - deducted_amount and amount >= 0 and goods_amount >= 0"
    " and shipping_amount >= 0 and deducted_amount >= 0 and market_borne >= 0 and commission >= 0"
    " and deducted_market between 0 and deducted_amount"
)
_BALANCES = """
insert into ledger_balance (merchant_id, owner, kind, debit, credit)
select merchant_id, owner, kind, sum(debit), sum(credit) from (
  select merchant_id, debit_owner as owner, debit_kind as kind, amount as debit, 0 as credit from ledger_transfer
  union all
  select merchant_id, credit_owner, credit_kind, 0, amount from ledger_transfer
) sides group by merchant_id, owner, kind
"""
# One row for each order that was released: what it brought less what refunds took.
_ENTRIES = """
insert into payout_entry (merchant_id, id, order_id, amount, at)
select merchant_id, reference, reference, sum(amount), max(at) from (
  select merchant_id, reference, amount, at from ledger_transfer where credit_owner = merchant_id and credit_kind = 'payable'
  union all
  select merchant_id, reference, -amount, at from ledger_transfer where debit_owner = merchant_id and debit_kind = 'payable'
) moved group by merchant_id, reference having sum(amount) <> 0
"""


def _recheck(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def _sandbox() -> None:
    op.create_table(
        "sandbox_payment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("legs", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refunded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("notified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "status in ('open', 'paid', 'closed', 'refunded')", name=op.f("ck_sandbox_payment_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sandbox_payment")),
        sa.UniqueConstraint("reference", name=op.f("uq_sandbox_payment_reference")),
    )
    protect(op, "sandbox_payment", "market")


def _order_lists() -> None:
    op.drop_index("ix_orders_phone", table_name="orders")
    op.create_index("ix_orders_phone", "orders", ["phone_index", "merchant_id", "id"], unique=False)
    op.drop_index("ix_orders_account", table_name="orders")
    op.create_index(
        "ix_orders_account_status", "orders", ["account_id", "status", "id", "merchant_id"], unique=False
    )
    op.drop_index("ix_orders_merchant_status", table_name="orders")
    op.create_index(
        "ix_orders_merchant_status", "orders", ["merchant_id", "status", "id", "account_id"], unique=False
    )
    op.create_index("ix_orders_status", "orders", ["status", "id"], unique=False)
    op.create_index("ix_order_line_sku", "order_line", ["merchant_id", "sku_id", "order_id"], unique=False)
    for index, columns in (
        ("ix_aftersale_open", ["merchant_id", "order_id"]),
        ("ix_aftersale_open_order", ["order_id"]),
    ):
        where = sa.text("closed_at is null")
        op.create_index(index, "aftersale", columns, unique=False, postgresql_where=where)


def _holds() -> None:
    op.add_column("order_log", sa.Column("event", sa.Text(), server_default="moved", nullable=False))
    op.create_check_constraint(
        op.f("ck_order_log_event"), "order_log", "event in ('moved', 'held', 'lifted')"
    )
    op.add_column("order_hold", sa.Column("cause", sa.Text(), server_default="plugin", nullable=False))
    op.execute("select set_config('jishi.scope', 'system', true)")
    op.execute("update order_hold set cause = 'refund' where starts_with(reason, 'A refund is not settled')")
    op.create_check_constraint(
        op.f("ck_order_hold_cause"), "order_hold", "cause in ('plugin', 'paying', 'refund')"
    )
    op.drop_constraint(op.f("pk_order_hold"), "order_hold", type_="primary")
    op.create_primary_key(op.f("pk_order_hold"), "order_hold", ["merchant_id", "order_id", "plugin", "cause"])
    op.create_index("ix_order_hold_order", "order_hold", ["order_id"], unique=False)
    op.create_index("ix_order_hold_account", "order_hold", ["account_id"], unique=False)


def _no_order_lists() -> None:
    op.drop_index("ix_aftersale_open_order", table_name="aftersale")
    op.drop_index("ix_aftersale_open", table_name="aftersale")
    op.drop_index("ix_order_line_sku", table_name="order_line")
    op.drop_index("ix_orders_status", table_name="orders")
    op.drop_index("ix_orders_merchant_status", table_name="orders")
    op.create_index("ix_orders_merchant_status", "orders", ["merchant_id", "status", "id"], unique=False)
    op.drop_index("ix_orders_account_status", table_name="orders")
    op.create_index("ix_orders_account", "orders", ["account_id", "id"], unique=False)
    op.drop_index("ix_orders_phone", table_name="orders")
    op.create_index("ix_orders_phone", "orders", ["merchant_id", "phone_index"], unique=False)


def _no_holds() -> None:
    op.execute("select set_config('jishi.scope', 'system', true)")
    op.execute(
        "delete from order_hold h using order_hold o where h.merchant_id = o.merchant_id and h.order_id = o.order_id"
        " and h.plugin = o.plugin and h.cause > o.cause"
    )
    op.drop_index("ix_order_hold_account", table_name="order_hold")
    op.drop_index("ix_order_hold_order", table_name="order_hold")
    op.drop_constraint(op.f("pk_order_hold"), "order_hold", type_="primary")
    op.create_primary_key(op.f("pk_order_hold"), "order_hold", ["merchant_id", "order_id", "plugin"])
    op.drop_constraint(op.f("ck_order_hold_cause"), "order_hold", type_="check")
    op.drop_column("order_hold", "cause")
    op.drop_constraint(op.f("ck_order_log_event"), "order_log", type_="check")
    op.drop_column("order_log", "event")


def _payout_entry() -> None:
    op.create_table(
        "payout_entry",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_payout_entry_amount")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_payout_entry")),
    )
    op.create_index("ix_payout_entry_order", "payout_entry", ["order_id"], unique=False)
    for name, column, where in (
        ("ix_payout_entry_payout", "payout_id", "payout_id is not null"),
        ("ix_payout_entry_open", "merchant_id", "payout_id is null"),
    ):
        op.create_index(name, "payout_entry", [column], unique=False, postgresql_where=sa.text(where))
    protect(op, "payout_entry", "merchant")
    # What was released before is owed as it stands, order by order.
    op.execute("select set_config('jishi.scope', 'system', true)")
    op.execute(_ENTRIES)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "channel_call",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("reference", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'done') = (done_at is not null)", name=op.f("ck_channel_call_done")),
        sa.CheckConstraint(
            "kind in ('subsidise', 'return_subsidy', 'refund', 'split', 'return_split', 'finish', 'pay_out')",
            name=op.f("ck_channel_call_kind"),
        ),
        sa.CheckConstraint("status in ('waiting', 'done', 'refused')", name=op.f("ck_channel_call_status")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_channel_call_amount")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_channel_call")),
    )
    op.create_index("ix_payment_paid_at", "payment", ["paid_at"], unique=False, postgresql_using="brin")
    op.create_index(
        "ix_channel_call_done_at", "channel_call", ["done_at"], unique=False, postgresql_using="brin"
    )
    op.create_index(
        "ix_channel_call_open",
        "channel_call",
        ["status", "seq"],
        unique=False,
        postgresql_where=sa.text("status <> 'done'"),
    )
    op.create_index(
        "ix_channel_call_payment", "channel_call", ["merchant_id", "payment_id", "seq"], unique=False
    )
    op.create_index("ix_channel_call_reference", "channel_call", ["reference"], unique=False)
    op.create_table(
        "ledger_balance",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "owner", "kind", name=op.f("pk_ledger_balance")),
    )
    op.create_index("ix_ledger_balance_account", "ledger_balance", ["owner", "kind"], unique=False)
    op.create_table(
        "ledger_recent",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side in ('debit', 'credit')", name=op.f("ck_ledger_recent_side")),
        sa.PrimaryKeyConstraint("merchant_id", "transfer_id", "side", name=op.f("pk_ledger_recent")),
    )
    op.create_index("ix_ledger_recent_account", "ledger_recent", ["owner", "kind"], unique=False)
    op.create_table(
        "payout",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("netted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), server_default="sending", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status in ('sending', 'paid', 'returned')", name=op.f("ck_payout_status")),
        sa.CheckConstraint(
            "amount >= 0 and netted >= 0 and amount + netted > 0", name=op.f("ck_payout_amount")
        ),
        sa.CheckConstraint("(status = 'sending') = (done_at is null)", name=op.f("ck_payout_done")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_payout")),
        sa.UniqueConstraint("number", name=op.f("uq_payout_number")),
    )
    op.create_index("ix_payout_merchant", "payout", ["merchant_id", "id"], unique=False)
    _payout_entry()
    op.create_table(
        "aftersale",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="applied", nullable=False),
        sa.Column("fault", sa.Text(), server_default="none", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("images", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("shipping_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("return_address", sa.LargeBinary(), nullable=True),
        sa.Column("carrier", sa.Text(), server_default="", nullable=False),
        sa.Column("waybill_no", sa.Text(), server_default="", nullable=False),
        sa.Column("refusal", sa.Text(), server_default="", nullable=False),
        sa.Column("refund_id", sa.Uuid(), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status in ('done', 'cancelled', 'closed')) = (closed_at is not null)",
            name=op.f("ck_aftersale_closed"),
        ),
        sa.CheckConstraint("fault in ('none', 'buyer', 'merchant')", name=op.f("ck_aftersale_fault")),
        sa.CheckConstraint(
            "kind in ('refund_only', 'return_refund', 'exchange')", name=op.f("ck_aftersale_kind")
        ),
        sa.CheckConstraint(
            "status in ('applied', 'agreed', 'sent', 'received', 'reshipped', 'refunding', 'refused', 'arbitration', 'done', 'cancelled', 'closed')",
            name=op.f("ck_aftersale_status"),
        ),
        sa.CheckConstraint("shipping_amount >= 0", name=op.f("ck_aftersale_shipping_amount")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_aftersale_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_aftersale")),
        sa.UniqueConstraint("number", name=op.f("uq_aftersale_number")),
    )
    op.create_index("ix_aftersale_account", "aftersale", ["account_id", "id"], unique=False)
    op.create_index("ix_aftersale_id", "aftersale", ["id"], unique=False)
    op.create_index("ix_aftersale_status", "aftersale", ["status", "id"], unique=False)
    op.create_index(
        "ix_aftersale_merchant_status", "aftersale", ["merchant_id", "status", "id"], unique=False
    )
    op.create_index("ix_aftersale_order", "aftersale", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "order_earning",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("refunded_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "amount > 0 and refunded_amount between 0 and amount", name=op.f("ck_order_earning_amount")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_order_earning_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_order_earning")),
    )
    op.create_index("ix_order_earning_order", "order_earning", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "parcel_plan",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("aftersale_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("stage in ('provisional', 'final')", name=op.f("ck_parcel_plan_stage")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_parcel_plan_quantity")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_parcel_plan_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_parcel_plan")),
    )
    op.create_index("ix_parcel_plan_order", "parcel_plan", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "aftersale_line",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("aftersale_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_aftersale_line_quantity")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "aftersale_id"],
            ["aftersale.merchant_id", "aftersale.id"],
            name=op.f("fk_aftersale_line_merchant_id_aftersale_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "aftersale_id", "line_id", name=op.f("pk_aftersale_line")),
    )
    op.create_index("ix_aftersale_line_line", "aftersale_line", ["merchant_id", "line_id"], unique=False)
    op.create_table(
        "aftersale_log",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("aftersale_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("old_status", sa.Text(), nullable=False),
        sa.Column("new_status", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "party in ('buyer', 'merchant', 'platform', 'system')", name=op.f("ck_aftersale_log_party")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "aftersale_id"],
            ["aftersale.merchant_id", "aftersale.id"],
            name=op.f("fk_aftersale_log_merchant_id_aftersale_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_aftersale_log")),
    )
    op.create_index("ix_aftersale_log_case", "aftersale_log", ["merchant_id", "aftersale_id"], unique=False)
    op.add_column(
        "order_line",
        sa.Column("requires_shipping", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )
    op.add_column("orders", sa.Column("earnings", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "orders", sa.Column("refunded_earnings", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("parcel", sa.Column("place", sa.Text(), server_default="", nullable=False))
    op.add_column("parcel", sa.Column("code", sa.LargeBinary(), nullable=True))
    op.add_column("parcel", sa.Column("code_index", sa.LargeBinary(), nullable=True))
    op.add_column("parcel", sa.Column("changes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("parcel", sa.Column("aftersale_id", sa.Uuid(), nullable=True))
    op.add_column("parcel", sa.Column("redeemed_by", sa.Uuid(), nullable=True))
    op.create_index(
        "uq_parcel_code",
        "parcel",
        ["merchant_id", "code_index"],
        unique=True,
        postgresql_where=sa.text("code_index is not null"),
    )
    op.add_column("refund", sa.Column("earnings", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("refund", sa.Column("aftersale_id", sa.Uuid(), nullable=True))
    protect(op, "channel_call", "merchant")
    protect(op, "ledger_balance", "merchant")
    protect(op, "ledger_recent", "merchant")
    protect(op, "payout", "merchant")
    protect(op, "aftersale", "merchant", buyer_read=True)
    protect(op, "order_earning", "merchant")
    protect(op, "parcel_plan", "merchant")
    protect(op, "aftersale_line", "merchant", buyer_read=True)
    protect(op, "aftersale_log", "merchant", buyer_read=True, append_only=True)

    _order_lists()
    _holds()
    op.drop_table("sandbox_payment")
    _recheck("parcel", "status", "status in ('ready', 'shipped', 'delivered', 'voided')")
    op.create_check_constraint(op.f("ck_parcel_code"), "parcel", "(code is null) = (code_index is null)")
    op.create_check_constraint(
        op.f("ck_orders_earnings"),
        "orders",
        "earnings between 0 and payable + market_borne and refunded_earnings between 0 and earnings",
    )
    _recheck("refund", "amount", f"{_REFUND} and earnings >= 0")
    # A table that policies guard is read by the scope that may see all of it.
    op.execute("select set_config('jishi.scope', 'system', true)")
    op.execute(_BALANCES)


def downgrade() -> None:
    """Take back."""
    _no_holds()
    _no_order_lists()
    _recheck("refund", "amount", _REFUND)
    op.drop_constraint(op.f("ck_orders_earnings"), "orders", type_="check")
    op.drop_constraint(op.f("ck_parcel_code"), "parcel", type_="check")
    op.execute("select set_config('jishi.scope', 'system', true)")
    op.execute("update parcel set status = 'shipped' where status = 'ready'")
    op.execute("update parcel set status = 'delivered' where status = 'voided'")
    _recheck("parcel", "status", "status in ('shipped', 'delivered')")
    _sandbox()
    op.drop_column("refund", "aftersale_id")
    op.drop_column("refund", "earnings")
    op.drop_index("uq_parcel_code", table_name="parcel", postgresql_where=sa.text("code_index is not null"))
    op.drop_column("parcel", "redeemed_by")
    op.drop_column("parcel", "aftersale_id")
    op.drop_column("parcel", "changes")
    op.drop_column("parcel", "code_index")
    op.drop_column("parcel", "code")
    op.drop_column("parcel", "place")
    op.drop_column("orders", "refunded_earnings")
    op.drop_column("orders", "earnings")
    op.drop_column("order_line", "requires_shipping")
    op.drop_index("ix_aftersale_log_case", table_name="aftersale_log")
    op.drop_table("aftersale_log")
    op.drop_index("ix_aftersale_line_line", table_name="aftersale_line")
    op.drop_table("aftersale_line")
    op.drop_index("ix_parcel_plan_order", table_name="parcel_plan")
    op.drop_table("parcel_plan")
    op.drop_index("ix_order_earning_order", table_name="order_earning")
    op.drop_table("order_earning")
    op.drop_index("ix_aftersale_order", table_name="aftersale")
    op.drop_index("ix_aftersale_merchant_status", table_name="aftersale")
    op.drop_index("ix_aftersale_status", table_name="aftersale")
    op.drop_index("ix_aftersale_id", table_name="aftersale")
    op.drop_index("ix_aftersale_account", table_name="aftersale")
    op.drop_table("aftersale")
    op.drop_table("payout_entry")
    op.drop_index("ix_payout_merchant", table_name="payout")
    op.drop_table("payout")
    op.drop_index("ix_ledger_recent_account", table_name="ledger_recent")
    op.drop_table("ledger_recent")
    op.drop_index("ix_ledger_balance_account", table_name="ledger_balance")
    op.drop_table("ledger_balance")
    op.drop_index("ix_channel_call_reference", table_name="channel_call")
    op.drop_index("ix_payment_paid_at", table_name="payment", postgresql_using="brin")
    op.drop_index("ix_channel_call_payment", table_name="channel_call")
    op.drop_index(
        "ix_channel_call_open", table_name="channel_call", postgresql_where=sa.text("status <> 'done'")
    )
    op.drop_table("channel_call")
