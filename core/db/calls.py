"""Outside calls, seen: while traces are on, each call is a span and carries `traceparent`."""

import ssl
from functools import cache
from typing import Any

import httpx

from core.kit import tracing


class _Traced(httpx.AsyncClient):
    """A client with a span around each request."""

    async def send(self, request: httpx.Request, **kwargs: Any) -> httpx.Response:
        """One request; the span names method and host, never the path or the query."""
        tracer = tracing.switch.tracer
        if tracer is None:
            return await super().send(request, **kwargs)
        host = request.url.host
        attributes = {"http.request.method": request.method, "server.address": host}
        with tracer.span(f"call {host}", attributes, "client") as span:
            request.headers.update(tracer.headers())
            answer = await super().send(request, **kwargs)
            span.set_attribute("http.response.status_code", answer.status_code)
            return answer


@cache
def tls() -> ssl.SSLContext:
    """What all clients of the process trust; reading it takes longer than a call."""
    return httpx.create_ssl_context()


def client(**kwargs: Any) -> httpx.AsyncClient:
    """`httpx.AsyncClient(**kwargs)`, traced while traces are on."""
    kwargs.setdefault("verify", tls())
    return httpx.AsyncClient(**kwargs) if tracing.switch.tracer is None else _Traced(**kwargs)
