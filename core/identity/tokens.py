"""Tokens. An access token is `base64url(claims) "." base64url(signature)`, checked without the database; that
its session still stands is checked where the transaction opens. A refresh token is `session "." secret`; it
works once, and only its hash is kept.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from uuid import UUID

import msgspec

from core.kit.crypto import Vault
from core.kit.errors import NotFound
from core.kit.ids import parse_ref, ref
from core.types.scope import Audience, Principal

_MAX_LENGTH = 2048
# Other signatures of the vault must never pass for an access token.
_PURPOSE = b"access."


class _Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """`e` is the expiry in seconds since 1970; the rest are `Principal`'s fields, ids as opaque strings."""

    s: str
    a: str
    u: Audience
    e: int
    m: str | None = None
    r: tuple[str, ...] = ()
    g: bool = False


_DECODER = msgspec.json.Decoder(_Claims)


def issue(vault: Vault, principal: Principal, expires_at: datetime) -> str:
    """An access token for `principal`, valid until `expires_at`."""
    shop = ref(principal.merchant_id) if principal.merchant_id else None
    claims = _Claims(
        s=ref(principal.session_id),
        a=ref(principal.account_id),
        u=principal.audience,
        e=int(expires_at.timestamp()),
        m=shop,
        r=principal.roles,
        g=principal.guest,
    )
    body = urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=")
    signature = urlsafe_b64encode(vault.sign(_PURPOSE + body)).rstrip(b"=")
    return (body + b"." + signature).decode()


def read(vault: Vault, token: str, now: datetime) -> Principal | None:
    """Who the token speaks for; None for one that is expired, forged or no token at all. Never raises."""
    if len(token) > _MAX_LENGTH:
        return None
    body, _, signature = token.partition(".")
    try:
        if not vault.signed(_PURPOSE + body.encode(), urlsafe_b64decode(signature + "=")):
            return None
        claims = _DECODER.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if claims.e <= now.timestamp():
            return None
        shop = parse_ref(claims.m) if claims.m else None
        return Principal(parse_ref(claims.a), parse_ref(claims.s), claims.u, shop, claims.r, claims.g)
    except (ValueError, msgspec.MsgspecError, NotFound):
        return None


def new_refresh(session_id: UUID) -> str:
    """A refresh token of the session."""
    return f"{ref(session_id)}.{secrets.token_urlsafe(32)}"


def refresh_hash(token: str) -> bytes:
    """What is kept of a refresh token."""
    return Vault.digest(token.encode())


def session_of(token: str) -> UUID | None:
    """The session a refresh token claims to belong to; None for rubbish."""
    try:
        return parse_ref(token.partition(".")[0])
    except NotFound:
        return None
