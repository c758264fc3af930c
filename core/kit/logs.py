"""What every log line of a request or a delivery says besides itself: request id, audience, route, generation, trade;
event, plugin.

A dictionary in a context variable, read only when a line is written: a request that logs nothing pays for nothing.
Never put anything here that is about a person: ids, names of code and numbers only.
"""

from contextvars import ContextVar
from typing import Any

_context: ContextVar[dict[str, Any] | None] = ContextVar("jishi_log", default=None)


def begin(**fields: Any) -> None:
    """From here on, all lines of this task and of those it starts carry `fields`."""
    _context.set(fields)


def note(**fields: Any) -> None:
    """Have the lines of this request or delivery carry these too. Does nothing outside of one."""
    found = _context.get()
    if found is not None:
        found.update(fields)


def add(_logger: Any, _method: str, event: Any) -> Any:
    """The structlog processor; what a line says itself wins."""
    found = _context.get()
    if found:
        for name, value in found.items():
            event.setdefault(name, value)
    return event
