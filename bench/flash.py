"""A flash sale under load: all buyers at once, straight to checkout and through the admission."""

import asyncio
import statistics
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

import host
from bench.client import Buyer, Connection
from bench.market import Market
from bench.measure import Meter, Row, cpu_ms, statements, tree_cpu_ms
from core.kit.ids import new_id, parse_ref, ref
from core.types import scope as scopes
from plugins.flash_sale import events
from plugins.flash_sale.schemas import ShopEventIn

PIECES = 100
STRAIGHT = 1000
_CONNECTIONS = 200
_REFUSED = {"sold_out", "price_changed", "crowded"}


async def run(built: Market, meter: Meter, buyers: int) -> list[Row]:
    """The rows of the table."""
    straight = Rush(built, meter, built.skus[0])
    rows = await straight.rows("straight to checkout", built.buyers[:STRAIGHT], admission=False)
    entering = Rush(built, meter, built.skus[1])
    return rows + await entering.rows("through the admission", built.buyers[:buyers], admission=True)


class Rush:
    """One sale of one SKU, and everybody who wants it."""

    def __init__(self, built: Market, meter: Meter, sku: Any) -> None:
        self.built, self.meter, self.sku = built, meter, sku
        self.activity, self.price, self.payable = "", 0, 0
        self.outcome: Counter[str] = Counter()
        self.took: dict[str, list[float]] = {}
        self.asked = 0

    async def rows(self, name: str, tokens: list[str], *, admission: bool) -> list[Row]:
        """Have them all come at once, and look what became of it."""
        await self._open(admission)
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(_CONNECTIONS):
            free.put_nowait(Connection("127.0.0.1", self.meter.port))
        before = cpu_ms(self.meter.web), tree_cpu_ms(self.meter.postgres), statements(self.meter.port).total
        began = time.perf_counter()
        await asyncio.gather(*(self._buyer(token, free, admission=admission) for token in tokens))
        took = time.perf_counter() - began
        web = (cpu_ms(self.meter.web) - before[0]) / self.asked
        postgres = (tree_cpu_ms(self.meter.postgres) - before[1]) / self.asked
        sent = (statements(self.meter.port).total - before[2]) / self.asked
        while not free.empty():
            free.get_nowait().close()
        sold = await self._sold()
        assert sold == self.outcome["sold"] == PIECES, (sold, self.outcome)
        assert set(self.outcome) <= {"sold", *_REFUSED}, self.outcome
        refused = ", ".join(f"{n:,} {code}" for code, n in sorted(self.outcome.items()) if code != "sold")
        return [
            (
                f"request, {name}",
                f"{web:.2f}",
                f"{postgres:.2f}",
                f"{sent:.1f}",
                f"{self.asked / took:.0f}/s",
            ),
            (f"{len(tokens):,} buyers on {PIECES} pieces", "", "", "", f"{sold} sold, {took:.1f} s"),
            ("  refused", "", "", "", refused),
            *[
                (f"  {what}: median, 99 % of answers", "", "", "", _spread(times))
                for what, times in self.took.items()
            ],
        ]

    async def _open(self, admission: bool) -> None:
        now = datetime.now(UTC)
        runtime = host.make_runtime(self.built.env)
        await runtime.open()
        async with runtime.tx(scopes.SYSTEM) as tx:
            self.price = await tx.fetchval(
                "select price / 2 from sku where merchant_id = $1 and id = $2", *self.sku
            )
        offer = {"sku_id": ref(*self.sku), "price": self.price, "quantity": PIECES}
        body = {
            "name": "秒杀",
            "slots": [{"starts_at": now - timedelta(minutes=1), "ends_at": now + timedelta(hours=1)}],
            "offers": [offer],
            "token_required": admission,
        }
        async with runtime.tx(scopes.merchant(self.sku[0])) as tx:
            made = await events.open_shop(tx, self.sku[0], new_id(), msgspec.convert(body, ShopEventIn))
        await runtime.close()
        self.activity = made.slots[0].id
        # The normal quote, freight and all, less what the sale takes off.
        who = Buyer(self.meter.port, self.built.buyers[0])
        lines = [{"sku_id": ref(*self.sku), "quantity": 1}]
        quote = await who.call("POST", "/api/shop/quote", {"lines": lines})
        who.connection.close()
        self.payable = quote["payable"] - quote["goods_amount"] + self.price

    async def _buyer(self, token: str, free: asyncio.Queue[Connection], *, admission: bool) -> None:
        who = Buyer(self.meter.port, token)
        wanted: dict[str, Any] = {"activity_id": self.activity}
        if admission:
            path = f"/api/shop/flash_sale/activities/{self.activity}/admission"
            status, answer = await self._request(
                "admission", who, free, path, {"sku_id": ref(*self.sku)}, keyed=False
            )
            if status != 200:
                self.outcome[answer["code"]] += 1
                return
            wanted["token"] = answer["token"]
        body = {
            "lines": [{"sku_id": ref(*self.sku), "quantity": 1}],
            "expected_payable": self.payable,
            "options": {"flash_sale": wanted},
        }
        status, answer = await self._request("checkout", who, free, "/api/shop/checkout", body, keyed=True)
        self.outcome["sold" if status == 201 else answer["code"]] += 1

    async def _request(
        self, what: str, who: Buyer, free: asyncio.Queue[Connection], path: str, body: Any, *, keyed: bool
    ) -> tuple[int, Any]:
        connection = who.connection = await free.get()
        self.asked += 1
        began = time.perf_counter()
        if keyed:
            answer = await who.attempt("POST", path, body)
        else:
            answer = await connection.request("POST", path, body, Authorization=who._token)
        self.took.setdefault(what, []).append(time.perf_counter() - began)
        free.put_nowait(connection)
        return answer

    async def _sold(self) -> int:
        runtime = host.make_runtime(self.built.env)
        async with runtime.tx(scopes.SYSTEM) as tx:
            sold: int = await tx.fetchval(
                "select sum(quantity)::int from flash_sale_use where activity_id = $1 and status = 'open'",
                parse_ref(self.activity),
            )
        await runtime.close()
        return sold


def _spread(times: list[float]) -> str:
    if len(times) < 2:
        return f"{times[0] * 1000:.0f} ms"
    return f"{statistics.median(times) * 1000:.0f} ms, {statistics.quantiles(times, n=100)[98] * 1000:.0f} ms"
