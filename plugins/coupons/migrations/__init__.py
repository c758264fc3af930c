"""Migrations of the coupons plugin."""
