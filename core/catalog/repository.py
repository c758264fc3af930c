"""Queries of products and SKUs. Every statement names the merchant, whatever the scope."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.catalog.rows import ProductRow, SkuRow
from core.db.tx import Tx

_SKUS = """coalesce((
  select json_agg(json_build_object('id', s.id, 'code', s.code, 'specs', s.specs, 'price', s.price,
      'list_price', s.list_price, 'weight_g', s.weight_g, 'volume_cm3', s.volume_cm3, 'barcode', s.barcode,
      'image_url', s.image_url, 'requires_shipping', s.requires_shipping, 'tracked', s.tracked, 'extra', s.extra,
      'min_quantity', s.min_quantity, 'max_quantity', s.max_quantity,
      'on_hand', coalesce(t.on_hand, 0), 'reserved', coalesce(t.reserved, 0)) order by s.position, s.id)
  from sku s left join stock t on t.merchant_id = s.merchant_id and t.sku_id = s.id
  where s.merchant_id = p.merchant_id and s.product_id = p.id and s.status = 'active'), '[]')::text"""
# JSON is read as text and decoded by its reader, whatever codec the connection has.
_COLUMNS = f"p.*, p.extra::text as extra_text, {_SKUS} as skus"


async def one(tx: Tx, merchant_id: UUID, product_id: UUID) -> asyncpg.Record | None:
    """A product with its active SKUs as JSON."""
    return await tx.fetchrow(
        f"select {_COLUMNS} from product p where p.merchant_id = $1 and p.id = $2",  # noqa: S608
        merchant_id, product_id,
    )  # fmt: skip


async def page(
    tx: Tx, merchant_id: UUID, status: str | None, like: str | None, before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """The merchant's products, newest first; `like` is a pattern for the title."""
    return await tx.fetch(
        f"""select {_COLUMNS} from product p where p.merchant_id = $1
          and ($2::text is null or p.status = $2) and ($3::text is null or p.title ilike $3)
          and ($4::uuid is null or p.id < $4)
        order by p.id desc limit $5""",  # noqa: S608
        merchant_id, status, like, before, limit,
    )  # fmt: skip


async def everything(tx: Tx, merchant_id: UUID) -> list[asyncpg.Record]:
    """All the merchant's products with their active SKUs, oldest first."""
    return await tx.fetch(
        f"select {_COLUMNS} from product p where p.merchant_id = $1 order by p.id",  # noqa: S608
        merchant_id,
    )


async def lock(tx: Tx, merchant_id: UUID, product_id: UUID) -> asyncpg.Record | None:
    """The product's row, kept from others until the end of the transaction."""
    return await tx.fetchrow(
        "select *, extra::text as extra_text from product where merchant_id = $1 and id = $2 for no key update",
        merchant_id,
        product_id,
    )


async def lock_handles(tx: Tx, merchant_id: UUID, handles: Sequence[str]) -> list[asyncpg.Record]:
    """The products of these handles, kept from others in the order of their keys."""
    return await tx.fetch(
        """select * from product where merchant_id = $1 and handle = any($2::text[])
        order by id for no key update""",
        merchant_id, list(handles),
    )  # fmt: skip


async def skus_of(tx: Tx, merchant_id: UUID, product_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """SKUs of these products, retired ones first, so that in a dict by specs the active one stays."""
    return await tx.fetch(
        """select *, extra::text as extra_text from sku where merchant_id = $1 and product_id = any($2::uuid[])
        order by status desc, position, id""",
        merchant_id, list(product_ids),
    )  # fmt: skip


async def handle_free(tx: Tx, merchant_id: UUID, handle: str) -> bool:
    """Whether no product of the merchant has this handle."""
    return not await tx.fetchval(
        "select exists (select from product where merchant_id = $1 and handle = $2)", merchant_id, handle
    )


async def references(
    tx: Tx, merchant_id: UUID, category_id: UUID | None, shop_category_ids: Sequence[UUID]
) -> tuple[bool, int]:
    """Whether the category exists, and how many of the shop's categories do."""
    row = await tx.fetchrow(
        """select exists (select from category where id = $2) as found,
          (select count(*) from shop_category where merchant_id = $1 and id = any($3::uuid[])) as shops""",
        merchant_id, category_id, list(shop_category_ids),
    )  # fmt: skip
    assert row is not None
    return row["found"], row["shops"]


async def leaves_by_name(tx: Tx, names: Sequence[str]) -> dict[str, UUID]:
    """Market categories without children by their name in small letters."""
    rows = await tx.fetch(
        """select lower(c.name) as name, c.id from category c
        where lower(c.name) = any($1::text[]) and not exists (select from category k where k.parent_id = c.id)
        order by c.id desc""",
        list(names),
    )
    return {row["name"]: row["id"] for row in rows}


_RETIRE = """
update sku set status = 'retired' where merchant_id = $1 and product_id = any($2::uuid[]) and status = 'active'
"""
_WRITE = """
with written as (
  insert into product (merchant_id, id, handle, title, description, category_id, shop_category_ids, images,
    spec_names, vendor, product_type, tags, extra, status, created_at, updated_at)
  select $1, x.id, x.handle, x.title, x.description, x.category_id, x.shop_category_ids, x.images,
    x.spec_names, x.vendor, x.product_type, x.tags, x.extra, x.status, $4, $4
  from jsonb_to_recordset($2::jsonb) as x(id uuid, handle text, title text, description text, category_id uuid,
    shop_category_ids uuid[], images text[], spec_names text[], vendor text, product_type text, tags text[],
    extra jsonb, status text)
  on conflict (merchant_id, id) do update set title = excluded.title, description = excluded.description,
    category_id = excluded.category_id, shop_category_ids = excluded.shop_category_ids, images = excluded.images,
    spec_names = excluded.spec_names, vendor = excluded.vendor, product_type = excluded.product_type,
    tags = excluded.tags, extra = excluded.extra, status = excluded.status, updated_at = excluded.updated_at
)
insert into sku (merchant_id, id, product_id, code, specs, price, list_price, weight_g, volume_cm3,
  requires_shipping, tracked, barcode, image_url, extra, position, min_quantity, max_quantity, status, created_at)
select $1, x.id, x.product_id, x.code, x.specs, x.price, x.list_price, x.weight_g, x.volume_cm3,
  x.requires_shipping, x.tracked, x.barcode, x.image_url, x.extra, x.position,
  x.min_quantity, x.max_quantity, 'active', $4
from jsonb_to_recordset($3::jsonb) as x(id uuid, product_id uuid, code text, specs text[], price bigint,
  list_price bigint, weight_g int, volume_cm3 int, requires_shipping bool, tracked bool, barcode text,
  image_url text, extra jsonb, position int, min_quantity int, max_quantity int)
on conflict (merchant_id, id) do update set code = excluded.code, specs = excluded.specs, price = excluded.price,
  list_price = excluded.list_price, weight_g = excluded.weight_g, volume_cm3 = excluded.volume_cm3,
  requires_shipping = excluded.requires_shipping, tracked = excluded.tracked, barcode = excluded.barcode,
  image_url = excluded.image_url, extra = excluded.extra, position = excluded.position,
  min_quantity = excluded.min_quantity, max_quantity = excluded.max_quantity, status = 'active'
"""


async def write(
    tx: Tx, merchant_id: UUID, products: Sequence[ProductRow], skus: Sequence[SkuRow], *, replace: bool
) -> None:
    """Store products and SKUs, new and changed alike. With `replace`, SKUs of the products that are not in `skus` are
    retired: all are first, so that two may swap their specs without ever being equal."""
    if replace:
        await tx.execute(_RETIRE, merchant_id, [product.id for product in products])
    await tx.execute(_WRITE, merchant_id, _json(products), _json(skus), tx.now)


async def set_status(tx: Tx, merchant_id: UUID, product_id: UUID, status: str) -> bool:
    """Set a product's status; False when there is no such product."""
    done = await tx.execute(
        "update product set status = $3, updated_at = $4 where merchant_id = $1 and id = $2",
        merchant_id, product_id, status, tx.now,
    )  # fmt: skip
    return done.endswith(" 1")


def _json(rows: Sequence[Any]) -> str:
    return msgspec.json.encode(rows).decode()
