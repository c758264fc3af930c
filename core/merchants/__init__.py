"""Merchants: application, approval, suspension, public page."""
