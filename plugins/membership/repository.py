"""Statements of levels and what is shown; those of what members have are in `books.py`, of sales in `sales.py`."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import Tx
from plugins.membership.rules import Level

# Levels of $1, and of the account $2 its usable points, its growth and bought levels in $3 (null: everywhere); one row.
_LOOK = """
select
  (select json_agg(l)::text from membership_level l where l.merchant_id = any($1::uuid[])) as levels,
  (select coalesce(sum(points), 0)::bigint from membership_lot
   where account_id = $2 and points > 0 and expires_at > $4) as points,
  (select json_object_agg(merchant_id, growth)::text from membership_member
   where account_id = $2 and ($3::uuid[] is null or merchant_id = any($3))) as growth,
  array(select level_id from membership_term
   where account_id = $2 and until > $4 and ($3::uuid[] is null or merchant_id = any($3))) as bought
"""

_SHOWN = """
select l.*, l.prices::text as prices_json,
  (select json_agg(json_build_array(s.shop_id, s.sku_id, s.product_id, s.months) order by s.id)::text
   from membership_sale s where s.merchant_id = l.merchant_id and s.level_id = l.id and s.until_at is null) as sold_by
from membership_level l
"""

_LEVELS = _SHOWN + "where l.merchant_id = any($1::uuid[]) order by l.merchant_id, l.growth, l.id"

_ADD = """
insert into membership_level (merchant_id, id, name, gained_by, growth, discount_bp, merchant_share_bp, prices, perks,
  created_at)
values ($1, $2, $3, case when $4::bigint is null then 'purchase' else 'growth' end, $4, $5, $6, $7::jsonb, $8, $9)
"""

_CHANGE = """
update membership_level set name = $3, growth = $4, discount_bp = $5, merchant_share_bp = $6, prices = $7::jsonb,
  perks = $8
where merchant_id = $1 and id = $2
"""

_DROP = "delete from membership_level where merchant_id = $1 and id = $2 returning id"

_SKUS = """
select merchant_id, id, product_id from sku where id = any($1::uuid[]) and ($2::uuid is null or merchant_id = $2)
"""

_STANDING = """
select a.points, a.debt, l.ends, l.parts, m.shops, m.growths, t.issuers, t.levels, t.untils
from (select 1) one
left join membership_account a on a.account_id = $1
left join lateral (select array_agg(x.expires_at order by x.expires_at) as ends,
    array_agg(x.points order by x.expires_at) as parts
  from membership_lot x where x.account_id = $1 and x.points > 0 and x.expires_at > $2) l on true
left join lateral (select array_agg(x.merchant_id) as shops, array_agg(x.growth) as growths
  from (select merchant_id, growth from membership_member where account_id = $1
    and ($3::uuid[] is null or merchant_id = any($3)) order by growth desc limit 51) x) m on true
left join lateral (select array_agg(x.merchant_id) as issuers, array_agg(x.level_id) as levels, array_agg(x.until) as untils
  from (select merchant_id, level_id, until from membership_term where account_id = $1 and until > $2
    and ($3::uuid[] is null or merchant_id = any($3)) order by until desc limit 51) x) t on true
"""

_JOURNAL = """
select * from membership_journal
where account_id = $1 and ($2::text is null or unit = $2) and ($3::uuid is null or merchant_id = $3)
  and ($4::uuid is null or id < $4)
order by id desc limit $5
"""

_MEMBERS = """
select m.*, n.nickname, a.points, a.debt,
  (select json_agg(json_build_array(l.name, t.until) order by l.id)::text
   from membership_term t join membership_level l on l.merchant_id = t.merchant_id and l.id = t.level_id
   where t.account_id = m.account_id and t.merchant_id = m.merchant_id and t.until > $6) as bought
from membership_member m
left join account n on n.id = m.account_id
left join membership_account a on a.account_id = m.account_id
where m.merchant_id = $1 and ($2::uuid is null or m.id < $2) and ($4::uuid is null or m.id = $4)
  and ($5::uuid is null or m.account_id = $5)
order by m.id desc limit $3
"""

_UNDECIDED = """
select count(*) from membership_order m join orders o on o.merchant_id = m.merchant_id and o.id = m.order_id
where not m.closed and m.back_points < m.used_points and o.status <> 'closed' and o.released_at is null
"""


_RUNNING = "select count(*) from membership_term where until > $1"


class Look(NamedTuple):
    """Levels by issuer, and what the account has: usable points, growth by shop (or market), ids of bought levels."""

    levels: dict[UUID, list[Level]]
    points: int
    growth: Mapping[UUID, int]
    bought: Collection[UUID]


NOTHING = Look({}, 0, {}, ())


class _Stored(msgspec.Struct, frozen=True):
    merchant_id: UUID
    id: UUID
    name: str
    growth: int | None
    discount_bp: int
    merchant_share_bp: int
    prices: list[tuple[UUID, UUID, int]]


async def look(
    tx: Tx, issuers: Sequence[UUID], account_id: UUID | None, shops: Sequence[UUID] | None = None
) -> Look:
    """The levels of these issuers, and the account's points, growth and bought levels (None: of nobody); one
    statement."""
    row = await tx.fetchrow(_LOOK, issuers, account_id, shops, tx.now)
    assert row is not None
    levels: dict[UUID, list[Level]] = {issuer: [] for issuer in issuers}
    for found in msgspec.json.decode(row["levels"], type=list[_Stored]) if row["levels"] else ():
        prices = {sku: (product, fen) for sku, product, fen in found.prices}
        levels[found.merchant_id].append(
            Level(found.merchant_id, found.id, found.name, found.growth, found.discount_bp,
                  found.merchant_share_bp, prices)
        )  # fmt: skip
    growth = msgspec.json.decode(row["growth"], type=dict[UUID, int]) if row["growth"] else {}
    return Look(levels, row["points"], growth, frozenset(row["bought"]))


async def levels(tx: Tx, *issuers: UUID) -> list[asyncpg.Record]:
    """The levels of issuers with what sells them: each one's those that take growth, the lowest first, then those that are
    bought."""
    return await tx.fetch(_LEVELS, issuers)


class Terms(NamedTuple):
    """What a level says; `growth` None: it is bought; `prices` are (SKU, product, fen)."""

    name: str
    growth: int | None
    discount_bp: int
    merchant_share_bp: int
    prices: Sequence[tuple[UUID, UUID, int]]
    perks: str

    def arguments(self) -> tuple[object, ...]:
        """As the statements want them."""
        prices = msgspec.json.encode(self.prices).decode()
        return self.name, self.growth, self.discount_bp, self.merchant_share_bp, prices, self.perks


async def add(tx: Tx, key: tuple[UUID, UUID], terms: Terms) -> None:
    """Write a level. Raises asyncpg's UniqueViolationError for a growth that another level has."""
    await tx.execute(_ADD, *key, *terms.arguments(), tx.now)


async def change(tx: Tx, key: tuple[UUID, UUID], terms: Terms) -> None:
    """Write a level anew; as `add`."""
    await tx.execute(_CHANGE, *key, *terms.arguments())


async def drop(tx: Tx, key: tuple[UUID, UUID]) -> bool:
    """Remove a level; whether there was one."""
    return await tx.fetchval(_DROP, *key) is not None


async def skus(tx: Tx, ids: Sequence[UUID], merchant_id: UUID | None) -> dict[tuple[UUID, UUID], UUID]:
    """(merchant, SKU) -> product of those of these SKUs that there are: of a shop, or with None of any."""
    return {
        (row["merchant_id"], row["id"]): row["product_id"] for row in await tx.fetch(_SKUS, ids, merchant_id)
    }


async def standing(tx: Tx, account_id: UUID, shops: Sequence[UUID] | None) -> asyncpg.Record:
    """An account's debt, lots, growth and bought levels: in these shops, or in up to 51 with most growth."""
    row = await tx.fetchrow(_STANDING, account_id, tx.now, shops)
    assert row is not None
    return row


async def entries(
    tx: Tx, account_id: UUID, unit: str | None, merchant_id: UUID | None, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """An account's journal, newest first."""
    return await tx.fetch(_JOURNAL, account_id, unit, merchant_id, before, limit)


async def members(
    tx: Tx,
    merchant_id: UUID,
    before: UUID | None,
    limit: int,
    *,
    member_id: UUID | None = None,
    account_id: UUID | None = None,
) -> list[asyncpg.Record]:
    """Members of a shop or of the market, newest first."""
    return await tx.fetch(_MEMBERS, merchant_id, before, limit, member_id, account_id, tx.now)


async def is_account(tx: Tx, account_id: UUID) -> bool:
    """Whether there is such an account."""
    return await tx.fetchval("select 1 from account where id = $1", account_id) is not None


async def undecided(tx: Tx) -> int:
    """How many orders have used points that may still come back: their money is not released. Over all accounts."""
    found: int = await tx.fetchval(_UNDECIDED)
    return found


async def running(tx: Tx) -> int:
    """How many bought levels have not ended. Over all accounts."""
    found: int = await tx.fetchval(_RUNNING, tx.now)
    return found
