"""What marketing tools cost, against the same market without: quotes, purchases and list pages, with no plugin on, with
promotions alone, and with all plugins on and 200 activities running. Rounds alternate, so that what disturbs the machine
disturbs all alike; figures are medians of the rounds, of the parts without I/O the least."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from bench.activities import LINES, Weekend
from bench.client import Buyer, Connection
from bench.market import Market
from bench.measure import Cost, Meter, Row
from core.cart import service as cart
from core.cart.schemas import QuoteRequest
from core.command.composed import make_runtime
from core.pricing import service as pricing
from core.types import scope as scopes

QUOTING = 8
_QUOTES, _PAGES = 160, 400
_USE = {"coupons": {"ids": "best"}, "membership": {"points": "max"}}
Work = Callable[[int], Awaitable[None]]


class Side(NamedTuple):
    """A market with these plugins on."""

    built: Market
    meter: Meter
    plugins: Sequence[str]
    weekend: Weekend


class Part(NamedTuple):
    """What one side does in each round: `times`, and `make` says in the n-th round how."""

    meter: Meter
    times: int
    make: Callable[[int], Work]


def side(built: Market, meter: Meter, plugins: Sequence[str]) -> Side:
    """A market to be measured."""
    return Side(built, meter, plugins, Weekend(built))


async def run(none: Side, one: Side, every: Side, rounds: int, purchases: int) -> list[Row]:
    """The rows of the table."""
    for each in (none, one, every):
        each.meter.concurrency = QUOTING
        await each.weekend.begin(each.plugins)
    await every.weekend.join(every.built.accounts[:QUOTING])
    half = QUOTING + (rounds + 1) * purchases
    await every.weekend.join(every.built.accounts[half:], 0)
    rows: list[Row] = [("running activities", "", "", "", str(every.weekend.activities))]
    rows += await _quotes(none, one, every, rounds)
    rows += await _pure(every)
    rows += await _pages(none, every, rounds)
    return rows + await _purchases(none, every, rounds, purchases)


async def alternating(parts: Mapping[str, Part], rounds: int) -> dict[str, Cost]:
    """The medians of each, after a round to be warm."""
    found: dict[str, list[Cost]] = {name: [] for name in parts}
    for n in range(rounds + 1):
        for name, part in parts.items():
            found[name].append(await part.meter.cost(part.times, part.make(n)))
    return {
        name: Cost(*map(statistics.median, zip(*costs[1:], strict=True))) for name, costs in found.items()
    }


async def _quotes(none: Side, one: Side, every: Side, rounds: int) -> list[Row]:
    def part(at: Side, buyers: Sequence[str], options: Any) -> Part:
        body = {"lines": at.weekend.lines(), "options": options}

        async def work(start: int) -> None:
            who = Buyer(at.meter.port, buyers[start])
            for _ in range(start, _QUOTES, QUOTING):
                await who.call("POST", "/api/shop/quote", body)
            who.connection.close()

        return Part(at.meter, _QUOTES, lambda _: work)

    strangers = slice(QUOTING, 2 * QUOTING)
    parts = {
        f"quote of {LINES} lines over 10 shops, no plugin": part(none, none.built.buyers[strangers], {}),
        "  promotions alone": part(one, one.built.buyers[strangers], {}),
        "  all plugins, a buyer who owns nothing": part(every, every.built.buyers[strangers], {}),
        "  all plugins, 20 coupons, points, levels": part(every, every.built.buyers[:QUOTING], _USE),
    }
    return [cost.row(name) for name, cost in (await alternating(parts, rounds)).items()]


async def _pure(every: Side) -> list[Row]:
    """The same quote without HTTP: what the plugins make of what they keep, and the engine alone."""
    runtime = make_runtime(every.built.env)
    await runtime.open()
    account = every.built.accounts[0]
    request = msgspec.convert({"lines": every.weekend.lines(), "options": _USE}, QuoteRequest)
    async with runtime.tx(scopes.buyer(account)) as tx:
        basket = (await cart.to_basket(tx, account, request)).basket
        loaded = await pricing.load(tx, basket)
        before = tx.statements
        spent = []
        for _ in range(30):
            began = time.process_time()
            loaded = await pricing.load(tx, basket)
            spent.append(time.process_time() - began)
        asked = (tx.statements - before) / 30
        matrix = tx.snapshot.matrix
    await runtime.close()
    loading = f"{min(spent) * 1000:.2f}"
    spent = []
    for _ in range(50):
        began = time.process_time()
        pricing.reckon(loaded, matrix)
        spent.append(time.process_time() - began)
    engine = f"{min(spent) * 1000:.2f}"
    kinds = sum(1 for e in pricing.reckon(loaded, matrix).explain if e.outcome == "applied")
    return [
        ("  ... of which asking the plugins", loading, "", f"{asked:.1f}", f"{len(loaded.rules)} rules"),
        ("  ... of which the engine", engine, "", "0", f"{kinds} apply"),
    ]


async def _pages(none: Side, every: Side, rounds: int) -> list[Row]:
    def part(at: Side, tokens: Sequence[str]) -> Part:
        async def work(start: int) -> None:
            connection = Connection("127.0.0.1", at.meter.port)
            me = {"Authorization": f"Bearer {tokens[start]}"} if tokens else {}
            for _ in range(start, _PAGES, QUOTING):
                status, _ = await connection.request("GET", "/api/shop/products", **me)
                assert status == 200
            connection.close()

        return Part(at.meter, _PAGES, lambda _: work)

    parts = {
        "list page, newest, no plugin": part(none, ()),
        "  with badges": part(every, ()),
        "list page of a buyer, no plugin": part(none, none.built.buyers[:QUOTING]),
        "  with badges, a member": part(every, every.built.buyers[:QUOTING]),
    }
    costs = await alternating(parts, rounds)
    _, page = await Connection("127.0.0.1", every.meter.port).request("GET", "/api/shop/products")
    badges = sum(len(card["badges"]) for card in page["items"])
    rows = [cost.row(name) for name, cost in costs.items()]
    plain, shown, own, member = costs.values()
    return [
        *rows,
        ("  times, with badges", *_times(shown, plain), f"{badges} badges on {len(page['items'])} products"),
        ("  times, a member", *_times(member, own), ""),
    ]


async def _purchases(none: Side, every: Side, rounds: int, count: int) -> list[Row]:
    """Each by a buyer who buys nothing else; the same baskets on both sides."""

    def part(at: Side, first: int, options: Any) -> Part:
        def make(turn: int) -> Work:
            async def work(start: int) -> None:
                connection = Connection("127.0.0.1", at.meter.port)
                for n in range(start + turn * count, (turn + 1) * count, QUOTING):
                    who = Buyer(at.meter.port, at.built.buyers[first + n])
                    who.connection = connection
                    await who.purchase(at.weekend.basket(n), options)
                connection.close()

            return work

        return Part(at.meter, count, make)

    parts = {
        "purchase of 3 articles, no plugin": part(none, QUOTING, {}),
        "  all plugins, a buyer who owns nothing": part(every, QUOTING, {}),
        "  all plugins, with coupons and points": part(every, QUOTING + (rounds + 1) * count, _USE),
    }
    costs = await alternating(parts, rounds)
    plain, stranger, member = costs.values()
    return [
        *[cost.row(name) for name, cost in costs.items()],
        ("  times, who owns nothing", *_times(stranger, plain), _together(stranger, plain)),
        ("  times, with coupons and points", *_times(member, plain), _together(member, plain)),
    ]


def _times(more: Cost, less: Cost) -> tuple[str, str, str]:
    return (
        f"{more.web / less.web:.2f}",
        f"{more.postgres / less.postgres:.2f}" if less.postgres else "",
        f"{more.statements / less.statements:.2f}",
    )


def _together(more: Cost, less: Cost) -> str:
    return f"{(more.web + more.postgres) / (less.web + less.postgres):.2f} of both"


def measured(sides: Sequence[Side], rounds: int, purchases: int) -> list[Row]:
    """Run it."""
    none, one, every = sides
    return asyncio.run(run(none, one, every, rounds, purchases))
