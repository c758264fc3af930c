"""Migrations of express delivery."""
