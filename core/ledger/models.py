"""Tables of the ledger. An account is (owner, kind): the owner is a merchant, the market or another earner."""

import sqlalchemy as sa

from core.db.base import Owner, access, at, fen, one_of, text, uuid
from core.db.registry import METADATA

ACCOUNT_KINDS = (
    "gateway",
    "frozen",
    "payable",
    "payout_transit",
    "refund_transit",
    "deposit",
    "debt",
    "funds",
    "revenue",
    "subsidy",
    "fees",
)

ledger_transfer = sa.Table(
    "ledger_transfer",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("debit_owner"),
    text("debit_kind"),
    uuid("credit_owner"),
    text("credit_kind"),
    fen("amount"),
    text("code"),
    uuid("reference"),
    at("at", nullable=False),
    one_of("debit_kind", *ACCOUNT_KINDS),
    one_of("credit_kind", *ACCOUNT_KINDS),
    sa.CheckConstraint("amount > 0", name="amount"),
    sa.CheckConstraint("(debit_owner, debit_kind) <> (credit_owner, credit_kind)", name="two_accounts"),
    sa.Index("ix_ledger_transfer_reference", "reference"),
    sa.Index("ix_ledger_transfer_at", "merchant_id", "at", "id"),
    sa.Index("ix_ledger_transfer_debit", "debit_owner", "debit_kind"),
    sa.Index("ix_ledger_transfer_credit", "credit_owner", "credit_kind"),
    info=access(Owner.MERCHANT, append_only=True),
)

# Balances are sums: what was rolled up until now (`ledger_balance`) and what came since (`ledger_recent`), one row for each
# side of a transfer. Rolling up moves rows from the one to the other in one statement, so every reader sees each once.
ledger_recent = sa.Table(
    "ledger_recent",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("transfer_id", primary_key=True),
    text("side", primary_key=True),
    uuid("owner"),
    text("kind"),
    fen("debit"),
    fen("credit"),
    one_of("side", "debit", "credit"),
    sa.Index("ix_ledger_recent_account", "owner", "kind"),
    info=access(Owner.MERCHANT),
)

ledger_balance = sa.Table(
    "ledger_balance",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("owner", primary_key=True),
    text("kind", primary_key=True),
    fen("debit"),
    fen("credit"),
    sa.Index("ix_ledger_balance_account", "owner", "kind"),
    info=access(Owner.MERCHANT),
)
