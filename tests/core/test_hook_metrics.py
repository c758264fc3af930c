"""Hooks are measured where they are called: time, statements, errors; a load over its budget is named in the log."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
import structlog

from core import hookspecs
from core.api import Basket, Conflict, Plugin, PriceRule, ShippingOption, Tx, hookimpl
from core.db import hook_metrics
from core.deployment.runtime import Runtime
from core.hooks import Hooks, Kind
from core.kit import meters
from core.plugin import Snapshot
from core.types.events import OrderEvent
from core.types.scope import SYSTEM


class Metered(Plugin):
    name = "metered"
    title = summary = "-"

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        for _ in range(3):
            await tx.execute("select 1")
        return []

    @hookimpl
    async def shipping_options(self, tx: Tx, basket: Basket) -> Sequence[ShippingOption]:
        await asyncio.sleep(0.11)
        return []

    @hookimpl
    async def order_placing(self, tx: Tx, placement: hookspecs.Placement) -> None:
        raise Conflict("No.", code="no")

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None:
        raise ZeroDivisionError


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    yield Snapshot(1, [Metered()], [Metered()], hookspecs).hooks
    for key in [k for k in meters._meters if k[1] == "metered"]:
        del meters._meters[key]


async def _call(hooks: Hooks, spec: Any, tx: Any) -> Any:
    return await dict(hooks.of(spec))["metered"](tx, None)


async def test_statements_and_time_are_counted_by_hook_and_plugin(hooks: Hooks, runtime: Runtime) -> None:
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("select 1")
        with structlog.testing.capture_logs() as logs:
            for _ in range(2):
                await _call(hooks, hookspecs.price_rules, tx)
            await _call(hooks, hookspecs.shipping_options, tx)
    rules, options = meters.meter("price_rules", "metered"), meters.meter("shipping_options", "metered")
    assert (rules.calls, rules.statements, rules.over) == (2, 6, 2)
    assert (options.calls, options.statements, options.over) == (1, 0, 1)
    assert 0.1 < options.seconds < 5
    said = [(e["event"], e["hook"], e["plugin"]) for e in logs]
    assert said == [
        ("load over budget", "price_rules", "metered"),
        ("load over budget", "shipping_options", "metered"),
    ], "once a minute each"


async def test_a_minute_later_it_is_said_again(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    with structlog.testing.capture_logs() as logs:
        await _call(hooks, hookspecs.shipping_options, None)
        meters.meter("shipping_options", "metered").quiet_until = time.monotonic() - 1
        await _call(hooks, hookspecs.shipping_options, None)
    assert len(logs) == 2


async def test_refusals_and_faults_are_told_apart_and_still_raised(hooks: Hooks) -> None:
    with pytest.raises(Conflict):
        await _call(hooks, hookspecs.order_placing, None)
    with pytest.raises(ZeroDivisionError):
        await _call(hooks, hookspecs.order_paid, None)
    found = hooks.find("order_paid", "metered")
    assert found is not None
    with pytest.raises(ZeroDivisionError):
        await found(None, None)
    placing, paid = meters.meter("order_placing", "metered"), meters.meter("order_paid", "metered")
    assert (placing.refused, placing.failed) == (1, 0)
    assert (paid.refused, paid.failed, paid.calls) == (0, 2, 2)


async def test_metrics_show_hooks_and_plugins(hooks: Hooks, client: httpx.AsyncClient) -> None:
    await _call(hooks, hookspecs.shipping_options, None)
    with pytest.raises(Conflict):
        await _call(hooks, hookspecs.order_placing, None)
    lines = (await client.get("/metrics")).text.splitlines()
    at = '{hook="shipping_options",plugin="metered"}'
    assert f"jishi_hook_seconds_count{at} 1.0" in lines
    assert any(line.startswith(f"jishi_hook_seconds_sum{at} 0.1") for line in lines)
    assert f"jishi_hook_over_budget_total{at} 1.0" in lines
    assert 'jishi_hook_errors_total{hook="order_placing",kind="refused",plugin="metered"} 1.0' in lines
    hook_metrics.register()
    assert (await client.get("/metrics")).text.count("# TYPE jishi_hook_seconds summary") == 1


async def test_a_generation_built_anew_goes_on_counting(hooks: Hooks) -> None:
    again = Snapshot(2, [Metered()], [Metered()], hookspecs).hooks
    for one in (hooks, again):
        with pytest.raises(Conflict):
            await _call(one, hookspecs.order_placing, None)
    assert meters.meter("order_placing", "metered").calls == 2
    assert hookspecs.order_placing.jishi_kind is Kind.GUARD  # type: ignore[attr-defined]


async def test_measuring_costs_about_a_microsecond() -> None:
    class Fake:
        statements = 0

    async def bare(tx: Any, batch: Any) -> None: ...

    wrapped = meters.metered("cost", "metered", bare, load=True)

    async def best(function: Any) -> float:
        rounds = []
        for _ in range(7):
            began = time.perf_counter()
            for _ in range(20_000):
                await function(Fake, None)
            rounds.append(time.perf_counter() - began)
        return min(rounds) / 20_000

    cost = await best(wrapped) - await best(bare)
    del meters._meters["cost", "metered"]
    print(f"one call costs {cost * 1e9:.0f} ns more")
    assert cost < 5e-6
