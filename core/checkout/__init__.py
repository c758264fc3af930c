"""Placing and closing trades."""
