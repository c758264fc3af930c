"""Shops' terms kept for a moment, so that a quote in the usual case asks the database nothing."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID

from core.api import Remembered, Tx
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
        self._kept: Remembered[UUID, Terms] = Remembered(TTL_S, MOST, clock)

    async def of(self, tx: Tx, shops: Iterable[UUID]) -> Mapping[UUID, Terms]:
        """The terms of those of `shops` that have set any; one statement for all that are not remembered, else none."""

        async def read(missing: Sequence[UUID]) -> Mapping[UUID, Terms]:
            return await repository.terms(tx, list(missing))

        return await self._kept.of(shops, read)

    def forget(self, shop: UUID) -> None:
        """The shop has changed its terms."""
        self._kept.forget(shop)
