"""Codes that people type in to get a coupon."""

import csv
import io
import secrets
import unicodedata
from uuid import UUID

import asyncpg

from core.api import (
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Page,
    Tx,
    check_limit,
    decode_cursor,
    encode_cursor,
)
from plugins.coupons import repository
from plugins.coupons.schemas import CodeOut, CodesIn, CodesMade
from plugins.coupons.templates import own

# Nothing that is mistaken for something else: no 0 and O, no 1, I and L.
ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
LENGTH = 12
EXPORTED = 10_000
_SHORTEST, _LONGEST = 4, 32


def normal(text: str) -> str:
    """A code as it is kept: without blanks and hyphens, in capitals, in letters of normal width."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper())
    return "".join([c for c in folded if not c.isspace() and c != "-"])


async def make(tx: Tx, merchant_id: UUID, template_id: str, data: CodesIn) -> CodesMade:
    """Codes of one of the issuer's templates. Raises `NotFound`, `Invalid`, and `Conflict` `not_by_code`, `code_taken`."""
    key = own(merchant_id, template_id)
    await _by_code(tx, key)
    if (data.count is None) == (data.code is None):
        detail = "Give count for random codes, or code for one of your own."
        raise Invalid(detail, FieldError("count", "mismatch", detail))
    if data.code is not None:
        return CodesMade([await _own_code(tx, key, data.code, data.uses)], data.uses)
    made: list[str] = []
    while len(made) < (data.count or 0):
        fresh = {_random() for _ in range((data.count or 0) - len(made))}
        made += await repository.add_codes(tx, key, sorted(fresh), data.uses)
    return CodesMade(made, data.uses)


def _random() -> str:
    return "".join([secrets.choice(ALPHABET) for _ in range(LENGTH)])


async def _own_code(tx: Tx, key: tuple[UUID, UUID], text: str, uses: int) -> str:
    code = normal(text)
    if not (_SHORTEST <= len(code) <= _LONGEST and code.isalnum() and normal(code) == code):
        detail = f"A code is {_SHORTEST} to {_LONGEST} letters and digits."
        raise Invalid(detail, FieldError("code", "pattern", detail))
    if not await repository.add_codes(tx, key, [code], uses):
        raise Conflict("There is such a code already; choose another.", code="code_taken")
    return code


async def listed(
    tx: Tx, merchant_id: UUID, template_id: str, cursor: str | None, limit: int
) -> Page[CodeOut]:
    """The codes of one of the issuer's templates in alphabetical order. Raises `NotFound`."""
    rows, after = await _page(tx, merchant_id, template_id, cursor, check_limit(limit))
    return Page([CodeOut(*row) for row in rows], after)


async def exported(
    tx: Tx, merchant_id: UUID, template_id: str, cursor: str | None
) -> tuple[bytes, str | None]:
    """Up to `EXPORTED` codes as CSV with the columns code, uses and used, and the cursor of what follows.
    Raises `NotFound`."""
    rows, after = await _page(tx, merchant_id, template_id, cursor, EXPORTED)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["code", "uses", "used"])
    writer.writerows([row["code"], row["uses"], row["used"]] for row in rows)
    return text.getvalue().encode("utf-8-sig"), after


async def _page(
    tx: Tx, merchant_id: UUID, template_id: str, cursor: str | None, limit: int
) -> tuple[list[asyncpg.Record], str | None]:
    key = own(merchant_id, template_id)
    await _by_code(tx, key)
    after = decode_cursor(cursor, str) if cursor else None
    rows = await repository.codes(tx, key, after, limit + 1)
    return rows[:limit], encode_cursor(rows[limit - 1]["code"]) if len(rows) > limit else None


async def _by_code(tx: Tx, key: tuple[UUID, UUID]) -> None:
    row = await repository.template(tx, key)
    if row is None:
        raise NotFound("There is no such coupon template.")
    if row["claim"] != "code":
        raise Conflict("This template is not handed out by code.", code="not_by_code")
