"""Prometheus metrics, served at `/metrics`: requests here, hooks wherever plugins are called."""

from typing import Any

from prometheus_client import Counter, Histogram

from core.db import hook_metrics
from core.db.tx import Tx

REQUESTS = Counter("jishi_requests", "Requests answered", ["route", "method", "status"])
STATEMENTS = Counter(
    "jishi_statements", "SQL statements of the transactions around requests", ["route", "method"]
)
ALL_STATEMENTS = Counter(
    "jishi_sql",
    "SQL statements of all transactions of this process, also those that a request opened beside its own",
)
SECONDS = Histogram(
    "jishi_request_seconds",
    "Time to the first byte of the answer",
    ["route", "method"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)

Tx.on_end = ALL_STATEMENTS.inc
hook_metrics.register()

_children: dict[tuple[int, str, int], tuple[Any, Any, Any]] = {}


def observe(handler: Any, method: str, status: int, seconds: float, statements: int) -> None:
    """Count one answer and what it took."""
    key = (id(handler), method, status)
    children = _children.get(key)
    if children is None:
        route = min(handler.paths, default="")
        name = f"{handler.handler_name}:{route}"
        if len(_children) > 4096:
            _children.clear()
        children = _children[key] = (
            REQUESTS.labels(name, method, status),
            SECONDS.labels(name, method),
            STATEMENTS.labels(name, method),
        )
    children[0].inc()
    children[1].observe(seconds)
    children[2].inc(statements)
