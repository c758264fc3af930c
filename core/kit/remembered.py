"""What the database says, kept in the process for a moment, so that a page or a quote in the usual case asks it nothing."""

import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

TTL_S = 5.0
MOST = 10_000


class Remembered(Generic[K, V]):
    """Values of up to `most` keys, each read again after `ttl_s` seconds; one per plugin instance.

    That there is nothing for a key is remembered as well. What is changed here holds at once in this process (`forget`) and
    within `ttl_s` in the others.
    """

    def __init__(
        self, ttl_s: float = TTL_S, most: int = MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s, self._most, self._clock = ttl_s, most, clock
        self._kept: dict[K, tuple[float, V | None]] = {}
        self._changes = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def of(
        self, keys: Iterable[K], read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
    ) -> dict[K, V]:
        """The values of those of `keys` that have any. `read` is called once for all that are not remembered, else not at
        all."""
        now = self._clock()
        found: dict[K, V] = {}
        missing: list[K] = []
        for key in keys:
            until, value = self._kept.get(key, (0.0, None))
            if until <= now:
                missing.append(key)
            elif value is not None:
                found[key] = value
        if missing:
            found.update(await self._read(missing, now, read))
        return found

    def forget(self, key: K) -> None:
        """What belongs to `key` has changed."""
        self._changes += 1
        self._kept.pop(key, None)

    async def _read(
        self, keys: Sequence[K], now: float, read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
    ) -> Mapping[K, V]:
        changes = self._changes
        found = await read(keys)
        # What changed while it was read may not be in what was read.
        if changes == self._changes:
            if len(self._kept) + len(keys) > self._most:
                self._kept.clear()
            self._kept.update((key, (now + self._ttl_s, found.get(key))) for key in keys[: self._most])
        return found
