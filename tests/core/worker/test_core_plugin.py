"""Core's own effects and housekeeping."""

from datetime import timedelta
from uuid import UUID

import pytest

from core import hookspecs
from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.kit.ids import new_id
from core.plugin import Snapshot
from core.types.events import OrderEvent
from core.types.scope import SYSTEM
from core.worker import housekeeping
from core.worker.core_plugin import CorePlugin
from core.worker.inline import drain
from tests.core.worker.worker_probe import register, statuses

_LISTING = """
insert into listing (merchant_id, product_id, merchant_name, title, price, sales, category_path, grams, live, description,
  images, spec_names, shop_category_ids)
select $1, p, 'shop', 'thing', 100, 5, '{}', '{}', true, '', '{}', '{}', '{}' from unnest($2::uuid[]) p
"""
_ORDER = """
insert into orders (merchant_id, id, trade_id, account_id, number, merchant_name, goods_amount, discount_amount,
  shipping_amount, payable, market_borne, commission, commission_rule, created_at)
values ($1, $2, $3, $3, '1', 'shop', 0, 0, 0, 0, 0, 0, '', now())
"""
_LINES = """
insert into order_line (merchant_id, id, order_id, account_id, kind, sku_id, product_id, title, specs, quantity,
  unit_price, amount, payable)
select $1, gen_random_uuid(), $2, $2, kind, $2, product, '', '{}', quantity, 0, 0, 0
from unnest($3::uuid[], $4::text[], $5::int[]) x(product, kind, quantity)
"""


async def _order(tx: Tx, merchant_id: UUID, lines: list[tuple[UUID, str, int]]) -> UUID:
    order_id = new_id()
    await tx.execute(_ORDER, merchant_id, order_id, new_id())
    await tx.execute(_LINES, merchant_id, order_id, *(list(c) for c in zip(*lines, strict=True)))
    return order_id


async def test_paid_order_adds_to_the_sales_of_its_products(probe: Runtime) -> None:
    core = CorePlugin()
    probe.snapshot = Snapshot(1, [core], [core], hookspecs)
    shop, one, two, other = new_id(), new_id(), new_id(), new_id()
    async with probe.tx(SYSTEM) as tx:
        await tx.execute(_LISTING, shop, [one, two, other])
        lines = [(one, "sale", 2), (one, "sale", 3), (two, "sale", 1), (two, "gift", 9)]
        order_id = await _order(tx, shop, lines)
        tx.emit(hookspecs.order_paid, OrderEvent(shop, order_id, order_id, order_id))
    await drain(probe, strict=True)
    async with probe.tx(SYSTEM) as tx:
        sales = dict(await tx.fetch("select product_id, sales from listing"))
    assert sales == {one: 10, two: 6, other: 5}


def test_timers_of_core_do_not_hide_each_other() -> None:
    from core.aftersales.cases.timers import TIMERS as CASES
    from core.aftersales.timers import TIMERS as AFTERSALES
    from core.checkout.timers import TIMERS as CHECKOUT
    from core.fulfilment.timers import TIMERS as FULFILMENT
    from core.payment.timers import TIMERS as PAYMENT

    assert len(CorePlugin.timers) == sum(map(len, (CHECKOUT, FULFILMENT, PAYMENT, AFTERSALES, CASES)))


@pytest.mark.parametrize(
    ("age", "left"), [(timedelta(days=6), {"done": 3, "new": 1}), (timedelta(days=9), {"new": 1})]
)
async def test_old_deliveries_sessions_and_keys_are_swept(
    probe: Runtime, age: timedelta, left: dict[str, int]
) -> None:
    await register(probe, 3)
    await drain(probe)
    async with probe.tx(SYSTEM) as tx:
        tx.schedule(
            "probe", "ring", OrderEvent(new_id(), new_id(), new_id(), new_id()), tx.now + timedelta(days=30)
        )
        await tx.execute(
            """insert into idempotency (account_id, route, key, body_hash, status, response, content_type, at)
            values ($1, 'POST /x', 'k', '', 200, '', '', $2)""",
            new_id(),
            tx.now,
        )
        await tx.execute(
            """insert into session (id, account_id, audience, refresh_hash, created_at, expires_at)
            values ($1, $1, 'shop', 'a', $2, $3)""",
            new_id(),
            tx.now,
            tx.now + timedelta(days=8),
        )
    clock = probe.clock
    probe.clock = lambda: clock() + age
    swept = await housekeeping.sweep(probe)
    gone = age > timedelta(days=8)
    assert swept == dict.fromkeys(("idempotency", "session"), int(gone)) | {
        "delivery": 3 * gone,
        "outbox": 3 * gone,
        "account": 0,
    }
    assert await statuses(probe) == left
