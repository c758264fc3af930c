"""Our side of a reconciliation: movements that a payment service was asked for, as our tables have them, in fen."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx, columns
from core.kit.ids import ref

# What a refund or payout says of its amount counts, not the call that was made of it.
_MOVEMENTS = """
select 'pay' as kind, p.id, l.merchant_id, l.amount, 0::bigint as advance, p.created_at as begun, p.paid_at as done
from payment p join payment_leg l on l.account_id = p.account_id and l.payment_id = p.id
where p.provider = $1 and l.amount > 0 and {payment}
union all
select c.kind, c.id, c.merchant_id, coalesce(r.amount, o.amount, c.amount),
  coalesce(o.netted, (c.detail->>'advance')::bigint, (c.detail->>'recovered')::bigint, 0), c.created_at, c.done_at
from channel_call c
left join refund r on c.kind = 'refund' and r.merchant_id = c.merchant_id and r.id = c.id
left join payout o on c.kind = 'pay_out' and o.merchant_id = c.merchant_id and o.id = c.id
where c.provider = $1 and c.kind <> 'finish' and {call}
union all
select 'payout_returned', o.id, o.merchant_id, o.amount, 0, o.created_at, o.done_at
from payout o where o.provider = $1 and o.status = 'returned' and {payout}
"""
_WITHIN = "{0} >= $2 and {0} < $3"
_BETWEEN = _MOVEMENTS.format(
    payment=_WITHIN.format("p.paid_at"),
    call=f"({_WITHIN.format('c.done_at')} or c.status <> 'done' and {_WITHIN.format('c.created_at')})",
    payout=_WITHIN.format("o.done_at"),
)
_AMONG = "({0}.merchant_id, {0}.id) in (select w.shop, w.id from unnest($2::uuid[], $3::uuid[]) w(shop, id))"
_KNOWN = _MOVEMENTS.format(
    payment="p.id = any($3::uuid[])", call=_AMONG.format("c"), payout=_AMONG.format("o")
)


class Movement(msgspec.Struct, frozen=True):
    """Something asked of a payment service; `done` when we knew that it was booked. `advance`: what of it was the market's
    own money, of a payout what more of it went to the market."""

    kind: str
    id: UUID
    merchant_id: UUID
    amount: int
    advance: int
    begun: datetime
    done: datetime | None

    @property
    def reference(self) -> str:
        """Our id as the service has it."""
        return ref(self.id)


async def between(tx: Tx, provider: str, begin: datetime, end: datetime) -> list[Movement]:
    """What was done in a span, and the calls that were decided in it and are open. For the platform's scope."""
    return [_movement(row) for row in await tx.fetch(_BETWEEN, provider, begin, end)]


async def known(tx: Tx, provider: str, keys: Sequence[tuple[UUID, UUID]]) -> list[Movement]:
    """Those with these (merchant, id), whenever they were, done or not."""
    if not keys:
        return []
    return [_movement(row) for row in await tx.fetch(_KNOWN, provider, *columns(keys, 2))]


def _movement(row: asyncpg.Record) -> Movement:
    return Movement(*(row[name] for name in Movement.__struct_fields__))
