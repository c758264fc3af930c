"""Stock as the catalog writes it: what a merchant says is there when it creates, changes or imports SKUs.

Inventory lies above the catalog and uses this too.
"""

from collections.abc import Sequence
from uuid import UUID

from core.db.tx import Tx
from core.kit.ids import new_id

_SET = """
with want as (select * from unnest($2::uuid[], $3::int[], $4::uuid[]) w(sku_id, on_hand, move_id)),
added as (
  insert into stock (merchant_id, sku_id, on_hand) select $1::uuid, sku_id, on_hand from want order by sku_id
  on conflict do nothing returning sku_id, on_hand
),
locked as materialized (
  select s.sku_id, s.on_hand as before, w.on_hand as wanted, w.move_id from stock s join want w using (sku_id)
  where s.merchant_id = $1 order by s.sku_id for no key update of s
),
moved as (
  update stock s set on_hand = greatest(l.wanted, s.reserved) from locked l
  where s.merchant_id = $1 and s.sku_id = l.sku_id and s.on_hand <> greatest(l.wanted, s.reserved)
  returning s.sku_id, l.move_id, s.on_hand - l.before as delta
),
journal as (
  insert into stock_move (merchant_id, id, sku_id, on_hand_delta, reserved_delta, reason, account_id, at)
  select $1::uuid, move_id, sku_id, delta, 0, $5::text, $6::uuid, $7::timestamptz from moved
  union all
  select $1::uuid, w.move_id, w.sku_id, w.on_hand, 0, $5::text, $6::uuid, $7::timestamptz from added a join
  want w using (sku_id)
  where w.on_hand > 0
)
select s.sku_id from stock s join want w using (sku_id) where s.merchant_id = $1 and s.reserved > w.on_hand
"""


async def set_on_hand(
    tx: Tx, merchant_id: UUID, wanted: Sequence[tuple[UUID, int]], reason: str
) -> set[UUID]:
    """Bring stock to `wanted` (SKU id, pieces), each SKU once: new SKUs get a row, others move by the difference, and
    every change is journalled. What is reserved stays: SKUs with more reserved than wanted stop at that and are
    returned."""
    if not wanted:
        return set()
    rows = await tx.fetch(
        _SET, merchant_id, [sku for sku, _ in wanted], [pieces for _, pieces in wanted], [new_id() for _ in wanted],
        reason, tx.scope.actor_id, tx.now,
    )  # fmt: skip
    return {row["sku_id"] for row in rows}
