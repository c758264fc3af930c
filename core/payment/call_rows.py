"""Rows of calls to payment services. Amounts in fen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx, columns
from core.ledger.rules import Earning

Kind = Literal["subsidise", "return_subsidy", "refund", "split", "return_split", "finish", "pay_out"]

_COLUMNS = "merchant_id, id, payment_id, order_id, provider, kind, amount, detail::text, reference, status, tries, error"

_ADD = """
insert into channel_call (merchant_id, id, payment_id, order_id, provider, kind, amount, detail, reference, created_at)
select w.merchant_id, w.id, w.payment_id, w.order_id, w.provider, w.kind, w.amount, w.detail::jsonb, w.reference, $10
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::uuid[])
  with ordinality w(merchant_id, id, payment_id, order_id, provider, kind, amount, detail, reference, place)
order by w.place on conflict do nothing
"""
_FIRST = f"""
select {_COLUMNS} from channel_call
where merchant_id = $1 and payment_id is not distinct from $2 and status <> 'done' order by seq limit 1
"""  # noqa: S608 - the only thing put in is the list of columns above
_DONE = """
update channel_call set status = 'done', done_at = $3, error = null where merchant_id = $1 and id = $2 and status = 'waiting'
returning true
"""
_PAGE = f"""
select {_COLUMNS}, seq, created_at, done_at from channel_call
where ($1::text is null or status = $1) and ($2::bigint is null or seq < $2) order by seq desc limit $3
"""  # noqa: S608
_RETRY = f"""
with again as (update channel_call set status = 'waiting', tries = 0
  where merchant_id = $1 and id = $2 and status <> 'done' returning id)
select {_COLUMNS}, seq, created_at, done_at, exists (select from again) as again from channel_call
where merchant_id = $1 and id = $2
"""  # noqa: S608


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call needs besides its amount. `advance`: of a refund or subsidy, the market's own; `late`: a payment that came
    late goes back. Of a split: `commission`, `withheld` (a deduction of a refund that is the market's) and `earnings`. Of a
    payout: `recovered`."""

    advance: int = 0
    late: bool = False
    reason: str = ""
    commission: int = 0
    withheld: int = 0
    earnings: tuple[Earning, ...] = ()
    recovered: int = 0


class Call(msgspec.Struct, frozen=True):
    """Something to ask a payment service for. `reference` is what for: an order, a refund, a payout, a late payment. Calls
    of one payment and merchant are made one after another; so are those without a payment of one merchant."""

    merchant_id: UUID
    id: UUID
    payment_id: UUID | None
    order_id: UUID | None
    provider: str
    kind: Kind
    amount: int
    reference: UUID
    detail: Detail = Detail()
    status: str = "waiting"
    tries: int = 0
    error: str | None = None


async def add(tx: Tx, calls: Sequence[Call]) -> None:
    """Write calls in their order; those that are known stay as they are."""
    rows = [
        (
            c.merchant_id,
            c.id,
            c.payment_id,
            c.order_id,
            c.provider,
            c.kind,
            c.amount,
            msgspec.json.encode(c.detail).decode(),
            c.reference,
        )
        for c in calls
    ]
    await tx.execute(_ADD, *columns(rows, 9), tx.now)


async def first(tx: Tx, merchant_id: UUID, payment_id: UUID | None) -> Call | None:
    """The first call that is not done of a payment and merchant, or of a merchant's payouts."""
    row = await tx.fetchrow(_FIRST, merchant_id, payment_id)
    return None if row is None else call_of(row)


async def tried(tx: Tx, call: Call) -> None:
    """It is asked for once more."""
    await tx.execute(
        "update channel_call set tries = tries + 1 where merchant_id = $1 and id = $2",
        call.merchant_id,
        call.id,
    )


async def failed(tx: Tx, call: Call, error: str, *, refused: bool) -> None:
    """Note what went wrong; with `refused` it is not asked for again by itself."""
    await tx.execute(
        "update channel_call set error = $3, status = case when $4 then 'refused' else status end"
        " where merchant_id = $1 and id = $2 and status = 'waiting'",
        call.merchant_id,
        call.id,
        error[:500],
        refused,
    )


async def done(tx: Tx, call: Call, at: datetime) -> bool:
    """It is done; False when that was known."""
    return bool(await tx.fetchval(_DONE, call.merchant_id, call.id, at))


async def page(tx: Tx, status: str | None, before: int | None, limit: int) -> list[asyncpg.Record]:
    """Calls, newest first, from the one before `before`."""
    return await tx.fetch(_PAGE, status, before, limit)


async def again(tx: Tx, merchant_id: UUID, call_id: UUID) -> asyncpg.Record | None:
    """Have a call that is not done wait again; `again` in the answer says whether it was. None for an unknown one."""
    return await tx.fetchrow(_RETRY, merchant_id, call_id)


def call_of(row: asyncpg.Record) -> Call:
    """A call in a row."""
    return Call(
        row["merchant_id"],
        row["id"],
        row["payment_id"],
        row["order_id"],
        row["provider"],
        row["kind"],
        row["amount"],
        row["reference"],
        msgspec.json.decode(row["detail"], type=Detail),
        row["status"],
        row["tries"],
        row["error"],
    )
