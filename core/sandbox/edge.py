"""The door of the sandbox: what a market asks must be signed, is answered signed, and goes wrong as often as was asked for.

The console page and the look at its health pass unsigned; they are for this machine only.
"""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from core.kit.errors import JishiError, TooLarge, Unauthorized
from core.sandbox.behaviour import Tempers
from core.sandbox.messages import Problem
from core.sandbox.signing import TOLERANCE, Sign, answer_headers, check_request
from core.sandbox.store import Store

_MOST = 1 << 20
_OPEN = ("/", "/healthz")
# Calls that set how it behaves, or look at it, must work whatever was set before.
_STEADY = ("/behaviour", "/books", "/notifications")
_SWEEP_EVERY_S = 60.0


class Edge:
    """An ASGI application around the routes."""

    def __init__(self, app: ASGIApp, store: Store, sign: Sign, tempers: Tempers) -> None:
        self._app, self._store, self._sign, self._tempers = app, store, sign, tempers
        self._swept = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] != ScopeType.HTTP:
            return
        path = scope["path"]
        if path in _OPEN or path.startswith("/console/"):
            await self._app(scope, receive, send)
            return
        nonce = ""
        try:
            body = await _read(receive)
            account, nonce = self._checked(scope, body)
        except JishiError as error:
            status, answer = error.status, _problem(error.code, error.detail)
        else:
            found = await self._answer(scope, body, account)
            if found is None:
                await _drop(send)
                return
            status, answer = found
        await self._send(send, nonce, status, answer)

    def _checked(self, scope: HTTPScope, body: bytes) -> tuple[str, str]:
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1").partition("?")[0] + (f"?{query}" if query else "")
        now = time.time()
        account, nonce = check_request(self._sign, headers, scope["method"], target, body, now)
        with self._store.transaction():
            if now - self._swept > _SWEEP_EVERY_S:
                self._swept = now
                self._store.run("delete from nonce where at < ?", int(now) - 2 * TOLERANCE)
            fresh = self._store.run(
                "insert into nonce (account, nonce, at) values (?, ?, ?) on conflict do nothing",
                *(account, nonce, int(now)),
            )
        if not fresh:
            raise Unauthorized("This request was made before.", code="bad_signature")
        return account, nonce

    async def _answer(self, scope: HTTPScope, body: bytes, account: str) -> tuple[int, bytes] | None:
        """Status and body, or None when the line goes dead."""
        temper = self._tempers.of(account)
        fate = "answer" if scope["path"].startswith(_STEADY) else temper.fate()
        if fate == "refuse":
            return 503, _problem("unavailable", "Not now; nothing was booked.")
        status, answer = await _call(self._app, scope, body)
        if fate == "answer" or status >= 400:
            return status, answer
        return None if temper.falls(50) else (504, _problem("unavailable", "The answer took too long."))

    async def _send(self, send: Send, nonce: str, status: int, body: bytes) -> None:
        # Nobody but a market may have anything signed.
        signed = answer_headers(self._sign, nonce, status, body) if nonce else {}
        headers = {"content-type": "application/json", "content-length": str(len(body)), **signed}
        encoded = [(k.encode(), v.encode()) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def _read(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message["body"])
        size += len(message["body"])
        if size > _MOST:
            raise TooLarge("A request has at most one megabyte.")
        more = message["more_body"]
    return b"".join(parts)


async def _call(app: ASGIApp, scope: HTTPScope, body: bytes) -> tuple[int, bytes]:
    """Have the routes answer into memory."""
    status, parts, given = 500, [], False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()
        given = True
        return cast("Message", {"type": "http.request", "body": body, "more_body": False})

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            parts.append(message["body"])

    await app(scope, cast("Receive", receive), cast("Callable[[Message], object]", send))  # type: ignore[arg-type]
    return status, b"".join(parts)


async def _drop(send: Send) -> None:
    """End the connection in the middle of an answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": False})


def _problem(code: str, detail: str) -> bytes:
    return msgspec.json.encode(Problem(code, detail))
