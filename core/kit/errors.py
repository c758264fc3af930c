"""Business errors.

    JishiError
    ├── Invalid            422  malformed input, with `errors` per field
    │   └── TooLarge       413
    ├── BadRequest         400
    ├── Unauthorized       401
    ├── Forbidden          403
    ├── NotFound           404
    ├── Conflict           409  the state does not allow it; `code` says which
    ├── TooManyRequests    429  `retry_after` seconds
    └── Unavailable        503  try again

One handler (`core.web.problems`) turns each into `application/problem+json` (RFC 9457).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One bad field: where (`a.b[0]`), a stable code, and what to do."""

    field: str
    code: str
    detail: str


class JishiError(Exception):
    """Base of all business errors: a stable `code`, an HTTP `status`, a `detail` that says what to do."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal"

    def __init__(self, detail: str, *, code: str | None = None, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.extra: Mapping[str, Any] = extra


class Invalid(JishiError):
    """Malformed input; `errors` lists the fields."""

    status = 422
    title = "Invalid input"
    default_code = "invalid"

    def __init__(self, detail: str, *errors: FieldError, code: str | None = None) -> None:
        super().__init__(detail, code=code, **({"errors": errors} if errors else {}))


class TooLarge(Invalid):
    """More than is taken in one piece."""

    status = 413
    title = "Too large"
    default_code = "too_large"


class BadRequest(JishiError):
    """The request cannot be understood as it is."""

    status = 400
    title = "Bad request"
    default_code = "bad_request"


class Unauthorized(JishiError):
    """No valid token."""

    status = 401
    title = "Sign in first"
    default_code = "unauthorized"


class Forbidden(JishiError):
    """Signed in, but not allowed."""

    status = 403
    title = "Not allowed"
    default_code = "forbidden"


class NotFound(JishiError):
    """No such thing, or not yours: both look the same from outside."""

    status = 404
    title = "Not found"
    default_code = "not_found"


class Conflict(JishiError):
    """The present state does not allow it; `code` says which rule."""

    status = 409
    title = "Conflict"
    default_code = "conflict"


class TooManyRequests(JishiError):
    """Rate limit; `retry_after` is in seconds."""

    status = 429
    title = "Too many requests"
    default_code = "rate_limited"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail, retry_after=retry_after)


class Unavailable(JishiError):
    """A part this depends on is away; trying again later is safe."""

    status = 503
    title = "Unavailable"
    default_code = "unavailable"
