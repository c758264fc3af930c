"""Codes by which goods are picked up and services are used: shown to the buyer, typed in or scanned by the shop."""

import secrets
from uuid import UUID

from core.kit.crypto import Vault

DIGITS = 12


def new_codes(count: int) -> list[str]:
    """`count` different random codes of 12 digits."""
    codes: set[str] = set()
    while len(codes) < count:
        codes.add(f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}")
    return list(codes)


def index(vault: Vault, code: str) -> bytes:
    """The value of `parcel.code_index`, by which a code is looked up within its shop. Spaces and hyphens do not count."""
    return vault.blind("parcel.code:" + code.replace(" ", "").replace("-", ""))


def seal(vault: Vault, parcel_id: UUID, code: str) -> bytes:
    """The value of `parcel.code`; it opens for this parcel only."""
    return vault.seal(code, _context(parcel_id))


def unseal(vault: Vault, parcel_id: UUID, sealed: bytes) -> str:
    """The code in `parcel.code`. Raises `ValueError` when it was sealed for another parcel or key."""
    return vault.open(sealed, _context(parcel_id))


def _context(parcel_id: UUID) -> str:
    return f"parcel.code:{parcel_id}"
