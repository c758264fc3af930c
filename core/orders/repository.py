"""Reading orders and trades, and moving an order from one status to the next. Amounts in fen.

An order comes with its lines, discounts, holds and parcels in the same statement, a whole page at once; pages
go by `id` downwards (ids are time-ordered).
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx, columns
from core.kit.ids import new_id, ref
from core.orders import finding
from core.orders.finding import OrderFilter, Where

TRADE_STATUSES = ("unpaid", "paid", "closed")
STAMPS = ("paid_at", "accepted_at", "shipped_at", "completed_at", "closed_at")


class TradeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which trades to list; None means any. `merchant_id`: trades that hold an order of this merchant."""

    account_id: UUID | None = None
    trade_id: UUID | None = None
    merchant_id: UUID | None = None
    statuses: Sequence[str] | None = None
    number: str | None = None
    before: UUID | None = None


# Looked up one by one; joined freely, the planner may walk the whole table in the order of the page.
_EACH = "select * from orders x where x.merchant_id = k.merchant_id and x.id = k.id offset 0"

_CHILDREN = """
  coalesce((select json_agg(json_build_object(
      'id', l.id, 'kind', l.kind, 'sku_id', l.sku_id, 'product_id', l.product_id, 'parent_id', l.parent_id,
      'title', l.title, 'specs', l.specs, 'image_url', l.image_url, 'quantity', l.quantity,
      'unit_price', l.unit_price, 'amount', l.amount, 'payable', l.payable,
      'shipped_quantity', l.shipped_quantity, 'refunded_quantity', l.refunded_quantity,
      'cancelled_quantity', l.cancelled_quantity) order by l.id)
    from order_line l where l.merchant_id = o.merchant_id and l.order_id = o.id), '[]')::text as lines,
  coalesce((select json_agg(json_build_object(
      'line_id', d.line_id, 'plugin', d.plugin, 'kind', d.kind, 'label', d.label,
      'activity_id', d.activity_id, 'amount', d.amount, 'bearer_market', d.bearer_market,
      'bearer_merchant', d.bearer_merchant) order by d.id)
    from order_discount d where d.merchant_id = o.merchant_id and d.order_id = o.id), '[]')::text as discounts,
  coalesce((select json_agg(json_build_object('plugin', h.plugin, 'reason', h.reason, 'until', h.until)
      order by h.plugin)
    from order_hold h where h.merchant_id = o.merchant_id and h.order_id = o.id), '[]')::text as holds,
  coalesce((select json_agg(json_build_object(
      'id', p.id, 'kind', p.kind, 'carrier', p.carrier, 'waybill_no', p.waybill_no, 'status', p.status,
      'shipped_at', p.shipped_at, 'delivered_at', p.delivered_at, 'place', p.place, 'aftersale_id', p.aftersale_id,
      'code', encode(p.code, 'base64'),
      'lines', coalesce((select json_agg(json_build_object('line_id', pl.line_id, 'quantity', pl.quantity)
                                         order by pl.line_id)
        from parcel_line pl where pl.merchant_id = p.merchant_id and pl.parcel_id = p.id), '[]'),
      'events', coalesce((select json_agg(json_build_object('at', e.at, 'status', e.status, 'text', e.text)
                                          order by e.at, e.id)
        from parcel_event e where e.merchant_id = p.merchant_id and e.parcel_id = p.id), '[]')) order by p.id)
    from parcel p where p.merchant_id = o.merchant_id and p.order_id = o.id), '[]')::text as parcels,
  o.shipping::text as shipping_json
"""


async def orders(tx: Tx, which: OrderFilter, limit: int) -> list[asyncpg.Record]:
    """Up to `limit` orders, newest first, each with `lines`, `discounts`, `holds` and `parcels` as JSON."""
    found, args = finding.ids(which, limit)
    return await tx.fetch(
        f"select o.*,{_CHILDREN} from ({found}) k"  # noqa: S608
        f" cross join lateral ({_EACH}) o order by o.id desc",
        *args,
    )


async def with_words(
    tx: Tx, which: OrderFilter, window: int, limit: int
) -> tuple[list[tuple[UUID, UUID]], UUID | None]:
    """(merchant, id) of up to `limit` orders that have all words in the title of a line, among the next `window` orders, and
    the id at which the window ends; None when it reaches to the end of the list."""
    found, args = finding.ids(which, window)
    at = len(args)
    row = await tx.fetchrow(
        f"with seen as materialized ({found}), hit as ("  # noqa: S608
        " select s.merchant_id, s.id from seen s where exists (select from order_line l where"
        " l.merchant_id = s.merchant_id and l.order_id = s.id and (select bool_and(position(w in lower(l.title)) > 0)"
        f" from unnest(${at + 1}::text[]) w)) order by s.id desc limit ${at + 2}"
        ") select array(select merchant_id from hit order by id desc) as merchants,"
        " array(select id from hit order by id desc) as ids,"
        f" (select id from seen order by id limit 1) as last, (select count(*) from seen) = ${at + 3} as more",
        *args,
        [word.lower() for word in which.words],
        limit,
        window,
    )
    assert row is not None, "the statement has no from clause, so it gives one row"
    pairs = list(zip(row["merchants"], row["ids"], strict=True))
    return pairs, row["last"] if row["more"] else None


async def skus_called(tx: Tx, merchant_id: UUID, code: str) -> list[UUID]:
    """The merchant's SKUs with this code, those that were retired too; at most 50."""
    rows = await tx.fetch(
        "select id from sku where merchant_id = $1 and code = $2 order by id desc limit 50", merchant_id, code
    )
    return [row["id"] for row in rows]


async def sku_codes(tx: Tx, skus: Sequence[tuple[UUID, UUID]]) -> dict[str, str]:
    """Opaque id -> code of these SKUs (merchant, id), as far as they have one."""
    rows = await tx.fetch(
        "select s.merchant_id, s.id, s.code from unnest($1::uuid[], $2::uuid[]) k(merchant_id, id)"
        " join sku s on s.merchant_id = k.merchant_id and s.id = k.id where s.code is not null",
        *columns(skus, 2),
    )
    return {ref(row["merchant_id"], row["id"]): row["code"] for row in rows}


async def count(tx: Tx, which: OrderFilter, limit: int) -> int:
    """How many orders there are, counted up to `limit`."""
    found, args = finding.ids(which, limit)
    return int(await tx.fetchval(f"select count(*) from ({found}) k", *args))  # noqa: S608


async def these(tx: Tx, pairs: Sequence[tuple[UUID, UUID]]) -> list[asyncpg.Record]:
    """The orders (merchant, id), as `orders` gives them."""
    return await tx.fetch(
        f"select o.*,{_CHILDREN} from unnest($1::uuid[], $2::uuid[]) k(merchant_id, id)"  # noqa: S608
        f" cross join lateral ({_EACH}) o order by o.id desc",
        *columns(pairs, 2),
    )


async def trades(tx: Tx, which: TradeFilter, limit: int) -> list[asyncpg.Record]:
    """Up to `limit` trades, newest first: one row for each of their orders, as `orders` gives it.

    The trade's own columns are called `t_...`.
    """
    where = Where()
    where.add("account_id = {}", which.account_id)
    where.add("id = {}", which.trade_id)
    where.add("status = any({}::text[])", which.statuses)
    where.add("number = {}", which.number)
    where.add("id in (select m.trade_id from orders m where m.merchant_id = {})", which.merchant_id)
    where.add("id < {}", which.before)
    return await tx.fetch(
        "select t.id as t_id, t.number as t_number, t.status as t_status, t.goods_amount as t_goods_amount,"  # noqa: S608
        " t.discount_amount as t_discount_amount, t.shipping_amount as t_shipping_amount,"
        " t.payable as t_payable,"
        " t.created_at as t_created_at, t.paid_at as t_paid_at, t.expires_at as t_expires_at,"
        f" t.closed_at as t_closed_at, o.*,{_CHILDREN}"
        f" from (select * from trade where {where.sql()} order by id desc limit {int(limit)}) t"
        " left join orders o on o.trade_id = t.id order by t.id desc, o.id",
        *where.args,
    )


# $3 is a refund that is about to be decided: its own lines do not count yet.
_PAID_LINES = """
select l.id as line_id, l.product_id, l.sku_id, l.kind, l.quantity - coalesce(r.quantity, 0)::int as quantity,
  l.payable - coalesce(r.amount, 0)::bigint as amount
from order_line l left join lateral (
  select sum(x.quantity) as quantity, sum(x.amount) as amount from refund_line x
  where x.merchant_id = l.merchant_id and x.line_id = l.id and x.refund_id is distinct from $3::uuid
) r on true
where l.merchant_id = $1 and l.order_id = $2 order by l.id
"""


async def paid(tx: Tx, merchant_id: UUID, order_id: UUID) -> bool:
    """Whether the order was ever paid; it stays as it is until the transaction ends, also against refunds."""
    row = await tx.fetchrow(
        "select paid_at from orders where merchant_id = $1 and id = $2 for share", merchant_id, order_id
    )
    return row is not None and row["paid_at"] is not None


async def paid_lines(tx: Tx, merchant_id: UUID, order_id: UUID, without: UUID | None) -> list[asyncpg.Record]:
    """What is left of the order's lines after its refunds, that of `without` excepted."""
    return await tx.fetch(_PAID_LINES, merchant_id, order_id, without)


async def paid_before(tx: Tx, account_id: UUID, merchant_id: UUID | None) -> bool:
    """Whether the account ever paid an order: of this merchant, or of any."""
    found: bool = await tx.fetchval(
        "select exists (select from orders where account_id = $1 and paid_at is not null"
        " and ($2::uuid is null or merchant_id = $2))",
        account_id,
        merchant_id,
    )
    return found


async def buyers(tx: Tx, merchant_id: UUID, order_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """(id, account_id) of those of these orders that are the merchant's."""
    return await tx.fetch(
        "select id, account_id from orders where merchant_id = $1 and id = any($2::uuid[])",
        merchant_id,
        order_ids,
    )


async def locked(tx: Tx, merchant_id: UUID, order_id: UUID) -> asyncpg.Record | None:
    """The order's row, locked until the transaction ends: also against a new hold.

    Read lines and holds only after it, in another statement, or they may be older than the lock.
    """
    return await tx.fetchrow(
        "select * from orders where merchant_id = $1 and id = $2 for update", merchant_id, order_id
    )


async def holds(tx: Tx, merchant_id: UUID, order_id: UUID) -> list[asyncpg.Record]:
    """`plugin` and `reason` of whatever holds the order."""
    return await tx.fetch(
        "select plugin, reason from order_hold where merchant_id = $1 and order_id = $2 order by plugin",
        merchant_id,
        order_id,
    )


def _move(stamp: str | None) -> str:
    return f"""
with old as (
  select merchant_id, id, status from orders where merchant_id = $1 and id = $2 for no key update
), moved as (
  update orders o set status = $4::text{f", {stamp} = $5::timestamptz" if stamp else ""} from old
  where o.merchant_id = old.merchant_id and o.id = old.id and old.status = any($3::text[])
  returning o.*
), logged as (
  insert into order_log (merchant_id, id, order_id, account_id, actor_id, old_status, new_status, reason, at)
  select m.merchant_id, $6::uuid, m.id, m.account_id, $7::uuid, old.status, m.status,
         $8::text, $5::timestamptz
  from moved m, old
)
select old.status as present, (m.id is not null) as done, m.* from old left join moved m on true
"""  # noqa: S608


_MOVES = {stamp: _move(stamp) for stamp in (None, *STAMPS)}


async def move(
    tx: Tx,
    merchant_id: UUID,
    order_id: UUID,
    old: Sequence[str],
    new: str,
    *,
    actor_id: UUID | None,
    reason: str,
    stamp: str | None,
    at: datetime,
) -> asyncpg.Record | None:
    """Set the status if it is one of `old`, and log it, in one statement. None when there is no such order.

    In the answer `done` says whether it moved, `present` is the status before, the rest is the order's row.
    """
    return await tx.fetchrow(
        _MOVES[stamp], merchant_id, order_id, list(old), new, at, new_id(), actor_id, reason
    )
