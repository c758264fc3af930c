"""A clock that tests move."""

from datetime import datetime, timedelta
from typing import Any

from core.kit.clock import system_clock


class TestClock:
    """The present of the processes under test; it runs on unless it was frozen. Shared by all of them."""

    __test__ = False

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._still: datetime | None = None

    def __call__(self) -> datetime:
        """The present in UTC."""
        return (self._still or system_clock()) + self._ahead

    def advance(self, **span: Any) -> datetime:
        """Let time pass, as `timedelta` names it: `clock.advance(days=8)`. The answer is the new present."""
        self._ahead += timedelta(**span)
        return self()

    def freeze(self, at: datetime | None = None) -> datetime:
        """Stand still, at `at` (with zone) or now; `advance` still moves it."""
        self._still, self._ahead = at or self(), timedelta()
        return self()
