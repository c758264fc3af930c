"""How many orders a buyer or a shop has in each status, for the tabs of their lists. Each is counted up to a cap, along an
index that has all that is looked at, so it takes as long for a million orders as for a thousand."""

from uuid import UUID

from core.db.tx import Tx
from core.orders.finding import ORDER_STATUSES
from core.orders.schemas import OrderCounts

CAP = 1000

# {mine} is the column that says whose the orders are.
_COUNTS = """
select s.status, n.n from unnest($2::text[]) s(status) cross join lateral (
  select count(*)::int as n from (
    select from orders o where o.{mine} = $1 and o.status = s.status limit $3
  ) x
) n
union all
select 'held', count(*)::int from (
  select distinct merchant_id, order_id from (select merchant_id, order_id from order_hold where {mine} = $1 limit $3) h
) x
union all
select 'in_case', count(*)::int from (
  select distinct merchant_id, order_id from (
    select merchant_id, order_id from aftersale where {mine} = $1 and closed_at is null limit $3
  ) c
) x
"""


async def of_buyer(tx: Tx, account_id: UUID) -> OrderCounts:
    """The buyer's own orders."""
    return await _count(tx, "account_id", account_id)


async def of_shop(tx: Tx, merchant_id: UUID) -> OrderCounts:
    """The shop's orders."""
    return await _count(tx, "merchant_id", merchant_id)


async def _count(tx: Tx, mine: str, whose: UUID) -> OrderCounts:
    rows = await tx.fetch(_COUNTS.format(mine=mine), whose, list(ORDER_STATUSES), CAP)
    return OrderCounts(**{row["status"]: row["n"] for row in rows}, cap=CAP)
