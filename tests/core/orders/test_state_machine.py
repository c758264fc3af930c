"""Every event in every status of an order and its trade: refused with a code, or without effect."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from core.checkout import timers as checkout
from core.checkout.schemas import CloseTimer
from core.kit.ids import ref
from core.orders.finding import ORDER_STATUSES
from core.payment import applying, repository
from core.payment.provider import PaidLeg, PaidNotice
from core.types.scope import SYSTEM, Audience
from tests.support.placed_orders import Placed, bearer, place_order

# What becomes of the order, and what is answered, by status before; the rest stays as it was.
_MOVES = {
    ("unpaid", "close"): "closed",
    ("unpaid", "expire"): "closed",
    ("unpaid", "pay"): "paid",
    ("paid", "accept"): "accepted",
    ("paid", "cancel"): "closed",
    ("shipped", "receive"): "completed",
}
_DONE_BEFORE = {("closed", "close"), ("completed", "receive")}
_TIMERS = frozenset({"expire", "pay"})


class Desk(msgspec.Struct):
    """Lets one order have any event."""

    runtime: Any
    client: Any
    order: Placed
    payment_id: Any = None

    async def open(self) -> None:
        """A payment of the order, as from before it was paid or closed."""
        async with self.runtime.tx(SYSTEM) as tx:
            trade = await tx.fetchrow(
                "select payable, expires_at from trade where id = $1", self.order.trade_id
            )
            opened = await repository.open_payment(
                tx,
                self.order.account_id,
                self.order.trade_id,
                "sandbox",
                trade["payable"],
                trade["expires_at"],
            )
        self.payment_id = opened.id

    async def pay(self) -> str:
        """The payment service says that it was paid."""
        async with self.runtime.tx(SYSTEM) as tx:
            payable = await tx.fetchval("select payable from orders where id = $1", self.order.id)
            legs = (PaidLeg(self.order.merchant_id, payable, "gateway"),)
            notice = PaidNotice(self.payment_id, "sandbox", payable, legs, "ref", tx.now)
            return str(await applying.apply(tx, notice))

    async def expire(self) -> str:
        """The time to pay is over."""
        payload = msgspec.json.encode(CloseTimer(ref(self.order.account_id), ref(self.order.trade_id)))
        async with self.runtime.tx(SYSTEM) as tx:
            await checkout.close_unpaid(tx, msgspec.Raw(payload))
        return "done"

    async def _post(self, audience: Audience, path: str) -> str:
        who = (
            await bearer(self.runtime, audience, self.order.account_id)
            if audience is Audience.SHOP
            else await bearer(self.runtime, audience, merchant_id=self.order.merchant_id)
        )
        answer = await self.client.post(path, json={}, headers=who)
        assert answer.status_code in (200, 201, 409), answer.text
        return "done" if answer.status_code < 400 else str(answer.json()["code"])

    async def close(self) -> str:
        """The buyer gives the trade up."""
        return await self._post(Audience.SHOP, f"/api/shop/trades/{ref(self.order.trade_id)}/close")

    async def cancel(self) -> str:
        """The buyer takes the paid order back."""
        return await self._post(Audience.SHOP, f"/api/shop/orders/{self.order.ref}/cancel")

    async def receive(self) -> str:
        """The buyer has it."""
        return await self._post(Audience.SHOP, f"/api/shop/orders/{self.order.ref}/receive")

    async def accept(self) -> str:
        """The shop takes it on."""
        return await self._post(Audience.MERCHANT, f"/api/merchant/orders/{self.order.ref}/accept")

    async def status(self) -> str:
        """The order's status now."""
        async with self.runtime.tx(SYSTEM) as tx:
            return str(await tx.fetchval("select status from orders where id = $1", self.order.id))

    async def moves(self) -> int:
        """How many moves are in the log."""
        async with self.runtime.tx(SYSTEM) as tx:
            return int(
                await tx.fetchval(
                    "select count(*) from order_log where order_id = $1 and event = 'moved'", self.order.id
                )
            )


async def _desk(runtime: Any, client: Any, status: str) -> Desk:
    desk = Desk(runtime, client, await place_order(runtime, status=status))
    await desk.open()
    return desk


@pytest.mark.parametrize("event", ["close", "expire", "pay", "accept", "cancel", "receive"])
@pytest.mark.parametrize("status", ORDER_STATUSES)
async def test_every_event_in_every_status(runtime: Any, client: Any, status: str, event: str) -> None:
    desk = await _desk(runtime, client, status)
    said = await getattr(desk, event)()
    after = _MOVES.get((status, event))
    assert await desk.status() == (after or status)
    assert await desk.moves() == (1 if after else 0)
    if event == "pay":
        assert said == ("applied" if after else "late")
    elif event == "expire" or after or (status, event) in _DONE_BEFORE:
        assert said == "done"
    else:
        assert said == "wrong_status"
    again = await getattr(desk, event)()
    assert again == "duplicate" if event == "pay" else again in ("done", "wrong_status")
    assert await desk.status() == (after or status)
    assert await desk.moves() == (1 if after else 0)


Event = Callable[[], Awaitable[str]]


@pytest.mark.parametrize("rival", ["close", "expire"])
async def test_paid_and_given_up_at_once_is_one_of_both(runtime: Any, client: Any, rival: str) -> None:
    for _ in range(6):
        desk = await _desk(runtime, client, "unpaid")
        paid, gone = await asyncio.gather(desk.pay(), getattr(desk, rival)())
        status = await desk.status()
        assert (status, paid) in (("paid", "applied"), ("closed", "late"))
        assert gone in ("done", "wrong_status")
        assert await desk.moves() == 1


async def test_closed_twice_at_once_gives_the_stock_back_once(runtime: Any, client: Any) -> None:
    desk = await _desk(runtime, client, "unpaid")
    assert await asyncio.gather(desk.close(), desk.expire(), desk.close()) == ["done"] * 3
    assert await desk.moves() == 1
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select sum(reserved) from stock") == 0
        # An inventory journal has one row for each SKU given back.
        assert await tx.fetchval("select count(*) from stock_move where reason = 'closed'") == 2
