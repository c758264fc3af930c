"""Queries of stock. Whoever changes several rows locks them in the order of their keys first, in the same statement:
without that, baskets of several lines deadlock."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from core.db.tx import Tx
from core.kit.ids import new_id

MAX_ON_HAND = 1_000_000_000

_SHOWN = (
    """s.merchant_id, s.sku_id, k.product_id, p.title, p.spec_names, k.specs, k.code, s.on_hand, s.reserved"""
)
_FACTS = """join sku k on k.merchant_id = s.merchant_id and k.id = s.sku_id
join product p on p.merchant_id = s.merchant_id and p.id = k.product_id"""


async def page(tx: Tx, merchant_id: UUID, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Stock of the merchant's active SKUs in the order of their keys."""
    return await tx.fetch(
        f"""select {_SHOWN} from stock s {_FACTS}
        where s.merchant_id = $1 and k.status = 'active' and ($2::uuid is null or s.sku_id > $2)
        order by s.sku_id limit $3""",  # noqa: S608
        merchant_id, after, limit,
    )  # fmt: skip


async def one(tx: Tx, merchant_id: UUID, sku_id: UUID) -> asyncpg.Record | None:
    """One SKU's stock."""
    return await tx.fetchrow(
        f"select {_SHOWN} from stock s {_FACTS} where s.merchant_id = $1 and s.sku_id = $2",  # noqa: S608
        merchant_id, sku_id,
    )  # fmt: skip


_MOVE = f"""
with s as (
  update stock set on_hand = on_hand + $3
  where merchant_id = $1 and sku_id = $2 and on_hand + $3 >= reserved and on_hand + $3 <= {MAX_ON_HAND}
  returning *
),
journal as (
  insert into stock_move (merchant_id, id, sku_id, on_hand_delta, reserved_delta, reason, account_id, at)
  select merchant_id, $4, sku_id, $3, 0, $5, $6::uuid, $7 from s
)
select {_SHOWN} from s {_FACTS}
"""  # noqa: S608


async def move(tx: Tx, merchant_id: UUID, sku_id: UUID, delta: int, reason: str) -> asyncpg.Record | None:
    """Move one SKU's stock and journal it; None, and nothing done, if it is not there or out of bounds afterwards."""
    return await tx.fetchrow(_MOVE, merchant_id, sku_id, delta, new_id(), reason, tx.scope.actor_id, tx.now)


_GIVE = """
with want as (
  select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::uuid[]) w(merchant_id, sku_id, qty, move_id)
),
locked as materialized (
  select s.merchant_id, s.sku_id, w.qty, w.move_id from stock s join want w using (merchant_id, sku_id)
  order by s.merchant_id, s.sku_id for no key update of s
),
moved as (
  update stock s set reserved = s.reserved - l.qty, on_hand = s.on_hand - case when $5 then l.qty else 0 end
  from locked l
  where s.merchant_id = l.merchant_id and s.sku_id = l.sku_id and s.reserved >= l.qty
  returning s.merchant_id, s.sku_id, l.qty, l.move_id
),
journal as (
  insert into stock_move (merchant_id, id, sku_id, on_hand_delta, reserved_delta, reason, reference, account_id, at)
  select merchant_id, move_id, sku_id, case when $5 then -qty else 0 end, -qty, $6, $7::uuid, $8::uuid, $9 from moved
)
select count(*) from moved
"""


async def give_up(
    tx: Tx, wanted: Sequence[tuple[UUID, UUID, int]], reference: UUID | None, reason: str, *, leaves: bool
) -> int:
    """Take (merchant, SKU, pieces), each SKU once, off what is reserved; `leaves`: off what is on hand too. How many
    rows had that much reserved and were changed."""
    moved: int = await tx.fetchval(
        _GIVE, [w[0] for w in wanted], [w[1] for w in wanted], [w[2] for w in wanted], [new_id() for _ in wanted],
        leaves, reason, reference, tx.scope.actor_id, tx.now,
    )  # fmt: skip
    return moved


_TAKE_BACK = f"""
with want as (
  select * from unnest($2::uuid[], $3::int[], $4::uuid[]) w(sku_id, qty, move_id)
),
locked as materialized (
  select s.sku_id, w.qty, w.move_id from stock s join want w using (sku_id) where s.merchant_id = $1
  order by s.sku_id for no key update of s
),
moved as (
  update stock s set on_hand = s.on_hand + l.qty from locked l
  where s.merchant_id = $1 and s.sku_id = l.sku_id and s.on_hand + l.qty <= {MAX_ON_HAND}
  returning s.sku_id, l.qty, l.move_id
),
journal as (
  insert into stock_move (merchant_id, id, sku_id, on_hand_delta, reserved_delta, reason, reference, account_id, at)
  select $1, move_id, sku_id, qty, 0, $5, $6::uuid, $7::uuid, $8 from moved
)
select count(*) from moved
"""  # noqa: S608 - the only thing put in is the number above


async def take_back(
    tx: Tx, merchant_id: UUID, pieces: Mapping[UUID, int], reference: UUID, reason: str
) -> int:
    """Add pieces by SKU to what is on hand, and journal it; how many SKUs had room for that."""
    moved: int = await tx.fetchval(
        _TAKE_BACK, merchant_id, list(pieces), list(pieces.values()), [new_id() for _ in pieces],
        reason, reference, tx.scope.actor_id, tx.now,
    )  # fmt: skip
    return moved


_TAKE_OUT = """
with want as (
  select * from unnest($2::uuid[], $3::int[], $4::uuid[]) w(sku_id, qty, move_id)
),
locked as materialized (
  select s.sku_id, w.qty, w.move_id from stock s join want w using (sku_id) where s.merchant_id = $1
  order by s.sku_id for no key update of s
),
moved as (
  update stock s set on_hand = s.on_hand - l.qty from locked l
  where s.merchant_id = $1 and s.sku_id = l.sku_id and s.on_hand - s.reserved >= l.qty
  returning s.sku_id, l.qty, l.move_id
),
journal as (
  insert into stock_move (merchant_id, id, sku_id, on_hand_delta, reserved_delta, reason, reference, account_id, at)
  select $1, move_id, sku_id, -qty, 0, $5, $6::uuid, $7::uuid, $8 from moved
)
select sku_id from moved
"""


async def lock(tx: Tx, merchant_id: UUID, skus: Sequence[UUID]) -> None:
    """Lock the rows, in key order."""
    await tx.execute(
        "select from stock where merchant_id = $1 and sku_id = any($2::uuid[]) order by sku_id for no key update",
        merchant_id,
        list(skus),
    )


async def take_out(
    tx: Tx, merchant_id: UUID, pieces: Mapping[UUID, int], reference: UUID, reason: str
) -> set[UUID]:
    """Take pieces by SKU off what is on hand and not reserved, and journal it; the SKUs that had as many."""
    rows = await tx.fetch(
        _TAKE_OUT, merchant_id, list(pieces), list(pieces.values()), [new_id() for _ in pieces],
        reason, reference, tx.scope.actor_id, tx.now,
    )  # fmt: skip
    return {row["sku_id"] for row in rows}
