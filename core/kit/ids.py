"""Identifiers.

Rows are keyed by UUIDv7 made in Python (time-ordered, so indexes stay local). Outside, an id is an opaque
string: base64url without padding of one UUID, or of the merchant's UUID followed by the row's, so that a
look-up of a merchant-owned row knows where to go.
"""

import os
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from datetime import datetime
from uuid import UUID, uuid5

from core.kit.errors import NotFound

# The market itself is a merchant: its coupons, staff and money are rows under this id.
MARKET_ID = UUID("00000000-0000-7000-8000-000000000001")

_lock = threading.Lock()
_last_ms = 0
_sequence = 0


def new_id() -> UUID:
    """A UUIDv7, strictly increasing within the process (RFC 9562, method 1: 12-bit counter)."""
    global _last_ms, _sequence
    with _lock:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > _last_ms:
            _last_ms, _sequence = now_ms, secrets.randbelow(2048)
        else:
            _sequence += 1
            if _sequence > 0xFFF:
                _last_ms, _sequence = _last_ms + 1, 0
        ms, sequence = _last_ms, _sequence
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return UUID(int=(ms << 80) | (0x7 << 76) | (sequence << 64) | (0b10 << 62) | tail)


def first_id(at: datetime) -> UUID:
    """What all ids made at `at` or later are not below, and all made before are: the bound of a period in ids."""
    ms = min(max(int(at.timestamp() * 1000), 0), (1 << 48) - 1)
    return UUID(int=(ms << 80) | (0x7 << 76) | (0b10 << 62))


def derived_id(namespace: UUID, name: str) -> UUID:
    """The same id for the same (namespace, name), so that a retry writes nothing twice."""
    return uuid5(namespace, name)


def ref(*ids: UUID) -> str:
    """The opaque string for one UUID, or for (merchant, row)."""
    return urlsafe_b64encode(b"".join([i.bytes for i in ids])).rstrip(b"=").decode()


def parse_ref(text: str) -> UUID:
    """The UUID in an opaque id. Raises `NotFound` for anything else: a wrong id names nothing."""
    return UUID(bytes=_bytes(text, 16))


def parse_pair(text: str) -> tuple[UUID, UUID]:
    """(merchant id, row id) in an opaque id of a merchant-owned row. Raises `NotFound`."""
    raw = _bytes(text, 32)
    return UUID(bytes=raw[:16]), UUID(bytes=raw[16:])


def _bytes(text: str, size: int) -> bytes:
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (BinasciiError, ValueError):
        raw = b""
    if len(raw) != size or urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise NotFound(f"No such id: {text[:60]!r}.")
    return raw


def new_number(now_ms: int | None = None) -> str:
    """A number people can read out, 22 digits: the day (UTC), its millisecond, eight random digits."""
    ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    day = time.strftime("%y%m%d", time.gmtime(ms // 1000))
    return f"{day}{ms % 86_400_000:08d}{secrets.randbelow(100_000_000):08d}"
