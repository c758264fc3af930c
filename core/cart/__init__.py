"""The buyer's cart: one per account, grouped by shop."""
