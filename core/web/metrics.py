"""Prometheus metrics, served at `/metrics`: requests here, hooks wherever plugins are called."""

from typing import Any
from weakref import WeakKeyDictionary

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

# By handler itself, not by its id: that of one which is gone may be another's.
_children: WeakKeyDictionary[Any, dict[tuple[str, int], tuple[Any, Any, Any]]] = WeakKeyDictionary()


def observe(handler: Any, method: str, status: int, seconds: float, statements: int) -> None:
    """Count one answer and what it took."""
    of_handler = _children.setdefault(handler, {})
    children = of_handler.get((method, status))
    if children is None:
        route = min(handler.paths, default="")
        name = f"{handler.handler_name}:{route}"
        children = of_handler[method, status] = (
            REQUESTS.labels(name, method, status),
            SECONDS.labels(name, method),
            STATEMENTS.labels(name, method),
        )
    children[0].inc()
    children[1].observe(seconds)
    children[2].inc(statements)
