"""Signatures between the sandbox and a market: HMAC-SHA256 with a key that only both know, over everything that counts.

What is signed begins differently for a request, an answer and a notification, so none can stand for another.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping

from core.kit.errors import Unauthorized

# Seconds between both clocks.
TOLERANCE = 300
ACCOUNT = "x-sandbox-account"
TIMESTAMP = "x-sandbox-timestamp"
NONCE = "x-sandbox-nonce"
SIGNATURE = "x-sandbox-signature"

Sign = Callable[[bytes], str]


def request_headers(
    sign: Sign, account: str, method: str, target: str, body: bytes, now: int
) -> dict[str, str]:
    """The headers of a signed request; `target` is path and query, `now` in seconds."""
    stamp, nonce = str(now), secrets.token_hex(12)
    return {
        "Content-Type": "application/json",
        ACCOUNT: account,
        TIMESTAMP: stamp,
        NONCE: nonce,
        SIGNATURE: sign(_request(method, target, stamp, nonce, account, body)),
    }


def check_request(
    sign: Sign, headers: Mapping[str, str], method: str, target: str, body: bytes, now: float
) -> tuple[str, str]:
    """(account, nonce) of a request whose signature and age are right. Raises `Unauthorized` (`bad_signature`)."""
    account, stamp, nonce = (headers.get(name, "") for name in (ACCOUNT, TIMESTAMP, NONCE))
    _check(sign, _request(method, target, stamp, nonce, account, body), headers, now)
    if not (0 < len(account) <= 80 and 0 < len(nonce) <= 80):
        raise Unauthorized("The request names no account or nonce.", code="bad_signature")
    return account, nonce


def answer_headers(sign: Sign, nonce: str, status: int, body: bytes) -> dict[str, str]:
    """The header of a signed answer to the request with this nonce."""
    return {SIGNATURE: sign(_answer(nonce, status, body))}


def is_answer(sign: Sign, headers: Mapping[str, str], nonce: str, status: int, body: bytes) -> bool:
    """Whether an answer is the service's own, to the request with this nonce."""
    return _same(sign(_answer(nonce, status, body)), headers.get(SIGNATURE, ""))


def notification_headers(sign: Sign, account: str, body: bytes, now: int) -> dict[str, str]:
    """The headers of a signed notification."""
    stamp = str(now)
    return {
        "Content-Type": "application/json",
        ACCOUNT: account,
        TIMESTAMP: stamp,
        SIGNATURE: sign(_notification(stamp, body)),
    }


def check_notification(sign: Sign, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raises `Unauthorized` (`bad_signature`) for one that is not the service's or is not of these minutes."""
    _check(sign, _notification(headers.get(TIMESTAMP, ""), body), headers, now)


def _check(sign: Sign, data: bytes, headers: Mapping[str, str], now: float) -> None:
    """Compare the signature over `data`, then the age. Raises `Unauthorized` (`bad_signature`)."""
    if not _same(sign(data), headers.get(SIGNATURE, "")):
        raise Unauthorized("The signature does not fit.", code="bad_signature")
    stamp = headers.get(TIMESTAMP, "")
    if not (stamp.isascii() and stamp.isdecimal()) or abs(now - int(stamp)) > TOLERANCE:
        raise Unauthorized("This is not of the last five minutes.", code="bad_signature")


def _same(right: str, given: str) -> bool:
    return hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))


def _request(method: str, target: str, stamp: str, nonce: str, account: str, body: bytes) -> bytes:
    head = "\n".join(("request", method, target, stamp, nonce, account, ""))
    return head.encode("utf-8", "replace") + body


def _answer(nonce: str, status: int, body: bytes) -> bytes:
    return f"answer\n{nonce}\n{status}\n".encode("utf-8", "replace") + body


def _notification(stamp: str, body: bytes) -> bytes:
    return stamp.encode("utf-8", "replace") + b"\n" + body
