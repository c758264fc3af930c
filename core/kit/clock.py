"""Time. Everything that needs the present asks a `Clock`, so that tests can move it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The present in UTC."""
    return datetime.now(UTC)
