"""Shops' terms kept for a moment, so that a quote in the usual case asks the database nothing."""

import time
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from core.api import Tx
from plugins.express_delivery import repository
from plugins.express_delivery.repository import Terms

TTL_S = 5.0
MOST = 10_000


class RememberedTerms:
    """The terms of up to `MOST` shops, each read again after 5 seconds; one per plugin instance.

    A shop that has set none is remembered as well. What a shop sets holds at once in the process that saved it
    (`forget`) and within 5 seconds in the others. A buyer's quote may differ from checkout for that long: it is then
    refused as `price_changed` like any other price that moved.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[UUID, tuple[float, Terms | None]] = {}
        self._changes = 0

    async def of(self, tx: Tx, shops: Iterable[UUID]) -> Mapping[UUID, Terms]:
        """The terms of those of `shops` that have set any; one statement for all that are not remembered, else none."""
        now = self._clock()
        found: dict[UUID, Terms] = {}
        missing: list[UUID] = []
        for shop in shops:
            until, terms = self._kept.get(shop, (0.0, None))
            if until <= now:
                missing.append(shop)
            elif terms is not None:
                found[shop] = terms
        if missing:
            found.update(await self._read(tx, missing, now))
        return found

    def forget(self, shop: UUID) -> None:
        """The shop has changed its terms."""
        self._changes += 1
        self._kept.pop(shop, None)

    async def _read(self, tx: Tx, shops: list[UUID], now: float) -> Mapping[UUID, Terms]:
        changes = self._changes
        read = await repository.terms(tx, shops)
        # Terms saved while we were reading may not be in what we read.
        if changes == self._changes:
            if len(self._kept) + len(shops) > MOST:
                self._kept.clear()
            self._kept.update((shop, (now + TTL_S, read.get(shop))) for shop in shops[:MOST])
        return read
