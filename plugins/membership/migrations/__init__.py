"""Migrations of the membership plugin."""
