"""Statements of what is used of promotions.

Placing draws on totals and accounts by conditional updates. Whoever gives back locks first all rows of
`promotions_use` of the trade, in key order, so that of several orders that end at the same time each sees what the
others have left.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from core.api import Tx, columns
from plugins.promotions.repository import Key

_CLAIM = """
with want as (
  select w.*, p.per_account, p.total, p.ends_at
  from unnest($4::uuid[], $5::uuid[], $6::int[]) w(merchant_id, promotion_id, units)
  join promotions_promotion p on p.merchant_id = w.merchant_id and p.id = w.promotion_id
), locked as materialized (
  select p.merchant_id, p.id, w.units from promotions_promotion p
  join want w on p.merchant_id = w.merchant_id and p.id = w.promotion_id
  where p.total is not null and w.units > 0 order by p.merchant_id, p.id for no key update of p
), drawn as (
  update promotions_promotion p set claimed = p.claimed + l.units from locked l
  where p.merchant_id = l.merchant_id and p.id = l.id and p.claimed + l.units <= p.total returning p.id
), held as (
  insert into promotions_account as a (account_id, promotion_id, merchant_id, used)
  select $1, w.promotion_id, w.merchant_id, w.units from want w
  where w.units > 0 and w.units <= w.per_account order by w.promotion_id
  on conflict (account_id, promotion_id) do update set used = a.used + excluded.used
    where a.used + excluded.used <= (select p.per_account from promotions_promotion p
      where p.merchant_id = a.merchant_id and p.id = a.promotion_id)
  returning promotion_id
), noted as (
  insert into promotions_use (account_id, promotion_id, order_id, merchant_id, trade_id, units, shared, given, at)
  select $1, u.promotion_id, u.order_id, u.merchant_id, $2, u.units, u.shared, u.given::jsonb, $3
  from unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::int[], $11::boolean[], $12::text[])
    u(merchant_id, promotion_id, order_id, units, shared, given)
)
select
  coalesce(bool_or(w.units > 0 and w.total is not null and w.promotion_id not in (select id from drawn)), false) as sold_out,
  coalesce(bool_or(w.units > 0 and w.per_account is not null
    and w.promotion_id not in (select promotion_id from held)), false) as limited,
  max(w.ends_at) filter (where w.units > 0 and w.per_account is not null) as until
from want w
"""

_END = """
with locked as materialized (
  select u.promotion_id, u.order_id, u.merchant_id, u.units, u.shared, u.status = 'open' as was,
    u.status = 'open' and not u.order_id = any($3::uuid[]) as stays
  from promotions_use u where u.account_id = $1 and u.trade_id = $2
  order by u.promotion_id, u.order_id for no key update
), marked as (
  update promotions_use u set status = $4 from locked l
  where u.account_id = $1 and u.promotion_id = l.promotion_id and u.order_id = l.order_id and l.was and not l.stays
), counted as (
  select merchant_id, promotion_id, case when bool_or(shared)
    then coalesce(max(units) filter (where was), 0) - coalesce(max(units) filter (where stays), 0)
    else coalesce(sum(units) filter (where was), 0) - coalesce(sum(units) filter (where stays), 0) end::int as units
  from locked group by merchant_id, promotion_id
), accounts as (
  update promotions_account a set used = a.used - c.units from counted c
  where a.account_id = $1 and a.promotion_id = c.promotion_id and c.units > 0
), totals as materialized (
  select p.merchant_id, p.id, c.units from promotions_promotion p
  join counted c on p.merchant_id = c.merchant_id and p.id = c.promotion_id
  where p.total is not null and c.units > 0 order by p.merchant_id, p.id for no key update of p
)
update promotions_promotion p set claimed = p.claimed - t.units from totals t
where p.merchant_id = t.merchant_id and p.id = t.id
"""

_TERMS = """
select p.merchant_id, p.id, p.terms::text as terms_json, p.starts_at, p.ends_at
from unnest($1::uuid[], $2::uuid[]) w(merchant_id, id) join promotions_promotion p using (merchant_id, id)
"""
_FACTS = """
select l.merchant_id, l.sku_id, l.product_id, l.price, l.category_path, l.shop_category_ids
from unnest($1::uuid[], $2::uuid[]) w(merchant_id, sku_id) join listing_sku l using (merchant_id, sku_id)
"""

_GIVEN = """
select u.promotion_id, u.merchant_id, u.given::text as given, u.deducted, p.terms::text as terms_json
from promotions_use u join promotions_promotion p on p.merchant_id = u.merchant_id and p.id = u.promotion_id
where u.account_id = $1 and u.order_id = $2 and u.status = 'open' and u.given is not null
order by u.promotion_id for no key update of u
"""
_DEDUCTED = """
update promotions_use u set deducted = u.deducted + d.amount from unnest($3::uuid[], $4::bigint[]) d(promotion_id, amount)
where u.account_id = $1 and u.order_id = $2 and u.promotion_id = d.promotion_id
"""
_UNDECIDED = """
select count(*) from promotions_use u join orders o on o.id = u.order_id
where u.status = 'open' and o.status <> 'closed' and o.released_at is null
"""


class Use(NamedTuple):
    """What an order uses; `given` is `gifts.Given` in JSON."""

    merchant_id: UUID
    promotion_id: UUID
    order_id: UUID
    units: int
    shared: bool
    given: str | None


async def claim(
    tx: Tx, account_id: UUID, trade_id: UUID, wanted: Sequence[tuple[UUID, UUID, int]], uses: Sequence[Use]
) -> asyncpg.Record:
    """Draw `wanted` (merchant, promotion, units) and note `uses`. The answer: `sold_out`, `limited` (then the caller
    must roll back), and `until` when the account has something of per-account limits."""
    row = await tx.fetchrow(
        _CLAIM, account_id, trade_id, tx.now, *columns(sorted(wanted), 3), *columns(sorted(uses), 6)
    )
    assert row is not None, "sums without groups give one row"
    return row


async def end(tx: Tx, account_id: UUID, trade_id: UUID, orders: Sequence[UUID], status: str) -> None:
    """These orders are `closed` or `refunded`: give back what they used. The same orders again change nothing."""
    await tx.execute(_END, account_id, trade_id, orders, status)


async def terms(tx: Tx, keys: Sequence[Key]) -> list[asyncpg.Record]:
    """Promotions by their keys, with terms."""
    return await tx.fetch(_TERMS, *columns(keys, 2))


async def facts(tx: Tx, skus: Sequence[Key]) -> list[asyncpg.Record]:
    """What scopes look at, of these SKUs, and their prices."""
    return await tx.fetch(_FACTS, *columns(skus, 2))


async def given(tx: Tx, account_id: UUID, order_id: UUID) -> list[asyncpg.Record]:
    """Gifts of an order with the terms they came by; locked."""
    return await tx.fetch(_GIVEN, account_id, order_id)


async def deducted(tx: Tx, account_id: UUID, order_id: UUID, amounts: Sequence[tuple[UUID, int]]) -> None:
    """Note what a refund keeps back: (promotion, fen)."""
    await tx.execute(_DEDUCTED, account_id, order_id, *columns(amounts, 2))


async def undecided(tx: Tx) -> int:
    """How many uses belong to orders whose money is not released yet, over all accounts."""
    found: int = await tx.fetchval(_UNDECIDED)
    return found
