"""Rows of payouts and of what they are made of. Amounts in fen."""

from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from core import hookspecs
from core.db.tx import Tx
from core.ledger import service as ledger
from core.ledger.back import PayoutMoney, payout_done_transfers
from core.types.events import PayoutEvent

if TYPE_CHECKING:
    from core.payment.call_rows import Call

_COLUMNS = "merchant_id, id, number, provider, amount, netted, status, reason, created_at, done_at"

_ADD = """
with made as (
  insert into payout (merchant_id, id, number, provider, amount, netted, reason, actor_id, created_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
)
insert into payout_entry (merchant_id, id, amount, payout_id, at) select $1, $2, -$6::bigint, $2, $9 where $6::bigint > 0
"""
_TAKE = """
with taken as (
  update payout_entry set payout_id = $2 where merchant_id = $1 and payout_id is null returning amount
)
select coalesce(sum(amount), 0)::bigint from taken
"""
_CLOSE = """
with closed as (
  update payout set status = case when $3 then 'returned' else 'paid' end, done_at = $4
  where merchant_id = $1 and id = $2 and status = 'sending' returning merchant_id, id
)
update payout_entry e set payout_id = null from closed c
where $3 and e.merchant_id = c.merchant_id and e.payout_id = c.id
"""
# Merchants that are owed something, less those that were paid a while ago only; by what was rolled up and what came since.
_OWED = """
select owner as merchant_id from (
  select owner, debit, credit from ledger_balance where kind = 'payable' and owner = merchant_id
  union all
  select owner, debit, credit from ledger_recent where kind = 'payable' and owner = merchant_id
) sides
where not exists (select from payout p where p.merchant_id = owner and p.actor_id is null and p.created_at > $2)
group by owner having sum(credit - debit) >= $1 order by owner limit $3
"""
_PAID_LATELY = """
select exists (select from payout where merchant_id = $1 and actor_id is null and created_at > $2)
"""
_PROVIDER = """
select provider from channel_call where merchant_id = $1 and kind = 'finish' order by seq desc limit 1
"""
_PAGE = f"""
select {_COLUMNS} from payout
where ($1::uuid is null or merchant_id = $1) and ($2::uuid is null or id < $2) order by id desc limit $3
"""  # noqa: S608 - the only thing put in is the list of columns above
_ORDERS = """
select o.number, e.order_id, sum(e.amount)::bigint as amount from payout_entry e
join orders o on o.merchant_id = e.merchant_id and o.id = e.order_id
where e.merchant_id = $1 and e.payout_id = $2 and ($3::uuid is null or e.order_id > $3)
group by o.number, e.order_id order by e.order_id limit $4
"""


async def take(tx: Tx, merchant_id: UUID, payout_id: UUID) -> int:
    """Put all that the merchant is owed into a payout; the answer is how much that is. Orders that are released meanwhile
    are in it with their money, or not at all."""
    return int(await tx.fetchval(_TAKE, merchant_id, payout_id))


async def add(
    tx: Tx, money: PayoutMoney, number: str, provider: str, reason: str, actor_id: UUID | None
) -> None:
    """A payout of what was taken for it."""
    await tx.execute(
        _ADD,
        money.merchant_id,
        money.payout_id,
        number,
        provider,
        money.amount,
        money.netted,
        reason,
        actor_id,
        tx.now,
    )


async def note(tx: Tx, merchant_id: UUID, entry_id: UUID, order_id: UUID, amount: int) -> None:
    """An order's money was released to its merchant's payable, or a refund took of it (below 0). Nothing for 0."""
    if amount:
        await tx.execute(
            "insert into payout_entry (merchant_id, id, order_id, amount, at) values ($1, $2, $3, $4, $5)"
            " on conflict do nothing",
            merchant_id,
            entry_id,
            order_id,
            amount,
            tx.now,
        )


async def close(tx: Tx, call: "Call", *, returned: bool) -> None:
    """The service has paid a payout, or the bank has returned it: then what it was made of is owed again."""
    money = PayoutMoney(call.merchant_id, call.reference, call.amount, call.detail.recovered)
    await ledger.post(tx, payout_done_transfers(money, returned=returned))
    await tx.execute(_CLOSE, money.merchant_id, money.payout_id, returned, tx.now)
    status = "returned" if returned else "paid"
    tx.emit(hookspecs.payout_done, PayoutEvent(money.merchant_id, money.payout_id, money.amount, status))


async def owed(tx: Tx, minimum: int, unpaid_for: object, limit: int) -> list[UUID]:
    """Merchants that are owed at least `minimum` and that no cycle has paid since `unpaid_for`."""
    return [row["merchant_id"] for row in await tx.fetch(_OWED, minimum, unpaid_for, limit)]


async def paid_since(tx: Tx, merchant_id: UUID, moment: object) -> bool:
    """Whether a cycle has paid this merchant since."""
    return bool(await tx.fetchval(_PAID_LATELY, merchant_id, moment))


async def provider_of(tx: Tx, merchant_id: UUID) -> str | None:
    """The payment service that has the merchant's balance: the one that last freed money for it."""
    found: str | None = await tx.fetchval(_PROVIDER, merchant_id)
    return found


async def page(tx: Tx, merchant_id: UUID | None, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Payouts, newest first; of all merchants with None."""
    return await tx.fetch(_PAGE, merchant_id, before, limit)


async def orders(
    tx: Tx, merchant_id: UUID, payout_id: UUID, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """What a payout was made of: order_id, number and amount, by order."""
    return await tx.fetch(_ORDERS, merchant_id, payout_id, after, limit)
