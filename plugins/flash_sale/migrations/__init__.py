"""Migrations of the flash sale plugin."""
