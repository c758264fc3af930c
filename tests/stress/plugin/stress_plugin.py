"""A plugin that makes orders difficult: others earn on them, some are held for a while, some are refunded as soon as they
are paid, and for some it fails at first. Which, the buyer's remark says."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from core.api import (
    Conflict,
    Earning,
    Paying,
    PayingAnswer,
    Placement,
    Plugin,
    Tx,
    derived_id,
    hookimpl,
    lift_order,
    rate,
)

EARNERS = tuple(derived_id(UUID(int=1), f"stress earner {n}") for n in range(3))
# How long it fails, and holds.
_FAILS_FOR, _HOLDS_FOR = timedelta(seconds=3), timedelta(seconds=4)


class Held(msgspec.Struct, frozen=True):
    """Payload of the timer `lift`."""

    merchant_id: UUID
    order_id: UUID


async def lift(tx: Tx, payload: msgspec.Raw) -> None:
    """Let an order go on."""
    due = msgspec.json.decode(payload, type=Held)
    await lift_order(tx, due.merchant_id, due.order_id, StressPlugin.name)


class StressPlugin(Plugin):
    """See above."""

    name = "stress"
    title = "压力"
    summary = "Makes orders difficult."
    timers: ClassVar[Mapping[str, Any]] = {"lift": lift}

    @hookimpl
    async def earnings(self, tx: Tx, placement: Placement) -> Sequence[Earning]:
        """On a third of the lines somebody has 3 %, on another third two people have."""
        found: list[Earning] = []
        for order in placement.orders:
            for n, line in enumerate(order.priced.lines):
                amount = rate(line.payable, 300)
                found += [
                    Earning(order.merchant_id, line.key, owner, amount, "推广")
                    for owner in EARNERS[: (n + line.quantity) % 3]
                    if amount
                ]
        return found

    @hookimpl(every_order=True)
    async def order_paying(self, tx: Tx, paying: Paying) -> PayingAnswer | None:
        """By the buyer's remark: hold it, refund it, or fail for the first seconds."""
        remark = await tx.fetchval(
            "select remark from orders where merchant_id = $1 and id = $2",
            paying.merchant_id,
            paying.order_id,
        )
        match remark:
            case "refund":
                return PayingAnswer("refund", "not wanted")
            case "fail" if tx.now < paying.paid_at + _FAILS_FOR:
                raise Conflict("This plugin fails for a while.")
            case "hold" | "fail":
                until = tx.now + _HOLDS_FOR
                tx.schedule(self.name, "lift", Held(paying.merchant_id, paying.order_id), until)
                return PayingAnswer("hold", "waits", until)
        return None
