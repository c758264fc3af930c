"""Passwords: argon2id, reckoned in two threads so that sign-ins never starve the event loop.

Parameters are OWASP's: 19 MiB, 2 passes, 1 lane, about 25 ms. Beyond 256 waiting calls the answer is
`Unavailable` rather than a queue of seconds.
"""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from core.kit.errors import Unavailable

MIN_LENGTH = 8
MAX_LENGTH = 128

R = TypeVar("R")

_MAX_WAITING = 256
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16)


def _nobody() -> str:
    """A well-formed hash that no password has, with the present parameters."""
    salt, digest = (b64encode(secrets.token_bytes(n)).rstrip(b"=").decode() for n in (16, 32))
    h = _HASHER
    return f"$argon2id$v=19$m={h.memory_cost},t={h.time_cost},p={h.parallelism}${salt}${digest}"


_NOBODY = _nobody()


class HashingPool:
    """A bounded pool of threads for hashing; its threads start with the first call."""

    def __init__(self, threads: int = 2) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._waiting = 0

    async def run(self, work: Callable[[], R]) -> R:
        """The result of `work`, done in a thread. Raises `Unavailable` when too many wait already."""
        if self._waiting >= _MAX_WAITING:
            raise Unavailable("Too many sign-ins at once; try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


_POOL = HashingPool()


async def hash_password(password: str) -> str:
    """The hash to keep, with its parameters and salt in it."""
    return await _POOL.run(lambda: _HASHER.hash(password))


async def verify_password(kept: str | None, password: str) -> bool:
    """Whether `password` has the hash `kept`. None (no such login) takes as long as a wrong password."""
    return await _POOL.run(lambda: _verify(_NOBODY if kept is None else kept, password))


def _verify(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
