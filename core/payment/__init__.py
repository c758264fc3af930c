"""Payments: one leg per merchant, providers by key, notifications verified, stored, then applied."""
