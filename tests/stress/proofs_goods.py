"""Proofs about what is not money: stock, coupons, holds, orders, deliveries, the log."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.stress.logs import complaints
from tests.stress.story import World

Look = Callable[[Any, World], Awaitable[list[str]]]

_JOURNAL = """
select s.sku_id, s.on_hand, s.reserved, coalesce(sum(m.on_hand_delta), 0) as moved, coalesce(sum(m.reserved_delta), 0) as held
from stock s left join stock_move m using (merchant_id, sku_id) group by s.merchant_id, s.sku_id, s.on_hand, s.reserved
having s.on_hand <> coalesce(sum(m.on_hand_delta), 0) or s.reserved <> coalesce(sum(m.reserved_delta), 0)
"""
_RESERVED = """
with wanted as (
  select l.merchant_id, l.sku_id, sum(l.quantity - l.shipped_quantity - l.cancelled_quantity) as n
  from order_line l join orders o on o.merchant_id = l.merchant_id and o.id = l.order_id
  where o.status in ('unpaid', 'paid', 'accepted') group by 1, 2)
select s.sku_id, s.reserved, coalesce(w.n, 0) as wanted from stock s left join wanted w using (merchant_id, sku_id)
where s.reserved <> coalesce(w.n, 0)
"""
_SHIPPED = """
select o.number, o.status, l.quantity, l.shipped_quantity, l.cancelled_quantity, coalesce(p.n, 0) as packed
from orders o join order_line l on l.merchant_id = o.merchant_id and l.order_id = o.id
left join (select x.merchant_id, x.line_id, sum(x.quantity) as n from parcel_line x
           join parcel p on p.merchant_id = x.merchant_id and p.id = x.parcel_id
           where p.aftersale_id is null and p.status <> 'voided' group by 1, 2) p
  on p.merchant_id = l.merchant_id and p.line_id = l.id
where l.shipped_quantity - coalesce(p.n, 0) not between 0 and l.refunded_quantity - l.cancelled_quantity
   or (o.status in ('shipped', 'completed') and l.shipped_quantity + l.cancelled_quantity <> l.quantity)
"""
# What left the stock for orders, and what came back of it.
_MOVED = """
with out as (
  select merchant_id, sku_id, sum(shipped_quantity) as n, sum(refunded_quantity - cancelled_quantity) as back
  from order_line group by 1, 2),
instead as (
  select l.merchant_id, l.sku_id, sum(x.quantity) as n from parcel p
  join parcel_line x on x.merchant_id = p.merchant_id and x.parcel_id = p.id
  join order_line l on l.merchant_id = x.merchant_id and l.id = x.line_id where p.aftersale_id is not null group by 1, 2),
exchanged as (
  select l.merchant_id, l.sku_id, sum(x.quantity) as n from aftersale a
  join aftersale_line x on x.merchant_id = a.merchant_id and x.aftersale_id = a.id
  join order_line l on l.merchant_id = x.merchant_id and l.id = x.line_id where a.kind = 'exchange' group by 1, 2),
moved as (
  select merchant_id, sku_id, -coalesce(sum(on_hand_delta) filter (where on_hand_delta < 0), 0) as n,
    coalesce(sum(on_hand_delta) filter (where on_hand_delta > 0), 0) as back
  from stock_move where reference is not null group by 1, 2)
select sku_id, coalesce(m.n, 0) as left_the_stock, coalesce(o.n, 0) as shipped, coalesce(i.n, 0) as replaced,
  coalesce(m.back, 0) as came_back, coalesce(o.back, 0) as refunded, coalesce(e.n, 0) as exchanged
from stock s left join moved m using (merchant_id, sku_id) left join out o using (merchant_id, sku_id)
left join instead i using (merchant_id, sku_id) left join exchanged e using (merchant_id, sku_id)
where coalesce(m.n, 0) <> coalesce(o.n, 0) + coalesce(i.n, 0)
  or coalesce(m.back, 0) > coalesce(o.back, 0) + coalesce(e.n, 0)
"""
_COUPONS = """
select 'a coupon is used by trade ' || t.number || ' which is closed' as problem
from coupons_coupon c join trade t on t.id = c.used_trade_id where t.status = 'closed'
union all
select 'a coupon is used for order ' || o.number || ' which was given up or refunded'
from coupons_use u join orders o on o.merchant_id = u.merchant_id and o.id = u.order_id
where u.status in ('open', 'paid') and (o.status = 'unpaid' or (o.status = 'closed' and o.paid_at is null))
union all
select 'coupon use ' || u.status || ' of order ' || o.number || ' which is paid'
from coupons_use u join orders o on o.merchant_id = u.merchant_id and o.id = u.order_id
where u.status = 'open' and o.paid_at is not null
union all
select 'a used coupon of trade ' || t.number || ' counts for no order any more'
from coupons_coupon c join trade t on t.id = c.used_trade_id
where not exists (select from coupons_use u where u.coupon_id = c.id and u.account_id = c.account_id
                  and u.trade_id = c.used_trade_id and u.status in ('open', 'paid'))
union all
select 'template ' || t.id || ' says that ' || t.claimed || ' were claimed of ' || count(c.id)
from coupons_template t left join coupons_coupon c on c.merchant_id = t.merchant_id and c.template_id = t.id
group by t.merchant_id, t.id, t.claimed having t.claimed <> count(c.id)
union all
select 'template ' || t.id || ' counts ' || t.used || ' used, its uses say ' || sum(u.counted_used)
from coupons_template t join coupons_use u on u.template_id = t.id group by t.merchant_id, t.id, t.used
having t.used <> sum(u.counted_used)
"""
_HOLDS = "select o.number, h.plugin, h.reason from order_hold h join orders o on o.merchant_id = h.merchant_id and o.id = h.order_id"
_UNFINISHED = """
select number, status, released_at from orders
where (status not in ('completed', 'closed') or (status = 'completed' and released_at is null))
"""
_PARKED = """
select o.event, d.plugin, d.status, d.tries, d.error from delivery d join outbox o on o.id = d.event_id
where d.status = 'parked' or (d.status <> 'done' and d.error is not null)
"""
_SALES = """
with sold as (
  select l.merchant_id, l.product_id, sum(l.quantity) as n from order_line l
  join orders o on o.merchant_id = l.merchant_id and o.id = l.order_id
  where o.paid_at is not null and l.kind = 'sale' group by 1, 2)
select s.product_id, s.n, x.sales from sold s join listing x using (merchant_id, product_id) where x.sales <> s.n
"""


async def _journal(connection: Any, world: World) -> list[str]:
    return [str(dict(row)) for row in await connection.fetch(_JOURNAL)]


async def _reserved(connection: Any, world: World) -> list[str]:
    return [str(dict(row)) for row in await connection.fetch(_RESERVED)]


async def _shipped(connection: Any, world: World) -> list[str]:
    return [
        f"order {r['number']} is {r['status']}: of {r['quantity']} units {r['shipped_quantity']} were shipped "
        f"({r['packed']} are in parcels), {r['cancelled_quantity']} cancelled"
        for r in await connection.fetch(_SHIPPED)
    ]


async def _moved(connection: Any, world: World) -> list[str]:
    return [str(dict(row)) for row in await connection.fetch(_MOVED)]


async def _claims(connection: Any, world: World) -> list[str]:
    return [row["problem"] for row in await connection.fetch(_COUPONS)]


async def _holds(connection: Any, world: World) -> list[str]:
    return [
        f"order {r['number']} is held by {r['plugin']}: {r['reason']}" for r in await connection.fetch(_HOLDS)
    ]


async def _finished(connection: Any, world: World) -> list[str]:
    return [
        f"order {r['number']} is {r['status']}, released {r['released_at']}"
        for r in await connection.fetch(_UNFINISHED)
    ]


async def _delivered(connection: Any, world: World) -> list[str]:
    return [str(dict(row)) for row in await connection.fetch(_PARKED)]


async def _sales(connection: Any, world: World) -> list[str]:
    return [str(dict(row)) for row in await connection.fetch(_SALES)]


async def _log(connection: Any, world: World) -> list[str]:
    return complaints(world.place.log)


PROOFS: tuple[tuple[str, Look], ...] = (
    ("stock on hand and reserved are the sums of the journal", _journal),
    ("what is reserved is what open orders wait for", _reserved),
    ("what was shipped is what is in parcels", _shipped),
    ("what left the stock is what was shipped and replaced, and no more came back than went back", _moved),
    ("no coupon is left with what was given up, and templates count right", _claims),
    ("nothing is held any more", _holds),
    ("every order is over and its money released", _finished),
    ("sales count each paid order once", _sales),
    ("no event, timer or call is parked or failing", _delivered),
    ("the log holds no error but those that are meant", _log),
)
