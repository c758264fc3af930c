"""An order that a plugin wants refunded as soon as it was captured."""

from datetime import timedelta
from typing import Any

from core import hookspecs
from core.kit.errors import Conflict
from core.types.orders import Paying, PayingAnswer
from core.worker.inline import drain
from tests.support.refunds import Bought, Till, hook


async def _refund(tx: Any, about: Paying) -> PayingAnswer:
    return PayingAnswer("refund", "The group is full.")


async def test_it_is_refunded_whole_once_and_no_hold_stays(till: Till) -> None:
    hook(till.runtime, hookspecs.order_paying, ("a", _refund), ("b", _refund))
    order = await till.sell(Bought(2, 1_000), shipping=300)
    assert await till.row("select count(*), min(cause) from order_hold") == (2, "paying")
    await till.drain()
    assert await till.order(order, "status", "refunded_amount") == ("closed", 2_300)
    assert await till.row("select origin, reason, amount, count(*) over () from refund") == (
        "system",
        "The group is full.",
        2_300,
        1,
    )
    assert await till.row("select count(*) from order_hold") == (0,)
    await till.assert_balanced()


async def test_what_refuses_the_refund_is_asked_again_while_the_order_is_held(till: Till) -> None:
    broken = [True]

    async def refuse(tx: Any, draft: Any) -> tuple[()]:
        if broken:
            raise Conflict("The points are locked.")
        return ()

    hook(till.runtime, hookspecs.order_paying, ("a", _refund))
    hook(till.runtime, hookspecs.refund_requesting, ("points", refuse))
    order = await till.sell(Bought(1, 1_000))
    await till.drain()
    assert await till.status(order) == "paid"
    assert await till.row("select plugin, cause from order_hold") == ("a", "paying")
    broken.clear()
    await drain(till.runtime, until=till.runtime.clock() + timedelta(minutes=5), strict=True)
    assert await till.status(order) == "closed"
    assert await till.row("select count(*) from order_hold") == (0,)
    await till.assert_balanced()


async def test_an_order_that_was_refunded_meanwhile_is_left_alone(till: Till) -> None:
    hook(till.runtime, hookspecs.order_paying, ("a", _refund))
    order = await till.sell(Bought(1, 1_000))
    await till.refund(order, everything=True)
    await till.drain()
    assert await till.row("select count(*) from refund") == (1,)
    assert await till.row("select count(*) from order_hold") == (0,)
