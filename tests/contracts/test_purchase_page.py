"""docs/purchase.md shows one purchase with every hook it asks, as it really runs."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import hookspecs
from core.db.tx import Tx
from core.types.scope import Audience
from core.worker import inline
from tests.support import market
from tests.support.coupons import claim, issue
from tests.support.hook_trace import Trace, hook_trace
from tests.support.market import Session

PAGE = Path(__file__).parents[2] / "docs" / "purchase.md"
__all__ = ["hook_trace"]

INTRO = """<!-- Written by `make docs`, by running the purchase; do not edit. -->

# One purchase, and every hook in order

What happened when this purchase ran with the built-in plugins: the requests one after another, the hooks that core asked and
the plugins that answered, and the events and timers that were left to the worker. `core` is core as a subscriber of its own events. Each hook is
described in [hooks.md](hooks.md); a hook that nobody answers costs nothing. In the first order a coupon has a part, so
`coupons` is asked what only those are asked who had one; nobody has a part in the second.
"""


class Story:
    """Does things and writes down what they asked."""

    def __init__(self, runtime: Any, trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runtime, self.trace = runtime, trace
        self.parts: list[str] = []
        self.emitted: list[str] = []
        emit, schedule = Tx.emit, Tx.schedule

        def emitting(tx: Tx, spec: Any, event: Any, **scope: Any) -> None:
            taken = [plugin for plugin, _ in tx.hooks.of(spec)]
            self.emitted.append(f"[`{spec.__name__}`](hooks.md#{spec.__name__}) for {_listed(taken)}")
            emit(tx, spec, event, **scope)

        def scheduling(tx: Tx, plugin: str, timer: str, *args: Any, **scope: Any) -> Any:
            self.emitted.append(f"timer `{timer}` of `{plugin}`")
            return schedule(tx, plugin, timer, *args, **scope)

        monkeypatch.setattr(Tx, "emit", emitting)
        monkeypatch.setattr(Tx, "schedule", scheduling)

    async def step(self, title: str, request: Any) -> Any:
        """One request; then the worker does what it left."""
        self.emitted.clear()
        with self.trace.step() as calls:
            answer = await request
        assert answer.status_code < 300, answer.text
        self._tell(title, calls)
        with self.trace.step() as calls:
            await inline.drain(self.runtime, strict=True)
        if calls or self.emitted:
            self._tell("", calls)
        return answer.json() if answer.content else None

    def _tell(self, title: str, calls: list[Any]) -> None:
        left = list(dict.fromkeys(self.emitted))
        self.emitted.clear()
        answered: dict[str, list[str]] = {}
        for name, kind, plugin in calls:
            answered.setdefault(f"| {kind} | [`{name}`](hooks.md#{name}) |", []).append(plugin)
        if title:
            self.parts.append(f"\n## {title}\n")
        else:
            self.parts.append("\nThen, in the worker:\n")
        if answered:
            self.parts.append("| kind | hook | answered by |\n|---|---|---|")
            self.parts += [
                f"{row} {_listed([p for p in plugins if p])} |" for row, plugins in answered.items()
            ]
        else:
            self.parts.append("No hook is asked." if title else "No hook is asked there either.")
        if left:
            self.parts.append(f"\nLeft to the worker: {', '.join(left)}.")


def _listed(plugins: Iterable[str]) -> str:
    return ", ".join(f"`{plugin}`" for plugin in sorted(plugins)) or "nobody"


async def _run(runtime: Any, client: httpx.AsyncClient, story: Story) -> str:
    shop = await market.open_shop(runtime, "teahouse")
    sku = await market.add_product(runtime, shop, title="沱茶", price=5000)
    buyer = Session(client, runtime, await market.a_buyer(runtime))
    staff = Session(client, runtime, await market.sign_in(runtime, Audience.MERCHANT, shop))
    await claim(runtime, buyer.me.account_id, await issue(runtime, shop, name="五元券", amount=500))
    await inline.drain(runtime, strict=True)
    seen = {"source": {"kind": "share", "reference": "abc"}, "page": "home"}
    await story.step("Come by a shared link", buyer.post("/api/shop/visits", seen))
    await story.step("Look at products", client.get("/api/shop/products"))
    await story.step(
        "Put three into the cart", buyer.call("PUT", f"/api/shop/cart/lines/{sku}", {"quantity": 3})
    )
    quote = await story.step("Ask what it costs", buyer.post("/api/shop/quote", {}))
    body = {"expected_payable": quote["payable"]}
    trade = await story.step("Check out", buyer.post("/api/shop/checkout", body))
    at = f"/api/shop/trades/{trade['id']}/payments"
    payment = await story.step("Open a payment", buyer.post(at, {"provider": "sandbox"}))
    await story.step("Pay", client.post(payment["client"]["pay_url"]))
    order = trade["orders"][0]
    at = f"/api/merchant/orders/{order['id']}"
    await story.step("The shop accepts", staff.post(f"{at}/accept"))
    line = order["lines"][0]["id"]
    one = {"reason": "缺货", "lines": [{"line_id": line, "quantity": 1}]}
    await story.step("The shop refunds one of the three", staff.post(f"{at}/refunds", one))
    parcel = {"carrier": "sf", "waybill_no": "SF1234567890123"}
    shipped = await story.step("The shop ships the others", staff.post(f"{at}/parcels", parcel))
    await _on_its_way(story, staff, f"{at}/parcels/{shipped['parcels'][0]['id']}")
    await _case(story, buyer, staff, order["id"], line)
    await story.step("The buyer has it", buyer.post(f"/api/shop/orders/{order['id']}/receive"))
    operator = Session(client, runtime, await market.an_operator(runtime))
    await story.step("The market pays the shops", operator.post("/api/platform/payouts", {}))
    other = await story.step(
        "Another trade is placed", buyer.post("/api/shop/checkout", await _wanted(buyer, sku))
    )
    await story.step("... and given up unpaid", buyer.post(f"/api/shop/trades/{other['id']}/close"))
    return INTRO + "\n".join(story.parts) + "\n"


async def _on_its_way(story: Story, staff: Session, parcel: str) -> None:
    other = {"waybill_no": "SF1234567890124"}
    await story.step("The shop corrects the waybill number", staff.call("PATCH", parcel, other))
    await story.step("The parcel is there", staff.post(f"{parcel}/deliver", {"text": "门卫代收"}))


async def _case(story: Story, buyer: Session, staff: Session, order: str, line: str) -> None:
    wanted = {"kind": "refund_only", "lines": [{"line_id": line, "quantity": 1}], "reason": "坏了"}
    at = f"/api/shop/orders/{order}/aftersales"
    case = await story.step("The buyer wants the money for one of them back", buyer.post(at, wanted))
    await story.step(
        "The shop agrees", staff.post(f"/api/merchant/aftersales/{case['id']}/agree", {"shipping_amount": 0})
    )


async def _wanted(buyer: Session, sku: str) -> dict[str, Any]:
    wanted = {"lines": [{"sku_id": sku, "quantity": 1}]}
    quote = (await buyer.post("/api/shop/quote", wanted)).json()
    return wanted | {"expected_payable": quote["payable"]}


async def test_the_page_is_what_happens(
    runtime: Any, client: httpx.AsyncClient, hook_trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await _run(runtime, client, Story(runtime, hook_trace, monkeypatch))
    if "JISHI_WRITE_DOCS" in os.environ:
        PAGE.write_text(found)
    assert PAGE.read_text() == found, "run make docs"


async def test_the_page_names_every_hook_of_the_flow() -> None:
    # These happen before or beside a purchase.
    beside = {"account_merging", "merchant_changed", "product_changed", "account_registered"}
    flow = {n for n, f in vars(hookspecs).items() if getattr(f, "jishi_kind", None)} - beside
    page = PAGE.read_text()
    assert {name for name in flow if f"`{name}`" not in page} == set()
