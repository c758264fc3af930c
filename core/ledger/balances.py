"""Balances of accounts: what was rolled up, and what came since.

Whoever takes money out of an account that must not run below zero, as a merchant's payable, locks the account's owner first
and looks at the balance then: `lock`, `held`. What is put in needs no lock.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta
from uuid import UUID

from core.db.tx import Tx, columns
from core.ledger.rules import Account

EVERY = timedelta(seconds=10)
BATCH = 50_000

# All who lock several lock them in the same order.
_LOCK = """
select pg_advisory_xact_lock(key) from (
  select distinct hashtextextended('ledger:' || owner::text, 0) as key from unnest($1::uuid[]) owner order by key
) keys
"""

_HELD = """
select w.owner, w.kind, coalesce(b.amount, 0) + coalesce(r.amount, 0) as amount
from unnest($1::uuid[], $2::text[]) w(owner, kind)
left join lateral (select sum(debit - credit)::bigint as amount from ledger_balance
  where owner = w.owner and kind = w.kind) b on true
left join lateral (select sum(debit - credit)::bigint as amount from ledger_recent
  where owner = w.owner and kind = w.kind) r on true
"""

# One statement, so every reader sees each side once: before in the one table, after in the other.
_ROLL_UP = """
with gone as (
  delete from ledger_recent where (merchant_id, transfer_id, side) in (
    select merchant_id, transfer_id, side from ledger_recent limit $1 for update skip locked)
  returning merchant_id, owner, kind, debit, credit
), sums as (
  select merchant_id, owner, kind, sum(debit)::bigint as debit, sum(credit)::bigint as credit from gone
  group by merchant_id, owner, kind
), rolled as (
  insert into ledger_balance as b (merchant_id, owner, kind, debit, credit)
  select merchant_id, owner, kind, debit, credit from sums order by merchant_id, owner, kind
  on conflict (merchant_id, owner, kind) do update set debit = b.debit + excluded.debit, credit = b.credit + excluded.credit
)
select count(*) from gone
"""


async def lock(tx: Tx, owners: Collection[UUID]) -> None:
    """Have nobody else take money from these owners' accounts until the transaction ends. Once in a transaction, for all
    that it needs, after the rows of orders are locked."""
    if owners:
        await tx.execute(_LOCK, list(owners))


async def held(tx: Tx, accounts: Iterable[Account]) -> dict[Account, int]:
    """Debit less credit of each account. Needs a scope that sees all of it."""
    rows = await tx.fetch(_HELD, *columns([(a.owner, a.kind) for a in accounts], 2))
    return {Account(r["owner"], r["kind"]): r["amount"] for r in rows}


async def roll_up(tx: Tx, batch: int = BATCH) -> int:
    """Move at most `batch` sides of transfers into the balances; the answer is how many. For the system scope. Two at once
    take different ones."""
    return int(await tx.fetchval(_ROLL_UP, batch))


async def cycle(tx: Tx) -> None:
    """Roll up what came since the last time."""
    await roll_up(tx)
