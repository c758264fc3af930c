"""Migrations of the group_buy plugin."""
