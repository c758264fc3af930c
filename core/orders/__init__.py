"""Trades and orders: what was bought, where it stands, how it got there."""
