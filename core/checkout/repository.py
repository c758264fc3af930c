"""The statements of placing and closing. Each does its whole step at once, whatever the number of lines."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from core.checkout.draft import Draft
from core.checkout.earning import EarningRow
from core.db.tx import Tx, columns

# Stock is locked in key order, so two baskets never wait for each other in a ring; then it is taken only where there is
# enough. Unless every SKU was held, nothing else is written and the caller rolls back.
_PLACE = """
with want as (
  select * from unnest($12::uuid[], $13::uuid[], $14::int[], $15::uuid[]) w(merchant_id, sku_id, quantity, move_id)
), room as materialized (
  select count(*) < $11::int ok from trade where account_id = $1 and status = 'unpaid' and expires_at > $4
), locked as materialized (
  select s.merchant_id, s.sku_id, w.quantity, w.move_id from stock s join want w using (merchant_id, sku_id)
  where (select ok from room) order by s.merchant_id, s.sku_id for no key update of s
), held as (
  update stock s set reserved = s.reserved + l.quantity from locked l
  where s.merchant_id = l.merchant_id and s.sku_id = l.sku_id and s.on_hand - s.reserved >= l.quantity
  returning s.merchant_id, s.sku_id, l.quantity, l.move_id
), ok as materialized (
  select 1 from (select count(*) n from held) h where h.n = cardinality($13::uuid[])
), moves as (
  insert into stock_move (merchant_id, id, sku_id, on_hand_delta, reserved_delta, reason, reference, account_id, at)
  select h.merchant_id, h.move_id, h.sku_id, 0, h.quantity, 'placed', $2, $1, $4 from held h, ok
), t as (
  insert into trade (account_id, id, number, created_at, expires_at, goods_amount, discount_amount, shipping_amount,
                     payable, explain)
  select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb from ok
), o as (
  insert into orders (merchant_id, id, trade_id, account_id, number, merchant_name, goods_amount, discount_amount,
    shipping_amount, payable, market_borne, commission, commission_rule, address, province, city, district, phone_index,
    shipping, remark, touch, earnings, contributors, created_at)
  select x.merchant_id, x.id, $2, $1, x.number, x.merchant_name, x.goods_amount, x.discount_amount, x.shipping_amount,
    x.payable, x.market_borne, x.commission, x.commission_rule, decode(x.address, 'hex'), x.province, x.city, x.district,
    decode(x.phone_index, 'hex'), x.shipping, x.remark,
    (select jsonb_build_object('first', b.first, 'last', b.last) from touch b join account a on a.pseudonym = b.pseudonym
     where a.id = $1),
    x.earnings, x.contributors, $4
  from ok, json_to_recordset($16::json) x(merchant_id uuid, id uuid, number text, merchant_name text, goods_amount bigint,
    discount_amount bigint, shipping_amount bigint, payable bigint, market_borne bigint, commission bigint,
    commission_rule text, address text, province text, city text, district text, phone_index text, shipping jsonb,
    remark text, earnings bigint, contributors text[])
), l as (
  insert into order_line (merchant_id, id, order_id, account_id, kind, sku_id, product_id, parent_id, title, specs,
    image_url, quantity, unit_price, amount, payable, requires_shipping, source, activity_id)
  select x.merchant_id, x.id, x.order_id, $1, x.kind, x.sku_id, x.product_id, x.parent_id, x.title, x.specs, x.image_url,
    x.quantity, x.unit_price, x.amount, x.payable, x.requires_shipping, x.source, x.activity_id
  from ok, json_to_recordset($17::json) x(merchant_id uuid, id uuid, order_id uuid, kind text, sku_id uuid,
    product_id uuid, parent_id uuid, title text, specs text[], image_url text, quantity int, unit_price bigint,
    amount bigint, payable bigint, requires_shipping bool, source jsonb, activity_id uuid)
), d as (
  insert into order_discount (merchant_id, id, order_id, account_id, line_id, plugin, rule, kind, label, activity_id,
    amount, bearer_market, bearer_merchant)
  select x.merchant_id, x.id, x.order_id, $1, x.line_id, x.plugin, x.rule, x.kind, x.label, x.activity_id, x.amount,
    x.bearer_market, x.bearer_merchant
  from ok, json_to_recordset($18::json) x(merchant_id uuid, id uuid, order_id uuid, line_id uuid, plugin text, rule text,
    kind text, label text, activity_id uuid, amount bigint, bearer_market bigint, bearer_merchant bigint)
), emptied as (
  delete from cart_line c using want w, ok
  where c.account_id = $1 and c.merchant_id = w.merchant_id and c.sku_id = w.sku_id
)
select (select ok from room) as room, (select count(*) from ok) = 1 as placed,
       array(select sku_id from held) as held
"""

_EARNINGS = """
insert into order_earning (merchant_id, id, order_id, line_id, owner_id, plugin, label, amount)
select x.* from json_to_recordset($1::json) x(merchant_id uuid, id uuid, order_id uuid, line_id uuid, owner_id uuid,
  plugin text, label text, amount bigint)
"""

_CLOSE = """
with t as (
  update trade set status = 'closed', closed_at = $3 where account_id = $1 and id = $2 and status = 'unpaid' returning id
), o as (
  update orders o set status = 'closed', closed_at = $3 from t where o.trade_id = t.id and o.status = 'unpaid'
  returning o.merchant_id, o.id, o.contributors
), log as (
  insert into order_log (merchant_id, id, order_id, account_id, actor_id, old_status, new_status, reason, at)
  select o.merchant_id, gen_random_uuid(), o.id, $1, $4::uuid, 'unpaid', 'closed', $5, $3 from o
)
select o.merchant_id, o.id as order_id, o.contributors, l.sku_id, l.quantity
from o join order_line l on l.merchant_id = o.merchant_id and l.order_id = o.id
"""


async def place(tx: Tx, draft: Draft, cap: int) -> asyncpg.Record:
    """Reserve the stock and write trade, orders, lines, discounts and moves; empty the cart of what was bought.

    The answer: `placed`, `room` (under the cap of unpaid trades), `held` (SKUs that could be reserved). Unless placed,
    the caller must roll back.
    """
    placement, quote = draft.placement, draft.placement.quote
    row = await tx.fetchrow(
        _PLACE,
        placement.account_id,
        placement.trade_id,
        draft.number,
        placement.now,
        draft.expires_at,
        quote.goods_amount,
        quote.discount_amount,
        quote.shipping_amount,
        quote.payable,
        _json(quote.explain),
        cap,
        *columns(draft.wanted(), 4),
        _json(draft.orders),
        _json(draft.lines),
        _json(draft.discounts),
    )
    assert row is not None
    return row


async def add_earnings(tx: Tx, rows: Sequence[EarningRow]) -> None:
    """Write what others earn on orders that were placed just now."""
    await tx.execute(_EARNINGS, _json(rows))


async def close(
    tx: Tx, account_id: UUID, trade_id: UUID, actor_id: UUID | None, reason: str
) -> list[asyncpg.Record]:
    """Close an unpaid trade and its orders: a row (merchant_id, order_id, contributors, sku_id, quantity) for each line
    whose stock is to be given back. Empty when the trade is not there or not unpaid any more."""
    return await tx.fetch(_CLOSE, account_id, trade_id, tx.now, actor_id, reason)


async def status(tx: Tx, account_id: UUID, trade_id: UUID) -> str | None:
    """The trade's status, None when the account has no such trade."""
    found: str | None = await tx.fetchval(
        "select status from trade where account_id = $1 and id = $2", account_id, trade_id
    )
    return found


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
