"""Traces by OpenTelemetry, exported by OTLP over HTTP; imported only when JISHI_OTLP names an endpoint.

Spans say names of code, statements' first words and numbers: no values, no addresses of people.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.kit.errors import JishiError
from core.kit.tracing import Attributes, switch

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
_W3C = TraceContextTextMapPropagator()


class OtelTracer:
    """Spans of one process; see `core.kit.tracing.Tracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("jishi")

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        kind: str = "internal",
        parent: Mapping[str, str] | None = None,
    ) -> Iterator[trace.Span]:
        """A span until the block ends. A business error is an outcome, any other exception marks the span."""
        context = _W3C.extract(dict(parent)) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=_KINDS[kind],
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except JishiError as error:
                span.set_attribute("jishi.refused", error.code)
                raise
            except BaseException as error:
                # The type alone: messages may hold values.
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def headers(self) -> dict[str, str]:
        """The present span as `traceparent`."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier


def start(endpoint: str, service: str) -> Callable[[], None]:
    """Trace from here on; call it before plugins are built. The answer sends what waits and switches off again."""
    url = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + "/v1/traces"
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=5)))
    switch.tracer = OtelTracer(provider)

    def stop() -> None:
        switch.tracer = None
        provider.shutdown()

    return stop
