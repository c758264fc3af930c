"""Statements of templates, codes and wallets; those of using are in `usage.py`, those of handing out in `handing.py`."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import Tx
from plugins.coupons.rules import Terms
from plugins.coupons.schemas import Gift, Valid

_ADD = """
insert into coupons_template (merchant_id, id, terms, claim, gift, total, per_account, claim_from, claim_to, valid_from,
  valid_to, valid_days, delay_days, created_at)
values ($1, $2, $3::jsonb, $4, $5::jsonb, $6, $7, $8, $9, $10, $11, $12, $13, $14)
returning *, terms::text as terms_json, gift::text as gift_json
"""

_ONE = """
select *, terms::text as terms_json, gift::text as gift_json from coupons_template where merchant_id = $1 and id = $2
"""

_CHANGE = """
update coupons_template set terms = jsonb_set(terms, '{name}', to_jsonb($3::text)), claim_from = $4, claim_to = $5,
  total = $6, per_account = $7
where merchant_id = $1 and id = $2 and total <= $6
returning *, terms::text as terms_json, gift::text as gift_json
"""

_STOP = """
update coupons_template set status = case when status = 'open' then $3 when $3 = 'void' then $3 else status end
where merchant_id = $1 and id = $2 returning *, terms::text as terms_json, gift::text as gift_json
"""

# Each batch sees what was claimed up to then; one that somebody is just using is waited for, and then is used or void.
_VOID = """
with unused as materialized (
  select account_id, id from coupons_coupon
  where merchant_id = $1 and template_id = $2 and status = 'unused' order by id limit $5 for update
), gone as (
  update coupons_coupon c set status = 'void', voided_at = $3, void_reason = $4 from unused u
  where c.account_id = u.account_id and c.id = u.id returning c.id
)
select count(*)::int from gone
"""

_VOIDED = """
update coupons_template set voided = voided + $3 where merchant_id = $1 and id = $2
returning *, terms::text as terms_json, gift::text as gift_json
"""
_BATCH = 5000

_OF_ISSUER = """
select *, terms::text as terms_json, gift::text as gift_json from coupons_template
where merchant_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3
"""

# $6 are the ids by which a template's scope may name a product: its own, its categories', its shop's.
_OFFERED = """
select t.*, t.terms::text as terms_json, t.gift::text as gift_json, (select count(*)::int from coupons_coupon c
  where c.account_id = $1 and c.merchant_id = t.merchant_id and c.template_id = t.id and c.status <> 'void') as mine
from coupons_template t
where t.status = 'open' and t.claim in ('open', 'new_account') and (t.valid_to is null or t.valid_to > $2)
  and (t.claim_to is null or t.claim_to > $2) and ($3::uuid[] is null or t.merchant_id = any($3))
  and ($4::uuid is null or t.id < $4)
  and ($6::text[] is null or t.terms->>'scope' = 'all' or t.terms->'ids' ?| $6)
order by t.id desc limit $5
"""

# What makes an account new: when it registered, and where it has paid.
_NEWNESS = """
select (select created_at from account where id = $1) as created_at,
  exists (select from orders where account_id = $1 and paid_at is not null) as paid,
  array(select distinct merchant_id from orders
    where account_id = $1 and paid_at is not null and merchant_id = any($2::uuid[])) as paid_at
"""

_HANDED_OUT = """
select c.id, c.status, c.origin, c.claimed_at, c.valid_from, c.expires_at, c.used_at, c.account_id, a.login
from coupons_coupon c left join account a on a.id = c.account_id
where c.merchant_id = $1 and c.template_id = $2 and ($3::uuid is null or c.id < $3) order by c.id desc limit $4
"""

# A coupon past its end shows as expired also before the sweep has marked it.
_OF_BUYER = """
select *, terms::text as terms_json from coupons_coupon
where account_id = $1 and ($3::uuid is null or id < $3)
  and case when status <> 'unused' then status when expires_at <= $2 then 'expired' else status end = any($4::text[])
  and ($6::timestamptz is null or status = 'unused' and expires_at <= $6)
order by id desc limit $5
"""

_ADD_CODES = """
insert into coupons_code (merchant_id, code, template_id, uses, created_at)
select $1, code, $2, $4, $5 from unnest($3::text[]) code on conflict (code) do nothing returning code
"""

_CODES = """
select code, uses, used, created_at from coupons_code
where merchant_id = $1 and template_id = $2 and ($3::text is null or code > $3) order by code limit $4
"""

# How each sort of scope finds the ids it may name; $1 is the shop, null for the market's coupons.
_KNOWN = {
    "products": "select merchant_id, id from product where id = any($2::uuid[]) and ($1::uuid is null or merchant_id = $1)",
    "shop_categories": """select merchant_id, id from shop_category
      where id = any($2::uuid[]) and ($1::uuid is null or merchant_id = $1)""",
    "categories": """select null::uuid as merchant_id, id from category
      where id = any($2::uuid[]) and ($1::uuid is null or true)""",
    "merchants": "select null::uuid as merchant_id, id from merchant where id = any($2::uuid[]) and $1::uuid is null",
}


class Claiming(NamedTuple):
    """How a template is handed out."""

    claim: str
    total: int
    per_account: int
    opens: datetime | None
    ends: datetime | None


async def add(
    tx: Tx, key: tuple[UUID, UUID], terms: Terms, claiming: Claiming, valid: Valid, gift: Gift | None
) -> asyncpg.Record:
    """Write a template."""
    row = await tx.fetchrow(
        _ADD, *key, _json(terms), claiming.claim, None if gift is None else _json(gift), claiming.total,
        claiming.per_account, claiming.opens, claiming.ends, valid.from_, valid.to, valid.days, valid.delay_days,
        tx.now,
    )  # fmt: skip
    assert row is not None
    return row


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def of_issuer(tx: Tx, merchant_id: UUID, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """A merchant's templates, newest first."""
    return await tx.fetch(_OF_ISSUER, merchant_id, before, limit)


async def template(tx: Tx, key: tuple[UUID, UUID]) -> asyncpg.Record | None:
    """One template."""
    return await tx.fetchrow(_ONE, *key)


async def locked(tx: Tx, key: tuple[UUID, UUID]) -> asyncpg.Record | None:
    """One template, as it is until the transaction ends."""
    return await tx.fetchrow(f"{_ONE} for no key update", *key)


async def change(tx: Tx, key: tuple[UUID, UUID], name: str, claiming: Claiming) -> asyncpg.Record | None:
    """Write what may change; None when `total` would shrink."""
    return await tx.fetchrow(
        _CHANGE, *key, name, claiming.opens, claiming.ends, claiming.total, claiming.per_account
    )


async def stop(tx: Tx, key: tuple[UUID, UUID], status: str) -> asyncpg.Record | None:
    """Hand out no more of a template; `closed` does not undo `void`. Claims of it wait until the transaction ends."""
    return await tx.fetchrow(_STOP, *key, status)


async def void_unused(tx: Tx, key: tuple[UUID, UUID], reason: str) -> int:
    """Void all unused coupons of a template that was stopped in this transaction; how many."""
    voided = 0
    while True:
        count: int = await tx.fetchval(_VOID, *key, tx.now, reason, _BATCH)
        voided += count
        if count == 0:
            return voided


async def count_voided(tx: Tx, key: tuple[UUID, UUID], count: int) -> asyncpg.Record:
    """Add to a template's statistics."""
    row = await tx.fetchrow(_VOIDED, *key, count)
    assert row is not None
    return row


async def offered(
    tx: Tx,
    account_id: UUID | None,
    issuers: Sequence[UUID] | None,
    names: Sequence[str] | None,
    before: UUID | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Templates that are claimed by hand and not over, newest first, with how many the account has; of these issuers, and
    for goods that `names` mean (ids as clients know them)."""
    return await tx.fetch(_OFFERED, account_id, tx.now, issuers, before, limit, names)


async def newness(tx: Tx, account_id: UUID, merchants: Sequence[UUID]) -> asyncpg.Record:
    """`created_at` of the account, whether it ever `paid`, and at which of these merchants (`paid_at`)."""
    row = await tx.fetchrow(_NEWNESS, account_id, merchants)
    assert row is not None
    return row


async def listing(tx: Tx, product: tuple[UUID, UUID]) -> asyncpg.Record | None:
    """`category_path` and `shop_category_ids` of a product on sale."""
    return await tx.fetchrow(
        "select category_path, shop_category_ids from listing"
        " where merchant_id = $1 and product_id = $2 and live",
        *product,
    )


async def known(
    tx: Tx, kind: str, merchant_id: UUID | None, ids: Sequence[UUID]
) -> set[tuple[UUID | None, UUID]]:
    """(owner, id) of those of these products, categories or merchants that there are; of one shop, or with None of all."""
    return {(row["merchant_id"], row["id"]) for row in await tx.fetch(_KNOWN[kind], merchant_id, ids)}


async def handed_out(tx: Tx, key: tuple[UUID, UUID], before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """A template's claimed coupons with their accounts, newest first."""
    return await tx.fetch(_HANDED_OUT, *key, before, limit)


async def of_buyer(
    tx: Tx,
    account_id: UUID,
    statuses: Sequence[str],
    until: datetime | None,
    before: UUID | None,
    limit: int,
) -> list[asyncpg.Record]:
    """The account's coupons in these states, newest first; with `until` those that are unused and end by then."""
    return await tx.fetch(_OF_BUYER, account_id, tx.now, before, statuses, limit, until)


async def add_codes(tx: Tx, key: tuple[UUID, UUID], codes: Sequence[str], uses: int) -> list[str]:
    """Write codes of a template; the answer are those that nobody else had."""
    return [row["code"] for row in await tx.fetch(_ADD_CODES, *key, codes, uses, tx.now)]


async def codes(tx: Tx, key: tuple[UUID, UUID], after: str | None, limit: int) -> list[asyncpg.Record]:
    """A template's codes in alphabetical order."""
    return await tx.fetch(_CODES, *key, after, limit)
