"""`Idempotency-Key`: the same key and body give the same answer, once the first one succeeded.

The answer is stored in the transaction that made it, so a refusal or a crash consumes no key. While the first request
runs, an advisory lock of its transaction makes others `in_progress`.
"""

from hashlib import sha256
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx
from core.kit.errors import BadRequest, Conflict

_MAX_KEY = 200

_LOCKED = """
with l as materialized (select pg_try_advisory_xact_lock(hashtextextended($1::uuid::text || $2 || $3, 7)) ok)
select l.ok, i.body_hash, i.status, i.response, i.content_type
from l left join idempotency i on i.account_id = $1::uuid and i.route = $2 and i.key = $3
"""
_LOOKED_UP = """
select true ok, body_hash, status, response, content_type from idempotency
where account_id = $1 and route = $2 and key = $3
"""


class Claim(msgspec.Struct, frozen=True):
    """A key being used: whose, where, and the hash of the body sent with it."""

    account_id: UUID
    route: str
    key: str
    body_hash: bytes


class Stored(msgspec.Struct, frozen=True):
    """An answer given before."""

    status: int
    body: bytes
    content_type: str


def claim(account_id: UUID, route: str, key: str, body: bytes) -> Claim:
    """Check a key. Raises `BadRequest` for one that is too long or not printable ASCII."""
    if not 1 <= len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise BadRequest(
            f"Idempotency-Key must be 1 to {_MAX_KEY} printable ASCII characters.",
            code="idempotency_key_invalid",
        )
    return Claim(account_id, route, key, sha256(body).digest())


def _context(use: Claim) -> str:
    return f"idempotency.response:{use.account_id}:{use.route}:{use.key}"


async def begin(tx: Tx, use: Claim, *, lock: bool) -> Stored | None:
    """The stored answer, or None when this request is the first.

    Raises `Conflict`: `in_progress`, `idempotency_mismatch`.
    """
    row = await tx.fetchrow(_LOCKED if lock else _LOOKED_UP, use.account_id, use.route, use.key)
    if row is None:
        return None
    if row["body_hash"] is not None:
        if row["body_hash"] != use.body_hash:
            raise Conflict(
                "This Idempotency-Key was used with another body; use a new key for a new request.",
                code="idempotency_mismatch",
            )
        body = tx.env.vault.open_bytes(row["response"], _context(use))
        return Stored(row["status"], body, row["content_type"])
    if not row["ok"]:
        raise Conflict(
            "The first request with this Idempotency-Key is still running; try again in a moment.",
            code="in_progress",
        )
    return None


async def commit(tx: Tx, use: Claim, answer: Stored) -> None:
    """Commit with the answer kept. Raises `Conflict` (`in_progress`) if another request got there first."""
    # An answer may show an address; it is kept encrypted like every other copy of it.
    body = tx.env.vault.seal_bytes(answer.body, _context(use))
    row = (use.account_id, use.route, use.key, use.body_hash, answer.status, body, answer.content_type)
    try:
        await tx.commit(row)
    except asyncpg.UniqueViolationError as error:
        if error.table_name != "idempotency":
            raise
        raise Conflict(
            "Another request with this Idempotency-Key was quicker; send it again to get its answer.",
            code="in_progress",
        ) from None
