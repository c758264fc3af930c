"""Who may ask: those who hold the key, about what they signed, now, and once."""

import time
from typing import Any

import httpx
import msgspec
import pytest

from core.kit.crypto import Vault
from core.kit.errors import Unauthorized
from core.kit.ids import new_id
from core.sandbox import signing
from core.sandbox.signing import ACCOUNT, NONCE, SIGNATURE, TIMESTAMP

Caller = Any


async def test_what_is_not_signed_right_is_refused(
    caller: Caller, another: Any, http: httpx.AsyncClient
) -> None:
    good = caller.headers("GET", "/books")
    wrong: list[Any] = [
        {},
        {k: v for k, v in good.items() if k != SIGNATURE},
        good | {SIGNATURE: "0" * 64},
        good | {SIGNATURE: "é".encode()},
        good | {ACCOUNT: "other"},
        good | {NONCE: "other"},
        good | {TIMESTAMP: str(int(good[TIMESTAMP]) + 1)},
        caller.headers("POST", "/books"),
        caller.headers("GET", "/books?x=1"),
        caller.headers("GET", "/books", b"body"),
        caller.headers("GET", "/books", age=301),
        caller.headers("GET", "/books", age=-302),
        another("market", b"another key another key another k").headers("GET", "/books"),
        another("").headers("GET", "/books"),
        another("x" * 81).headers("GET", "/books"),
    ]
    for headers in wrong:
        answer = await http.get("/books", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature"), headers
        assert SIGNATURE not in answer.headers
    assert (await http.get("/books", headers=good)).status_code == 200


async def test_a_request_counts_once(caller: Caller, http: httpx.AsyncClient) -> None:
    headers = caller.headers("GET", "/books")
    assert (await http.get("/books", headers=headers)).status_code == 200
    assert (await http.get("/books", headers=headers)).status_code == 401


async def test_every_route_asks_for_a_signature(caller: Caller, http: httpx.AsyncClient) -> None:
    payment = new_id()
    for method, path in (
        ("POST", "/payments"),
        ("GET", f"/payments/{payment}"),
        ("POST", f"/payments/{payment}/pay"),
        ("POST", "/refunds"),
        ("POST", "/payouts"),
        ("GET", "/bill?day=2026-01-01"),
        ("GET", "/behaviour"),
        ("PUT", "/behaviour"),
        ("POST", "/notifications/send"),
        ("GET", "/nowhere"),
    ):
        assert (await http.request(method, path)).status_code == 401, path
    assert (await http.get("/healthz")).text == "ok"


async def test_too_much_is_refused(caller: Caller, http: httpx.AsyncClient) -> None:
    body = b"x" * (1 << 20) + b"x"
    answer = await http.post("/refunds", content=body, headers=caller.headers("POST", "/refunds", body))
    assert answer.status_code == 413


def test_an_answer_is_known_by_nonce_status_and_body() -> None:
    sign = Vault(b"k" * 32).sandbox_sign
    headers = signing.answer_headers(sign, "n", 200, b"{}")
    assert signing.is_answer(sign, headers, "n", 200, b"{}")
    for nonce, status, body in (("m", 200, b"{}"), ("n", 409, b"{}"), ("n", 200, b"[]")):
        assert not signing.is_answer(sign, headers, nonce, status, body)
    assert not signing.is_answer(sign, {}, "n", 200, b"{}")


async def test_notifications_are_signed(caller: Caller, inbox: Any) -> None:
    await caller.paid(100)
    (request,) = inbox.requests
    body = request.content
    signing.check_notification(caller.sign, request.headers, body, time.time())
    assert msgspec.json.decode(body)["amount"] == 100
    with pytest.raises(Unauthorized):
        signing.check_notification(caller.sign, request.headers, body + b" ", time.time())
    with pytest.raises(Unauthorized):
        signing.check_notification(caller.sign, request.headers, body, time.time() + 302)
