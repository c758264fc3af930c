"""Keeps `listing` and `listing_sku`, the public copy that browsing, cart and quote read, in step with the catalog.

Call it in the transaction that changed a product, after its rows are written.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from core.db.tx import Tx
from core.kit.text import grams, normalise

_PUBLISH = """
with input as materialized (
  select * from jsonb_to_recordset($2::jsonb) as x(id uuid, words text, grams text[])
),
source as materialized (
  select p.*, i.words, i.grams, m.name as merchant_name, m.location, m.status = 'open' as shop_open,
    coalesce(c.path, '{}') as path, p.status = 'listed' and m.status = 'open' as live
  from input i join product p on p.merchant_id = $1 and p.id = i.id join merchant m on m.id = p.merchant_id
  left join category c on c.id = p.category_id
  where p.status <> 'draft'
     or exists (select from listing l where l.merchant_id = p.merchant_id and l.product_id = p.id)
),
parts as materialized (
  select s.*, s.status = 'active' as active from sku s
  where s.merchant_id = $1 and s.product_id in (select id from source)
),
cheapest as (
  select distinct on (product_id) product_id, price, list_price from parts where active
  order by product_id, price, position, id
),
listed as (
  insert into listing as l (merchant_id, product_id, merchant_name, title, image_url, price, list_price,
    category_path, location, grams, search_text, live, description, images, spec_names, shop_category_ids, listed_at)
  select $1, p.id, p.merchant_name, p.title, p.images[1], coalesce(c.price, 0), c.list_price, p.path, p.location,
    p.grams, p.words, p.live and c.product_id is not null, p.description, p.images, p.spec_names,
    p.shop_category_ids, case when p.live then $3::timestamptz end
  from source p left join cheapest c on c.product_id = p.id
  on conflict (merchant_id, product_id) do update set merchant_name = excluded.merchant_name, title = excluded.title,
    image_url = excluded.image_url, price = excluded.price, list_price = excluded.list_price,
    category_path = excluded.category_path, location = excluded.location, grams = excluded.grams,
    search_text = excluded.search_text, live = excluded.live, description = excluded.description,
    images = excluded.images, spec_names = excluded.spec_names, shop_category_ids = excluded.shop_category_ids,
    listed_at = case when excluded.live and not l.live then excluded.listed_at else l.listed_at end
)
insert into listing_sku (merchant_id, sku_id, product_id, title, specs, image_url, price, list_price, category_path,
  shop_category_ids, weight_g, volume_cm3, requires_shipping, position, min_quantity, max_quantity, merchant_name, live,
  unavailable)
select $1, s.id, p.id, p.title, s.specs, coalesce(s.image_url, p.images[1]), s.price, s.list_price, p.path,
  p.shop_category_ids, s.weight_g, s.volume_cm3, s.requires_shipping, s.position, s.min_quantity, s.max_quantity,
  p.merchant_name, p.live and s.active,
  case when p.status <> 'listed' or not s.active then 'delisted' when not p.shop_open then 'shop_closed' end
from source p join parts s on s.product_id = p.id
on conflict (merchant_id, sku_id) do update set title = excluded.title, specs = excluded.specs,
  image_url = excluded.image_url, price = excluded.price, list_price = excluded.list_price,
  category_path = excluded.category_path, shop_category_ids = excluded.shop_category_ids,
  weight_g = excluded.weight_g, volume_cm3 = excluded.volume_cm3, requires_shipping = excluded.requires_shipping,
  position = excluded.position, min_quantity = excluded.min_quantity, max_quantity = excluded.max_quantity,
  merchant_name = excluded.merchant_name, live = excluded.live,
  unavailable = excluded.unavailable
"""


async def publish(tx: Tx, merchant_id: UUID, product_ids: Sequence[UUID]) -> None:
    """Derive the public copy of these products anew."""
    rows = await tx.fetch(
        "select id, title, product_type, tags from product where merchant_id = $1 and id = any($2::uuid[])",
        merchant_id, list(product_ids),
    )  # fmt: skip
    found = {r["id"]: normalise(" ".join((r["title"], r["product_type"], *r["tags"]))) for r in rows}
    await publish_texts(tx, merchant_id, found)


async def publish_texts(tx: Tx, merchant_id: UUID, searchable: Mapping[UUID, str]) -> None:
    """As `publish`, in one statement, for a caller that has the products' searchable text at hand."""
    if not searchable:
        return
    given = [{"id": key, "words": words, "grams": grams(words)} for key, words in searchable.items()]
    await tx.execute(_PUBLISH, merchant_id, msgspec.json.encode(given).decode(), tx.now)
