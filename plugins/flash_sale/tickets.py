"""Request tokens: signed by the market for one account, activity and SKU, good for a short time and one purchase."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import UUID

_PURPOSE = b"flash_sale.ticket."
_NONCE, _UNTIL = 16, 8


class Vault(Protocol):
    """What signs (`tx.env.vault`)."""

    def sign(self, data: bytes) -> bytes:
        """The signature of a token."""

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Whether it is the signature of this."""


class Claim(NamedTuple):
    """Who may buy what."""

    account_id: UUID
    activity_id: UUID
    sku_id: UUID

    def signed_part(self, body: bytes) -> bytes:
        """What is signed."""
        return b"".join((_PURPOSE, *[part.bytes for part in self], body))


class Ticket(NamedTuple):
    """A token read: its nonce, and until when (whole seconds) it is good."""

    nonce: UUID
    until: datetime


def issue(vault: Vault, claim: Claim, nonce: UUID, until: datetime) -> str:
    """The token."""
    body = nonce.bytes + int(until.timestamp()).to_bytes(_UNTIL, "big")
    return urlsafe_b64encode(body + vault.sign(claim.signed_part(body))).rstrip(b"=").decode()


def read(vault: Vault, claim: Claim, token: str) -> Ticket | None:
    """What a token of this claim says; None for a forged one, or one of another claim. Never raises."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    body, signature = raw[: _NONCE + _UNTIL], raw[_NONCE + _UNTIL :]
    if not vault.signed(claim.signed_part(body), signature):
        return None
    until = datetime.fromtimestamp(int.from_bytes(body[_NONCE:], "big"), UTC)
    return Ticket(UUID(bytes=body[:_NONCE]), until)
