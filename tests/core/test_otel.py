"""Traces: exported by OTLP to a real HTTP peer that decodes them; off, nothing of it is even imported."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import host
from core.command import observe
from core.command.config import ConfigError
from core.db import calls
from core.deployment import otel
from core.deployment.runtime import Runtime
from core.kit import tracing
from core.kit.errors import Conflict
from core.kit.ids import new_id
from core.kit.settings import Env, Settings
from core.web.server import SwapApp
from core.worker.deliver import deliver
from tests.support.deployment import ROOT
from tests.support.market import Session, a_buyer

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_PARENT = "b7ad6b7169203331"


class Peer:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        peer = self
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.seen: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                peer.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                peer.seen.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            self.spans += [s for scope in resource.scope_spans for s in scope.spans]


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.server.shutdown()
    peer.server.server_close()


async def test_a_request_its_statements_and_hooks_arrive_in_the_clients_trace(peer: Peer, env: Env) -> None:
    stop = otel.start(peer.url, "jishi-test")
    runtime = host.make_runtime(env)
    await runtime.open()
    try:
        inside = httpx.AsyncClient()
        transport = httpx.ASGITransport(app=SwapApp(runtime, inside))
        async with inside, httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            shopper = Session(client, runtime, await a_buyer(runtime))
            client.headers["traceparent"] = f"00-{_TRACE}-{_PARENT}-01"
            assert (await shopper.get("/api/shop/products")).status_code == 200
            assert (await client.get("/api/shop/cart")).status_code == 401
        await deliver(runtime, new_id(), "coupons")
    finally:
        stop()
        await runtime.close()
    assert peer.services == {"jishi-test"}
    mine = [s for s in peer.spans if s.trace_id.hex() == _TRACE]
    by_name = {s.name: s for s in mine}
    request = (
        by_name["GET list_products"]
        if "GET list_products" in by_name
        else next(s for s in mine if s.name.startswith("GET ") and s.parent_span_id.hex() == _PARENT)
    )
    assert request.parent_span_id.hex() == _PARENT
    assert request.kind == request.SPAN_KIND_SERVER
    codes = {a.value.int_value for s in mine for a in s.attributes if a.key == "http.response.status_code"}
    assert codes == {200, 401}
    below = [s for s in mine if s.parent_span_id == request.span_id]
    assert any("listing" in s.name for s in below), [s.name for s in below]
    (delivery,) = [s for s in peer.spans if s.name == "deliver to coupons"]
    assert delivery.kind == delivery.SPAN_KIND_CONSUMER
    assert tracing.switch.tracer is None


async def test_hooks_refusals_faults_and_outside_calls_are_spans(peer: Peer) -> None:
    stop = otel.start(peer.url + "/v1/traces", "jishi-test")
    try:

        async def refuses(tx: Any) -> None:
            raise Conflict("The phone 13812345678 is taken.", code="taken")

        async def fails(tx: Any) -> None:
            raise ValueError("13812345678")

        for name, function, kind in (("a", refuses, Conflict), ("b", fails, ValueError)):
            with pytest.raises(kind):
                await tracing.traced(f"hook {name}", {"jishi.plugin": "p"}, function)(None)
        async with calls.client(base_url=peer.url) as http:
            assert (await http.get("/x?phone=13812345678")).status_code == 204
    finally:
        stop()
    spans = {s.name: s for s in peer.spans}
    assert set(spans) == {"hook a", "hook b", "call 127.0.0.1"}
    assert [a.value.string_value for a in spans["hook a"].attributes if a.key == "jishi.refused"] == ["taken"]
    assert spans["hook b"].status.message == "ValueError"
    assert spans["call 127.0.0.1"].trace_id.hex() in peer.seen[0]["traceparent"]
    assert not any(b"13812345678" in s.SerializeToString() for s in peer.spans)


def test_statements_are_named_without_values() -> None:
    name = tracing.statement_name
    assert name("select * from orders where number = 'x'") == "select orders"
    assert name("BEGIN;SET LOCAL jishi.account_id='0199'") == "begin"
    assert name('\nwith a as (insert into "outbox" values (1)) select 1') == "with outbox"
    assert name("") == "?"


async def test_off_nothing_is_wrapped_and_nothing_imported(runtime: Runtime) -> None:
    async def function(tx: Any) -> None: ...

    assert tracing.traced("x", {}, function) is function
    code = "import sys, host, core.web.server, core.worker.main; print([m for m in ('opentelemetry.exporter', 'core.deployment.otel') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_without_the_extra_the_setting_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "core.deployment.otel", None)
    monkeypatch.delattr("core.deployment.otel", raising=False)
    with pytest.raises(ConfigError, match="needs the extra otel"):
        observe.trace(Settings(otlp="http://127.0.0.1:1"), "x")
