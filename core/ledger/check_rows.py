"""Statements that find what cannot be in the books; each gives rows of problems, at most $1."""

# What payment froze, where it stands now, what the gateway took in and gave back, and what orders, earners and payments say:
# each order once. Money that an order brought is refunded, given back to the market, or kept by somebody.
ORDERS = """
with moved as (
  select reference, merchant_id,
    coalesce(sum(amount) filter (where code in ('pay.buyer', 'pay.subsidy')), 0)::bigint as frozen,
    (coalesce(sum(amount) filter (where credit_kind = 'frozen'), 0)
     - coalesce(sum(amount) filter (where debit_kind = 'frozen'), 0))::bigint as still,
    (coalesce(sum(amount) filter (where credit_kind in ('frozen', 'payable', 'revenue', 'debt', 'deposit')), 0)
     - coalesce(sum(amount) filter (where debit_kind in ('frozen', 'payable', 'revenue', 'debt', 'deposit')), 0)
     + coalesce(sum(amount) filter (where code = 'split.earning'), 0))::bigint as kept,
    (coalesce(sum(amount) filter (where credit_kind = 'revenue'), 0)
     - coalesce(sum(amount) filter (where debit_kind = 'revenue'), 0))::bigint as revenue,
    (coalesce(sum(amount) filter (where credit_kind = 'payable' and credit_owner = merchant_id), 0)
     - coalesce(sum(amount) filter (where debit_kind = 'payable' and debit_owner = merchant_id), 0))::bigint as to_merchant,
    coalesce(sum(amount) filter (where code = 'pay.earning'), 0)::bigint as earned,
    coalesce(sum(amount) filter (where code = 'refund.earning'), 0)::bigint as given_up,
    coalesce(sum(amount) filter (where code = 'refund.buyer'), 0)::bigint as to_buyer,
    coalesce(sum(amount) filter (where code = 'refund.done'), 0)::bigint as arrived,
    (coalesce(sum(amount) filter (where code in ('refund.subsidy', 'refund.deduction')), 0)
     - coalesce(sum(amount) filter (where code = 'refund.restored'), 0))::bigint as to_market,
    coalesce(sum(amount) filter (where code in ('pay.buyer', 'late.in')), 0)::bigint as captured
  from ledger_transfer group by reference, merchant_id),
legs as (
  select l.order_id, l.merchant_id, sum(l.amount)::bigint as paid,
    coalesce(sum(l.refunded_amount) filter (where p.status = 'paid'), 0)::bigint as sent_back
  from payment_leg l join payment p on p.account_id = l.account_id and p.id = l.payment_id
  where p.status in ('paid', 'refunding', 'refunded') and l.order_id is not null
  group by l.order_id, l.merchant_id),
entries as (
  select order_id, merchant_id, sum(amount)::bigint as listed from payout_entry where order_id is not null
  group by order_id, merchant_id),
earners as (
  select order_id, merchant_id, sum(amount)::bigint as amount, sum(refunded_amount)::bigint as refunded
  from order_earning group by order_id, merchant_id),
-- The buyer has it, but the order does not say so yet.
arriving as (
  select r.order_id, r.merchant_id, sum(r.amount)::bigint as amount
  from refund r join channel_call c on c.merchant_id = r.merchant_id and c.id = r.id and c.status = 'done'
  where r.status = 'refunding' group by r.order_id, r.merchant_id),
facts as (
  select o.id, o.merchant_id, o.number, o.released_at is not null as is_released,
    case when o.paid_at is null then 0 else o.payable + o.market_borne end as due,
    case when o.paid_at is null then 0 else o.earnings end as earnings_due, o.refunded_earnings,
    o.earnings <> coalesce(e.amount, 0) or o.refunded_earnings <> coalesce(e.refunded, 0) as unlike_earners,
    o.refunded_amount, o.refunded_amount + o.refunding_amount as decided,
    o.refunded_market + o.deducted_market as given_back, o.commission - o.refunded_commission as fee,
    coalesce(m.frozen, 0) as frozen, coalesce(m.still, 0) as still, coalesce(m.kept, 0) as kept,
    coalesce(m.revenue, 0) as revenue, coalesce(m.to_buyer, 0) as to_buyer, coalesce(m.arrived, 0) as arrived,
    coalesce(m.to_market, 0) as to_market, coalesce(m.captured, 0) as captured, coalesce(l.paid, 0) as paid,
    coalesce(m.earned, 0) as earned, coalesce(m.given_up, 0) as given_up, coalesce(m.to_merchant, 0) as to_merchant,
    coalesce(n.listed, 0) as listed, coalesce(a.amount, 0) as unsettled, coalesce(l.sent_back, 0) as sent_back
  from orders o
  left join moved m on m.reference = o.id and m.merchant_id = o.merchant_id
  left join legs l on l.order_id = o.id and l.merchant_id = o.merchant_id
  left join entries n on n.order_id = o.id and n.merchant_id = o.merchant_id
  left join earners e on e.order_id = o.id and e.merchant_id = o.merchant_id
  left join arriving a on a.order_id = o.id and a.merchant_id = o.merchant_id)
select * from facts
where frozen <> due or captured <> paid or to_buyer <> decided or arrived <> refunded_amount + unsettled
  or sent_back <> arrived or to_market <> given_back or frozen <> to_buyer + to_market + kept
  or earned <> earnings_due or given_up <> refunded_earnings or unlike_earners or to_merchant <> listed
  or (is_released and (still <> 0 or revenue <> fee))
order by id limit $1
"""

# What a merchant is owed is what its next payout would be made of.
PAYABLE = """
with entries as (
  select merchant_id, sum(amount)::bigint as listed from payout_entry where payout_id is null group by merchant_id),
balances as (
  select owner as merchant_id, sum(credit - debit)::bigint as payable from (
    select merchant_id, owner, kind, debit, credit from ledger_balance
    union all select merchant_id, owner, kind, debit, credit from ledger_recent
  ) s where kind = 'payable' and owner = merchant_id group by owner)
select merchant_id, coalesce(payable, 0) as payable, coalesce(listed, 0) as listed
from balances full join entries using (merchant_id) where coalesce(payable, 0) <> coalesce(listed, 0)
order by merchant_id limit $1
"""

# Once no call waits, the cash at the payment service is what is frozen, owed and on its way, to the fen.
CASH = """
with balances as (
  select merchant_id, coalesce(sum(debit - credit) filter (where kind = 'gateway'), 0)::bigint as gateway,
    coalesce(sum(credit - debit) filter (where kind <> 'gateway'), 0)::bigint as owed
  from (select merchant_id, kind, debit, credit from ledger_balance
        union all select merchant_id, kind, debit, credit from ledger_recent) s
  where kind in ('gateway', 'frozen', 'payable', 'payout_transit', 'refund_transit') group by merchant_id)
select * from balances b where gateway <> owed
  and not exists (select from channel_call c where c.merchant_id = b.merchant_id and c.status <> 'done')
order by merchant_id limit $1
"""

# Each call that is done has moved its cash: by what it is about, and sort.
CALLS = """
with made as (
  select c.merchant_id, coalesce(c.order_id, c.reference) as about, v.sort, sum(v.amount)::bigint as made
  from channel_call c, lateral (values
    (case when c.kind = 'pay_out' and c.order_id is not null then 'split' else c.kind end,
     c.amount + case when c.order_id is not null and c.kind = 'pay_out' then (c.detail->>'recovered')::bigint else 0 end),
    ('advance', coalesce((c.detail->>'advance')::bigint, 0)),
    ('recovered', case when c.order_id is null then coalesce((c.detail->>'recovered')::bigint, 0) else 0 end)
  ) v(sort, amount)
  where c.status = 'done' and c.kind <> 'finish' group by 1, 2, 3 having sum(v.amount) > 0),
posted as (
  select merchant_id, reference as about, case
      when code = 'pay.funds' then 'subsidise'
      when code in ('refund.done', 'late.out') then 'refund'
      when code = 'refund.advance' then 'advance'
      when code = 'refund.funds' then 'return_subsidy'
      when code = 'refund.fee' then 'return_split'
      when code in ('payout.done', 'payout.returned') then 'pay_out'
      when code = 'payout.recovered' then 'recovered'
      else 'split' end as sort, sum(amount)::bigint as posted
  from ledger_transfer where code in ('pay.funds', 'refund.done', 'late.out', 'refund.advance', 'refund.funds', 'refund.fee',
    'payout.done', 'payout.returned', 'payout.recovered', 'split.commission', 'split.earning', 'split.recovered',
    'refund.withheld') group by 1, 2, 3)
select merchant_id, about, sort, made, coalesce(posted, 0) as posted
from made left join posted using (merchant_id, about, sort) where made <> coalesce(posted, 0)
order by about, sort limit $1
"""

PAYOUTS = """
with entries as (
  select merchant_id, payout_id, sum(amount)::bigint as amount from payout_entry where payout_id is not null group by 1, 2),
posted as (
  select reference, coalesce(sum(amount) filter (where code = 'payout.sent'), 0)::bigint as sent,
    coalesce(sum(amount) filter (where code = 'payout.netted'), 0)::bigint as netted,
    coalesce(sum(amount) filter (where code = 'payout.done'), 0)::bigint as paid,
    coalesce(sum(amount) filter (where code = 'payout.returned'), 0)::bigint as returned
  from ledger_transfer where code like 'payout.%' group by reference)
select p.number, p.amount, p.status from payout p
left join posted x on x.reference = p.id
left join entries e on e.merchant_id = p.merchant_id and e.payout_id = p.id
where p.amount <> coalesce(x.sent, 0) or p.netted <> coalesce(x.netted, 0)
  or coalesce(x.paid, 0) <> case when p.status = 'paid' then p.amount else 0 end
  or coalesce(x.returned, 0) <> case when p.status = 'returned' then p.amount else 0 end
  or coalesce(e.amount, 0) <> case when p.status = 'returned' then 0 else p.amount end
order by p.id limit $1
"""

# What was rolled up, and what came since, is the sum of all transfers.
SUMS = """
with rolled as (
  select owner, kind, sum(debit - credit)::bigint as rolled from (
    select owner, kind, debit, credit from ledger_balance union all select owner, kind, debit, credit from ledger_recent) s
  group by owner, kind),
moved as (
  select owner, kind, sum(amount)::bigint as moved from (
    select debit_owner as owner, debit_kind as kind, amount from ledger_transfer
    union all select credit_owner, credit_kind, -amount from ledger_transfer) s group by owner, kind)
select owner, kind, coalesce(rolled, 0) as rolled, coalesce(moved, 0) as moved
from rolled full join moved using (owner, kind) where coalesce(rolled, 0) <> coalesce(moved, 0)
order by owner, kind limit $1
"""
