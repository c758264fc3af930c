"""Proofs about money: the ledger in itself, and what became of every order. Amounts in fen."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.stress.story import World

Look = Callable[[Any, World], Awaitable[list[str]]]

_BALANCES = """
with sums as (
  select merchant_id, owner, kind, sum(debit)::bigint as debit, sum(credit)::bigint as credit from (
    select merchant_id, debit_owner as owner, debit_kind as kind, amount as debit, 0::bigint as credit from ledger_transfer
    union all select merchant_id, credit_owner, credit_kind, 0, amount from ledger_transfer) x group by 1, 2, 3),
kept as (
  select merchant_id, owner, kind, sum(debit)::bigint as debit, sum(credit)::bigint as credit from (
    select merchant_id, owner, kind, debit, credit from ledger_balance
    union all select merchant_id, owner, kind, debit, credit from ledger_recent) x group by 1, 2, 3)
select merchant_id, owner, kind, s.debit, s.credit, k.debit as kept_debit, k.credit as kept_credit
from sums s full join kept k using (merchant_id, owner, kind)
where (s.debit, s.credit) is distinct from (k.debit, k.credit)
"""
_BELOW = """
select owner, kind, sum(credit - debit)::bigint as held from (
  select merchant_id, debit_owner as owner, debit_kind as kind, amount as debit, 0::bigint as credit from ledger_transfer
  union all select merchant_id, credit_owner, credit_kind, 0, amount from ledger_transfer) x
group by owner, kind
having (kind in ('frozen', 'payable', 'payout_transit', 'refund_transit', 'deposit') and sum(credit - debit) < 0)
  or (kind in ('gateway', 'debt') and sum(credit - debit) > 0)
  or (kind in ('frozen', 'payout_transit', 'refund_transit') and sum(credit - debit) <> 0)
"""
# What the books say became of each order, and what its rows say. `whose`: the shop, the market or an earner.
_PLACES = """
with sides as (
  select reference, merchant_id, debit_owner as owner, debit_kind as kind, -amount as amount, code from ledger_transfer
  union all select reference, merchant_id, credit_owner, credit_kind, amount, code from ledger_transfer),
books as (
  select reference as id, merchant_id,
    sum(amount) filter (where owner = merchant_id and kind in ('frozen', 'refund_transit')) as moving,
    sum(amount) filter (where owner not in (merchant_id, $1) and kind = 'frozen') as earner_frozen,
    sum(amount) filter (where owner = merchant_id and kind in ('payable', 'debt', 'deposit')) as shop,
    sum(amount) filter (where owner = $1 and kind = 'revenue') as revenue,
    -sum(amount) filter (where owner = $1 and kind = 'subsidy') as subsidy,
    sum(amount) filter (where owner not in (merchant_id, $1) and kind in ('payable', 'debt')) as earner_owed,
    sum(amount) filter (where code = 'split.earning' and amount > 0) as earner_paid,
    sum(amount) filter (where code in ('refund.done', 'late.out') and amount > 0) as sent_back,
    sum(amount) filter (where code in ('pay.buyer', 'late.in') and amount > 0) as captured
  from sides group by reference, merchant_id),
refunds as (
  select merchant_id, order_id as id, sum(amount) as amount, sum(market_borne + deducted_market) as market,
    sum(commission) as commission, sum(earnings) as earnings from refund group by 1, 2),
legs as (
  select l.merchant_id, l.order_id as id, sum(l.amount) as captured, sum(l.refunded_amount) as sent_back from payment_leg l
  join payment p on p.account_id = l.account_id and p.id = l.payment_id where p.status in ('paid', 'refunding', 'refunded')
  group by 1, 2),
facts as (
  select o.number, o.status,
    case when o.paid_at is null then 0 else o.payable + o.market_borne end as brought,
    coalesce(r.amount, 0)::bigint as to_buyer, coalesce(r.market, 0)::bigint as to_market,
    case when o.paid_at is null then 0 else o.commission - o.refunded_commission end as fee,
    case when o.paid_at is null then 0 else o.earnings - o.refunded_earnings end as earned,
    case when o.paid_at is null then 0 else o.market_borne end as borne,
    o.refunded_amount, o.refunded_market + o.deducted_market as given_back,
    coalesce(b.moving, 0)::bigint as moving, coalesce(b.earner_frozen, 0)::bigint as earner_frozen,
    coalesce(b.shop, 0)::bigint as shop, coalesce(b.revenue, 0)::bigint as revenue,
    coalesce(b.subsidy, 0)::bigint as subsidy,
    (coalesce(b.earner_owed, 0) + coalesce(b.earner_paid, 0))::bigint as earners,
    coalesce(b.captured, 0)::bigint as captured, coalesce(b.sent_back, 0)::bigint as sent_back,
    coalesce(l.captured, 0)::bigint as leg_captured, coalesce(l.sent_back, 0)::bigint as leg_sent_back
  from orders o left join books b on b.id = o.id and b.merchant_id = o.merchant_id
  left join refunds r on r.id = o.id and r.merchant_id = o.merchant_id
  left join legs l on l.id = o.id and l.merchant_id = o.merchant_id)
select * from facts
where moving <> 0 or earner_frozen <> 0 or revenue <> fee or earners <> earned or subsidy <> borne - to_market
  or shop <> brought - to_buyer - to_market - fee - earned or to_buyer <> refunded_amount or to_market <> given_back
  or captured <> leg_captured or sent_back <> leg_sent_back
"""
_EARNINGS = """
select o.number, o.earnings, o.refunded_earnings, sum(e.amount) as promised, sum(e.refunded_amount) as taken_back
from orders o join order_earning e on e.merchant_id = o.merchant_id and e.order_id = o.id
group by o.merchant_id, o.id, o.number, o.earnings, o.refunded_earnings
having o.earnings <> sum(e.amount) or o.refunded_earnings <> sum(e.refunded_amount)
"""
# Whose goods were all cancelled before any left has all of the money back, but for what was kept back of it.
_WHOLE = """
select o.number, o.payable, o.refunded_amount, coalesce(sum(r.deducted_amount), 0) as kept_back
from orders o left join refund r on r.merchant_id = o.merchant_id and r.order_id = o.id
where o.status = 'closed' and o.paid_at is not null
group by o.merchant_id, o.id, o.number, o.payable, o.refunded_amount
having o.payable <> o.refunded_amount + coalesce(sum(r.deducted_amount), 0)
"""
_TWICE = """
select 'trade ' || t.number || ' (order ' || string_agg(distinct o.number, ' ') || ' ) is ' || t.status || ' with '
  || count(distinct p.id) filter (where p.status = 'paid') || ' paid payments, '
  || count(distinct p.id) filter (where p.status = 'refunding') || ' on their way back' as problem
from trade t join orders o on o.trade_id = t.id
join payment p on p.account_id = t.account_id and p.subject_id = t.id
group by t.account_id, t.id, t.number, t.status
having count(distinct p.id) filter (where p.status = 'paid') <> (t.status = 'paid')::int
  or bool_or(p.status = 'refunding')
union all
select 'order ' || o.number || ': ' || l.refunded_amount || ' of the late payment of ' || l.amount || ' came back'
from payment_leg l join payment p on p.account_id = l.account_id and p.id = l.payment_id
join orders o on o.merchant_id = l.merchant_id and o.id = l.order_id
where p.status = 'refunded' and l.refunded_amount <> l.amount
union all
select 'order ' || o.number || ': refunds of ' || r.n || ', of the payment ' || l.refunded_amount || ', of the order '
  || o.refunded_amount || ' on their way ' || o.refunding_amount
from orders o join payment_leg l on l.merchant_id = o.merchant_id and l.order_id = o.id
join payment p on p.account_id = l.account_id and p.id = l.payment_id and p.status = 'paid'
cross join lateral (select coalesce(sum(amount), 0) as n from refund r
                    where r.merchant_id = o.merchant_id and r.order_id = o.id) r
where l.refunded_amount <> r.n or o.refunded_amount <> r.n or o.refunding_amount <> 0
"""
_OWED = """
with entries as (select merchant_id, sum(amount)::bigint as owed from payout_entry where payout_id is null group by 1),
books as (
  select owner as merchant_id, sum(amount)::bigint as payable from (
    select debit_owner as owner, -amount as amount from ledger_transfer where debit_kind = 'payable'
    union all select credit_owner, amount from ledger_transfer where credit_kind = 'payable') x group by 1)
select m.slug, coalesce(b.payable, 0) as payable, coalesce(e.owed, 0) as owed from merchant m
left join books b on b.merchant_id = m.id left join entries e on e.merchant_id = m.id
where coalesce(b.payable, 0) <> coalesce(e.owed, 0)
"""


def _none(sql: str) -> Look:
    """A proof that a question has no answer: each row is a problem."""

    async def look(connection: Any, world: World) -> list[str]:
        return [_words(row) for row in await connection.fetch(sql)]

    return look


def _words(row: Any) -> str:
    """A row as a sentence; orders by their number, for whoever looks for their story."""
    if "problem" in row.keys():  # noqa: SIM118 - a record is no mapping
        return str(row["problem"])
    said = ", ".join(f"{name} {value}" for name, value in row.items() if name != "number")
    return f"order {row['number']} : {said}" if "number" in row.keys() else said  # noqa: SIM118


async def _places(connection: Any, world: World) -> list[str]:
    market = "00000000-0000-7000-8000-000000000001"
    return [_words(row) for row in await connection.fetch(_PLACES, market)]


async def _checked(connection: Any, world: World) -> list[str]:
    answer = await world.scene.operator.get("/api/platform/ledger/check")
    return [] if answer["balanced"] else [p["detail"] for p in answer["problems"]] or ["not balanced"]


PROOFS: tuple[tuple[str, Look], ...] = (
    ("rolled-up balances are the sums of the transfers", _none(_BALANCES)),
    ("no account is below zero, nothing is frozen or on its way", _none(_BELOW)),
    ("every order's fen are with buyer, shop, market or earners, each fen once", _places),
    ("what earners were promised is what orders say", _none(_EARNINGS)),
    ("whose goods never left has all of the money back", _none(_WHOLE)),
    ("nobody paid or was refunded twice", _none(_TWICE)),
    ("what shops are owed is what their payouts are made of", _none(_OWED)),
    ("the ledger's own check says balanced", _checked),
)
