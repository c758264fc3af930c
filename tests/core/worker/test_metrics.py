"""What the worker shows about itself."""

import asyncio

import httpx

from core.deployment.runtime import Runtime
from core.kit.ids import new_id
from core.plugin import Snapshot
from core.types.scope import SYSTEM
from core.worker.inline import drain
from core.worker.metrics import MetricsServer
from tests.core.worker.worker_probe import Ring, register


async def test_the_worker_serves_counts_delays_and_what_is_parked(probe: Runtime) -> None:
    await register(probe, 2)
    async with probe.tx(SYSTEM) as tx:
        tx.schedule("follower", "ring", Ring(new_id()), tx.now)
    await drain(probe, strict=True)
    await register(probe, 1)
    probe.snapshot = Snapshot(probe.snapshot.generation, [], [], probe.specs)
    await drain(probe)
    async with MetricsServer(probe, "127.0.0.1:0") as server, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{server.port}"
        assert (await http.get(f"{url}/healthz")).json() == {"status": "ok"}
        text = (await http.get(f"{url}/metrics")).text
        assert (await http.get(f"{url}/other")).status_code == 404
    assert 'jishi_deliveries_total{event="account_registered",outcome="done",plugin="probe"}' in text
    assert 'jishi_deliveries_parked{plugin="probe"} 1.0' in text
    assert 'jishi_delivery_seconds_count{event="account_registered",plugin="probe"}' in text
    assert 'jishi_hook_seconds_count{hook="timer:ring",plugin="follower"}' in text
    assert 'jishi_hook_statements_total{hook="timer:ring",plugin="follower"}' in text


async def test_an_address_that_cannot_be_had_does_not_stop_the_worker(probe: Runtime) -> None:
    for address in ("nowhere", "127.0.0.1:1x"):
        async with MetricsServer(probe, address) as server:
            assert server.port == 0
    await asyncio.sleep(0)
