"""Cursor pages: `{"items": [...], "next_cursor": str | null}`. A cursor is opaque and holds the last row's sort key."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Generic, TypeVar

import msgspec

from core.kit.errors import FieldError, Invalid

T = TypeVar("T")
K = TypeVar("K")

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = None


def check_limit(limit: int) -> int:
    """`limit` if it is 1 to 100. Raises `Invalid`."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid("limit must be 1 to 100.", FieldError("limit", "range", "Use 1 to 100."))
    return limit


def encode_cursor(key: object) -> str:
    """A sort key (anything msgspec encodes) as an opaque string."""
    return urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(cursor: str, kind: type[K]) -> K:
    """The sort key in a cursor. Raises `Invalid` for one that this list never gave."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (msgspec.MsgspecError, ValueError, UnicodeError):
        raise Invalid(
            "This cursor is not one of this list; start again without it.",
            FieldError("cursor", "unknown", "Leave cursor out to start at the first page."),
        ) from None
