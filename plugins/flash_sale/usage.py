"""Statements of buying: what is left, taking it and giving it back.

Rows are locked from the account's to everybody's: of `flash_sale_use` and `flash_sale_taking`, then the one row of
`flash_sale_item` that all buyers want, which so is held for the shortest time.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from core.api import Tx

_OFFER = """
select e.name, e.merchant_share_bp, e.market_coupons, e.token_required, s.starts_at,
  least(s.ends_at, s.stopped_at) as ends_at, i.price, i.per_order, i.per_account, i.quantity - i.sold as left,
  coalesce((select t.taken from flash_sale_taking t
    where t.account_id = $4 and t.activity_id = $1 and t.sku_id = $3), 0) as taken,
  exists (select from flash_sale_use u where u.account_id = $4 and u.nonce = $5) as used
from flash_sale_slot s
join flash_sale_event e on e.merchant_id = s.merchant_id and e.id = s.event_id
join flash_sale_item i on i.merchant_id = $2 and i.activity_id = s.id and i.sku_id = $3
where s.id = $1
"""

# Each part needs the one before it, so they happen in this order and none after one that failed.
_TAKE = """
with sale as materialized (
  select i.per_account from flash_sale_slot s
  join flash_sale_event e on e.merchant_id = s.merchant_id and e.id = s.event_id
  join flash_sale_item i on i.merchant_id = $4 and i.activity_id = s.id and i.sku_id = $5
  where s.id = $6 and s.starts_at <= $9 and least(s.ends_at, s.stopped_at) > $9
    and ($8::uuid is not null or not e.token_required)
), mine as (
  insert into flash_sale_taking as t (account_id, activity_id, sku_id, merchant_id, taken)
  select $1, $6, $5, $4, $7 from sale where $7 <= sale.per_account
  on conflict (account_id, activity_id, sku_id) do update set taken = t.taken + excluded.taken
  where t.taken + excluded.taken <= (select per_account from sale)
  returning t.account_id
), noted as (
  insert into flash_sale_use (account_id, trade_id, order_id, merchant_id, activity_id, sku_id, quantity, nonce, at)
  select $1, $2, $3, $4, $6, $5, $7, $8, $9 from mine
  on conflict (account_id, nonce) do nothing returning trade_id
), sold as (
  update flash_sale_item i set sold = i.sold + $7 from noted
  where i.merchant_id = $4 and i.activity_id = $6 and i.sku_id = $5 and i.sold + $7 <= i.quantity
  returning i.sold
)
select exists (select from sale) as sale, exists (select from mine) as mine, exists (select from noted) as noted,
  exists (select from sold) as sold
"""

_GIVE_BACK = """
freed as (
  update flash_sale_taking t set taken = t.taken - d.due from due d
  where t.account_id = d.account_id and t.activity_id = d.activity_id and t.sku_id = d.sku_id
  returning t.activity_id
)
update flash_sale_item i set sold = i.sold - d.due from due d, (select count(*) from freed) f
where i.merchant_id = d.merchant_id and i.activity_id = d.activity_id and i.sku_id = d.sku_id and d.due > 0
"""

_CLOSE = f"""
with due as materialized (
  select u.*, u.quantity - u.back as due from flash_sale_use u
  where u.account_id = $1 and u.trade_id = $2 and u.order_id = any($3::uuid[]) and u.status = 'open'
  for no key update
), noted as (
  update flash_sale_use u set status = 'closed', back = u.quantity from due d
  where u.account_id = d.account_id and u.trade_id = d.trade_id
), {_GIVE_BACK}"""  # noqa: S608

_REFUND = f"""
with mine as materialized (
  select u.* from flash_sale_use u
  where u.account_id = $1 and u.trade_id = $2 and u.order_id = $3 and u.status = 'open'
    and not u.refund_ids @> array[$4::uuid]
  for no key update
), due as materialized (
  select m.*, case when exists (select from flash_sale_slot s
    where s.id = m.activity_id and s.starts_at <= $6 and least(s.ends_at, s.stopped_at) > $6)
    then least($5::int, m.quantity - m.back) else 0 end as due
  from mine m
), noted as (
  update flash_sale_use u set back = u.back + d.due, refund_ids = u.refund_ids || $4::uuid from due d
  where u.account_id = d.account_id and u.trade_id = d.trade_id
), {_GIVE_BACK}"""  # noqa: S608

_STANDING = """
select exists (select from flash_sale_use u where u.account_id = $1 and u.nonce = $4) as used,
  (select count(*)::int from flash_sale_use u
    where u.account_id = $1 and u.activity_id = $2 and u.sku_id = $3) as uses
"""

_UNDECIDED = """
select count(*) from flash_sale_use u join orders o on o.merchant_id = u.merchant_id and o.id = u.order_id
where u.status = 'open' and o.status <> 'closed' and o.released_at is null
"""


class Taking(NamedTuple):
    """What an order takes of an item."""

    trade_id: UUID
    order_id: UUID
    merchant_id: UUID
    sku_id: UUID
    activity_id: UUID
    quantity: int
    nonce: UUID | None


async def offer(
    tx: Tx, activity_id: UUID, sku: tuple[UUID, UUID], account_id: UUID | None, nonce: UUID | None = None
) -> asyncpg.Record | None:
    """An item of a slot with its terms, what is `left` of it, what the account has `taken`, and whether it `used` a token;
    None when the slot has no such item."""
    return await tx.fetchrow(_OFFER, activity_id, *sku, account_id, nonce)


async def take(tx: Tx, account_id: UUID, taking: Taking) -> asyncpg.Record:
    """Take pieces from the account's limit and the item's quantity. The answer is how far it got: `sale` (it runs), `mine`
    (within the account's limit), `noted` (with an unused token), `sold`. Unless sold, the caller must roll back."""
    row = await tx.fetchrow(_TAKE, account_id, *taking, tx.now)
    assert row is not None, "a statement without a table gives a row"
    return row


async def close(tx: Tx, account_id: UUID, trade_id: UUID, orders: Sequence[UUID]) -> None:
    """Give back what orders that are given up had taken; again changes nothing."""
    await tx.execute(_CLOSE, account_id, trade_id, orders)


async def refund(
    tx: Tx, account_id: UUID, trade_id: UUID, order_id: UUID, refund_id: UUID, pieces: int
) -> None:
    """Give back refunded pieces if their sale still runs; the same refund again changes nothing."""
    await tx.execute(_REFUND, account_id, trade_id, order_id, refund_id, pieces, tx.now)


async def standing(
    tx: Tx, account_id: UUID, activity_id: UUID, sku_id: UUID, nonce: UUID | None
) -> asyncpg.Record:
    """How often the account bought an item (`uses`), and whether this token was `used`."""
    row = await tx.fetchrow(_STANDING, account_id, activity_id, sku_id, nonce)
    assert row is not None, "a statement without a table gives a row"
    return row


async def undecided(tx: Tx) -> int:
    """How many trades with a flash price may still be closed or refunded, over all accounts."""
    found: int = await tx.fetchval(_UNDECIDED)
    return found
