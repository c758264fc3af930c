"""Statements of handing coupons out and taking them back.

Whoever needs both locks a template before its coupons; several templates in the order of their keys.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from core.api import MARKET_ID, Tx, columns

# The row lock makes claims of one template queue up, so the count that follows it is exact.
_TAKE = """
update coupons_template set claimed = claimed + 1
where merchant_id = $1 and id = $2 and status = 'open' and claim = any($4::text[]) and claimed < total
  and (valid_to is null or valid_to > $3) and (claim_from is null or claim_from <= $3)
  and (claim_to is null or claim_to > $3)
returning *, terms::text as terms_json
"""

_GIVE = """
insert into coupons_coupon (account_id, id, merchant_id, template_id, ordinal, terms, valid_from, expires_at,
  claimed_at, origin, cause)
select $1, $2, $3, $4, last + 1, $5::jsonb, $6, $7, $8, $10, $11
from (select count(*) filter (where status <> 'void') as n, coalesce(max(ordinal), 0) as last,
  coalesce(bool_or(cause = $11), false) as had
  from coupons_coupon where account_id = $1 and merchant_id = $3 and template_id = $4) held
where n < $9 and not had returning *, terms::text as terms_json
"""

_USE_CODE = """
update coupons_code set used = used + 1 where code = $1 and used < uses returning merchant_id, template_id
"""

_TEMPLATES = """
select t.*, t.terms::text as terms_json from coupons_template t
join unnest($1::uuid[], $2::uuid[]) w(merchant_id, id) on t.merchant_id = w.merchant_id and t.id = w.id
order by t.merchant_id, t.id
"""
_LOCK = _TEMPLATES + "for no key update of t"

_HELD = """
select w.n, count(c.id) filter (where c.status <> 'void')::int as held, coalesce(max(c.ordinal), 0) as last,
  count(c.id) filter (where c.cause = w.cause)::int as had
from unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) w(n, merchant_id, template_id, account_id, cause)
left join coupons_coupon c
  on c.account_id = w.account_id and c.merchant_id = w.merchant_id and c.template_id = w.template_id
group by w.n order by w.n
"""

_HAND_OUT = """
with t as (
  update coupons_template t set claimed = t.claimed + w.n
  from (select merchant_id, template_id, count(*) as n from unnest($1::uuid[], $2::uuid[]) x(merchant_id, template_id)
    group by merchant_id, template_id) w
  where t.merchant_id = w.merchant_id and t.id = w.template_id returning t.merchant_id, t.id, t.terms
)
insert into coupons_coupon (merchant_id, template_id, account_id, id, ordinal, valid_from, expires_at, cause, terms,
  claimed_at, origin)
select x.*, t.terms, $9::timestamptz, $10::text
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::timestamptz[], $7::timestamptz[], $8::text[])
  x(merchant_id, template_id, account_id, id, ordinal, valid_from, expires_at, cause)
join t on t.merchant_id = x.merchant_id and t.id = x.template_id
"""

_GIFTS = """
select merchant_id, id, gift::text as gift_json from coupons_template
where merchant_id in ($1, $2) and status = 'open' and gift is not null and claimed < total
  and (valid_to is null or valid_to > $3) and (claim_from is null or claim_from <= $3)
  and (claim_to is null or claim_to > $3)
order by merchant_id, id
"""

_CAUSED = """
select c.id, c.merchant_id, c.template_id, t.gift::text as gift_json from coupons_coupon c
join coupons_template t on t.merchant_id = c.merchant_id and t.id = c.template_id
where c.account_id = $1 and c.cause = $2 and c.status in ('unused', 'used') and c.deducted_at is null
"""

_TAKE_BACK = """
with mine as materialized (
  select id, status, merchant_id, template_id, terms->>'name' as name from coupons_coupon
  where account_id = $1 and id = any($2::uuid[]) and status in ('unused', 'used') and deducted_at is null
  order by id for update
), gone as (
  update coupons_coupon c set status = 'void', voided_at = $3, void_reason = $4 from mine m
  where c.account_id = $1 and c.id = m.id and m.status = 'unused'
), kept as (
  update coupons_coupon c set deducted_at = $3 from mine m where c.account_id = $1 and c.id = m.id and m.status = 'used'
), counted as (
  update coupons_template t set voided = t.voided + v.n
  from (select merchant_id, template_id, count(*) as n from mine where status = 'unused' group by 1, 2) v
  where t.merchant_id = v.merchant_id and t.id = v.template_id
)
select id, merchant_id, name from mine where status = 'used' order by id
"""

# What used coupons took off and refunds have not taken back since, by the shop whose order it was.
_WORTH = """
select u.coupon_id, o.merchant_id, sum(u.market - u.back_market)::bigint as market,
  sum(u.merchant - u.back_merchant)::bigint as merchant
from coupons_use u left join orders o on o.id = u.order_id
where u.account_id = $1 and u.coupon_id = any($2::uuid[]) and u.status in ('open', 'paid')
group by u.coupon_id, o.merchant_id order by u.coupon_id, o.merchant_id
"""

_ACCOUNTS = """
select id, login from account where status = 'active' and not guest and (id = any($1::uuid[]) or login = any($2::text[]))
"""

_NEXT_DUE = """
select distinct merchant_id, template_id from (
  select merchant_id, template_id from coupons_coupon where status = 'unused' and expires_at <= $1
  order by expires_at limit $2) due
"""

# Only coupons of templates that are locked already; one that somebody is just using is left for the next time.
_EXPIRE = """
with due as materialized (
  select account_id, id, merchant_id, template_id from coupons_coupon
  where status = 'unused' and expires_at <= $1
    and (merchant_id, template_id) in (select * from unnest($3::uuid[], $4::uuid[]))
  order by expires_at limit $2 for update skip locked
), gone as (
  update coupons_coupon c set status = 'expired' from due d where c.account_id = d.account_id and c.id = d.id
), counted as (
  update coupons_template t set expired = t.expired + n.n
  from (select merchant_id, template_id, count(*) as n from due group by merchant_id, template_id) n
  where t.merchant_id = n.merchant_id and t.id = n.template_id
)
select count(*)::int from due
"""

# All that ends soon of the accounts whose turn it is, so that each is told once of everything.
_REMIND = """
with first as (
  select account_id from coupons_coupon
  where status = 'unused' and reminded_at is null and expires_at > $1 and expires_at <= $2 order by expires_at limit $3
), due as materialized (
  select c.account_id, c.id from coupons_coupon c
  where c.account_id in (select account_id from first) and c.status = 'unused' and c.reminded_at is null
    and c.expires_at > $1 and c.expires_at <= $2
  for update skip locked
)
update coupons_coupon c set reminded_at = $1 from due d where c.account_id = d.account_id and c.id = d.id
returning c.account_id, c.id, c.expires_at
"""

Key = tuple[UUID, UUID]


class Coupon(NamedTuple):
    """A coupon to be written."""

    key: Key
    account_id: UUID
    id: UUID
    ordinal: int
    valid_from: datetime
    expires_at: datetime
    cause: str


async def take(tx: Tx, key: Key, claims: Sequence[str]) -> asyncpg.Record | None:
    """Take one of a template that is handed out in one of these ways; None when there is none to take."""
    return await tx.fetchrow(_TAKE, *key, tx.now, claims)


async def give(
    tx: Tx,
    account_id: UUID,
    coupon_id: UUID,
    taken: asyncpg.Record,
    valid: tuple[datetime, datetime],
    cause: str | None,
) -> asyncpg.Record | None:
    """Write the coupon of a template taken in this transaction; None when the account has its share already, or one for
    this cause."""
    return await tx.fetchrow(
        _GIVE, account_id, coupon_id, taken["merchant_id"], taken["id"], taken["terms_json"], *valid, tx.now,
        taken["per_account"], taken["claim"], cause,
    )  # fmt: skip


async def use_code(tx: Tx, code: str) -> Key | None:
    """Count one use of a code; its template, None when it is unknown or used up."""
    row = await tx.fetchrow(_USE_CODE, code)
    return None if row is None else (row["merchant_id"], row["template_id"])


async def code_known(tx: Tx, code: str) -> bool:
    """Whether there is such a code."""
    return await tx.fetchval("select true from coupons_code where code = $1", code) is not None


async def caused(tx: Tx, account_id: UUID, key: Key, cause: str) -> bool:
    """Whether the account ever got a coupon of the template for this cause."""
    found: bool = await tx.fetchval(
        "select exists (select from coupons_coupon"
        " where account_id = $1 and cause = $4 and merchant_id = $2 and template_id = $3)",
        account_id, *key, cause,
    )  # fmt: skip
    return found


async def templates(tx: Tx, keys: Sequence[Key]) -> dict[Key, asyncpg.Record]:
    """Those of these templates that there are."""
    return _by_key(await tx.fetch(_TEMPLATES, *columns(sorted(set(keys)), 2)))


async def lock(tx: Tx, keys: Sequence[Key]) -> dict[Key, asyncpg.Record]:
    """Those of these templates that there are, as they are until the transaction ends."""
    return _by_key(await tx.fetch(_LOCK, *columns(sorted(set(keys)), 2)))


def _by_key(rows: Sequence[asyncpg.Record]) -> dict[Key, asyncpg.Record]:
    return {(row["merchant_id"], row["id"]): row for row in rows}


async def held(tx: Tx, wanted: Sequence[tuple[UUID, UUID, UUID, str]]) -> list[asyncpg.Record]:
    """For each (merchant, template, account, cause) in turn: how many coupons of it the account has (`held`), the last
    `ordinal`, how many it `had` for the cause."""
    return await tx.fetch(_HELD, list(range(len(wanted))), *columns(wanted, 4))


async def hand_out(tx: Tx, coupons: Sequence[Coupon], origin: str) -> None:
    """Write coupons of templates that are locked and count them there."""
    rows = [(*coupon.key, *coupon[1:]) for coupon in coupons]
    await tx.execute(_HAND_OUT, *columns(rows, 8), tx.now, origin)


async def gifts(tx: Tx, merchant_id: UUID) -> list[asyncpg.Record]:
    """Key and gift of the templates that a paid order of this merchant may bring."""
    return await tx.fetch(_GIFTS, merchant_id, MARKET_ID, tx.now)


async def caused_by(tx: Tx, account_id: UUID, cause: str) -> list[asyncpg.Record]:
    """Id, template and gift of the account's coupons that came for a cause and can still be taken back."""
    return await tx.fetch(_CAUSED, account_id, cause)


async def take_back(tx: Tx, account_id: UUID, ids: Sequence[UUID], reason: str) -> list[asyncpg.Record]:
    """Void those of these coupons that are unused. The answer are the used ones, marked as deducted: their buyer pays for
    them now. Their templates are locked."""
    return await tx.fetch(_TAKE_BACK, account_id, ids, tx.now, reason)


async def worth(tx: Tx, account_id: UUID, ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """What these used coupons took off, by coupon and shop: `market` and `merchant` as bearers."""
    return await tx.fetch(_WORTH, account_id, ids)


async def accounts(tx: Tx, ids: Sequence[UUID], logins: Sequence[str]) -> list[asyncpg.Record]:
    """Id and login of those of these accounts that are registered and active."""
    return await tx.fetch(_ACCOUNTS, ids, logins)


async def next_due(tx: Tx, limit: int) -> list[Key]:
    """The templates of the `limit` coupons that have waited longest to be marked as expired."""
    return [(row["merchant_id"], row["template_id"]) for row in await tx.fetch(_NEXT_DUE, tx.now, limit)]


async def expire(tx: Tx, keys: Sequence[Key], limit: int) -> int:
    """Mark up to `limit` coupons of these templates as expired that are; how many."""
    count: int = await tx.fetchval(_EXPIRE, tx.now, limit, *columns(keys, 2))
    return count


async def remind(tx: Tx, until: datetime, limit: int) -> list[asyncpg.Record]:
    """Mark coupons as reminded that end by then, of the accounts of the first `limit`: account, id, end."""
    return await tx.fetch(_REMIND, tx.now, until, limit)
