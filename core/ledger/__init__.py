"""Double-entry ledger: append-only transfers, balanced by construction."""
