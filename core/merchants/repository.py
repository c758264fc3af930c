"""Queries of merchants. `relist` also keeps the public copy in step: it lies below the catalog, whose `publish`
needs the products' texts, while a merchant's change touches none of them."""

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx
from core.kit.geo import EARTH_RADIUS_M, Point
from core.kit.text import grams
from core.merchants.schemas import Licence, MerchantIn

_COLUMNS = """id, slug, name, status, about, image_url, location, licence::text as licence, rating_bp, created_at, opened_at,
  suspended_at, suspended_reason"""

_INSERT = f"""
insert into merchant (id, slug, name, status, location, about, licence, image_url, grams, created_at)
values ($1, $2, $3, 'applied', $4, $5, $6::jsonb, $7, $8, $9)
on conflict (slug) do nothing
returning {_COLUMNS}
"""  # noqa: S608


async def insert(tx: Tx, merchant_id: UUID, data: MerchantIn) -> asyncpg.Record | None:
    """A new row in status `applied`; None when the slug is taken."""
    return await tx.fetchrow(
        _INSERT, merchant_id, data.slug, data.name, pg_point(data.location), data.about,
        msgspec.json.encode(data.licence).decode(), data.image_url, grams(data.name), tx.now,
    )  # fmt: skip


async def one(tx: Tx, merchant_id: UUID) -> asyncpg.Record | None:
    """One merchant."""
    return await tx.fetchrow(f"select {_COLUMNS} from merchant where id = $1", merchant_id)  # noqa: S608


async def page(tx: Tx, status: str | None, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Merchants, newest first."""
    return await tx.fetch(
        f"""select {_COLUMNS} from merchant
        where ($1::text is null or status = $1) and ($2::uuid is null or id < $2)
        order by id desc limit $3""",  # noqa: S608
        status, before, limit,
    )  # fmt: skip


async def move(
    tx: Tx, merchant_id: UUID, before: str, after: str, reason: str | None
) -> asyncpg.Record | None:
    """Compare-and-set of the status; None when it was not `before`."""
    return await tx.fetchrow(
        f"""update merchant set status = $3,
          opened_at = case when $3 = 'open' then coalesce(opened_at, $5) else opened_at end,
          suspended_at = case when $3 = 'suspended' then $5 end,
          suspended_reason = case when $3 = 'suspended' then $4 end
        where id = $1 and status = $2 returning {_COLUMNS}""",  # noqa: S608
        merchant_id, before, after, reason, tx.now,
    )  # fmt: skip


async def change(tx: Tx, merchant_id: UUID, fields: dict[str, Any]) -> asyncpg.Record | None:
    """Set these columns (names come from the service, never from the request)."""
    sets = ", ".join(
        f"{name} = ${n}{'::jsonb' if name == 'licence' else ''}" for n, name in enumerate(fields, 2)
    )
    return await tx.fetchrow(
        f"update merchant set {sets} where id = $1 returning {_COLUMNS}",  # noqa: S608
        merchant_id, *fields.values(),
    )  # fmt: skip


_RELIST = """
with m as (select id, name, location, status = 'open' as shop_open from merchant where id = $1),
products as (
  update listing l set merchant_name = m.name, location = m.location,
    live = m.shop_open and p.status = 'listed'
      and exists (select from sku s where s.merchant_id = p.merchant_id and s.product_id = p.id and s.status = 'active')
  from m join product p on p.merchant_id = m.id
  where l.merchant_id = $1 and l.product_id = p.id
)
update listing_sku l set merchant_name = m.name,
  live = m.shop_open and p.status = 'listed' and s.status = 'active',
  unavailable = case when p.status <> 'listed' or s.status <> 'active' then 'delisted'
                     when not m.shop_open then 'shop_closed' end
from m join product p on p.merchant_id = m.id join sku s on s.merchant_id = p.merchant_id and s.product_id = p.id
where l.merchant_id = $1 and l.sku_id = s.id
"""


async def relist(tx: Tx, merchant_id: UUID) -> None:
    """Carry the merchant's name, place and state over to its listings."""
    await tx.execute(_RELIST, merchant_id)


_PUBLIC = "id, slug, name, image_url, about, location, rating_bp"


async def public_one(tx: Tx, merchant_id: UUID) -> asyncpg.Record | None:
    """An open shop with its licence."""
    return await tx.fetchrow(
        f"select {_PUBLIC}, licence::text as licence from merchant where id = $1 and status = 'open'",  # noqa: S608
        merchant_id,
    )


async def newest(tx: Tx, wanted: list[str], before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Open shops that have all `wanted` grams, newest first."""
    return await tx.fetch(
        f"""select {_PUBLIC} from merchant
        where status = 'open' and grams @> $1::text[] and ($2::uuid is null or id < $2)
        order by id desc limit $3""",  # noqa: S608
        wanted, before, limit,
    )  # fmt: skip


def metres(place: str, lng: str, lat: str) -> str:
    """SQL for the metres along the great circle from the column `place` to a position, as `core.kit.geo.distance_m`.

    What is ordered by it has to show this very value: another computation may differ in the last bit and so in the
    rounded metre.
    """
    return (
        f"2 * {EARTH_RADIUS_M}::float8 * asin(sqrt(least(1, sind(({place}[1] - {lat}::float8) / 2) ^ 2"
        f" + cosd({lat}::float8) * cosd({place}[1]) * sind(({place}[0] - {lng}::float8) / 2) ^ 2)))"
    )


# The planner would take the subquery apart and compute the distance once per use, were it not for "offset 0".
_NEAREST = f"""
select * from (
  select {_PUBLIC}, {metres("location", "$2", "$3")} as apart from merchant
  where status = 'open' and grams @> $1::text[] and location is not null offset 0) m
where $4::float8 is null or (apart, id) > ($4, $5::uuid)
order by apart, id limit $6
"""  # noqa: S608


async def nearest(
    tx: Tx, wanted: list[str], near: Point, after: tuple[float, UUID] | None, limit: int
) -> list[asyncpg.Record]:
    """Open shops with a place and all `wanted` grams, nearest first; `apart` is in metres, to show and for the cursor."""
    distance, last = after or (None, None)
    return await tx.fetch(_NEAREST, wanted, near.lng, near.lat, distance, last, limit)


def pg_point(place: Point | None) -> asyncpg.Point | None:
    """A place as the database takes it."""
    return None if place is None else asyncpg.Point(place.lng, place.lat)


def licence_of(row: asyncpg.Record) -> Licence:
    """The licence stored with a merchant."""
    return msgspec.json.decode(row["licence"], type=Licence)
