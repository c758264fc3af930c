"""A till at a time of its own, whose books are compared with the sandbox's bill; and changes of the latter."""

import contextlib
import sqlite3
from datetime import date, datetime

import httpx

from core.deployment.runtime import Runtime
from core.kit.clock import system_clock
from core.kit.ids import new_id
from core.payment.provider import Outside
from core.payment.reconcile import CHINA, Reconciliation, reconcile
from core.sandbox.app import FILE
from core.testkit.sandbox import sandbox as server
from tests.support.refunds import Bought, Paid, Till

NOON = datetime(2026, 3, 5, 12, tzinfo=CHINA)
DAY = NOON.date()
Found = list[tuple[str, str, int | None, int | None]]


class Books(Till):
    """A till at a time of its own."""

    def __init__(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        super().__init__(runtime, http)
        self.now = NOON
        runtime.clock = lambda: self.now  # type: ignore[assignment, misc]
        self.outside = Outside(runtime.env, http, self.begin, runtime.clock)

    @property
    def now(self) -> datetime:
        """The market's and the sandbox's present."""
        return system_clock() + self._ahead

    @now.setter
    def now(self, now: datetime) -> None:
        self._ahead = now - system_clock()

    async def look(self, day: date = DAY) -> Reconciliation:
        """The day's reconciliation."""
        return await reconcile(self.outside, day, self.now)

    async def found(self, day: date = DAY) -> Found:
        """Its differences: problem, kind, and both amounts."""
        return [
            (d.problem, d.kind, d.here and d.here.amount, d.there and d.there.amount)
            for d in (await self.look(day)).differences
        ]

    async def buy(self, *, commission: int = 100, amount: int = 1_000, borne: int = 0) -> Paid:
        """Two pieces, paid."""
        line = Bought(2, amount, ((borne, 0),) if borne else ())
        return await self.sell(line, commission=commission, earnings=[(0, new_id(), 50)])

    async def release_of(self, order: Paid) -> None:
        """Received, and its money released and split."""
        await self.ship(order)
        await self.complete(order)
        await self.drain()
        await self.release(order)
        await self.drain()

    async def sold(self) -> Paid:
        """An order with a subsidy, of which half was refunded; released and paid out."""
        order = await self.buy(borne=300)
        await self.accept(order)
        await self.drain()
        await self.refund(order, (0, 1))
        await self.drain()
        await self.release_of(order)
        await self.pay_out(order.merchant_id)
        await self.drain()
        return order

    async def ours(self, sql: str) -> None:
        """A change behind our back."""
        async with self.begin() as tx:
            await tx.execute(sql)

    def change(self, sql: str) -> None:
        """See `change`."""
        change(self.runtime, sql)


def change(runtime: Runtime, sql: str) -> None:
    """A change of the sandbox's books behind its back; `:account` is this market."""
    with contextlib.closing(sqlite3.connect(server()._folder / FILE, timeout=10)) as db, db:
        db.execute(sql, {"account": runtime.env.settings.sandbox_account})
