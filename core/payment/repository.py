"""Statements of payments. Amounts in fen."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx, columns
from core.kit.ids import new_id
from core.ledger.rules import Earning
from core.payment.provider import Created, Leg, PaidNotice

_LOCK_TRADE = """
select status, payable, number, expires_at from trade where account_id = $1 and id = $2 for update
"""

# Reuses an open payment of the same provider and amount; otherwise writes the payment and one leg per order.
_OPEN = """
with old as (
  select id, client::text, provider_ref from payment
  where account_id = $1 and subject_id = $2 and subject_kind = 'trade' and provider = $4 and amount = $5
    and status = 'created' and expires_at > $6
  order by id desc limit 1
), new as (
  insert into payment (account_id, id, subject_kind, subject_id, provider, amount, created_at, expires_at)
  select $1, $3::uuid, 'trade', $2, $4, $5, $6, $7 where not exists (select from old)
  returning id
), legs as (
  insert into payment_leg (account_id, payment_id, merchant_id, order_id, amount)
  select $1, new.id, o.merchant_id, o.id, o.payable from orders o, new where o.account_id = $1 and o.trade_id = $2
)
select coalesce((select id from old), (select id from new)) as id, (select client from old) as client,
  (select provider_ref from old) as provider_ref, exists (select from new) as fresh,
  (select json_agg(json_build_object('merchant_id', o.merchant_id, 'amount', o.payable) order by o.merchant_id)::text
   from orders o where o.account_id = $1 and o.trade_id = $2 and o.payable > 0) as legs
"""

_KEEP = "update payment set provider_ref = $3, client = $4::jsonb where account_id = $1 and id = $2"

_VIEW = """
select id, subject_id, provider, amount, status, client::text, expires_at, paid_at
from payment where account_id = $1 and id = $2
"""

# Locks the payment, then its trade: the order in which everything that pays takes them.
_LOCK = """
select p.account_id, p.id, p.subject_id as trade_id, p.provider, p.amount, p.status, t.status as trade_status,
  (select json_agg(json_build_object('merchant_id', l.merchant_id, 'order_id', l.order_id, 'amount', l.amount,
                                     'market_borne', o.market_borne, 'contributors', o.contributors, 'earnings', (
      select json_agg(json_build_object('owner', e.owner_id, 'amount', e.amount)) from (
        select owner_id, sum(amount)::bigint as amount from order_earning
        where merchant_id = o.merchant_id and order_id = o.id group by owner_id order by owner_id) e))
    order by l.merchant_id, l.order_id)::text
   from payment_leg l join orders o on o.merchant_id = l.merchant_id and o.id = l.order_id
   where l.account_id = p.account_id and l.payment_id = p.id) as legs
from payment p join trade t on t.account_id = p.account_id and t.id = p.subject_id
where p.id = $1 and p.subject_kind = 'trade'
for update of p, t
"""

# The notification that brought the news, if there was one ($10 is not null), is kept in the same statement.
_PAID = """
with want as (
  select * from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[]) w(merchant_id, order_id, log_id, gateway_ref)
), pay as (
  update payment set status = 'paid', paid_at = $7, provider_ref = coalesce(provider_ref, $8)
  where account_id = $1 and id = $2 and status in ('created', 'closed') returning subject_id
), leg as (
  update payment_leg l set gateway_ref = want.gateway_ref from want, pay
  where l.account_id = $1 and l.payment_id = $2 and l.merchant_id = want.merchant_id
), paid_trade as (
  update trade t set status = 'paid', paid_at = $9 from pay
  where t.account_id = $1 and t.id = pay.subject_id and t.status = 'unpaid' returning t.id
), paid_order as (
  update orders o set status = 'paid', paid_at = $9 from want, paid_trade t
  where o.merchant_id = want.merchant_id and o.id = want.order_id and o.trade_id = t.id and o.status = 'unpaid'
  returning o.merchant_id, o.id
), log as (
  insert into order_log (merchant_id, id, order_id, account_id, old_status, new_status, reason, at)
  select want.merchant_id, want.log_id, want.order_id, $1, 'unpaid', 'paid', 'payment captured', $9
  from want join paid_order o on o.merchant_id = want.merchant_id and o.id = want.order_id
), kept as (
  insert into payment_notification (provider, event_id, payment_id, body, received_at, applied_at, result)
  select $10::text, $11::text, $2, $12::bytea, $9, $9, 'applied' where $10::text is not null on conflict do nothing
)
select count(*) from paid_order
"""

_LATE = """
with pay as (
  update payment set status = 'refunding', paid_at = $5, provider_ref = coalesce(provider_ref, $6)
  where account_id = $1 and id = $2 and status in ('created', 'closed') returning id
)
update payment_leg l set gateway_ref = want.gateway_ref
from unnest($3::uuid[], $4::text[]) want(merchant_id, gateway_ref), pay
where l.account_id = $1 and l.payment_id = $2 and l.merchant_id = want.merchant_id
"""

_STORE_NOTIFICATION = """
insert into payment_notification (provider, event_id, payment_id, body, received_at, applied_at, result)
values ($1, $2, $3, $4, $5::timestamptz, case when $6::text <> 'mismatch' then $5::timestamptz end, $6::text)
on conflict do nothing
"""

# Refunded once all of its legs are.
_REFUNDED = """
update payment p set status = 'refunded' where p.id = $1 and p.status = 'refunding'
  and not exists (select from payment_leg l
    where l.account_id = p.account_id and l.payment_id = p.id and l.refunded_amount < l.amount)
"""

_PAID_LEG = """
select p.id, p.provider from payment p
join payment_leg l on l.account_id = p.account_id and l.payment_id = p.id
where p.subject_kind = 'trade' and p.subject_id = $1 and p.status = 'paid' and l.merchant_id = $2 and l.order_id = $3
"""

_LEG_REFUNDED = """
update payment_leg l set refunded_amount = l.refunded_amount + $3 from payment p
where p.id = $1 and l.account_id = p.account_id and l.payment_id = p.id and l.merchant_id = $2
"""

_DUE = "select account_id, provider, status, expires_at from payment where id = $1"

_CLOSE = """
update payment set status = 'closed', closed_at = $3 where account_id = $1 and id = $2 and status = 'created'
"""


class OrderLeg(msgspec.Struct, frozen=True):
    """One order's share of a payment; 0 for an order that costs nothing. `market_borne` is what the market adds, `earnings`
    what others earn on the order, `contributors` the plugins that had a part in it, None where that is not known."""

    merchant_id: UUID
    order_id: UUID
    amount: int
    market_borne: int = 0
    earnings: tuple[Earning, ...] | None = None
    contributors: tuple[str, ...] | None = None


class Received(msgspec.Struct, frozen=True):
    """A notification as it is kept: `body` is encrypted."""

    provider: str
    event_id: str
    body: bytes


class Opened(msgspec.Struct, frozen=True):
    """An open payment of a trade; `provider_ref` and `client` once the provider has answered."""

    id: UUID
    fresh: bool
    legs: Sequence[Leg]
    provider_ref: str | None
    client: Mapping[str, str]


async def lock_trade(tx: Tx, account_id: UUID, trade_id: UUID) -> asyncpg.Record | None:
    """The buyer's trade (status, payable, number, expires_at), locked."""
    return await tx.fetchrow(_LOCK_TRADE, account_id, trade_id)


async def open_payment(
    tx: Tx, account_id: UUID, trade_id: UUID, provider: str, amount: int, expires_at: datetime
) -> Opened:
    """The open payment of this trade, provider and amount: one that exists, or a new one with its legs."""
    row = await tx.fetchrow(_OPEN, account_id, trade_id, new_id(), provider, amount, tx.now, expires_at)
    assert row is not None, "the statement has no from clause, so it gives one row"
    return Opened(
        row["id"],
        row["fresh"],
        msgspec.json.decode(row["legs"] or b"[]", type=list[Leg]),
        row["provider_ref"],
        client_of(row["client"]),
    )


def client_of(stored: str | None) -> Mapping[str, str]:
    """The client data in a payment's row."""
    return msgspec.json.decode(stored, type=dict[str, str]) if stored else {}


async def keep(tx: Tx, account_id: UUID, payment_id: UUID, created: Created) -> None:
    """Store what the provider answered."""
    await tx.execute(
        _KEEP, account_id, payment_id, created.provider_ref, msgspec.json.encode(created.client).decode()
    )


async def view(tx: Tx, account_id: UUID, payment_id: UUID) -> asyncpg.Record | None:
    """A buyer's own payment."""
    return await tx.fetchrow(_VIEW, account_id, payment_id)


async def lock(tx: Tx, payment_id: UUID) -> tuple[asyncpg.Record, list[OrderLeg]] | None:
    """A payment with its trade's status, both locked, and its legs."""
    row = await tx.fetchrow(_LOCK, payment_id)
    return None if row is None else (row, _legs(row["legs"]))


async def mark_paid(
    tx: Tx, account_id: UUID, notice: PaidNotice, legs: Sequence[OrderLeg], received: Received | None
) -> int:
    """Payment, legs, trade and orders become paid, and `received` is kept as applied; the answer is how many orders
    became paid."""
    refs = {leg.merchant_id: leg.gateway_ref for leg in notice.legs}
    rows = [(leg.merchant_id, leg.order_id, new_id(), refs.get(leg.merchant_id)) for leg in legs]
    return int(
        await tx.fetchval(
            _PAID,
            account_id,
            notice.payment_id,
            *columns(rows, 4),
            notice.paid_at,
            notice.provider_ref,
            tx.now,
            *(
                (None, None, None)
                if received is None
                else (received.provider, received.event_id, received.body)
            ),
        )
    )


async def mark_late(tx: Tx, account_id: UUID, notice: PaidNotice) -> None:
    """The payment came too late: it is to be refunded."""
    rows = [(leg.merchant_id, leg.gateway_ref) for leg in notice.legs]
    await tx.execute(
        _LATE, account_id, notice.payment_id, *columns(rows, 2), notice.paid_at, notice.provider_ref
    )


async def store_notification(tx: Tx, received: Received, payment_id: UUID, result: str) -> None:
    """Keep a notification and what came of it; one that is known stays as it was."""
    await tx.execute(
        _STORE_NOTIFICATION,
        received.provider,
        received.event_id,
        payment_id,
        received.body,
        tx.now,
        result,
    )


async def mark_refunded(tx: Tx, payment_id: UUID) -> None:
    """A refunding payment is refunded, if all of its legs are."""
    await tx.execute(_REFUNDED, payment_id)


async def paid_leg(tx: Tx, trade_id: UUID, merchant_id: UUID, order_id: UUID) -> asyncpg.Record | None:
    """id and provider of the payment that paid this order."""
    return await tx.fetchrow(_PAID_LEG, trade_id, merchant_id, order_id)


async def leg_refunded(tx: Tx, payment_id: UUID, merchant_id: UUID, amount: int) -> None:
    """`amount` of a leg of a payment has gone back to the buyer. Legs of one payment wait for each other."""
    await tx.execute("select from payment where id = $1 for update", payment_id)
    await tx.execute(_LEG_REFUNDED, payment_id, merchant_id, amount)


async def due(tx: Tx, payment_id: UUID) -> asyncpg.Record | None:
    """account_id, provider, status and expires_at of a payment."""
    return await tx.fetchrow(_DUE, payment_id)


async def mark_closed(tx: Tx, account_id: UUID, payment_id: UUID) -> None:
    """An open payment was closed at its provider."""
    await tx.execute(_CLOSE, account_id, payment_id, tx.now)


def _legs(stored: str | None) -> list[OrderLeg]:
    return msgspec.json.decode(stored or b"[]", type=list[OrderLeg])
