"""Coupons of shops and of the market. Start with `plugin.py`."""
