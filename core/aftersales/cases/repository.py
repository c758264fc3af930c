"""Statements of cases. Whoever changes one has locked its order's row first."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.aftersales.cases.machine import CLAIMING, ENDED, Event, Kind, Party, Status, Step
from core.aftersales.cases.rules import Claim
from core.aftersales.rules import Discount, Line, Order
from core.db.tx import Tx, columns
from core.kit.ids import new_id

_ADD = """
with case_row as (
  insert into aftersale (merchant_id, id, order_id, trade_id, account_id, number, kind, status, reason, images, deadline,
    created_at, updated_at)
  values ($1, $2, $3, $4, $5, $6, $7, 'applied', $8, $9, $10, $11, $11) returning *
), units as (
  insert into aftersale_line (merchant_id, aftersale_id, line_id, account_id, quantity)
  select $1, $2, w.line_id, $5, w.quantity from unnest($12::uuid[], $13::int[]) w(line_id, quantity)
), logged as (
  insert into aftersale_log (merchant_id, id, aftersale_id, account_id, party, actor_id, event, old_status, new_status,
    note, at)
  values ($1, $14, $2, $5, 'buyer', $5, 'apply', '', 'applied', '', $11)
)
select * from case_row
"""

# A fact that is null stays as it was.
_MOVE = """
with moved as (
  update aftersale set status = $4::text, kind = $5::text, deadline = $6, updated_at = $7::timestamptz,
    closed_at = case when $4::text = any($8::text[]) then $7::timestamptz end,
    fault = coalesce($9::text, fault), shipping_amount = coalesce($10::bigint, shipping_amount),
    return_address = coalesce($11::bytea, return_address), carrier = coalesce($12::text, carrier),
    waybill_no = coalesce($13::text, waybill_no), refusal = coalesce($14::text, refusal)
  where merchant_id = $1 and id = $2 and status = $3 returning *
), logged as (
  insert into aftersale_log (merchant_id, id, aftersale_id, account_id, party, actor_id, event, old_status, new_status,
    note, at)
  select m.merchant_id, $15::uuid, m.id, m.account_id, $16::text, $17::uuid, $18::text, $3::text, m.status, $19::text,
    $7::timestamptz
  from moved m
)
select * from moved
"""

_REFUNDED = """
with moved as (
  update aftersale a set status = 'done', deadline = null, updated_at = $3::timestamptz, closed_at = $3::timestamptz
  from refund r
  where r.merchant_id = $1 and r.id = $2 and a.merchant_id = r.merchant_id and a.id = r.aftersale_id
    and a.status = 'refunding'
  returning a.merchant_id, a.id, a.order_id, a.account_id, a.kind
), logged as (
  insert into aftersale_log (merchant_id, id, aftersale_id, account_id, party, event, old_status, new_status, at)
  select m.merchant_id, $4::uuid, m.id, m.account_id, 'system', 'refunded', 'refunding', 'done', $3::timestamptz
  from moved m
)
select * from moved
"""

_CLAIMS = """
select x.line_id, sum(x.quantity)::int as units,
  coalesce(sum(x.quantity) filter (where a.kind <> 'refund_only'), 0)::int as to_return
from aftersale a join aftersale_line x on x.merchant_id = a.merchant_id and x.aftersale_id = a.id
where a.merchant_id = $1 and a.order_id = $2 and a.status = any($3::text[])
group by x.line_id
"""

_SHORT = """
select l.sku_id
from aftersale_line x join order_line l on l.merchant_id = x.merchant_id and l.id = x.line_id
left join stock s on s.merchant_id = l.merchant_id and s.sku_id = l.sku_id
where x.merchant_id = $1 and x.aftersale_id = $2
group by l.sku_id having coalesce(min(s.on_hand - s.reserved), 0) < sum(x.quantity) order by l.sku_id
"""

_VIEW = """
select a.*, o.number as order_number, o.merchant_name, o.status as order_status,
  coalesce((select json_agg(json_build_object('line_id', l.id, 'quantity', x.quantity, 'title', l.title, 'specs', l.specs,
      'image_url', l.image_url, 'unit_price', l.unit_price) order by l.id)
    from aftersale_line x join order_line l on l.merchant_id = x.merchant_id and l.id = x.line_id
    where x.merchant_id = a.merchant_id and x.aftersale_id = a.id), '[]')::text as lines,
  (select json_build_object('id', r.id, 'number', r.number, 'status', r.status, 'amount', r.amount)
    from refund r where r.merchant_id = a.merchant_id and r.id = a.refund_id)::text as refund,
  coalesce((select json_agg(json_build_object('id', p.id, 'kind', p.kind, 'carrier', p.carrier,
      'waybill_no', p.waybill_no, 'status', p.status) order by p.id)
    from parcel p where p.merchant_id = a.merchant_id and p.order_id = a.order_id and p.aftersale_id = a.id), '[]')::text
    as parcels
from page a join orders o on o.merchant_id = a.merchant_id and o.id = a.order_id
order by a.id desc
"""

_ORDERS = """
select o.merchant_id, o.id, o.shipping_amount, o.refunded_shipping
from orders o join unnest($1::uuid[], $2::uuid[]) w(merchant_id, id) using (merchant_id, id)
"""

_LINES = """
select l.order_id, l.id, l.kind, l.sku_id, l.product_id, l.parent_id, l.quantity, l.unit_price,
  l.shipped_quantity as shipped, l.refunded_quantity as refunded, l.cancelled_quantity as cancelled
from order_line l join unnest($1::uuid[], $2::uuid[]) w(merchant_id, order_id) using (merchant_id, order_id)
order by l.order_id, l.id
"""

_DISCOUNTS = """
select d.order_id, d.line_id, d.plugin, d.rule, d.bearer_market, d.bearer_merchant
from order_discount d join unnest($1::uuid[], $2::uuid[]) w(merchant_id, order_id) using (merchant_id, order_id)
order by d.id
"""

_LOG = """
select at, party, event, old_status, new_status, note from aftersale_log
where merchant_id = $1 and aftersale_id = $2 order by id
"""


class CaseFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases to list; None means any. `before` is the id at which the previous page ended."""

    account_id: UUID | None = None
    merchant_id: UUID | None = None
    order_id: UUID | None = None
    aftersale_id: UUID | None = None
    statuses: Sequence[str] | None = None
    kind: Kind | None = None
    before: UUID | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a step makes known; None leaves it as it was."""

    fault: str | None = None
    shipping_amount: int | None = None
    return_address: bytes | None = None
    carrier: str | None = None
    waybill_no: str | None = None
    refusal: str | None = None


class Deed(msgspec.Struct, frozen=True):
    """Who brings an event about, and what is to be noted with it."""

    event: Event
    party: Party
    actor_id: UUID | None = None
    note: str = ""


async def add(
    tx: Tx,
    order: asyncpg.Record,
    number: str,
    kind: Kind,
    reason: str,
    images: Sequence[str],
    lines: Sequence[tuple[UUID, int]],
    deadline: datetime,
) -> asyncpg.Record:
    """Write a new case with its units and first log row; the answer is its row."""
    row = await tx.fetchrow(
        _ADD,
        order["merchant_id"],
        new_id(),
        order["id"],
        order["trade_id"],
        order["account_id"],
        number,
        kind,
        reason,
        list(images),
        deadline,
        tx.now,
        *columns(lines, 2),
        new_id(),
    )
    assert row is not None
    return row


async def one(
    tx: Tx, merchant_id: UUID, aftersale_id: UUID, account_id: UUID | None = None
) -> asyncpg.Record | None:
    """A case's row; with `account_id` only this buyer's."""
    return await tx.fetchrow(
        "select * from aftersale where merchant_id = $1 and id = $2 and ($3::uuid is null or account_id = $3)",
        merchant_id,
        aftersale_id,
        account_id,
    )


async def move(
    tx: Tx, row: asyncpg.Record, step: Step, deed: Deed, deadline: datetime | None, facts: Facts
) -> asyncpg.Record | None:
    """Set status, kind and facts if the status is what `row` says, and log it, in one statement. None when it is not."""
    return await tx.fetchrow(
        _MOVE,
        row["merchant_id"],
        row["id"],
        row["status"],
        step.status,
        step.kind,
        deadline,
        tx.now,
        sorted(ENDED),
        facts.fault,
        facts.shipping_amount,
        facts.return_address,
        facts.carrier,
        facts.waybill_no,
        facts.refusal,
        new_id(),
        deed.party,
        deed.actor_id,
        deed.event.value,
        deed.note,
    )


async def set_refund(tx: Tx, merchant_id: UUID, aftersale_id: UUID, refund_id: UUID) -> None:
    """Note which refund settles the case."""
    await tx.execute(
        "update aftersale set refund_id = $3 where merchant_id = $1 and id = $2",
        merchant_id,
        aftersale_id,
        refund_id,
    )


async def refunded(tx: Tx, merchant_id: UUID, refund_id: UUID) -> asyncpg.Record | None:
    """The refund's money has arrived: the case that it settles is done. merchant_id, id, order_id, account_id and kind;
    None for a refund of no case."""
    return await tx.fetchrow(_REFUNDED, merchant_id, refund_id, tx.now, new_id())


async def lines(tx: Tx, merchant_id: UUID, aftersale_id: UUID) -> list[tuple[UUID, int]]:
    """(line id, quantity) of a case."""
    rows = await tx.fetch(
        "select line_id, quantity from aftersale_line where merchant_id = $1 and aftersale_id = $2 order by line_id",
        merchant_id,
        aftersale_id,
    )
    return [(row["line_id"], row["quantity"]) for row in rows]


async def claims(tx: Tx, merchant_id: UUID, order_id: UUID) -> dict[UUID, Claim]:
    """What open cases of the order are about, by line."""
    rows = await tx.fetch(_CLAIMS, merchant_id, order_id, list(CLAIMING))
    return {row["line_id"]: Claim(row["units"], row["to_return"]) for row in rows}


async def open_about(
    tx: Tx,
    merchant_id: UUID,
    order_id: UUID,
    line_ids: Sequence[UUID],
    statuses: Sequence[Status] = CLAIMING,
) -> list[asyncpg.Record]:
    """Rows of the order's cases in these statuses that are about any of these lines."""
    return await tx.fetch(
        "select a.* from aftersale a where a.merchant_id = $1 and a.order_id = $2 and a.status = any($4::text[])"
        " and exists (select from aftersale_line x where x.merchant_id = a.merchant_id and x.aftersale_id = a.id"
        " and x.line_id = any($3::uuid[])) order by a.id",
        merchant_id,
        order_id,
        list(line_ids),
        list(statuses),
    )


async def waiting(tx: Tx, merchant_id: UUID, order_id: UUID) -> dict[UUID, int]:
    """Units, by line, that count as shipped but wait in the shop for whoever has the code."""
    rows = await tx.fetch(
        "select l.line_id, sum(l.quantity)::int as units from parcel p"
        " join parcel_line l on l.merchant_id = p.merchant_id and l.parcel_id = p.id"
        " where p.merchant_id = $1 and p.order_id = $2 and p.status = 'ready' and p.aftersale_id is null"
        " group by l.line_id",
        merchant_id,
        order_id,
    )
    return {row["line_id"]: row["units"] for row in rows}


async def goods(
    tx: Tx, merchant_id: UUID, aftersale_id: UUID, line_ids: Sequence[UUID]
) -> list[tuple[UUID, int]]:
    """(SKU id, pieces) of these lines of a case."""
    rows = await tx.fetch(
        "select l.sku_id, x.quantity from aftersale_line x"
        " join order_line l on l.merchant_id = x.merchant_id and l.id = x.line_id"
        " where x.merchant_id = $1 and x.aftersale_id = $2 and x.line_id = any($3::uuid[])",
        merchant_id,
        aftersale_id,
        list(line_ids),
    )
    return [(row["sku_id"], row["quantity"]) for row in rows]


async def short_of(tx: Tx, merchant_id: UUID, aftersale_id: UUID) -> list[UUID]:
    """SKUs of which there is less to sell than the case would have replaced."""
    rows = await tx.fetch(_SHORT, merchant_id, aftersale_id)
    return [row["sku_id"] for row in rows]


async def last_return_address(tx: Tx, merchant_id: UUID) -> asyncpg.Record | None:
    """(id, return_address) of the merchant's latest case that has one."""
    return await tx.fetchrow(
        "select id, return_address from aftersale where merchant_id = $1 and return_address is not null"
        " order by id desc limit 1",
        merchant_id,
    )


async def views(tx: Tx, which: CaseFilter, limit: int) -> list[asyncpg.Record]:
    """Up to `limit` cases, newest first, each with its order's number and merchant, and `lines`, `refund` and `parcels` as
    JSON."""
    conditions, args = [], []
    for condition, value in (
        ("merchant_id = {}", which.merchant_id),
        ("account_id = {}", which.account_id),
        ("order_id = {}", which.order_id),
        ("id = {}", which.aftersale_id),
        ("status = any({}::text[])", which.statuses),
        ("kind = {}", which.kind),
        ("id < {}", which.before),
    ):
        if value is not None:
            args.append(value)
            conditions.append(condition.format(f"${len(args)}"))
    where = " and ".join(conditions) or "true"
    page = f"with page as (select * from aftersale where {where} order by id desc limit {int(limit)})"  # noqa: S608
    return await tx.fetch(f"{page}{_VIEW}", *args)


async def orders(tx: Tx, keys: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], Order]:
    """What refunds of the orders (merchant id, order id) would reckon with at present, not locked."""
    pairs = columns(keys, 2)
    lines: dict[UUID, list[Line]] = {}
    cuts: dict[UUID, list[Discount]] = {}
    shipping_cuts: dict[UUID, int] = {}
    for d in await tx.fetch(_DISCOUNTS, *pairs):
        found = Discount(d["plugin"], d["rule"], d["bearer_market"], d["bearer_merchant"])
        if d["line_id"] is None:
            shipping_cuts[d["order_id"]] = shipping_cuts.get(d["order_id"], 0) + found.market
        else:
            cuts.setdefault(d["line_id"], []).append(found)
    for row in await tx.fetch(_LINES, *pairs):
        fields = {name: value for name, value in row.items() if name != "order_id"}
        made = Line(**fields, discounts=tuple(cuts.get(row["id"], ())))
        lines.setdefault(row["order_id"], []).append(made)
    return {
        (row["merchant_id"], row["id"]): Order(
            row["merchant_id"],
            tuple(lines.get(row["id"], ())),
            shipping=row["shipping_amount"],
            shipping_market=shipping_cuts.get(row["id"], 0),
            refunded_shipping=row["refunded_shipping"],
        )
        for row in await tx.fetch(_ORDERS, *pairs)
    }


async def log(tx: Tx, merchant_id: UUID, aftersale_id: UUID) -> list[asyncpg.Record]:
    """The steps of a case, oldest first."""
    return await tx.fetch(_LOG, merchant_id, aftersale_id)
