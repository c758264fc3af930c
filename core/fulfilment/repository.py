"""Rows of parcels, and the marks that fulfilment leaves on an order."""

from datetime import datetime
from uuid import UUID

from core.db.tx import Tx
from core.fulfilment.rules import OpenLine
from core.kit.ids import new_id
from core.types.orders import ParcelDraft

_PARCEL = """
with parcel_row as (
  insert into parcel (merchant_id, id, order_id, account_id, kind, carrier, waybill_no, shipped_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8)
), content as (
  insert into parcel_line (merchant_id, parcel_id, line_id, account_id, quantity)
  select $1, $2, w.line_id, $4, w.quantity from unnest($9::uuid[], $10::int[]) w(line_id, quantity)
), event as (
  insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
  values ($1, $11, $2, $4, $8, 'shipped', $12)
)
update order_line l set shipped_quantity = l.shipped_quantity + w.quantity
from unnest($9::uuid[], $10::int[]) w(line_id, quantity)
where l.merchant_id = $1 and l.order_id = $3 and l.id = w.line_id
"""

_DELIVERED = """
with arrived as (
  update parcel set status = 'delivered', delivered_at = $3
  where merchant_id = $1 and order_id = $2 and status = 'shipped' returning id, account_id
), numbered as (
  select id, account_id, row_number() over (order by id) as place from arrived
)
insert into parcel_event (merchant_id, id, parcel_id, account_id, at, status, text)
select $1, i.id, n.id, n.account_id, $3, 'delivered', $4
from numbered n join unnest($5::uuid[]) with ordinality i(id, place) using (place)
"""


async def open_lines(tx: Tx, merchant_id: UUID, order_id: UUID) -> list[OpenLine]:
    """The lines of an order with what is still to leave. Lock the order first."""
    rows = await tx.fetch(
        "select id, sku_id, quantity - shipped_quantity - cancelled_quantity as left_over from order_line"
        " where merchant_id = $1 and order_id = $2 order by id",
        merchant_id,
        order_id,
    )
    return [OpenLine(row["id"], row["sku_id"], row["left_over"]) for row in rows]


async def add_parcel(tx: Tx, draft: ParcelDraft, text: str) -> None:
    """Store a parcel with its lines and first event and mark the units as shipped, in one statement."""
    await tx.execute(
        _PARCEL,
        draft.merchant_id,
        draft.id,
        draft.order_id,
        draft.account_id,
        draft.kind,
        draft.carrier,
        draft.waybill_no,
        tx.now,
        [line for line, _ in draft.lines],
        [quantity for _, quantity in draft.lines],
        new_id(),
        text,
    )


async def deliver_parcels(tx: Tx, merchant_id: UUID, order_id: UUID, text: str) -> None:
    """Mark the order's parcels as delivered, with an event each."""
    count = await tx.fetchval(
        "select count(*) from parcel where merchant_id = $1 and order_id = $2", merchant_id, order_id
    )
    await tx.execute(_DELIVERED, merchant_id, order_id, tx.now, text, [new_id() for _ in range(count)])


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
