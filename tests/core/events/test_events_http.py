"""Effects over HTTP and on the command line: seen, tried again, dropped with a reason, and audited."""

from datetime import timedelta

import httpx

from core.command import events as command
from core.db.outbox import OUTBOUND
from core.deployment.runtime import Runtime
from core.kit.ids import new_id
from core.types.events import AccountEvent
from core.types.scope import SYSTEM
from core.worker.inline import drain
from tests.support.market import Session, a_buyer, an_operator

PATH = "/api/platform/events"


async def _park(runtime: Runtime, count: int) -> None:
    """Outside calls that no plugin takes."""
    async with runtime.tx(SYSTEM) as tx:
        for _ in range(count):
            tx.outbound("coupons", "nothing", AccountEvent(new_id()))
    await drain(runtime)


async def test_an_operator_sees_retries_and_drops(client: httpx.AsyncClient, runtime: Runtime) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    await _park(runtime, 2)
    page = (await operator.call("GET", f"{PATH}?status=parked&plugin=coupons&event={OUTBOUND}nothing")).json()
    assert [d["kind"] for d in page["items"]] == ["outbound", "outbound"]
    one, two = (d["event_id"] for d in page["items"])
    shown = (await operator.call("GET", f"{PATH}/{one}")).json()
    assert list(shown["payload"]) == ["account_id"]
    assert "no outside call nothing" in shown["deliveries"][0]["error"]
    answer = await operator.call("POST", f"{PATH}/{one}/coupons/drop", {"reason": "never existed"})
    assert answer.json()["deliveries"][0]["dropped"]["reason"] == "never existed"
    assert answer.json()["deliveries"][0]["dropped"]["by"]
    again = await operator.call("POST", f"{PATH}/{one}/coupons/retry", {})
    assert (again.status_code, again.json()["code"]) == (409, "delivery_not_waiting")
    assert (await operator.call("POST", f"{PATH}/retry", {"plugin": "coupons"})).json() == {"retried": 1}
    lines = (await operator.call("GET", f"{PATH}/summary")).json()["items"]
    assert [line["waiting"] for line in lines if line["plugin"] == "coupons"] == [1]
    assert (await operator.call("GET", f"{PATH}/{two}x")).status_code == 404
    audit = (await operator.call("GET", "/api/platform/audit")).json()["items"]
    assert any("drop_event" in entry["action"] and one in entry["target"] for entry in audit)


async def test_nobody_else_may(client: httpx.AsyncClient, runtime: Runtime) -> None:
    buyer = Session(client, runtime, await a_buyer(runtime))
    assert (await buyer.call("GET", PATH)).status_code == 403


async def test_the_command_line_says_the_same(runtime: Runtime) -> None:
    assert await command.summary(runtime) == "Everything is done."
    await _park(runtime, 1)
    async with runtime.tx(SYSTEM) as tx:
        tx.schedule("coupons", "later", AccountEvent(new_id()), tx.now + timedelta(days=1))
    text = await command.show_list(runtime, None, None, None, 100)
    assert "outbound:nothing  parked" in text
    assert "timer:later  new" in text
    key = next(line.split()[0] for line in text.splitlines() if "parked" in line)
    assert "coupons: parked" in await command.show(runtime, key)
    assert "coupons: new" in await command.retry(runtime, key, "coupons")
    assert "dropped" in await command.drop(runtime, key, "coupons", "known")
    assert await command.retry_parked(runtime, None, None) == "0 to be tried again."
