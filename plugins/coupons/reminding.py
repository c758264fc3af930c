"""What time does to coupons: those past their end are marked, and buyers are told of those that end soon."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from core.api import Cycle, Tx
from plugins.coupons import handing
from plugins.coupons.config import Config
from plugins.coupons.happened import CouponsExpiring, coupon_expiring

BATCH = 1000
EVERY = timedelta(seconds=60)


class Again(msgspec.Struct, frozen=True):
    """There was more to do than one batch."""


async def sweep(tx: Tx) -> None:
    """Mark one batch of coupons as expired and remind one batch of buyers; when there is more, it goes on at once in a
    transaction of its own."""
    expired = await _expire(tx)
    reminded = await _remind(tx)
    if BATCH in (expired, reminded):
        tx.schedule("coupons", "sweep_on", Again(), tx.now)


async def sweep_on(tx: Tx, _: msgspec.Raw) -> None:
    """The next batch."""
    await sweep(tx)


async def _expire(tx: Tx) -> int:
    keys = await handing.next_due(tx, BATCH)
    if not keys:
        return 0
    await handing.lock(tx, keys)
    return await handing.expire(tx, keys, BATCH)


async def _remind(tx: Tx) -> int:
    until = tx.now + timedelta(days=tx.config(Config).remind_days)
    ending: dict[UUID, list[tuple[datetime, UUID]]] = {}
    rows = await handing.remind(tx, until, BATCH)
    for row in rows:
        ending.setdefault(row["account_id"], []).append((row["expires_at"], row["id"]))
    for account_id, found in ending.items():
        found.sort()
        ids = tuple(coupon_id for _, coupon_id in found)
        tx.emit(coupon_expiring, CouponsExpiring(account_id, ids, found[0][0]))
    return min(len(rows), BATCH)


CYCLES: Mapping[str, Cycle] = {"sweep": Cycle(EVERY, sweep)}
TIMERS = {"sweep_on": sweep_on}
