"""A database of its own for a test; see `core.testkit.database`."""

from core.testkit.database import Database, on, plain

__all__ = ["Database", "on", "plain"]
