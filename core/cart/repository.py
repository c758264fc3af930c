"""Statements of the cart. Every one names the account, so that they hold in the system scope too."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.cart.schemas import MAX_CART_LINES
from core.catalog.schemas import MAX_QUANTITY
from core.db.tx import Tx, columns
from core.identity.addresses import SEALED
from core.kit.geo import Point
from core.kit.ids import MARKET_ID
from core.types.pricing import Region

# What is known of a line, whatever it came from: `w` has merchant_id, sku_id, quantity, selected, price_seen, source.
# The address and the plugins of which the account holds something stand in each row; the position as numbers because a
# `point` is dear to read. So do the versions of the rules of the shops of the lines and of the market's. Without lines there
# is one row, whose `sku_id` is null.
_FACTS = f"""
select a.*, h.holdings,
  (select json_agg(json_build_array(r.plugin, r.merchant_id, r.version))::text from rule_version r
   where r.merchant_id = '{MARKET_ID}' or r.merchant_id in (select merchant_id from w)) as versions,
  w.merchant_id, w.sku_id, w.quantity, w.selected, w.price_seen, w.source::text as source,
  l.product_id, l.title, l.specs, l.image_url, l.price, l.category_path, l.shop_category_ids, l.weight_g, l.volume_cm3,
  l.requires_shipping, l.min_quantity, l.max_quantity, l.merchant_name, l.live, l.unavailable,
  s.on_hand - s.reserved as available
from h left join a on true left join w on true
left join listing_sku l on l.merchant_id = w.merchant_id and l.sku_id = w.sku_id
left join stock s on s.merchant_id = w.merchant_id and s.sku_id = w.sku_id
"""  # noqa: S608


def _holdings(now: str) -> str:
    return f"""
select array_agg(plugin) as holdings from holding where account_id = $1 and (until is null or until > {now})
"""  # noqa: S608


# Region and position of the account's address $2, or of its default one for null.
_PLACE = """
select id as address_id, province, city, district, location[0] as lng, location[1] as lat from address
where account_id = $1 and (id = $2 or ($2::uuid is null and is_default))
"""
_HOME = """
select id as address_id, province, city, district, location[0] as lng, location[1] as lat from address
where account_id = $1 and is_default
"""


def _cart(address: str) -> str:
    return f"""
with h as materialized ({_holdings("$3")}), a as materialized ({address}),
w as materialized (select * from cart_line where account_id = $1)
{_FACTS} order by w.added_at, w.sku_id
"""  # noqa: S608


def _wanted(address: str) -> str:
    return f"""
with h as materialized ({_holdings("$6")}), a as materialized ({address}), w as materialized (
  select merchant_id, sku_id, quantity, true as selected, null::bigint as price_seen, c.source, n
  from unnest($3::uuid[], $4::uuid[], $5::int[]) with ordinality t(merchant_id, sku_id, quantity, n)
  left join (select merchant_id, sku_id, source from cart_line where account_id = $1) c using (merchant_id, sku_id)
)
{_FACTS} order by w.n
"""  # noqa: S608


_CART, _CART_TO_ORDER = _cart(_PLACE), _cart(SEALED)
_WANTED, _WANTED_TO_ORDER = _wanted(_PLACE), _wanted(SEALED)

# The rest of the cart and the changed line: a statement does not see what its own parts wrote.
_REST = """
select merchant_id, sku_id, quantity, selected, price_seen, source, added_at from cart_line
where account_id = $1 and (merchant_id, sku_id) <> ($2, $3)
"""

_PUT = f"""
with put as (
  insert into cart_line as c (account_id, merchant_id, sku_id, quantity, selected, price_seen, source, added_at)
  select $1, l.merchant_id, l.sku_id, $4, coalesce($5::boolean, true), l.price, $6::jsonb, $7
  from listing_sku l
  where l.merchant_id = $2 and l.sku_id = $3
    and (select count(*) from cart_line where account_id = $1 and (merchant_id, sku_id) <> ($2, $3))
      < {MAX_CART_LINES}
  on conflict (account_id, merchant_id, sku_id) do update set quantity = excluded.quantity,
    selected = coalesce($5::boolean, c.selected), source = coalesce(excluded.source, c.source)
  returning merchant_id, sku_id, quantity, selected, price_seen, source, added_at
),
h as materialized ({_holdings("$7")}), a as materialized ({_HOME}),
w as materialized (select * from put union all {_REST})
{_FACTS} order by w.added_at, w.sku_id
"""  # noqa: S608

_DROP = f"""
with gone as (delete from cart_line where account_id = $1 and merchant_id = $2 and sku_id = $3),
h as materialized ({_holdings("$4")}), a as materialized ({_HOME}), w as materialized ({_REST})
{_FACTS} order by w.added_at, w.sku_id
"""  # noqa: S608

_DROP_INVALID = """
delete from cart_line c where account_id = $1 and not exists (
  select from listing_sku l join stock s on s.merchant_id = l.merchant_id and s.sku_id = l.sku_id
  where l.merchant_id = c.merchant_id and l.sku_id = c.sku_id and l.live and s.on_hand - s.reserved >= c.quantity
    and c.quantity >= l.min_quantity and (l.max_quantity is null or c.quantity <= l.max_quantity)
)
"""

# $1 the account, $2 the guest. The account's own lines stay, then come the newest of the guest's. A line of the account that
# another request puts meanwhile is met by the conflict.
_MERGE = f"""
with guest as (delete from cart_line where account_id = $2 returning *),
own as (select merchant_id, sku_id from cart_line where account_id = $1),
shared as (select g.* from guest g join own using (merchant_id, sku_id)),
fresh as (
  select g.* from guest g where not exists (select from own o where (o.merchant_id, o.sku_id) = (g.merchant_id, g.sku_id))
  order by g.added_at desc, g.merchant_id, g.sku_id
  limit greatest(0, {MAX_CART_LINES} - (select count(*) from own))
)
insert into cart_line as c (account_id, merchant_id, sku_id, quantity, selected, price_seen, source, added_at)
select $1, merchant_id, sku_id, quantity, selected, price_seen, source, added_at
from (select * from shared union all select * from fresh) moved order by merchant_id, sku_id
on conflict (account_id, merchant_id, sku_id) do update set
  quantity = least({MAX_QUANTITY}, c.quantity + excluded.quantity), selected = c.selected or excluded.selected
"""  # noqa: S608

_SELECT = """
update cart_line c set selected = $2 where account_id = $1 and selected <> $2 and ($3::uuid[] is null or exists (
  select from unnest($3::uuid[], $4::uuid[]) t(merchant_id, sku_id)
  where t.merchant_id = c.merchant_id and t.sku_id = c.sku_id
))
"""


async def cart(
    tx: Tx, account_id: UUID, address_id: UUID | None, *, to_order: bool = False
) -> list[asyncpg.Record]:
    """All lines of the account's cart with their facts, oldest first, beside its address (None: the default one).

    `to_order` reads the address with what is sealed in it.
    """
    return await tx.fetch(_CART_TO_ORDER if to_order else _CART, account_id, address_id, tx.now)


async def wanted(
    tx: Tx,
    account_id: UUID,
    address_id: UUID | None,
    lines: Sequence[Sequence[Any]],
    *,
    to_order: bool = False,
) -> list[asyncpg.Record]:
    """The same for these (merchant_id, sku_id, quantity), in the order given; their source is that of the cart's line."""
    sql = _WANTED_TO_ORDER if to_order else _WANTED
    return await tx.fetch(sql, account_id, address_id, *columns(lines, 3), tx.now)


async def put(
    tx: Tx,
    account_id: UUID,
    sku: tuple[UUID, UUID],
    quantity: int,
    selected: bool | None,
    source: dict[str, str] | None,
) -> list[asyncpg.Record]:
    """Write one line and answer the cart beside the default address; the line is missing there if the SKU is
    unknown or the cart is full."""
    if quantity == 0:
        return await tx.fetch(_DROP, account_id, *sku, tx.now)
    encoded = msgspec.json.encode(source).decode() if source is not None else None
    return await tx.fetch(_PUT, account_id, *sku, quantity, selected, encoded, tx.now)


async def sku_known(tx: Tx, sku: tuple[UUID, UUID]) -> bool:
    """Whether the market has ever offered this SKU."""
    return bool(
        await tx.fetchval("select true from listing_sku where merchant_id = $1 and sku_id = $2", *sku)
    )


async def drop_invalid(tx: Tx, account_id: UUID) -> None:
    """Remove the lines that cannot be bought as they stand."""
    await tx.execute(_DROP_INVALID, account_id)


async def merge(tx: Tx, guest_id: UUID, account_id: UUID) -> None:
    """Move the guest's lines into the account's cart. In the system scope, with both accounts' rows locked."""
    await tx.execute(_MERGE, account_id, guest_id)


async def select(
    tx: Tx,
    account_id: UUID,
    selected: bool,
    skus: Sequence[tuple[UUID, UUID]] | None,
) -> None:
    """Select or deselect these lines, or all."""
    merchants = [m for m, _ in skus] if skus is not None else None
    await tx.execute(_SELECT, account_id, selected, merchants, [s for _, s in skus or ()])


def region_of(row: asyncpg.Record) -> Region | None:
    """Where the address of a row lies, without personal data; None if there is none."""
    if row["address_id"] is None:
        return None
    at = Point(row["lng"], row["lat"]) if row["lng"] is not None else None
    return Region(row["province"], row["city"], row["district"], at)
