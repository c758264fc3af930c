"""What sells a level: SKUs of the shop whose level it is, or for one of the market of any shops that the operator names."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg

from core.api import Conflict, Tx, columns, new_id

Key = tuple[UUID, UUID]
# Orders are paid, and bring what they bought, within this time after they were placed.
SETTLED = timedelta(days=1)

_NOW = "select * from membership_sale where merchant_id = $1 and level_id = $2 and until_at is null"

_END = "update membership_sale set until_at = $3 where merchant_id = $1 and id = any($2::uuid[])"

_BEGIN = """
insert into membership_sale (merchant_id, id, level_id, shop_id, sku_id, product_id, months, from_at)
select $1, n.id, $2, n.shop_id, n.sku_id, n.product_id, n.months, $3
from unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::int[]) n(id, shop_id, sku_id, product_id, months)
"""

_LOCK = "select 1 from membership_level where merchant_id = $1 and id = $2 for update"

_USED = """
select exists (select from membership_term where level_id = $2 and until > $3) or exists (
  select from membership_sale where merchant_id = $1 and level_id = $2 and (until_at is null or until_at > $4))
"""

# The levels stay until the time that they were bought for is written.
_SOLD = """
select l.id as line_id, s.merchant_id, s.level_id, s.months, v.name
from orders o
join order_line l on l.merchant_id = o.merchant_id and l.order_id = o.id and l.kind = 'sale'
join membership_sale s on s.shop_id = l.merchant_id and s.sku_id = l.sku_id and s.from_at <= o.created_at
  and (s.until_at is null or s.until_at > o.created_at)
join membership_level v on v.merchant_id = s.merchant_id and v.id = s.level_id
where o.merchant_id = $1 and o.id = $2 order by v.merchant_id, v.id for key share of v
"""


class Selling(NamedTuple):
    """Each piece of a SKU brings so many months."""

    shop_id: UUID
    sku_id: UUID
    product_id: UUID
    months: int


async def sell(tx: Tx, key: Key, wanted: Sequence[Selling]) -> None:
    """From now on these sell the level and nothing else does; orders that are placed keep what they were sold. Raises
    `Conflict` `sku_taken`."""
    now = {
        Selling(row["shop_id"], row["sku_id"], row["product_id"], row["months"]): row["id"]
        for row in await tx.fetch(_NOW, *key)
    }
    ended = [sale_id for selling, sale_id in now.items() if selling not in wanted]
    if ended:
        await tx.execute(_END, key[0], ended, tx.now)
    begun = [(new_id(), *selling) for selling in wanted if selling not in now]
    if begun:
        try:
            await tx.execute(_BEGIN, *key, tx.now, *columns(begun, 5))
        except asyncpg.UniqueViolationError:
            raise Conflict("One of these SKUs sells another of your levels.", code="sku_taken") from None


async def refuse_in_use(tx: Tx, key: Key) -> None:
    """Raises `Conflict` `level_in_use` while somebody has time of the level, or may get some. In the system scope; the level
    is locked from here on."""
    await tx.execute(_LOCK, *key)
    if await tx.fetchval(_USED, *key, tx.now, tx.now - SETTLED):
        raise Conflict(
            "This level is on sale, or was a day ago, or somebody has it still; take it off sale and wait.",
            code="level_in_use",
        )


async def sold(tx: Tx, merchant_id: UUID, order_id: UUID) -> list[asyncpg.Record]:
    """The lines of an order that sell levels, as it was when the order was placed: (line_id, merchant_id, level_id, months,
    name). In the system scope; one statement."""
    return await tx.fetch(_SOLD, merchant_id, order_id)
