"""Migrations of the promotions plugin."""
