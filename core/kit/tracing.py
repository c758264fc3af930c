"""The switch for traces. Off, nothing is imported and nothing wrapped; `core.deployment.otel` switches it on before a
process builds its plugins."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Protocol

Attributes = Mapping[str, str | int]


class Tracer(Protocol):
    """Begins spans."""

    def span(
        self,
        name: str,
        attributes: Attributes,
        kind: str = "internal",
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Any]:
        """A span until the block ends; an exception marks it. `kind`: internal, server, client or consumer. `parent`:
        headers that may hold a W3C `traceparent`."""

    def headers(self) -> dict[str, str]:
        """The present span as headers of an outside call."""


class _Switch:
    """Holds the tracer of this process, None while off."""

    __slots__ = ("tracer",)

    def __init__(self) -> None:
        self.tracer: Tracer | None = None


switch = _Switch()


def traced(
    name: str, attributes: Attributes, function: Callable[..., Awaitable[Any]], kind: str = "internal"
) -> Callable[..., Awaitable[Any]]:
    """`function` in a span of its own; itself while tracing is off."""
    tracer = switch.tracer
    if tracer is None:
        return function

    async def call(*args: Any) -> Any:
        with tracer.span(name, attributes, kind):
            return await function(*args)

    return call


_TABLE = re.compile(r'\b(?:from|into|update|join)\s+"?([a-z_]+)"?', re.IGNORECASE)


@lru_cache(maxsize=2048)
def statement_name(sql: str) -> str:
    """A statement by its first word and its first table, e.g. `select orders`: no values."""
    words = sql.split(None, 1)
    verb = words[0].lower().rstrip(";") if words else "?"
    found = _TABLE.search(sql)
    return f"{verb[:20].partition(';')[0]} {found[1]}" if found else verb[:20].partition(";")[0]
