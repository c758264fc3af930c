"""Errors as `application/problem+json` (RFC 9457): `type, title, status, code, detail`, and `errors` for bad fields."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotFoundException, ValidationException

from core.kit.errors import (
    BadRequest,
    FieldError,
    Invalid,
    JishiError,
    NotFound,
    TooManyRequests,
    Unavailable,
)

CONTENT_TYPE = "application/problem+json"
_log = structlog.get_logger("jishi.web")
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "rate_limited",
}


class Problem(msgspec.Struct, frozen=True):
    """A problem ready to be sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


def problem_of(error: BaseException, request_id: str = "") -> Problem:
    """The problem details of any exception. What is not a business error is logged and becomes a bare 500."""
    known = _known(error)
    if known is None:
        _log.error("request failed", request_id=request_id, exc_info=error)
        return _render(
            500,
            "internal",
            "Internal error",
            "Something broke on our side; it was logged.",
            {"request_id": request_id},
        )
    headers = {"Retry-After": str(known.extra["retry_after"])} if isinstance(known, TooManyRequests) else {}
    return _render(known.status, known.code, known.title, known.detail, known.extra, headers)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's one exception handler."""
    if isinstance(error, HTTPException) and not isinstance(error, ValidationException | NotFoundException):
        status = error.status_code
        found = _render(
            status,
            _CODES.get(status, "error"),
            HTTPStatus(status).phrase,
            str(error.detail),
            {},
            dict(error.headers or {}),
        )
    else:
        found = problem_of(error, request.scope.get("state", {}).get("request_id", ""))
    return Response(
        found.body, status_code=found.status, media_type=CONTENT_TYPE, headers=dict(found.headers)
    )


def _known(error: BaseException) -> JishiError | None:
    match error:
        case JishiError():
            return error
        case ValidationException():
            return _invalid(error)
        case NotFoundException():
            return NotFound("There is nothing at this address; see /api/docs for the routes.")
        case asyncpg.DataError():
            return Invalid(
                "A value is not acceptable to the database: no NUL characters, no numbers out of range."
            )
        case RecursionError() if "deserializing" in str(error):
            return BadRequest("The body is nested too deeply.")
        case (
            asyncpg.PostgresConnectionError()
            | asyncpg.InterfaceError()
            | asyncpg.InternalClientError()
            | asyncpg.CannotConnectNowError()
        ):
            return Unavailable("The database is away for a moment; nothing was changed, try again.")
        case asyncpg.DeadlockDetectedError():
            return Unavailable(
                "Others changed the same things at this moment; nothing was changed, try again."
            )
        case asyncpg.AdminShutdownError() | asyncpg.CrashShutdownError() | ConnectionError():
            return Unavailable("A server is away for a moment; nothing was changed, try again.")
        case _:
            return None


def _invalid(error: ValidationException) -> Invalid:
    rows: list[Any] = error.extra if isinstance(error.extra, list) else []
    fields = [
        FieldError(
            str(r.get("key", "")) or str(r.get("source", "body")), "invalid", str(r.get("message", ""))
        )
        for r in rows
        if isinstance(r, dict)
    ]
    detail = "Some fields are not acceptable; see errors." if fields else str(error.detail)
    return Invalid(detail, *fields)


def _render(
    status: int, code: str, title: str, detail: str, extra: Mapping[str, Any], headers: Mapping[str, str] = {}
) -> Problem:
    body = {
        "type": f"urn:jishi:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return Problem(status, msgspec.json.encode(body | dict(extra)), headers)
