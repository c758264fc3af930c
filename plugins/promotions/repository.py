"""Statements of promotions as they are run and read; those of what is used are in `usage.py`."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import Tx, columns
from plugins.promotions.terms import Terms

_ADD = """
insert into promotions_promotion (merchant_id, id, kind, terms, starts_at, ends_at, campaign_id, owners, skus, per_account,
  total, mark, during, created_at, created_by)
values ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10, $11, numrange($12, $12, '[]'), tstzrange($5, $6), $13, $14)
returning *, terms::text as terms_json
"""
_ONE = "select *, terms::text as terms_json from promotions_promotion where merchant_id = $1 and id = $2"
_CHANGE = """
update promotions_promotion set kind = $3, terms = $4::jsonb, starts_at = $5, ends_at = $6, campaign_id = $7, owners = $8,
  skus = $9, per_account = $10, total = $11, during = tstzrange($5, $6)
where merchant_id = $1 and id = $2 and status <> 'stopped'
  and (status = 'draft' or starts_at > $12)
returning *, terms::text as terms_json
"""
_PUBLISH = """
update promotions_promotion set status = 'scheduled' where merchant_id = $1 and id = $2 and status = 'draft'
returning *, terms::text as terms_json
"""
_EXTEND = """
update promotions_promotion set ends_at = $3, during = tstzrange(starts_at, $3)
where merchant_id = $1 and id = $2 and status = 'scheduled' and ends_at > $4 and ends_at < $3
returning *, terms::text as terms_json
"""
# One that never began has an empty time, which overlaps nothing.
_STOP = """
update promotions_promotion set status = 'stopped', stopped_at = $3, stop_reason = $4,
  during = case when starts_at < $3 then tstzrange(starts_at, $3) else 'empty' end
where merchant_id = $1 and id = $2 and status = 'scheduled' and ends_at > $3
returning *, terms::text as terms_json
"""
_PAGE = """
select *, terms::text as terms_json from promotions_promotion
where merchant_id = $1 and ($2::uuid is null or id < $2) and ($3::text is null or kind = $3)
  and ($4::text is null or $4 = case
    when status <> 'scheduled' then status when $5 < starts_at then 'scheduled'
    when $5 < ends_at then 'running' else 'over' end)
order by id desc limit $6
"""
_RIVALS = """
select p.terms->>'name' from promotions_promotion p
where p.merchant_id = $1 and p.id <> $2 and p.kind = 'reduction' and p.status = 'scheduled'
  and p.during && tstzrange($3, $4)
order by p.starts_at limit 1
"""
_COUNT = "select count(*)::int from promotions_promotion where merchant_id = $1 and status = 'scheduled' and ends_at > $2"

# Facts and stock of what a promotion gives.
_SHELF = """
  select json_agg(json_build_object('merchant_id', l.merchant_id, 'sku_id', l.sku_id, 'product_id', l.product_id,
    'title', l.title, 'specs', l.specs, 'image_url', l.image_url, 'weight_g', l.weight_g, 'volume_cm3', l.volume_cm3,
    'requires_shipping', l.requires_shipping, 'left', greatest(0, s.on_hand - s.reserved)))::text as shelf
  from unnest(p.owners, p.skus) u(merchant_id, sku_id)
  join listing_sku l on l.merchant_id = u.merchant_id and l.sku_id = u.sku_id
  join stock s on s.merchant_id = u.merchant_id and s.sku_id = u.sku_id
  where p.kind in ('gift', 'reduction')
"""

# $3 are the shops whose promotions are to be read, all that run or will; of the others of $2 only what is left of those that
# count or give something.
_RUNNING = f"""
select p.merchant_id, p.id, p.starts_at, p.ends_at, p.total - p.claimed as left, coalesce(a.used, 0) as used, g.shelf,
  case when p.merchant_id = any($3::uuid[]) then p.terms::text end as terms_json
from promotions_promotion p
left join promotions_account a on a.account_id = $1 and a.promotion_id = p.id
left join lateral ({_SHELF} and p.starts_at <= $4) g on true
where p.merchant_id = any($2::uuid[]) and p.status = 'scheduled' and p.ends_at > $4
  and (p.merchant_id = any($3::uuid[]) or p.starts_at <= $4 and (
    p.total is not null or p.per_account is not null or p.kind in ('gift', 'reduction') and p.skus <> '{{}}'))
order by p.merchant_id, p.id
"""  # noqa: S608

_LEFT = f"""
select p.id, p.total - p.claimed as left, coalesce(a.used, 0) as used, g.shelf
from unnest($2::uuid[], $3::uuid[]) w(merchant_id, id) join promotions_promotion p using (merchant_id, id)
left join promotions_account a on a.account_id = $1 and a.promotion_id = p.id
left join lateral ({_SHELF}) g on true
"""  # noqa: S608

# What products show: with the products and prices of the SKUs that promotions name.
_SHOWN = """
select p.merchant_id, p.id, p.starts_at, p.ends_at, p.terms::text as terms_json, n.named
from promotions_promotion p left join lateral (
  select json_agg(json_build_object('merchant_id', l.merchant_id, 'sku_id', l.sku_id, 'product_id', l.product_id,
    'price', l.price))::text as named
  from unnest(p.owners, p.skus) u(merchant_id, sku_id)
  join listing_sku l on l.merchant_id = u.merchant_id and l.sku_id = u.sku_id
  where p.kind in ('limited', 'bundle') and l.live
) n on true
where p.merchant_id = any($1::uuid[]) and p.status = 'scheduled' and p.ends_at > $2 and p.starts_at <= $3
  and (p.total is null or p.claimed < p.total)
order by p.merchant_id, p.id desc
"""

_PRICES = """
select l.merchant_id, l.sku_id, l.price from unnest($1::uuid[], $2::uuid[]) u(merchant_id, sku_id)
join listing_sku l on l.merchant_id = u.merchant_id and l.sku_id = u.sku_id
"""

# How each sort of scope finds the ids it may name; $1 is the shop, null for the market's promotions.
_KNOWN = {
    "products": "select merchant_id, id from product where id = any($2::uuid[]) and ($1::uuid is null or merchant_id = $1)",
    "shop_categories": """select merchant_id, id from shop_category
      where id = any($2::uuid[]) and ($1::uuid is null or merchant_id = $1)""",
    "categories": """select null::uuid as merchant_id, id from category
      where id = any($2::uuid[]) and ($1::uuid is null or true)""",
    "merchants": "select null::uuid as merchant_id, id from merchant where id = any($2::uuid[]) and $1::uuid is null",
}

Key = tuple[UUID, UUID]


class Plan(NamedTuple):
    """A promotion about to be written: `skus` are (merchant id, SKU id) of its items and gifts."""

    terms: Terms
    starts_at: datetime
    ends_at: datetime
    campaign_id: UUID | None
    skus: Sequence[Key]


async def add(tx: Tx, key: Key, plan: Plan, by: UUID | None) -> asyncpg.Record:
    """Write a draft."""
    owners, skus = columns(plan.skus, 2)
    row = await tx.fetchrow(
        _ADD, *key, plan.terms.kind, _json(plan.terms), plan.starts_at, plan.ends_at, plan.campaign_id, owners, skus,
        plan.terms.per_account, plan.terms.total, Decimal(key[0].int), tx.now, by,
    )  # fmt: skip
    assert row is not None
    return row


def _json(terms: Terms) -> str:
    return msgspec.json.encode(terms).decode()


async def one(tx: Tx, key: Key, *, locked: bool = False) -> asyncpg.Record | None:
    """One promotion, `locked` until the transaction ends."""
    return await tx.fetchrow(f"{_ONE} for no key update" if locked else _ONE, *key)


async def change(tx: Tx, key: Key, plan: Plan) -> asyncpg.Record | None:
    """Write another plan; None once it has begun. Raises asyncpg's ExclusionViolationError for a second full reduction."""
    owners, skus = columns(plan.skus, 2)
    return await tx.fetchrow(
        _CHANGE, *key, plan.terms.kind, _json(plan.terms), plan.starts_at, plan.ends_at, plan.campaign_id, owners, skus,
        plan.terms.per_account, plan.terms.total, tx.now,
    )  # fmt: skip


async def publish(tx: Tx, key: Key) -> asyncpg.Record | None:
    """A draft becomes scheduled; None when it is none. Raises as `change`."""
    return await tx.fetchrow(_PUBLISH, *key)


async def extend(tx: Tx, key: Key, ends_at: datetime) -> asyncpg.Record | None:
    """A later end; None when it is over, stopped or a draft, or ends later already. Raises as `change`."""
    return await tx.fetchrow(_EXTEND, *key, ends_at, tx.now)


async def stop(tx: Tx, key: Key, reason: str) -> asyncpg.Record | None:
    """End it now, and note why; None when it is over, stopped or a draft."""
    return await tx.fetchrow(_STOP, *key, tx.now, reason)


async def drop(tx: Tx, key: Key) -> bool:
    """Delete a draft; False when it is none."""
    sql = "delete from promotions_promotion where merchant_id = $1 and id = $2 and status = 'draft' returning id"
    return await tx.fetchval(sql, *key) is not None


async def page(
    tx: Tx, merchant_id: UUID, before: UUID | None, kind: str | None, status: str | None, limit: int
) -> list[asyncpg.Record]:
    """Promotions of a merchant, newest first."""
    return await tx.fetch(_PAGE, merchant_id, before, kind, status, tx.now, limit)


async def rival(tx: Tx, key: Key, starts_at: datetime, ends_at: datetime) -> str | None:
    """The name of another full reduction of the merchant in that time."""
    found: str | None = await tx.fetchval(_RIVALS, *key, starts_at, ends_at)
    return found


async def going(tx: Tx, merchant_id: UUID) -> int:
    """How many are scheduled or running."""
    found: int = await tx.fetchval(_COUNT, merchant_id, tx.now)
    return found


async def running(
    tx: Tx, account_id: UUID | None, shops: Sequence[UUID], unread: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Of the shops `unread` all promotions that run or will, with terms; of all `shops` what is `left` of totals, what the
    account has `used`, and the `shelf` of gifts, of those that run."""
    return await tx.fetch(_RUNNING, account_id, shops, unread, tx.now)


async def left(tx: Tx, account_id: UUID | None, keys: Sequence[Key]) -> list[asyncpg.Record]:
    """Of these promotions what is `left` of totals, what the account has `used`, and the `shelf` of gifts."""
    return await tx.fetch(_LEFT, account_id, *columns(keys, 2))


async def shown(tx: Tx, merchants: Sequence[UUID], until: datetime) -> list[asyncpg.Record]:
    """What of these merchants runs before `until`, the newest first, with the SKUs that they name."""
    return await tx.fetch(_SHOWN, merchants, tx.now, until)


async def prices(tx: Tx, skus: Sequence[Key]) -> dict[Key, int]:
    """The prices of those of these SKUs that there are."""
    rows = await tx.fetch(_PRICES, *columns(skus, 2))
    return {(row["merchant_id"], row["sku_id"]): row["price"] for row in rows}


async def known(
    tx: Tx, kind: str, merchant_id: UUID | None, ids: Sequence[UUID]
) -> set[tuple[UUID | None, UUID]]:
    """(owner, id) of those of these products, categories or merchants that there are; of one shop, or with None of all."""
    return {(row["merchant_id"], row["id"]) for row in await tx.fetch(_KNOWN[kind], merchant_id, ids)}
