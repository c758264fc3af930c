"""Encryption of personal data and signing, from one master secret.

AES-256-GCM with the table, column and owner as associated data, so a ciphertext copied to another row does not open.
Look-ups go by a keyed blind index (HMAC-SHA256). The first byte names the key's version, for rotation.
"""

import hmac
import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"


class Vault:
    """Keys derived from the master secret (at least 32 bytes). Raises `ValueError` for a shorter one."""

    def __init__(self, master: bytes) -> None:
        if len(master) < 32:
            raise ValueError("The secret must have at least 32 bytes.")
        self._cipher = AESGCM(_derive(master, b"jishi personal data"))
        self._index = _derive(master, b"jishi blind index")
        self._tokens = _derive(master, b"jishi tokens")
        self._sandbox = _derive(master, b"jishi sandbox payments")

    def seal(self, text: str, context: str) -> bytes:
        """Encrypt `text`; `context` is where it is kept, e.g. `address.phone:<account id>`."""
        return self.seal_bytes(text.encode(), context)

    def seal_bytes(self, data: bytes, context: str) -> bytes:
        """Encrypt bytes."""
        nonce = os.urandom(12)
        return _VERSION + nonce + self._cipher.encrypt(nonce, data, context.encode())

    def open(self, sealed: bytes, context: str) -> str:
        """Decrypt. Raises `ValueError` when the key or the place does not fit."""
        return self.open_bytes(sealed, context).decode()

    def open_bytes(self, sealed: bytes, context: str) -> bytes:
        """Decrypt bytes. Raises `ValueError` when the key or the place does not fit."""
        try:
            return self._cipher.decrypt(sealed[1:13], sealed[13:], context.encode())
        except InvalidTag:
            raise ValueError(f"This ciphertext does not belong to {context}.") from None

    def blind(self, text: str) -> bytes:
        """The blind index of a value to look up, e.g. a phone number."""
        return hmac.digest(self._index, text.encode(), "sha256")[:16]

    def sign(self, data: bytes) -> bytes:
        """The signature of a token."""
        return hmac.digest(self._tokens, data, "sha256")

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Whether `sign(data)` gave this signature; constant time."""
        return hmac.compare_digest(self.sign(data), signature)

    def sandbox_sign(self, data: bytes) -> str:
        """The sandbox payment service's signature of a notification, hex."""
        return hmac.digest(self._sandbox, data, "sha256").hex()

    @staticmethod
    def digest(data: bytes) -> bytes:
        """SHA-256, for values that are random already (refresh tokens)."""
        return sha256(data).digest()


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master)


def mask_name(text: str) -> str:
    """`王小明` -> `王**`."""
    return text[:1] + "*" * max(1, min(len(text) - 1, 3)) if text else ""


def mask_phone(text: str) -> str:
    """`13812345678` -> `138****5678`."""
    return text[:3] + "****" + text[-4:] if len(text) >= 8 else "****"
