"""`python -m bench [--products N] [--purchases N]`, and `python -m bench coupons|quote|tools|flash|worker|orders|ledger`: prints a table;
changes nothing but a temporary folder."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from bench import coupons, engines, flash, floor, ledger, market, measure, quote, tools, worker
from bench import orders as many
from bench.client import Buyer, Connection
from core.kit.ids import ref
from core.plugin import discover
from core.sandbox import address

app = App(help=__doc__)
console = Console(width=110)


@app.default
def main(
    *,
    products: Annotated[int, Parameter(help="listings in the market")] = 20_000,
    purchases: int = 400,
    concurrency: int = 8,
) -> None:
    """Measure."""
    with running(products, buyers=400) as (built, meter):
        meter.concurrency = concurrency
        _report(asyncio.run(Bench(built, meter, purchases).run()), f"one web process, {products:,} listings")


@app.command(name="coupons")
def measure_coupons(
    *,
    total: Annotated[int, Parameter(help="coupons there are to claim, a multiple of 5")] = 10_000,
    quotes: int = 1600,
) -> None:
    """Measure claims of one template, and quotes with coupons."""
    with running(200, buyers=total // coupons.EACH + coupons.QUOTING) as (built, meter):
        _report(asyncio.run(coupons.run(built, meter, total, quotes)), "one web process, coupons")


@app.command(name="quote")
def measure_quote() -> None:
    """Measure the pure quote: 20 lines over 10 shops with more and more rules."""
    _report([(name, cpu, "", "", "") for name, cpu in quote.rows()], "20 lines over 10 shops, no I/O")


@app.command(name="orders")
def measure_orders(
    *, orders: Annotated[int, Parameter(help="orders in the database, at least 100,000")] = 1_000_000
) -> None:
    """Measure lists of orders, counts and an export; 10,000,000 orders need 20 GB of disk."""
    _report(
        many.run(orders),
        f"{orders:,} orders",
        ("list", "ms", "rows seen", "buffers", "found; next page; ways"),
    )


@app.command(name="ledger")
def measure_ledger(
    *, transfers: Annotated[int, Parameter(help="transfers in the ledger")] = 10_000_000
) -> None:
    """Measure balances, pages and the check of the ledger; 10,000,000 transfers need 6 GB of disk."""
    _report(ledger.run(transfers), f"{transfers:,} transfers", ("what", "median", ""))


@app.command(name="worker")
def measure_worker(*, effects: int = 5000, timers: int = 1000, single: int = 40) -> None:
    """Measure one worker process with a plugin that does nothing."""
    _report(worker.rows(effects, timers, single), "one worker process, a plugin that does nothing", _WORKER)


@app.command(name="flash")
def measure_flash(
    *, buyers: Annotated[int, Parameter(help="buyers on 100 pieces, at least 1,000")] = 10_000
) -> None:
    """Measure a flash sale."""
    with running(200, buyers=max(buyers, flash.STRAIGHT)) as (built, meter):
        _report(asyncio.run(flash.run(built, meter, buyers)), "one web process, a flash sale")


@app.command(name="tools")
def measure_tools(*, rounds: int = 5, purchases: int = 40) -> None:
    """Measure what marketing tools cost: the same with no plugin, with promotions, and with all and 200 activities."""
    buyers = tools.QUOTING + 2 * (rounds + 1) * purchases
    with ExitStack() as stack:
        sides = [
            tools.side(*stack.enter_context(running(4000, buyers=buyers, plugins=on)), on)
            for on in ((), ("promotions",), sorted(discover()))
        ]
        _report(tools.measured(sides, rounds, purchases), "medians of alternating rounds")


@contextmanager
def running(
    products: int, *, buyers: int, plugins: Sequence[str] | None = None
) -> Iterator[tuple[market.Market, measure.Meter]]:
    """A market on engines of its own with one web process, by default with all plugins; all gone afterwards."""
    with engines.temporary() as (urls, folder):
        port = market.free_port()
        listening = address.listen(0)
        building = market.build(
            urls,
            folder / "data",
            port,
            address.url_of(listening),
            products=products,
            buyers=buyers,
            plugins=plugins,
        )
        built = asyncio.run(building)
        postgres = engines.postgres_of(folder)
        payments = market.start_payments(built.env, listening)
        web = market.start_web(built.env)
        try:
            yield built, measure.Meter(web.pid, postgres, port, 8)
        finally:
            for process in (web, payments):
                process.terminate()
                process.wait(20)
            listening.close()


class Bench:
    """One run of all measurements."""

    def __init__(self, built: market.Market, meter: measure.Meter, purchases: int) -> None:
        self.market, self.meter, self.port = built, meter, meter.port
        self.purchases, self.concurrency = purchases, meter.concurrency
        self.rows: list[measure.Row] = []

    async def run(self) -> list[measure.Row]:
        """Everything, in order."""
        self.rows.append(("web process idle", "", "", "", f"{measure.rss_mb(self.meter.web):.0f} MB"))
        await self._browse("list page, newest", "/api/shop/products")
        await self._browse("list page, word", "/api/shop/products?q=%E7%81%AB%E9%94%85")
        await self._browse("list page, near", "/api/shop/products?near=106.55,29.56&sort=distance")
        await self._browse("list page, price", "/api/shop/products?sort=price&min_price=2000")
        await self._browse("detail", *(f"/api/shop/products/{p}" for p in self.market.products[:200]))
        await self._purchases()
        await self._floor()
        await self._race()
        self.rows.append(("web process after", "", "", "", f"{measure.rss_mb(self.meter.web):.0f} MB"))
        return self.rows

    async def _browse(self, name: str, *paths: str, count: int = 1600) -> None:
        async def reader(start: int) -> None:
            connection = Connection("127.0.0.1", self.port)
            for n in range(start, count, self.concurrency):
                status, _ = await connection.request("GET", paths[n % len(paths)])
                assert status == 200
            connection.close()

        self.rows.append(await self.meter.measured(name, count, reader))

    async def _purchases(self) -> None:
        skus = self.market.skus

        async def buyer(start: int) -> None:
            who = Buyer(self.port, self.market.buyers[start])
            for n in range(start, self.purchases, self.concurrency):
                await who.purchase([ref(*skus[(n * 3 + i) % len(skus)]) for i in range(3)])
            who.connection.close()

        before = measure.statements(self.port).routes
        self.rows.append(await self.meter.measured("purchase, all 7 requests", self.purchases, buyer))
        for route, (calls, sent) in sorted(measure.statements(self.port).routes.items()):
            calls, sent = calls - before.get(route, (0, 0))[0], sent - before.get(route, (0, 0))[1]
            if calls and sent:
                self.rows.append((f"  {route}", "", "", f"{sent / calls:.1f}", ""))

    async def _floor(self) -> None:
        dsn = self.market.env.settings.app_database_url.replace("+asyncpg", "")
        own = await floor.run(dsn, self.market.skus, self.purchases, self.concurrency)
        before = measure.tree_cpu_ms(self.meter.postgres)
        own = await floor.run(dsn, self.market.skus, self.purchases, self.concurrency)
        postgres = (measure.tree_cpu_ms(self.meter.postgres) - before) / self.purchases
        self.rows.append(("bare SQL of the same purchase", f"{own:.2f}", f"{postgres:.2f}", "8", ""))

    async def _race(self) -> None:
        sku = self.market.skus[-1]
        await market.set_stock(self.market.env, sku, 100)
        buyers = [Buyer(self.port, token) for token in self.market.buyers[:300]]
        _, quote = await buyers[0].attempt(
            "POST", "/api/shop/quote", {"lines": [{"sku_id": ref(*sku), "quantity": 1}]}
        )
        body = {"lines": [{"sku_id": ref(*sku), "quantity": 1}], "expected_payable": quote["payable"]}
        began = time.perf_counter()
        answers = await asyncio.gather(*(b.attempt("POST", "/api/shop/checkout", body) for b in buyers))
        took = time.perf_counter() - began
        sold = sum(status == 201 for status, _ in answers)
        refused = sum(status == 409 and body["code"] == "out_of_stock" for status, body in answers)
        for buyer in buyers:
            buyer.connection.close()
        self.rows.append(
            ("300 buyers on 100 pieces", "", "", "", f"{sold} sold, {refused} refused, {took:.2f} s")
        )


_CPU = ("what", "web", "PostgreSQL", "statements", "")
_WORKER = ("what", "worker", "PostgreSQL", "statements", "")


def _report(rows: list[measure.Row], about: str, columns: tuple[str, ...] = _CPU) -> None:
    table = Table(title=f"CPU in ms for each, {about}" if "PostgreSQL" in columns else about)
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place in (0, len(columns) - 1) else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    app()
