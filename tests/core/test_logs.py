"""Every line written within a request or a delivery says where it belongs."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import msgspec
import pytest
import structlog
from structlog.testing import LogCapture

from core.deployment.runtime import Runtime
from core.kit import logs
from core.kit.ids import new_id
from core.kit.settings import Env
from core.types.scope import SYSTEM
from core.worker.deliver import deliver
from tests.support.market import Session, a_buyer


@pytest.fixture
def lines() -> Iterator[LogCapture]:
    """What is logged, after the processor that adds the context."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    # In place: loggers keep the list they began with.
    kept = list(before)
    before[:] = [logs.add, capture]
    yield capture
    before[:] = kept
    logs.begin()


async def test_lines_of_a_request_carry_its_id_audience_route_and_generation(
    runtime: Runtime, client: httpx.AsyncClient, lines: LogCapture
) -> None:
    runtime.env = Env(msgspec.structs.replace(runtime.env.settings, access_log=True), runtime.env.vault)
    shopper = Session(client, runtime, await a_buyer(runtime))
    answer = await shopper.get(f"/api/shop/trades/{new_id().hex}")
    assert answer.status_code == 404
    line = next(e for e in lines.entries if e["event"] == "request")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["audience"] == "shop"
    assert line["generation"] == runtime.snapshot.generation
    assert (line["method"], line["status"]) == ("GET", 404)
    assert "trade_id" in line
    assert "trade" in line["route"]


async def test_without_the_setting_a_request_leaves_no_line(
    client: httpx.AsyncClient, lines: LogCapture
) -> None:
    assert (await client.get("/api/shop/products")).status_code == 200
    assert [e for e in lines.entries if e["event"] == "request"] == []


async def test_lines_of_a_delivery_carry_event_plugin_and_generation(
    runtime: Runtime, lines: LogCapture
) -> None:
    event = new_id()
    async with runtime.tx(SYSTEM) as tx:
        past = tx.now - timedelta(minutes=1)
        await tx.execute(
            "insert into outbox (id, event, payload, scope, at) values ($1, 'order_paid', '{}', 'system', $2)",
            event,
            past,
        )
        await tx.execute(
            "insert into delivery (event_id, plugin, status, due_at, tries) values ($1, 'nobody', 'sent', $2, 1)",
            event, past,
        )  # fmt: skip
    await deliver(runtime, event, "nobody")
    failed = next(e for e in lines.entries if e["event"] == "effect failed")
    expected = {"event_id": str(event), "plugin": "nobody", "event_name": "order_paid"}
    assert expected.items() <= failed.items()
    assert failed["generation"] == runtime.snapshot.generation


def test_what_a_line_says_itself_wins_and_outside_nothing_is_added() -> None:
    logs.begin(plugin="a", request_id="r")
    logs.note(trade_id="t")
    assert logs.add(None, "info", {"event": "x", "plugin": "b"}) == {
        "event": "x", "plugin": "b", "request_id": "r", "trade_id": "t",
    }  # fmt: skip
    logs.begin()
    assert logs.add(None, "info", {"event": "x"}) == {"event": "x"}
