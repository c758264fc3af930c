"""Statements of coupons."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.api import MARKET_ID, Tx
from plugins.coupons.rules import Terms

_ADD = """
insert into coupons_template (merchant_id, id, terms, claim, total, per_account, valid_from, valid_to, valid_days,
  created_at)
values ($1, $2, $3::jsonb, $4, $5, $6, $7, $8, $9, $10) returning *, terms::text as terms_json
"""

_STOP = """
update coupons_template set status = 'closed' where merchant_id = $1 and id = $2
returning *, terms::text as terms_json
"""

_OF_ISSUER = """
select *, terms::text as terms_json from coupons_template
where merchant_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3
"""

_CLAIMABLE = """
select t.*, t.terms::text as terms_json, (select count(*) from coupons_coupon c
  where c.account_id = $1 and c.merchant_id = t.merchant_id and c.template_id = t.id) as mine
from coupons_template t
where t.status = 'open' and t.claim = 'open' and t.claimed < t.total and (t.valid_to is null or t.valid_to > $2)
  and ($3::uuid is null or t.merchant_id = $3) and ($4::uuid is null or t.id < $4)
order by t.id desc limit $5
"""

# The row lock makes claims of one template queue up, so the count that follows it is exact.
_TAKE = """
update coupons_template set claimed = claimed + 1
where merchant_id = $1 and id = $2 and status = 'open' and claim = 'open' and claimed < total
  and (valid_to is null or valid_to > $3)
returning *, terms::text as terms_json
"""

_GIVE = """
insert into coupons_coupon (account_id, id, merchant_id, template_id, ordinal, terms, valid_from, expires_at,
  claimed_at)
select $1, $2, $3, $4, n + 1, $5::jsonb, $6, $7, $8
from (select count(*) as n from coupons_coupon
  where account_id = $1 and merchant_id = $3 and template_id = $4) held
where n < $9 returning *, terms::text as terms_json
"""

_OF_BUYER = """
select *, terms::text as terms_json from coupons_coupon
where account_id = $1 and ($3::uuid is null or id < $3)
  and case when status = 'used' then 'used' when expires_at <= $2 then 'expired' else 'unused' end = any($4::text[])
order by id desc limit $5
"""

_USABLE = """
select *, terms::text as terms_json from coupons_coupon
where account_id = $1 and status = 'unused' and expires_at > $2 and merchant_id = any($3::uuid[])
order by expires_at, id limit 500
"""

_NAMED = (
    "select *, terms::text as terms_json from coupons_coupon where account_id = $1 and id = any($2::uuid[])"
)

_USE = """
with applied as (select coupon_id, array_agg(order_id) as order_ids
  from unnest($4::uuid[], $5::uuid[]) a(coupon_id, order_id) group by coupon_id),
held as materialized (
  select c.id, a.order_ids from coupons_coupon c join applied a on a.coupon_id = c.id
  where c.account_id = $1 and c.status = 'unused' and c.expires_at > $3 order by c.id for no key update of c
)
update coupons_coupon c set status = 'used', used_trade_id = $2, used_order_ids = held.order_ids, used_at = $3
from held where c.account_id = $1 and c.id = held.id
"""

_RETURN = """
update coupons_coupon set status = 'unused', used_trade_id = null, used_order_ids = '{}', used_at = null,
  paid_at = null
where account_id = $1 and used_trade_id = $2 and merchant_id = any($3::uuid[])
"""

_COUNT = """
with used as materialized (
  select id, merchant_id, template_id, paid_at is null as first from coupons_coupon
  where account_id = $1 and used_trade_id = $2 and $3 = any(used_order_ids) order by id for no key update
),
paid as (update coupons_coupon c set paid_at = $4 from used where c.account_id = $1 and c.id = used.id and used.first),
totals as (
  select merchant_id, template_id, count(*) as orders, count(*) filter (where first) as coupons from used
  group by merchant_id, template_id
),
locked as materialized (
  select t.merchant_id, t.id, totals.orders, totals.coupons from coupons_template t
  join totals on totals.merchant_id = t.merchant_id and totals.template_id = t.id
  order by t.merchant_id, t.id for no key update of t
)
update coupons_template t set orders_brought = t.orders_brought + locked.orders, used = t.used + locked.coupons
from locked where t.merchant_id = locked.merchant_id and t.id = locked.id
"""


async def add(
    tx: Tx,
    key: tuple[UUID, UUID],
    terms: Terms,
    claim: str,
    limits: tuple[int, int],
    valid: tuple[datetime | None, datetime | None, int | None],
) -> asyncpg.Record:
    """Write a template; `limits` are in total and per account."""
    row = await tx.fetchrow(_ADD, *key, msgspec.json.encode(terms).decode(), claim, *limits, *valid, tx.now)
    assert row is not None
    return row


async def of_issuer(tx: Tx, merchant_id: UUID, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """A merchant's templates, newest first."""
    return await tx.fetch(_OF_ISSUER, merchant_id, before, limit)


async def template(tx: Tx, key: tuple[UUID, UUID]) -> asyncpg.Record | None:
    """One template."""
    return await tx.fetchrow(
        "select *, terms::text as terms_json from coupons_template where merchant_id = $1 and id = $2", *key
    )


async def stop(tx: Tx, key: tuple[UUID, UUID]) -> asyncpg.Record | None:
    """Hand out no more of a template; claimed coupons stay valid."""
    return await tx.fetchrow(_STOP, *key)


async def claimable(
    tx: Tx, account_id: UUID | None, merchant_id: UUID | None, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Templates that can be claimed now, newest first, with how many the account has."""
    return await tx.fetch(_CLAIMABLE, account_id, tx.now, merchant_id, before, limit)


async def take(tx: Tx, key: tuple[UUID, UUID]) -> asyncpg.Record | None:
    """Take one of a template; None when there is none to take."""
    return await tx.fetchrow(_TAKE, *key, tx.now)


async def give(
    tx: Tx,
    account_id: UUID,
    coupon_id: UUID,
    taken: asyncpg.Record,
    valid_from: datetime,
    expires_at: datetime,
) -> asyncpg.Record | None:
    """Write the coupon of a template taken in this transaction; None when the account has its share
    already."""
    return await tx.fetchrow(
        _GIVE, account_id, coupon_id, taken["merchant_id"], taken["id"], taken["terms_json"], valid_from,
        expires_at, tx.now, taken["per_account"],
    )  # fmt: skip


async def of_buyer(
    tx: Tx, account_id: UUID, statuses: Sequence[str], before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """The account's coupons in these states, newest first."""
    return await tx.fetch(_OF_BUYER, account_id, tx.now, before, statuses, limit)


async def usable(tx: Tx, account_id: UUID, merchants: Sequence[UUID]) -> list[asyncpg.Record]:
    """The account's unused coupons of these shops and of the market."""
    return await tx.fetch(_USABLE, account_id, tx.now, [*merchants, MARKET_ID])


async def named(tx: Tx, account_id: UUID, ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Those of these coupons that the account holds, in whatever state."""
    return await tx.fetch(_NAMED, account_id, ids)


async def use(tx: Tx, account_id: UUID, trade_id: UUID, orders: Mapping[UUID, Sequence[UUID]]) -> int:
    """Mark coupons used, each with the orders it went to; the answer is how many still could be."""
    pairs = [(coupon, order) for coupon, ids in sorted(orders.items()) for order in ids]
    tag = await tx.execute(
        _USE, account_id, trade_id, tx.now, [coupon for coupon, _ in pairs], [order for _, order in pairs]
    )
    return int(tag.split()[-1])


async def give_back(tx: Tx, account_id: UUID, trade_id: UUID, issuers: Sequence[UUID]) -> None:
    """Make the coupons of these issuers unused again that went to a trade."""
    await tx.execute(_RETURN, account_id, trade_id, issuers)


async def count(tx: Tx, account_id: UUID, trade_id: UUID, order_id: UUID) -> None:
    """Count a paid order for the templates of the coupons that went to it."""
    await tx.execute(_COUNT, account_id, trade_id, order_id, tx.now)
