"""Statements of using coupons.

Whoever changes what an order's coupons stand at locks first all rows of `coupons_use` of these coupons in the trade, in
key order, and looks at them again in a statement of its own: so of several orders of one trade that end at the same time
the last one sees that it is the last. Then come the rows of `coupons_template` in key order, then those of
`coupons_coupon`, as everywhere in this plugin.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from core.api import MARKET_ID, Tx, columns

Use = tuple[UUID, UUID, int, int]

_COLUMNS = "id, merchant_id, status, valid_from, expires_at, terms::text as terms_json"

_USABLE = f"""
select {_COLUMNS} from coupons_coupon
where account_id = $1 and status = 'unused' and expires_at > $2 and merchant_id = any($3::uuid[])
order by expires_at, id limit 500
"""  # noqa: S608

_NAMED = f"select {_COLUMNS} from coupons_coupon where account_id = $1 and id = any($2::uuid[])"  # noqa: S608

_USE = """
with applied as (
  select * from unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[]) a(coupon_id, order_id, market, merchant)
), held as materialized (
  select c.id, c.merchant_id, c.template_id from coupons_coupon c
  where c.account_id = $1 and c.id = any($4::uuid[]) and c.status = 'unused' and c.valid_from <= $3 and c.expires_at > $3
  order by c.id for no key update
), used as (
  update coupons_coupon c set status = 'used', used_trade_id = $2, used_at = $3 from held
  where c.account_id = $1 and c.id = held.id
), noted as (
  insert into coupons_use (account_id, coupon_id, order_id, merchant_id, template_id, trade_id, market, merchant, at)
  select $1, held.id, a.order_id, held.merchant_id, held.template_id, $2, a.market, a.merchant, $3
  from applied a join held on held.id = a.coupon_id
)
select count(*) from held
"""

_LOCKED = """
with locked as materialized (
  select u.coupon_id, u.order_id from coupons_use u
  where u.account_id = $1 and u.trade_id = $2 and u.coupon_id in (
    select o.coupon_id from coupons_use o
    where o.account_id = $1 and o.trade_id = $2 and o.order_id = any($3::uuid[]))
  order by u.coupon_id, u.order_id for no key update
)
"""

_MARK = f"""{_LOCKED}, marked as (
  update coupons_use u set status = $4 from locked l
  where u.account_id = $1 and u.coupon_id = l.coupon_id and u.order_id = l.order_id and u.order_id = any($3::uuid[])
    and u.status = any($5::text[])
)
select count(*) from locked
"""  # noqa: S608

_USED_OF = """
select distinct merchant_id, template_id from coupons_use where account_id = $1 and trade_id = $2 and order_id = $3
"""

_SETTLED = f"""{_LOCKED}
select bool_and(u.refund_ids @> array[$4::uuid]) from coupons_use u join locked l using (coupon_id, order_id)
where u.account_id = $1 and u.order_id = any($3::uuid[])
"""  # noqa: S608

_TAKE_BACK = f"""{_LOCKED}, part as (
  select * from unnest($6::uuid[], $7::bigint[], $8::bigint[]) p(coupon_id, market, merchant)
)
update coupons_use u set
  back_market = case when $5 then u.market else least(u.market, u.back_market + coalesce(p.market, 0)) end,
  back_merchant = case when $5 then u.merchant else least(u.merchant, u.back_merchant + coalesce(p.merchant, 0)) end,
  status = case when $5 and u.status in ('open', 'paid') then 'refunded' else u.status end,
  refund_ids = u.refund_ids || $4::uuid
from locked l left join part p on p.coupon_id = l.coupon_id
where u.account_id = $1 and u.coupon_id = l.coupon_id and u.order_id = l.order_id and u.order_id = any($3::uuid[])
  and not u.refund_ids @> array[$4::uuid]
"""  # noqa: S608

# A coupon does not come back to life when its template was voided in the meantime. The template is locked so that nobody
# voids it just now and misses this coupon.
_RETURN = """
with ended as materialized (
  select c.id, c.merchant_id, c.template_id from coupons_coupon c
  where c.account_id = $1 and c.used_trade_id = $2 and c.status = 'used' and not exists (
    select from coupons_use u
    where u.account_id = $1 and u.coupon_id = c.id and u.trade_id = $2 and u.status in ('open', 'paid'))
), issued as materialized (
  select t.merchant_id, t.id, t.status from coupons_template t
  where (t.merchant_id, t.id) in (select merchant_id, template_id from ended)
  order by t.merchant_id, t.id for no key update
), back as materialized (
  select c.id, c.merchant_id, c.template_id,
    case when i.status = 'void' then $4::text end as void_reason
  from coupons_coupon c join issued i on i.merchant_id = c.merchant_id and i.id = c.template_id
  where c.account_id = $1 and c.id in (select id from ended) and c.status = 'used' and c.used_trade_id = $2
  order by c.id for no key update of c
), returned as (
  update coupons_coupon c set status = case when b.void_reason is null then 'unused' else 'void' end,
    used_trade_id = null, used_at = null, void_reason = b.void_reason,
    voided_at = case when b.void_reason is not null then $3::timestamptz end
  from back b where c.account_id = $1 and c.id = b.id
)
update coupons_template t set voided = t.voided + v.n
from (select merchant_id, template_id, count(*) as n from back where void_reason is not null group by 1, 2) v
where t.merchant_id = v.merchant_id and t.id = v.template_id
"""
_WITHDRAWN = "It was withdrawn while it was in use."

# What each row should count for, against what it does: whatever order events come in and however often, the statistics
# end up the same. A coupon counts as used by the first of its paid orders.
_RECOUNT = """
with due as (
  select u.*, (u.status = 'paid')::int as orders, (u.status = 'paid' and not exists (
      select from coupons_use o where o.account_id = $1 and o.coupon_id = u.coupon_id and o.trade_id = $2
        and o.status = 'paid' and o.order_id < u.order_id))::int as used,
    case when u.status in ('paid', 'refunded') then u.market - u.back_market else 0 end as cost_market,
    case when u.status in ('paid', 'refunded') then u.merchant - u.back_merchant else 0 end as cost_merchant
  from coupons_use u where u.account_id = $1 and u.trade_id = $2 and u.coupon_id in (
    select o.coupon_id from coupons_use o where o.account_id = $1 and o.trade_id = $2 and o.order_id = $3)
), counted as (
  update coupons_use u set counted_orders = due.orders, counted_used = due.used, counted_market = due.cost_market,
    counted_merchant = due.cost_merchant
  from due where u.account_id = $1 and u.coupon_id = due.coupon_id and u.order_id = due.order_id
    and (u.counted_orders, u.counted_used, u.counted_market, u.counted_merchant)
      is distinct from (due.orders, due.used, due.cost_market, due.cost_merchant)
  returning due.merchant_id, due.template_id, due.orders - due.counted_orders as orders,
    due.used - due.counted_used as used, due.cost_market - due.counted_market as market,
    due.cost_merchant - due.counted_merchant as merchant
), totals as (
  select merchant_id, template_id, sum(orders) as orders, sum(used) as used, sum(market) as market,
    sum(merchant) as merchant
  from counted group by merchant_id, template_id
), locked as materialized (
  select totals.* from coupons_template t
  join totals on totals.merchant_id = t.merchant_id and totals.template_id = t.id
  order by t.merchant_id, t.id for no key update of t
)
update coupons_template t set orders_brought = t.orders_brought + l.orders, used = t.used + l.used,
  cost_market = t.cost_market + l.market, cost_merchant = t.cost_merchant + l.merchant
from locked l where t.merchant_id = l.merchant_id and t.id = l.template_id
"""

_OFFERS = """
select t.merchant_id, t.terms::text as terms_json from unnest($1::uuid[]) m(id) cross join lateral (
  select merchant_id, id, terms from coupons_template
  where merchant_id = m.id and status = 'open' and claim = 'open' and claimed < total
    and (claim_from is null or claim_from <= $2) and (claim_to is null or claim_to > $2)
    and (valid_to is null or valid_to > $2)
  order by id desc limit $3
) t order by t.merchant_id, t.id desc
"""

_UNDECIDED = """
select count(*) from coupons_use u join orders o on o.id = u.order_id
where u.status in ('open', 'paid') and o.status <> 'closed' and o.released_at is null
"""


async def usable(tx: Tx, account_id: UUID, merchants: Sequence[UUID]) -> list[asyncpg.Record]:
    """The account's unused coupons of these shops and of the market."""
    return await tx.fetch(_USABLE, account_id, tx.now, [*merchants, MARKET_ID])


async def named(tx: Tx, account_id: UUID, ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Those of these coupons that the account holds, in whatever state."""
    return await tx.fetch(_NAMED, account_id, ids)


async def use(tx: Tx, account_id: UUID, trade_id: UUID, uses: Collection[Use]) -> int:
    """Mark coupons used, with what each took off each order: (coupon, order, market's fen, merchant's fen). The answer is
    how many coupons still could be used."""
    count: int = await tx.fetchval(_USE, account_id, trade_id, tx.now, *columns(sorted(uses), 4))
    return count


async def mark(
    tx: Tx, account_id: UUID, trade_id: UUID, orders: Sequence[UUID], status: str, *, of: Sequence[str]
) -> bool:
    """Move what these orders used from one of the states `of` to `status`. The answer is whether they used any coupon; if
    so, all rows of these coupons in the trade are locked."""
    return bool(await tx.fetchval(_MARK, account_id, trade_id, orders, status, list(of)))


async def templates(tx: Tx, account_id: UUID, trade_id: UUID, order_id: UUID) -> list[tuple[UUID, UUID]]:
    """(merchant, template) of the coupons that an order used."""
    rows = await tx.fetch(_USED_OF, account_id, trade_id, order_id)
    return [(row["merchant_id"], row["template_id"]) for row in rows]


async def take_back(
    tx: Tx,
    account_id: UUID,
    trade_id: UUID,
    order_id: UUID,
    refund_id: UUID,
    *,
    whole: bool,
    shares: Sequence[tuple[UUID, int, int]],
) -> None:
    """Note what a refund took back of an order's discounts: (coupon, market's fen, merchant's fen), or all of them with
    the `whole` order. The same refund again changes nothing."""
    await tx.execute(
        _TAKE_BACK, account_id, trade_id, [order_id], refund_id, whole, *columns(sorted(shares), 3)
    )


async def settled(tx: Tx, account_id: UUID, trade_id: UUID, order_id: UUID, refund_id: UUID) -> bool | None:
    """Whether a refund is noted on what its order used; None when the order used no coupon. Locks as `mark` does."""
    found: bool | None = await tx.fetchval(_SETTLED, account_id, trade_id, [order_id], refund_id)
    return found


async def give_back(tx: Tx, account_id: UUID, trade_id: UUID) -> None:
    """Return the trade's coupons of which every order is closed or refunded by now."""
    await tx.execute(_RETURN, account_id, trade_id, tx.now, _WITHDRAWN)


async def recount(tx: Tx, account_id: UUID, trade_id: UUID, order_id: UUID) -> None:
    """Bring the statistics of the templates behind an order's coupons up to date; the rows must be locked."""
    await tx.execute(_RECOUNT, account_id, trade_id, order_id)


async def offers(tx: Tx, merchants: Sequence[UUID], most: int) -> list[asyncpg.Record]:
    """(merchant_id, terms_json) of what anybody may claim of these issuers now, the newest first, at most `most` of
    each."""
    return await tx.fetch(_OFFERS, merchants, tx.now, most)


async def undecided(tx: Tx) -> int:
    """How many uses of coupons belong to orders whose money is not released yet, over all accounts."""
    found: int = await tx.fetchval(_UNDECIDED)
    return found
