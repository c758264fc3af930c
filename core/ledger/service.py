"""Posting to the ledger and reading it. Rows are only ever added: the database refuses anything else."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx, columns
from core.kit.errors import NotFound
from core.kit.ids import parse_pair, parse_ref
from core.ledger.rules import CODES, Account, Transfer

# Both sides of each transfer that is new go to what is not rolled up yet.
_POST = """
with posted as (
  insert into ledger_transfer
    (merchant_id, id, debit_owner, debit_kind, credit_owner, credit_kind, amount, code, reference, at)
  select t.*, $10 from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::bigint[],
                              $8::text[], $9::uuid[]) t
  on conflict do nothing
  returning merchant_id, id, debit_owner, debit_kind, credit_owner, credit_kind, amount
)
insert into ledger_recent (merchant_id, transfer_id, side, owner, kind, debit, credit)
select merchant_id, id, 'debit', debit_owner, debit_kind, amount, 0 from posted
union all select merchant_id, id, 'credit', credit_owner, credit_kind, 0, amount from posted
"""

_COLUMNS = "merchant_id, id, debit_owner, debit_kind, credit_owner, credit_kind, amount, code, reference, at"

_ACCOUNTS = """
select owner, kind, sum(debit)::bigint as debit, sum(credit)::bigint as credit from (
  select owner, kind, debit, credit from ledger_balance
  where ($1::uuid is null or merchant_id = $1) and ($2::uuid is null or owner = $2)
  union all
  select owner, kind, debit, credit from ledger_recent
  where ($1::uuid is null or merchant_id = $1) and ($2::uuid is null or owner = $2)
) sides group by owner, kind order by owner, kind
"""

_PAGE = f"""
select {_COLUMNS} from ledger_transfer
where ($1::uuid is null or merchant_id = $1) and ($2::uuid[] is null or reference = any($2))
  and ($3::timestamptz is null or (at, id) < ($3, $4))
order by at desc, id desc limit $5
"""  # noqa: S608 - the only thing put in is the list of columns above

_TRACE = f"select {_COLUMNS} from ledger_transfer where reference = any($1) order by at, id"  # noqa: S608

_BY_TRADE = "select id from orders where trade_id = $1"

_BY_NUMBER = """
select id from orders where number = $1
union select o.id from orders o join trade t on t.id = o.trade_id where t.number = $1
union select order_id from refund where number = $1
union select id from payout where number = $1
"""

# Where the orders' money went on from the merchant's payable: the payouts that it was in.
_PAYOUTS = """
select e.order_id, p.number, p.status, p.amount, p.done_at, sum(e.amount)::bigint as brought
from payout_entry e join payout p on p.merchant_id = e.merchant_id and p.id = e.payout_id
where e.order_id = any($1) group by e.order_id, p.number, p.status, p.amount, p.done_at, p.created_at
order by p.created_at, e.order_id
"""

# A day is the market's: China has one time zone, without summer time.
_STATEMENTS = """
select day, count(distinct reference) as orders, sum(amount)::bigint as released,
       coalesce(sum(amount) filter (where credit_kind = 'revenue'), 0)::bigint as commission,
       coalesce(sum(amount) filter (where credit_kind = 'payable'), 0)::bigint as payable
from (select (at at time zone 'UTC' + interval '8 hours')::date as day, reference, amount, credit_kind
      from ledger_transfer
      where merchant_id = $1 and debit_owner = $1 and debit_kind = 'frozen'
        and code in ('release.commission', 'release.payable')) released
where $2::date is null or day < $2
group by day order by day desc limit $3
"""


class Posted(msgspec.Struct, frozen=True):
    """A transfer in the books and when it was written."""

    transfer: Transfer
    at: datetime


class PaidOut(msgspec.Struct, frozen=True):
    """A payout that `brought` fen of an order's money went into; `amount` is the whole payout. `done_at` is when the bank
    had it or had returned it."""

    order_id: UUID
    number: str
    status: str
    amount: int
    done_at: datetime | None
    brought: int


class Balance(msgspec.Struct, frozen=True):
    """Sums of one account in fen; `balance` is debit less credit."""

    account: Account
    debit: int
    credit: int

    @property
    def balance(self) -> int:
        """Debit less credit."""
        return self.debit - self.credit


async def post(tx: Tx, transfers: Sequence[Transfer]) -> None:
    """Write transfers in one statement; those already written (by id) stay as they are."""
    if not transfers:
        return
    rows = [
        (
            t.merchant_id,
            t.id,
            t.debit.owner,
            t.debit.kind,
            t.credit.owner,
            t.credit.kind,
            t.amount,
            t.code,
            t.reference,
        )
        for t in transfers
    ]
    await tx.execute(_POST, *columns(rows, 9), tx.now)


async def accounts(tx: Tx, merchant_id: UUID | None = None, *, owner: UUID | None = None) -> list[Balance]:
    """Balances of the accounts that `merchant_id`'s orders moved (all merchants' when None), by owner and kind.

    With `owner`, of that owner's accounts only. Reads what was rolled up and what came since, never the transfers.
    """
    rows = await tx.fetch(_ACCOUNTS, merchant_id, owner)
    return [Balance(Account(r["owner"], r["kind"]), r["debit"], r["credit"]) for r in rows]


async def page(
    tx: Tx,
    *,
    merchant_id: UUID | None,
    references: Sequence[UUID] | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Posted]:
    """Transfers, newest first, at most `limit`; `before` is (at, id) of the last one already seen."""
    at, last = before or (None, None)
    rows = await tx.fetch(
        _PAGE, merchant_id, None if references is None else list(references), at, last, limit
    )
    return [_posted(r) for r in rows]


async def statements(tx: Tx, merchant_id: UUID, before: date | None, limit: int) -> list[asyncpg.Record]:
    """Rows (day, orders, released, commission, payable), newest day first; `before` is the last day already seen."""
    return await tx.fetch(_STATEMENTS, merchant_id, before, limit)


async def resolve(tx: Tx, reference: str) -> list[UUID]:
    """What transfers refer to that `reference` means: an order's, trade's or payout's id as clients know it, or the number
    of one of them or of a refund, which means its order.

    Empty when it means none. Reads what the transaction's scope may see.
    """
    if reference.isdecimal():
        return [r["id"] for r in await tx.fetch(_BY_NUMBER, reference)]
    try:
        return [parse_pair(reference)[1]]
    except NotFound:
        pass
    try:
        return [r["id"] for r in await tx.fetch(_BY_TRADE, parse_ref(reference))]
    except NotFound:
        return []


async def trace(tx: Tx, reference: str) -> list[Posted]:
    """Every transfer of what `reference` means (see `resolve`), in the order they happened.

    Raises `NotFound` when it means nothing.
    """
    found = await resolve(tx, reference)
    if not found:
        raise NotFound(f"No order, trade, refund or payout has the id or number {reference[:60]!r}.")
    posted = [_posted(r) for r in await tx.fetch(_TRACE, found)]
    rank = {code: index for index, code in enumerate(CODES)}
    return sorted(
        posted, key=lambda p: (p.at, found.index(p.transfer.reference), rank.get(p.transfer.code, len(rank)))
    )


async def payouts_of(tx: Tx, references: Sequence[UUID]) -> list[PaidOut]:
    """The payouts that the money of these orders went into, in the order they were made out."""
    return [PaidOut(*row) for row in await tx.fetch(_PAYOUTS, list(references))]


def _posted(row: asyncpg.Record) -> Posted:
    debit, credit = (
        Account(row["debit_owner"], row["debit_kind"]),
        Account(row["credit_owner"], row["credit_kind"]),
    )
    transfer = Transfer(
        row["id"], row["merchant_id"], debit, credit, row["amount"], row["code"], row["reference"]
    )
    return Posted(transfer, row["at"])
