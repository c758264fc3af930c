"""The edge of every API request: who is it, may they, and one transaction around the whole.

The transaction is committed when the first byte of a successful answer is about to leave, and rolled back when the
answer is an error; so no answer is ever sent for something that was not kept.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import structlog
from litestar.types import ASGIApp

from core.identity import audit, permissions, tokens
from core.kit import logs, tracing
from core.kit.errors import BadRequest, Forbidden, TooLarge, Unauthorized
from core.kit.ids import new_id, ref
from core.types import scope as scopes
from core.types.scope import Principal
from core.web import idempotency, limits, metrics
from core.web.idempotency import Stored
from core.web.problems import CONTENT_TYPE, Problem, problem_of

if TYPE_CHECKING:
    import httpx

    from core.deployment.runtime import Runtime
    from core.plugin import Snapshot

# ASGI in its plain form; Litestar's unions of every message type say less.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_log = structlog.get_logger("jishi.web")

MAX_BODY = 24 * 1024 * 1024
_TRACE = (b"traceparent", b"tracestate")
# Parts of addresses that a log line may show: opaque ids.
_SHOWN = ("trade_id", "order_id", "payment_id", "refund_id", "parcel_id", "aftersale_id")
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HOST = "jishi"


class Host:
    """What a request is answered with: the process's runtime, the plugins of one generation, and the client for outside
    calls. It comes with the request, as `scope[HOST]`, and stays with it to its end."""

    def __init__(self, runtime: "Runtime", http: "httpx.AsyncClient", snapshot: "Snapshot") -> None:
        self.runtime, self.http, self.snapshot = runtime, http, snapshot
        self.generation = str(snapshot.generation).encode()
        self._permissions = [p for plugin in snapshot.active.values() for p in plugin.permissions]

    def admit(self, opt: Mapping[str, Any], me: Principal | None) -> Principal | None:
        """Who the request acts for. Raises `Unauthorized` or `Forbidden`."""
        audience = opt.get("audience")
        if me is not None and audience is not None and me.audience != audience:
            if not opt.get("public"):
                raise Forbidden(
                    f"This token is for {me.audience}; sign in with audience {audience}.",
                    code="wrong_audience",
                )
            me = None
        if me is not None and me.guest and not opt.get("guest"):
            if not opt.get("public"):
                raise Forbidden("Sign in to go on; your cart comes with you.", code="sign_in_required")
            me = None
        if me is None:
            if not opt.get("public"):
                raise Unauthorized("Send a token: Authorization: Bearer <access_token>.")
            return None
        needed = opt.get("permission")
        if needed and not permissions.allowed(me, needed, self._permissions):
            raise Forbidden(f"Your roles lack the permission {needed}.", code="permission_missing")
        return me


class Edge:
    """ASGI middleware around every route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one request."""
        opt = scope["route_handler"].opt if scope["type"] == "http" and "route_handler" in scope else {}
        if not (opt.get("audience") or opt.get("api")):
            await self.app(scope, receive, send)
            return
        work = Work(self.app, scope, receive, send)
        run = work.run if tracing.switch.tracer is None else work.run_traced
        try:
            await run()
        finally:
            await work.tx.close()


class Work:
    """One request in the works."""

    def __init__(self, app: ASGIApp, scope: Any, receive: Receive, send: Send) -> None:
        self._app, self.scope, self._receive, self._send = app, scope, receive, send
        self.host: Host = scope[HOST]
        self.opt: Mapping[str, Any] = scope["route_handler"].opt
        self.headers = {
            k: v for k, v in scope["headers"] if k in (b"authorization", b"idempotency-key", b"x-request-id")
        }
        self.request_id = self.headers.get(b"x-request-id", b"").decode("latin-1")[:64] or ref(new_id())
        self.tx = self.host.runtime.tx(scopes.ANONYMOUS, self.host.snapshot)
        self.me: Principal | None = None
        self.claim: idempotency.Claim | None = None
        self.began = time.perf_counter()
        self._start: Message | None = None
        self._sent = False
        self.status = 0

    async def run(self) -> None:
        """Admit, look the key up, call the route, answer."""
        self._begin_log()
        try:
            await self._admit()
            stored = await self._key()
        except Exception as error:  # noqa: BLE001 -- the edge answers for everything
            await self._answer(problem_of(error, self.request_id))
            return
        if stored is not None:
            await self.tx.close()
            await self._answer(
                Problem(
                    stored.status,
                    stored.body,
                    {"Content-Type": stored.content_type, "Idempotency-Replayed": "true"},
                )
            )
            return
        state = self.scope.setdefault("state", {})
        state.update(tx=self.tx, me=self.me, request_id=self.request_id)
        await self._app(self.scope, self._receive, self._outgoing)  # type: ignore[arg-type]

    def _begin_log(self) -> None:
        given = self.scope.get("path_params", {})
        logs.begin(
            request_id=self.request_id,
            audience=self.opt.get("audience", "everybody"),
            route=self.scope["route_handler"].handler_name,
            generation=self.host.snapshot.generation,
            **{name: str(given[name])[:64] for name in _SHOWN if name in given},
        )

    async def run_traced(self) -> None:
        """`run` in a span that goes on with the client's trace."""
        tracer, handler = tracing.switch.tracer, self.scope["route_handler"].handler_name
        assert tracer is not None
        method = self.scope["method"]
        given = {k.decode("latin-1"): v.decode("latin-1") for k, v in self.scope["headers"] if k in _TRACE}
        attributes = {
            "http.request.method": method,
            "http.route": handler,
            "jishi.request_id": self.request_id,
        }
        with tracer.span(f"{method} {handler}", attributes, "server", given) as span:
            await self.run()
            span.set_attribute("http.response.status_code", self.status)

    async def _admit(self) -> None:
        runtime, raw = self.host.runtime, self.headers.get(b"authorization", b"")
        me = None
        if raw:
            kind, _, token = raw.decode("latin-1").partition(" ")
            good = kind.lower() == "bearer"
            me = tokens.read(runtime.env.vault, token.strip(), self.tx.now) if good else None
            # A public page stays public to somebody whose token has run out, or nobody could sign in again with it.
            if me is None and not self.opt.get("public"):
                raise Unauthorized(
                    "This token is not valid or has expired; refresh it or sign in again.",
                    code="token_invalid",
                )
        self.me = self.host.admit(self.opt, me)
        match self.opt.get("scope"):
            case "system":
                self.tx.scope = scopes.system_for(self.me)
            case "anonymous":
                self.tx.scope = scopes.ANONYMOUS
            case _:
                self.tx.scope = scopes.of(self.me)
        await self._limit()

    async def _limit(self) -> None:
        bound = self.opt.get("limit")
        if bound is None or not self.host.runtime.env.settings.rate_limits:
            return
        calls, seconds, by = bound
        client = self.scope.get("client")
        who = str(self.me.account_id) if by == "account" and self.me else (client[0] if client else "?")
        name = self.scope["route_handler"].handler_name
        await limits.count(self.host.runtime.redis, f"{name}:{who}", calls, seconds)

    async def _key(self) -> Stored | None:
        # Sign-in answers hold tokens: they are never kept.
        if self.scope["method"] != "POST" or self.me is None or not self.opt.get("audience"):
            return None
        key = self.headers.get(b"idempotency-key")
        if key is None:
            if self.opt.get("keyed"):
                raise BadRequest(
                    "This route needs the header Idempotency-Key: any string new for each purchase attempt.",
                    code="idempotency_key_required",
                )
            return None
        body = await self._read_body()
        self.claim = idempotency.claim(
            self.me.account_id, f"POST {self.scope['path']}", key.decode("latin-1"), body
        )
        if not self.opt.get("outside"):
            return await idempotency.begin(self.tx, self.claim, lock=True)
        async with self.host.runtime.tx(scopes.system_for(self.me), self.host.snapshot) as look:
            return await idempotency.begin(look, self.claim, lock=False)

    async def _read_body(self) -> bytes:
        messages: list[Message] = []
        size = 0
        while True:
            message = await self._receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise TooLarge(f"A request takes at most {MAX_BODY} bytes.")
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        receive, pending = self._receive, iter(messages)

        async def replay() -> Any:
            return next(pending, None) or await receive()

        self._receive = replay
        return b"".join(m.get("body", b"") for m in messages if m["type"] == "http.request")

    async def _outgoing(self, message: Message) -> None:
        """Litestar's answer passes here: commit before its first byte, or send the reason why not."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._sent or self._start is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        start, self._sent = self._start, True
        status = start["status"]
        try:
            if status < 400:
                await self._keep(start, message)
            else:
                await self.tx.close()
        except Exception as error:  # noqa: BLE001 -- a failed commit must reach the client as a problem
            await self.tx.close()
            await self._answer(problem_of(error, self.request_id))
            return
        start["headers"] = [
            *start["headers"],
            (b"x-request-id", self.request_id.encode("latin-1")),
            (b"x-jishi-generation", self.host.generation),
        ]
        self._observe(status)
        await self._send(start)
        await self._send(message)

    async def _keep(self, start: Message, message: Message) -> None:
        method = self.scope["method"]
        if (
            self.me is not None
            and method in _WRITES
            and self.me.audience != "shop"
            and self.opt.get("audience")
        ):
            await audit.record(
                self.tx,
                self.me,
                f"{method} {self.scope['route_handler'].handler_name}",
                self.scope["path"],
                {},
                self.request_id,
            )
        if self.claim is not None and not message.get("more_body"):
            kind = next((v for k, v in start["headers"] if k.lower() == b"content-type"), b"application/json")
            answer = Stored(start["status"], message["body"], kind.decode("latin-1"))
            await idempotency.commit(self.tx, self.claim, answer)
            return
        await self.tx.commit()

    async def _answer(self, problem: Problem) -> None:
        headers = {"Content-Type": CONTENT_TYPE, "X-Request-ID": self.request_id, **problem.headers}
        headers["Content-Length"] = str(len(problem.body))
        self._observe(problem.status)
        raw = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()]
        raw.append((b"x-jishi-generation", self.host.generation))
        await self._send({"type": "http.response.start", "status": problem.status, "headers": raw})
        await self._send({"type": "http.response.body", "body": problem.body, "more_body": False})

    def _observe(self, status: int) -> None:
        self.status = status
        seconds = time.perf_counter() - self.began
        metrics.observe(
            self.scope["route_handler"], self.scope["method"], status, seconds, self.tx.statements
        )
        if self.host.runtime.env.settings.access_log:
            _log.info(
                "request",
                method=self.scope["method"],
                status=status,
                milliseconds=round(seconds * 1000, 1),
                statements=self.tx.statements,
            )
