"""Rows of parcels, and the marks that fulfilment leaves on an order. Whoever changes anything has locked the order's row
first, unless it says otherwise."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx, columns
from core.fulfilment.rules import OpenLine
from core.kit.ids import new_id
from core.orders import codes
from core.types.orders import ParcelDraft

# Of the two codes drawn for each parcel, the first that the shop has never used.
_PARCELS = """
with drawn as (
  select distinct on (c.place) c.place, c.id, c.event_id, c.code, c.code_index
  from unnest($12::int[], $13::uuid[], $14::uuid[], $15::bytea[], $16::bytea[]) with ordinality
    c(place, id, event_id, code, code_index, n)
  where not exists (select from parcel p where p.merchant_id = $1 and p.code_index = c.code_index)
  order by c.place, c.n
), want as (
  select * from unnest($17::int[], $18::uuid[], $19::int[]) w(place, line_id, quantity)
), parcel_rows as (
  insert into parcel (merchant_id, id, order_id, account_id, kind, carrier, waybill_no, status, place, aftersale_id, code,
    code_index, shipped_at)
  select $1, d.id, $2, $3, $4, $5, $6, $7, $8, $9::uuid, d.code, d.code_index, $10 from drawn d
), content as (
  insert into parcel_line (merchant_id, parcel_id, line_id, account_id, quantity)
  select $1, d.id, w.line_id, $3, w.quantity from want w join drawn d using (place)
), event as (
  insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
  select $1, d.event_id, d.id, $3, $10, $7, $11 from drawn d
), units as (
  update order_line l set shipped_quantity = l.shipped_quantity + s.quantity
  from (select line_id, sum(quantity)::int as quantity from want group by line_id) s
  where l.merchant_id = $1 and l.order_id = $2 and l.id = s.line_id and $9::uuid is null
)
select count(*) from drawn
"""

_DELIVERED = """
with arrived as (
  update parcel set status = 'delivered', delivered_at = $3
  where merchant_id = $1 and order_id = $2 and status = 'shipped' and aftersale_id is null returning id, account_id
), numbered as (
  select id, account_id, row_number() over (order by id) as place from arrived
), event as (
  insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
  select $1, i.id, n.id, n.account_id, $3, 'delivered', $4
  from numbered n join unnest($5::uuid[]) with ordinality i(id, place) using (place)
)
select id from arrived order by id
"""

# A replacement for goods of the order is a matter of its case.
_STANDING = """
select o.status, o.shipped_at, p.ready, p.ready_count, p.handed_over
from orders o, lateral (
  select coalesce(bool_or(status = 'ready'), false) as ready, count(*) filter (where status = 'ready') as ready_count,
    coalesce(bool_and(status = 'voided' or (kind in ('pickup', 'service') and status = 'delivered')), true)
      as handed_over
  from parcel where merchant_id = $1 and order_id = $2 and aftersale_id is null
) p
where o.merchant_id = $1 and o.id = $2
"""

# Of each line, units in the newest parcels go first. A voided parcel keeps its lines: they tell what was in it. Of lines in
# $7, as many units stay ready as are left with the buyer.
_WITHDRAW = """
with asked as (
  select * from unnest($3::uuid[], $4::int[]) w(line_id, quantity)
), want as (
  select w.line_id, case when w.line_id = any($7::uuid[]) then least(w.quantity, (
      select sum(x.quantity) from parcel p join parcel_line x on x.merchant_id = p.merchant_id and x.parcel_id = p.id
      where p.merchant_id = $1 and p.order_id = $2 and p.status = 'ready' and p.aftersale_id is null
        and x.line_id = w.line_id
    ) - (l.shipped_quantity - l.refunded_quantity + l.cancelled_quantity)) else w.quantity end as quantity
  from asked w join order_line l on l.merchant_id = $1 and l.order_id = $2 and l.id = w.line_id
), ready as (
  select p.id, p.account_id, l.line_id, l.quantity, coalesce(sum(l.quantity) over (
      partition by l.line_id order by p.id desc rows between unbounded preceding and 1 preceding), 0) as newer
  from parcel p join parcel_line l on l.merchant_id = p.merchant_id and l.parcel_id = p.id
  where p.merchant_id = $1 and p.order_id = $2 and p.status = 'ready' and p.aftersale_id is null
), split as (
  select r.id, r.account_id, r.line_id, r.quantity,
    greatest(least(r.quantity, coalesce(w.quantity, 0) - r.newer), 0)::int as taken
  from ready r left join want w using (line_id)
), hit as (
  select id, account_id, bool_and(taken = quantity) as emptied, row_number() over (order by id) as place
  from split group by id, account_id having sum(taken) > 0
), removed as (
  delete from parcel_line l using split s join hit h using (id)
  where l.merchant_id = $1 and l.parcel_id = s.id and l.line_id = s.line_id and s.taken = s.quantity and not h.emptied
), shrunk as (
  update parcel_line l set quantity = l.quantity - s.taken from split s
  where l.merchant_id = $1 and l.parcel_id = s.id and l.line_id = s.line_id and s.taken > 0 and s.taken < s.quantity
), voided as (
  update parcel p set status = 'voided' from hit h where p.merchant_id = $1 and p.id = h.id and h.emptied
), event as (
  insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
  select $1, gen_random_uuid(), id, account_id, $5, case when emptied then 'voided' else 'ready' end, $6 from hit
)
select line_id, sum(taken)::int as taken from split group by line_id having sum(taken) > 0
"""

_BY_CODE = """
select p.id, p.order_id, p.account_id, p.kind, p.status, p.delivered_at, p.aftersale_id, o.number, o.status as order_status,
  (select json_agg(json_build_object('id', l.line_id, 'title', i.title, 'specs', i.specs, 'image_url', i.image_url,
      'quantity', l.quantity) order by l.line_id)
    from parcel_line l join order_line i on i.merchant_id = l.merchant_id and i.id = l.line_id
    where l.merchant_id = p.merchant_id and l.parcel_id = p.id)::text as lines
from parcel p join orders o on o.merchant_id = p.merchant_id and o.id = p.order_id
where p.merchant_id = $1 and p.code_index = $2
"""

# A buyer who wants the money back for units that were not handed over must not have them handed over meanwhile.
_CLAIMED = """
select exists (
  select from parcel_line x join order_line i on i.merchant_id = x.merchant_id and i.id = x.line_id
  where x.merchant_id = $1 and x.parcel_id = $2 and (
    select coalesce(sum(c.quantity), 0) from aftersale_line c
      join aftersale a on a.merchant_id = c.merchant_id and a.id = c.aftersale_id
    where c.merchant_id = x.merchant_id and c.line_id = x.line_id and a.kind = 'refund_only'
      and a.status in ('applied', 'agreed', 'arbitration')
  ) > i.quantity - i.shipped_quantity - i.cancelled_quantity + (
    select coalesce(sum(y.quantity), 0) from parcel_line y
      join parcel p on p.merchant_id = y.merchant_id and p.id = y.parcel_id
    where p.merchant_id = x.merchant_id and p.order_id = i.order_id and y.line_id = x.line_id and p.id <> $2
      and p.status = 'ready' and p.aftersale_id is null
  )
)
"""

_REDEEM = """
with done as (
  update parcel set status = 'delivered', delivered_at = $3, redeemed_by = $4
  where merchant_id = $1 and id = $2 and status = 'ready' returning id, account_id
)
insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
select $1, $5, id, account_id, $3, 'delivered', $6 from done
"""

_DELIVER = """
with done as (
  update parcel set status = 'delivered', delivered_at = $3
  where merchant_id = $1 and id = $2 and status = 'shipped' returning id, account_id
)
insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
select $1, $4, id, account_id, $3, 'delivered', $5 from done
"""

_REROUTE = """
with done as (
  update parcel set carrier = $3, waybill_no = $4, changes = changes + 1
  where merchant_id = $1 and id = $2 and status = 'shipped' returning id, account_id
)
insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
select $1, $5, id, account_id, $6, 'changed', $7 from done
"""

# The same news may come twice.
_NEWS = """
insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
select $1, $3, p.id, p.account_id, $4, 'transit', $5 from parcel p
where p.merchant_id = $1 and p.id = $2 and not exists (
  select from parcel_event e where e.merchant_id = $1 and e.parcel_id = $2 and e.at = $4 and e.text = $5
)
"""

_PLANS = """
select line_id, quantity, plugin, place, stage, aftersale_id, created_at from parcel_plan
where merchant_id = $1 and order_id = $2 order by id
"""


class Leaving(msgspec.Struct, frozen=True):
    """Parcels of one order that leave together and differ only in their content. `coded`: each is `ready` until its code
    is redeemed. `aftersale_id`: they replace goods, so they are not units of the order that leave."""

    drafts: Sequence[ParcelDraft]
    text: str
    coded: bool
    aftersale_id: UUID | None = None


class Standing(msgspec.Struct, frozen=True):
    """How far an order is: `ready_count` codes wait to be redeemed; `handed_over` when each of its parcels was delivered
    by its code (or voided)."""

    status: str
    shipped_at: datetime | None
    ready: bool
    ready_count: int
    handed_over: bool


async def open_lines(tx: Tx, merchant_id: UUID, order_id: UUID) -> list[OpenLine]:
    """The lines of an order with what is still to leave. Lock the order first."""
    rows = await tx.fetch(
        "select id, sku_id, quantity - shipped_quantity - cancelled_quantity as left_over, requires_shipping,"
        " product_id from order_line where merchant_id = $1 and order_id = $2 order by id",
        merchant_id,
        order_id,
    )
    return [OpenLine(*row) for row in rows]


async def add_parcels(tx: Tx, leaving: Leaving) -> None:
    """Store parcels with their lines and first events and mark the units as shipped, in one statement."""
    first, vault = leaving.drafts[0], tx.env.vault
    tries = 2 if leaving.coded else 1
    drawn = iter(codes.new_codes(tries * len(leaving.drafts)) if leaving.coded else ())
    rows: list[tuple[object, ...]] = []
    for place, draft in enumerate(leaving.drafts):
        event_id = new_id()
        for _ in range(tries):
            code = next(drawn, None)
            sealed = (codes.seal(vault, draft.id, code), codes.index(vault, code)) if code else (None, None)
            rows.append((place, draft.id, event_id, *sealed))
    content = [(place, *line) for place, draft in enumerate(leaving.drafts) for line in draft.lines]
    written = await tx.fetchval(
        _PARCELS,
        first.merchant_id,
        first.order_id,
        first.account_id,
        first.kind,
        first.carrier,
        first.waybill_no,
        "ready" if leaving.coded else "shipped",
        first.place,
        leaving.aftersale_id,
        tx.now,
        leaving.text,
        *columns(rows, 5),
        *columns(content, 3),
    )
    assert written == len(leaving.drafts), "two random codes of twelve digits were both used before"


async def deliver_parcels(tx: Tx, merchant_id: UUID, order_id: UUID, text: str) -> list[UUID]:
    """Mark the order's parcels that are on their way as delivered, with an event each; which those were."""
    count = await tx.fetchval(
        "select count(*) from parcel where merchant_id = $1 and order_id = $2", merchant_id, order_id
    )
    rows = await tx.fetch(_DELIVERED, merchant_id, order_id, tx.now, text, [new_id() for _ in range(count)])
    return [row["id"] for row in rows]


async def standing(tx: Tx, merchant_id: UUID, order_id: UUID) -> Standing:
    """How far the order is."""
    row = await tx.fetchrow(_STANDING, merchant_id, order_id)
    assert row is not None, "the order was locked before"
    return Standing(*row)


async def withdraw(
    tx: Tx,
    merchant_id: UUID,
    order_id: UUID,
    units: Mapping[UUID, int],
    came_back: Collection[UUID],
    text: str,
) -> dict[UUID, int]:
    """Take up to so many units of each line out of parcels that nobody has fetched; how many those were. Of the lines in
    `came_back`, only those beyond what is left to the buyer."""
    rows = await tx.fetch(
        _WITHDRAW, merchant_id, order_id, list(units), list(units.values()), tx.now, text, list(came_back)
    )
    return {row["line_id"]: row["taken"] for row in rows}


async def parcel(tx: Tx, merchant_id: UUID, parcel_id: UUID) -> asyncpg.Record | None:
    """A parcel's row, locked. No other lock is needed to change it, unless the order moves with it."""
    return await tx.fetchrow(
        "select id, order_id, account_id, kind, carrier, waybill_no, status, changes, shipped_at, delivered_at"
        " from parcel where merchant_id = $1 and id = $2 for no key update",
        merchant_id,
        parcel_id,
    )


async def by_code(tx: Tx, merchant_id: UUID, code: str) -> asyncpg.Record | None:
    """The shop's parcel with this code, its order's number and status, and its lines as JSON. Nothing is locked."""
    return await tx.fetchrow(_BY_CODE, merchant_id, codes.index(tx.env.vault, code))


async def claimed(tx: Tx, merchant_id: UUID, parcel_id: UUID) -> bool:
    """Whether the buyer wants the money back for units that are then not there any more, once this parcel is handed over."""
    found: bool = await tx.fetchval(_CLAIMED, merchant_id, parcel_id)
    return found


async def redeem(tx: Tx, merchant_id: UUID, parcel_id: UUID, actor_id: UUID | None, text: str) -> bool:
    """Hand a parcel over that is ready, with an event; False when it was not ready."""
    tag = await tx.execute(_REDEEM, merchant_id, parcel_id, tx.now, actor_id, new_id(), text)
    return tag != "INSERT 0 0"


async def deliver(tx: Tx, merchant_id: UUID, parcel_id: UUID, at: datetime, text: str) -> bool:
    """Mark a parcel that is on its way as delivered, with an event; False when it was not on its way."""
    return await tx.execute(_DELIVER, merchant_id, parcel_id, at, new_id(), text) != "INSERT 0 0"


async def reroute(
    tx: Tx, merchant_id: UUID, parcel_id: UUID, carrier: str, waybill_no: str, text: str
) -> None:
    """Give a parcel that is on its way another waybill, with an event. Lock the parcel first."""
    await tx.execute(_REROUTE, merchant_id, parcel_id, carrier, waybill_no, new_id(), tx.now, text)


async def news(tx: Tx, merchant_id: UUID, parcel_id: UUID, at: datetime, text: str) -> None:
    """Add a step to a parcel's way, unless it is there. Lock the parcel first."""
    await tx.execute(_NEWS, merchant_id, parcel_id, new_id(), at, text)


async def plans(tx: Tx, merchant_id: UUID, order_id: UUID) -> list[asyncpg.Record]:
    """All answers of plugins to where the order's units leave from, oldest first."""
    return await tx.fetch(_PLANS, merchant_id, order_id)


async def mark_released(
    tx: Tx, merchant_id: UUID, order_id: UUID, at: datetime, commission_given_up: int
) -> None:
    """Note that the order's money has been released, and how much of the fee the market has not taken."""
    await tx.execute(
        "update orders set released_at = $3, refunded_commission = $4"
        " where merchant_id = $1 and id = $2 and released_at is null",
        merchant_id,
        order_id,
        at,
        commission_given_up,
    )
