"""Market."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from core.db.revision import PgPoint, open_table, protect

revision = "core_0001"
down_revision = None
branch_labels = None
depends_on = None

__all__ = ["PgPoint", "open_table", "postgresql", "protect", "sa"]


_ROLE = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'jishi_app') then create role jishi_app nologin; end if;
  if not pg_has_role(current_user, 'jishi_app', 'member') then execute 'grant jishi_app to ' || quote_ident(current_user); end if;
exception when insufficient_privilege then
  if not exists (select from pg_roles where rolname = 'jishi_app') then raise; end if;
end $$;
"""

# A revoked sign-in stops at the next transaction: the scope is set and the session looked at in one round trip.
_SESSION_CHECK = """
create function jishi_session_check() returns void language plpgsql stable as $$
begin
  if not exists (select from session where id = nullif(current_setting('jishi.session_id', true), '')::uuid
                 and revoked_at is null and expires_at > now()) then
    raise exception 'session revoked' using errcode = 'JS401';
  end if;
end $$;
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_ROLE)
    op.execute("grant usage on schema public to jishi_app")
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("nickname", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status in ('active', 'blocked', 'deleted')", name=op.f("ck_account_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("login", name=op.f("uq_account_login")),
    )
    op.create_table(
        "address",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.LargeBinary(), nullable=False),
        sa.Column("phone", sa.LargeBinary(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("street", sa.LargeBinary(), nullable=False),
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("location", PgPoint(), nullable=True),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_address")),
    )
    op.create_index(
        "uq_address_default", "address", ["account_id"], unique=True, postgresql_where=sa.text("is_default")
    )
    op.create_table(
        "audit",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_id", "audit", ["id"], unique=False)
    op.create_table(
        "cart_line",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("price_seen", sa.BigInteger(), nullable=False),
        sa.Column("source", postgresql.JSONB(), nullable=True),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("quantity > 0 and quantity <= 9999", name=op.f("ck_cart_line_quantity")),
        sa.PrimaryKeyConstraint("account_id", "merchant_id", "sku_id", name=op.f("pk_cart_line")),
    )
    op.create_table(
        "category",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["category.id"], name=op.f("fk_category_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_category")),
        sa.UniqueConstraint(
            "parent_id", "name", name=op.f("uq_category_parent_id_name"), postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "delivery",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="new", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status in ('new', 'sent', 'parked', 'done')", name=op.f("ck_delivery_status")),
        sa.PrimaryKeyConstraint("event_id", "plugin", name=op.f("pk_delivery")),
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("status in ('new', 'sent')"),
    )
    op.create_table(
        "deployment_plugin",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("config", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Uuid(), nullable=True),
        sa.Column("previous", postgresql.JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_deployment_plugin")),
    )
    op.create_table(
        "generation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=True),
        sa.Column("change", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation")),
    )
    op.create_table(
        "idempotency",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "route", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_at", "idempotency", ["at"], unique=False)
    op.create_table(
        "ledger_transfer",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("debit_owner", sa.Uuid(), nullable=False),
        sa.Column("debit_kind", sa.Text(), nullable=False),
        sa.Column("credit_owner", sa.Uuid(), nullable=False),
        sa.Column("credit_kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reference", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "credit_kind in ('gateway', 'frozen', 'payable', 'payout_transit', 'refund_transit', 'deposit', 'debt', 'funds', 'revenue', 'subsidy', 'fees')",
            name=op.f("ck_ledger_transfer_credit_kind"),
        ),
        sa.CheckConstraint(
            "debit_kind in ('gateway', 'frozen', 'payable', 'payout_transit', 'refund_transit', 'deposit', 'debt', 'funds', 'revenue', 'subsidy', 'fees')",
            name=op.f("ck_ledger_transfer_debit_kind"),
        ),
        sa.CheckConstraint(
            "(debit_owner, debit_kind) <> (credit_owner, credit_kind)",
            name=op.f("ck_ledger_transfer_two_accounts"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_ledger_transfer_amount")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_ledger_transfer")),
    )
    op.create_index("ix_ledger_transfer_at", "ledger_transfer", ["merchant_id", "at", "id"], unique=False)
    op.create_index(
        "ix_ledger_transfer_credit", "ledger_transfer", ["credit_owner", "credit_kind"], unique=False
    )
    op.create_index(
        "ix_ledger_transfer_debit", "ledger_transfer", ["debit_owner", "debit_kind"], unique=False
    )
    op.create_index("ix_ledger_transfer_reference", "ledger_transfer", ["reference"], unique=False)
    op.create_table(
        "listing",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("list_price", sa.BigInteger(), nullable=True),
        sa.Column("sales", sa.Integer(), server_default="0", nullable=False),
        sa.Column("category_path", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("location", PgPoint(), nullable=True),
        sa.Column("grams", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column("live", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("images", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("spec_names", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("shop_category_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "product_id", name=op.f("pk_listing")),
    )
    op.create_index("ix_listing_category", "listing", ["category_path"], unique=False, postgresql_using="gin")
    op.create_index("ix_listing_grams", "listing", ["grams"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_listing_location",
        "listing",
        ["location"],
        unique=False,
        postgresql_using="gist",
        postgresql_where=sa.text("live"),
    )
    op.create_index(
        "ix_listing_merchant",
        "listing",
        ["merchant_id", "product_id"],
        unique=False,
        postgresql_where=sa.text("live"),
    )
    op.create_index(
        "ix_listing_newest", "listing", ["product_id"], unique=False, postgresql_where=sa.text("live")
    )
    op.create_index(
        "ix_listing_price", "listing", ["price", "product_id"], unique=False, postgresql_where=sa.text("live")
    )
    op.create_index(
        "ix_listing_sales", "listing", ["sales", "product_id"], unique=False, postgresql_where=sa.text("live")
    )
    op.create_table(
        "listing_sku",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("specs", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("list_price", sa.BigInteger(), nullable=True),
        sa.Column("category_path", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("shop_category_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("weight_g", sa.Integer(), nullable=False),
        sa.Column("volume_cm3", sa.Integer(), nullable=False),
        sa.Column("requires_shipping", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("merchant_name", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("unavailable", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "sku_id", name=op.f("pk_listing_sku")),
    )
    op.create_index("ix_listing_sku_product", "listing_sku", ["merchant_id", "product_id"], unique=False)
    op.create_table(
        "merchant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="applied", nullable=False),
        sa.Column("location", PgPoint(), nullable=True),
        sa.Column("about", sa.Text(), server_default="", nullable=False),
        sa.Column("licence", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("rating_bp", sa.Integer(), nullable=True),
        sa.Column("grams", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("slug ~ '^[a-z0-9-]{3,40}$'", name=op.f("ck_merchant_slug")),
        sa.CheckConstraint(
            "status in ('applied', 'open', 'suspended', 'terminated')", name=op.f("ck_merchant_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchant")),
        sa.UniqueConstraint("slug", name=op.f("uq_merchant_slug")),
    )
    op.create_index("ix_merchant_grams", "merchant", ["grams"], unique=False, postgresql_using="gin")
    op.create_index("ix_merchant_location", "merchant", ["location"], unique=False, postgresql_using="gist")
    op.create_table(
        "orders",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("trade_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("merchant_name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="unpaid", nullable=False),
        sa.Column("goods_amount", sa.BigInteger(), nullable=False),
        sa.Column("discount_amount", sa.BigInteger(), nullable=False),
        sa.Column("shipping_amount", sa.BigInteger(), nullable=False),
        sa.Column("payable", sa.BigInteger(), nullable=False),
        sa.Column("market_borne", sa.BigInteger(), nullable=False),
        sa.Column("commission", sa.BigInteger(), nullable=False),
        sa.Column("commission_rule", sa.Text(), nullable=False),
        sa.Column("refunded_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("province", sa.Text(), server_default="", nullable=False),
        sa.Column("city", sa.Text(), server_default="", nullable=False),
        sa.Column("district", sa.Text(), server_default="", nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column("shipping", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("remark", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('unpaid', 'paid', 'accepted', 'shipped', 'completed', 'closed')",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint("market_borne >= 0 and commission >= 0", name=op.f("ck_orders_market_borne")),
        sa.CheckConstraint(
            "payable = goods_amount - discount_amount + shipping_amount and payable >= 0",
            name=op.f("ck_orders_payable"),
        ),
        sa.CheckConstraint(
            "refunded_amount >= 0 and refunded_amount <= payable", name=op.f("ck_orders_refunded_amount")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_orders")),
        sa.UniqueConstraint("number", name=op.f("uq_orders_number")),
    )
    op.create_index("ix_orders_account", "orders", ["account_id", "id"], unique=False)
    op.create_index("ix_orders_id", "orders", ["id"], unique=False)
    op.create_index("ix_orders_merchant_status", "orders", ["merchant_id", "status", "id"], unique=False)
    op.create_index("ix_orders_phone", "orders", ["merchant_id", "phone_index"], unique=False)
    op.create_index("ix_orders_trade", "orders", ["trade_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "payment",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="created", nullable=False),
        sa.Column("provider_ref", sa.Text(), nullable=True),
        sa.Column("client", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('created', 'paid', 'closed', 'refunding', 'refunded')", name=op.f("ck_payment_status")
        ),
        sa.CheckConstraint("subject_kind in ('trade', 'bill')", name=op.f("ck_payment_subject_kind")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_payment")),
    )
    op.create_index("ix_payment_id", "payment", ["id"], unique=False)
    op.create_index("ix_payment_subject", "payment", ["subject_id"], unique=False)
    op.create_table(
        "payment_notification",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "event_id", name=op.f("pk_payment_notification")),
    )
    op.create_table(
        "product",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("category_id", sa.Uuid(), nullable=True),
        sa.Column("shop_category_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("images", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("spec_names", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("vendor", sa.Text(), server_default="", nullable=False),
        sa.Column("product_type", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("extra", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("status", sa.Text(), server_default="draft", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status in ('draft', 'listed', 'delisted')", name=op.f("ck_product_status")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_product")),
        sa.UniqueConstraint("merchant_id", "handle", name=op.f("uq_product_merchant_id_handle")),
    )
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
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=True),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("refresh_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("audience in ('shop', 'merchant', 'platform')", name=op.f("ck_session_audience")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
    )
    op.create_index("ix_session_account_id", "session", ["account_id"], unique=False)
    op.create_index("ix_session_previous_hash", "session", ["previous_hash"], unique=False)
    op.create_index("uq_session_refresh_hash", "session", ["refresh_hash"], unique=True)
    op.create_table(
        "shop_category",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "parent_id"],
            ["shop_category.merchant_id", "shop_category.id"],
            name=op.f("fk_shop_category_merchant_id_parent_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_shop_category")),
    )
    op.create_table(
        "staff",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "account_id", name=op.f("pk_staff")),
    )
    op.create_index("ix_staff_account_id", "staff", ["account_id"], unique=False)
    op.create_table(
        "stock",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("on_hand", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reserved", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("on_hand >= 0", name=op.f("ck_stock_on_hand")),
        sa.CheckConstraint("reserved >= 0 and reserved <= on_hand", name=op.f("ck_stock_reserved")),
        sa.PrimaryKeyConstraint("merchant_id", "sku_id", name=op.f("pk_stock")),
    )
    op.create_table(
        "stock_move",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("on_hand_delta", sa.Integer(), nullable=False),
        sa.Column("reserved_delta", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reference", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_stock_move")),
    )
    op.create_index("ix_stock_move_sku", "stock_move", ["merchant_id", "sku_id", "id"], unique=False)
    op.create_table(
        "trade",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="unpaid", nullable=False),
        sa.Column("goods_amount", sa.BigInteger(), nullable=False),
        sa.Column("discount_amount", sa.BigInteger(), nullable=False),
        sa.Column("shipping_amount", sa.BigInteger(), nullable=False),
        sa.Column("payable", sa.BigInteger(), nullable=False),
        sa.Column("explain", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status in ('unpaid', 'paid', 'closed')", name=op.f("ck_trade_status")),
        sa.CheckConstraint(
            "payable = goods_amount - discount_amount + shipping_amount and payable >= 0",
            name=op.f("ck_trade_payable"),
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_trade")),
        sa.UniqueConstraint("number", name=op.f("uq_trade_number")),
    )
    op.create_index("ix_trade_id", "trade", ["id"], unique=False)
    op.create_table(
        "order_discount",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=True),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("bearer_market", sa.BigInteger(), nullable=False),
        sa.Column("bearer_merchant", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "amount = bearer_market + bearer_merchant and bearer_market >= 0 and bearer_merchant >= 0",
            name=op.f("ck_order_discount_bearers"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_order_discount_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_order_discount")),
    )
    op.create_index("ix_order_discount_order", "order_discount", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "order_hold",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_order_hold_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "order_id", "plugin", name=op.f("pk_order_hold")),
    )
    op.create_table(
        "order_line",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="sale", nullable=False),
        sa.Column("sku_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("specs", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("payable", sa.BigInteger(), nullable=False),
        sa.Column("shipped_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refunded_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("source", postgresql.JSONB(), nullable=True),
        sa.Column("activity_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("kind in ('sale', 'gift')", name=op.f("ck_order_line_kind")),
        sa.CheckConstraint("payable >= 0 and payable <= amount", name=op.f("ck_order_line_payable")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_line_quantity")),
        sa.CheckConstraint(
            "refunded_quantity >= 0 and refunded_quantity <= quantity",
            name=op.f("ck_order_line_refunded_quantity"),
        ),
        sa.CheckConstraint(
            "shipped_quantity >= 0 and shipped_quantity <= quantity",
            name=op.f("ck_order_line_shipped_quantity"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_order_line_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_order_line")),
    )
    op.create_index("ix_order_line_order", "order_line", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "order_log",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("old_status", sa.Text(), nullable=False),
        sa.Column("new_status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_order_log_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_order_log")),
    )
    op.create_index("ix_order_log_order", "order_log", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "parcel",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="express", nullable=False),
        sa.Column("carrier", sa.Text(), server_default="", nullable=False),
        sa.Column("waybill_no", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="shipped", nullable=False),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind in ('express', 'pickup', 'service', 'instant')", name=op.f("ck_parcel_kind")
        ),
        sa.CheckConstraint("status in ('shipped', 'delivered')", name=op.f("ck_parcel_status")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "order_id"],
            ["orders.merchant_id", "orders.id"],
            name=op.f("fk_parcel_merchant_id_order_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_parcel")),
    )
    op.create_index("ix_parcel_order", "parcel", ["merchant_id", "order_id"], unique=False)
    op.create_table(
        "payment_leg",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("gateway_ref", sa.Text(), nullable=True),
        sa.Column("refunded_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "amount >= 0 and refunded_amount >= 0 and refunded_amount <= amount",
            name=op.f("ck_payment_leg_amounts"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "payment_id"],
            ["payment.account_id", "payment.id"],
            name=op.f("fk_payment_leg_account_id_payment_id"),
        ),
        sa.PrimaryKeyConstraint("account_id", "payment_id", "merchant_id", name=op.f("pk_payment_leg")),
    )
    op.create_table(
        "sku",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("specs", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("list_price", sa.BigInteger(), nullable=True),
        sa.Column("weight_g", sa.Integer(), server_default="0", nullable=False),
        sa.Column("volume_cm3", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requires_shipping", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("tracked", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("barcode", sa.Text(), nullable=True),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("extra", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status in ('active', 'retired')", name=op.f("ck_sku_status")),
        sa.CheckConstraint("price >= 0 and price <= 1000000000", name=op.f("ck_sku_price")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["product.merchant_id", "product.id"],
            name=op.f("fk_sku_merchant_id_product_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_sku")),
    )
    op.create_index("ix_sku_code", "sku", ["merchant_id", "code"], unique=False)
    op.create_index(
        "uq_sku_specs",
        "sku",
        ["merchant_id", "product_id", "specs"],
        unique=True,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_table(
        "parcel_event",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "parcel_id"],
            ["parcel.merchant_id", "parcel.id"],
            name=op.f("fk_parcel_event_merchant_id_parcel_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_parcel_event")),
    )
    op.create_index("ix_parcel_event_parcel", "parcel_event", ["merchant_id", "parcel_id"], unique=False)
    op.create_table(
        "parcel_line",
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("parcel_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_parcel_line_quantity")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "parcel_id"],
            ["parcel.merchant_id", "parcel.id"],
            name=op.f("fk_parcel_line_merchant_id_parcel_id"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "parcel_id", "line_id", name=op.f("pk_parcel_line")),
    )
    protect(
        op,
        "account",
        "market",
        own="id = (select nullif(current_setting('jishi.account_id', true), '')::uuid)",
    )
    protect(op, "address", "buyer")
    protect(op, "audit", "merchant", append_only=True)
    protect(op, "cart_line", "buyer")
    protect(op, "category", "market", public_read=True, platform_write=True)
    protect(op, "delivery", "market", insert_any=True)
    protect(op, "deployment_plugin", "market", public_read=True, platform_write=True)
    protect(op, "generation", "market", public_read=True, platform_write=True)
    protect(
        op,
        "idempotency",
        "market",
        own="account_id = (select nullif(current_setting('jishi.actor_id', true), '')::uuid)",
    )
    protect(op, "ledger_transfer", "merchant", append_only=True)
    open_table(op, "listing")
    open_table(op, "listing_sku")
    protect(
        op,
        "merchant",
        "market",
        public_read=True,
        platform_write=True,
        own="id = (select nullif(current_setting('jishi.merchant_id', true), '')::uuid)",
    )
    protect(op, "orders", "merchant", buyer_read=True)
    protect(op, "outbox", "market", insert_any=True)
    protect(op, "payment", "buyer")
    protect(op, "payment_notification", "market")
    protect(op, "product", "merchant")
    protect(op, "sandbox_payment", "market")
    protect(
        op,
        "session",
        "market",
        own="id = (select nullif(current_setting('jishi.session_id', true), '')::uuid)",
    )
    protect(op, "shop_category", "merchant", public_read=True)
    protect(op, "staff", "merchant")
    protect(op, "stock", "merchant", public_read=True)
    protect(op, "stock_move", "merchant", append_only=True)
    protect(op, "trade", "buyer")
    protect(op, "order_discount", "merchant", buyer_read=True)
    protect(op, "order_hold", "merchant", buyer_read=True)
    protect(op, "order_line", "merchant", buyer_read=True)
    protect(op, "order_log", "merchant", buyer_read=True, append_only=True)
    protect(op, "parcel", "merchant", buyer_read=True)
    protect(op, "payment_leg", "buyer")
    protect(op, "sku", "merchant")
    protect(op, "parcel_event", "merchant", buyer_read=True, append_only=True)
    protect(op, "parcel_line", "merchant", buyer_read=True)

    op.execute(_SESSION_CHECK)
    op.execute("grant execute on function jishi_session_check() to jishi_app")
    # Versions are read by readiness checks.
    op.execute("grant select on alembic_core to jishi_app")


def downgrade() -> None:
    """Take back."""
    op.execute("drop function jishi_session_check()")
    op.drop_table("parcel_line")
    op.drop_index("ix_parcel_event_parcel", table_name="parcel_event")
    op.drop_table("parcel_event")
    op.drop_index("uq_sku_specs", table_name="sku", postgresql_where=sa.text("status = 'active'"))
    op.drop_index("ix_sku_code", table_name="sku")
    op.drop_table("sku")
    op.drop_table("payment_leg")
    op.drop_index("ix_parcel_order", table_name="parcel")
    op.drop_table("parcel")
    op.drop_index("ix_order_log_order", table_name="order_log")
    op.drop_table("order_log")
    op.drop_index("ix_order_line_order", table_name="order_line")
    op.drop_table("order_line")
    op.drop_table("order_hold")
    op.drop_index("ix_order_discount_order", table_name="order_discount")
    op.drop_table("order_discount")
    op.drop_index("ix_trade_id", table_name="trade")
    op.drop_table("trade")
    op.drop_index("ix_stock_move_sku", table_name="stock_move")
    op.drop_table("stock_move")
    op.drop_table("stock")
    op.drop_index("ix_staff_account_id", table_name="staff")
    op.drop_table("staff")
    op.drop_table("shop_category")
    op.drop_index("uq_session_refresh_hash", table_name="session")
    op.drop_index("ix_session_previous_hash", table_name="session")
    op.drop_index("ix_session_account_id", table_name="session")
    op.drop_table("session")
    op.drop_table("sandbox_payment")
    op.drop_table("product")
    op.drop_table("payment_notification")
    op.drop_index("ix_payment_subject", table_name="payment")
    op.drop_index("ix_payment_id", table_name="payment")
    op.drop_table("payment")
    op.drop_table("outbox")
    op.drop_index("ix_orders_trade", table_name="orders")
    op.drop_index("ix_orders_phone", table_name="orders")
    op.drop_index("ix_orders_merchant_status", table_name="orders")
    op.drop_index("ix_orders_id", table_name="orders")
    op.drop_index("ix_orders_account", table_name="orders")
    op.drop_table("orders")
    op.drop_index("ix_merchant_location", table_name="merchant", postgresql_using="gist")
    op.drop_index("ix_merchant_grams", table_name="merchant", postgresql_using="gin")
    op.drop_table("merchant")
    op.drop_index("ix_listing_sku_product", table_name="listing_sku")
    op.drop_table("listing_sku")
    op.drop_index("ix_listing_sales", table_name="listing", postgresql_where=sa.text("live"))
    op.drop_index("ix_listing_price", table_name="listing", postgresql_where=sa.text("live"))
    op.drop_index("ix_listing_newest", table_name="listing", postgresql_where=sa.text("live"))
    op.drop_index("ix_listing_merchant", table_name="listing", postgresql_where=sa.text("live"))
    op.drop_index(
        "ix_listing_location", table_name="listing", postgresql_using="gist", postgresql_where=sa.text("live")
    )
    op.drop_index("ix_listing_grams", table_name="listing", postgresql_using="gin")
    op.drop_index("ix_listing_category", table_name="listing", postgresql_using="gin")
    op.drop_table("listing")
    op.drop_index("ix_ledger_transfer_reference", table_name="ledger_transfer")
    op.drop_index("ix_ledger_transfer_debit", table_name="ledger_transfer")
    op.drop_index("ix_ledger_transfer_credit", table_name="ledger_transfer")
    op.drop_index("ix_ledger_transfer_at", table_name="ledger_transfer")
    op.drop_table("ledger_transfer")
    op.drop_index("ix_idempotency_at", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_table("generation")
    op.drop_table("deployment_plugin")
    op.drop_index(
        "ix_delivery_due", table_name="delivery", postgresql_where=sa.text("status in ('new', 'sent')")
    )
    op.drop_table("delivery")
    op.drop_table("category")
    op.drop_table("cart_line")
    op.drop_index("ix_audit_id", table_name="audit")
    op.drop_table("audit")
    op.drop_index("uq_address_default", table_name="address", postgresql_where=sa.text("is_default"))
    op.drop_table("address")
    op.drop_table("account")
