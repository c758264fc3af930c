"""Metrics of the worker, and the small HTTP server that shows them: `/metrics` and `/healthz`."""

import asyncio
import contextlib
from datetime import timedelta
from types import TracebackType

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from core.db import hook_metrics
from core.deployment.runtime import AWAY, Runtime
from core.types.scope import SYSTEM

_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
DELIVERIES = Counter(
    "jishi_deliveries", "Effects, timers and outside calls by how they ended", ["plugin", "event", "outcome"]
)
SECONDS = Histogram("jishi_delivery_seconds", "Time one took", ["plugin", "event"], buckets=_BUCKETS)
DELAY = Histogram(
    "jishi_delivery_delay_seconds", "From due to done", ["plugin"], buckets=(*_BUCKETS, 300, 1800)
)
WAITING = Gauge("jishi_deliveries_waiting", "Due and not done, also those that failed", ["plugin"])
PARKED = Gauge("jishi_deliveries_parked", "Given up until somebody retries or drops them", ["plugin"])
OLDEST = Gauge("jishi_deliveries_oldest_seconds", "How long the longest waiting one is due", ["plugin"])

_WAIT = timedelta(seconds=5)
_LINE = 4096
# Both halves read partial indexes: what is done costs nothing.
_OPEN = """
select plugin, count(*) filter (where status <> 'parked')::int as waiting,
  count(*) filter (where status = 'parked')::int as parked,
  coalesce(extract(epoch from $1 - min(due_at) filter (where status = 'new')), 0)::float8 as oldest
from (
  select plugin, status, due_at from delivery where status in ('new', 'sent') and (status = 'sent' or due_at <= $1)
  union all
  select plugin, status, due_at from delivery where status = 'parked'
) d group by plugin
"""

_log = structlog.get_logger("jishi.worker")


def observe(plugin: str, event: str, outcome: str, seconds: float, delay: float | None) -> None:
    """Count one delivery; `delay` from due to now, when it was done."""
    DELIVERIES.labels(plugin, event, outcome).inc()
    if outcome == "skipped":
        return
    SECONDS.labels(plugin, event).observe(seconds)
    if outcome == "done" and delay is not None:
        DELAY.labels(plugin).observe(delay)


async def measure(runtime: Runtime) -> None:
    """Set the gauges from the database. Raises what a database that is away raises."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(_OPEN, tx.now)
    for gauge in (WAITING, PARKED, OLDEST):
        gauge.clear()
    for row in rows:
        WAITING.labels(row["plugin"]).set(row["waiting"])
        PARKED.labels(row["plugin"]).set(row["parked"])
        OLDEST.labels(row["plugin"]).set(row["oldest"])


class MetricsServer:
    """`async with MetricsServer(runtime, "127.0.0.1:9100"):`; nothing for an empty address."""

    def __init__(self, runtime: Runtime, address: str) -> None:
        self._runtime, self._address = runtime, address
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> "MetricsServer":
        if self._address:
            hook_metrics.register()
            host, _, port = self._address.rpartition(":")
            try:
                self._server = await asyncio.start_server(
                    self._answer, host or "127.0.0.1", int(port), limit=_LINE
                )
            except (OSError, ValueError) as error:
                _log.error("no metrics: JISHI_WORKER_METRICS is host:port of a free port", reason=str(error))
            else:
                self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_WAIT.total_seconds()):
                line = await reader.readline()
                while (await reader.readline()).strip():
                    pass
                writer.write(await self._page(line.decode("latin-1").split()))
                await writer.drain()
        writer.close()

    async def _page(self, words: list[str]) -> bytes:
        match words:
            case ["GET", "/healthz", *_]:
                return _http("200 OK", "application/json", b'{"status":"ok"}')
            case ["GET", "/metrics", *_]:
                with contextlib.suppress(*AWAY):
                    await measure(self._runtime)
                return _http("200 OK", CONTENT_TYPE_LATEST, generate_latest())
            case _:
                return _http("404 Not Found", "text/plain", b"GET /metrics or /healthz\n")


def _http(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
