"""Levels, member prices and points."""
