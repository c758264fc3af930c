"""Does the ledger agree with itself and with what was sold? Each transfer balances by construction; the rest is here."""

from collections.abc import Callable, Iterator, Mapping

import asyncpg
import msgspec

from core.db.tx import Tx
from core.kit.ids import MARKET_ID, ref
from core.kit.money import format_yuan
from core.ledger.rules import GROW_ON_CREDIT, GROW_ON_DEBIT
from core.ledger.service import Balance, accounts

MAX_PROBLEMS = 100

# What payment froze, where it stands now, what the gateway took in and gave back, and what orders and payments say: each
# order once. Money that an order brought is refunded, given back to the market, or kept by somebody.
_ORDERS = """
with moved as (
  select reference, merchant_id,
    coalesce(sum(amount) filter (where code in ('pay.buyer', 'pay.subsidy')), 0)::bigint as frozen,
    (coalesce(sum(amount) filter (where credit_owner = merchant_id and credit_kind = 'frozen'), 0)
     - coalesce(sum(amount) filter (where debit_owner = merchant_id and debit_kind = 'frozen'), 0))::bigint as still,
    (coalesce(sum(amount) filter (where credit_kind in ('frozen', 'payable', 'revenue')), 0)
     - coalesce(sum(amount) filter (where debit_kind in ('frozen', 'payable', 'revenue')), 0))::bigint as kept,
    (coalesce(sum(amount) filter (where credit_kind = 'revenue'), 0)
     - coalesce(sum(amount) filter (where debit_kind = 'revenue'), 0))::bigint as revenue,
    coalesce(sum(amount) filter (where code = 'refund.buyer'), 0)::bigint as to_buyer,
    coalesce(sum(amount) filter (where code = 'refund.done'), 0)::bigint as arrived,
    coalesce(sum(amount) filter (where code in ('refund.subsidy', 'refund.deduction')), 0)::bigint as to_market,
    coalesce(sum(amount) filter (where code in ('pay.buyer', 'late.in')), 0)::bigint as captured
  from ledger_transfer group by reference, merchant_id),
legs as (
  select l.order_id, l.merchant_id, sum(l.amount)::bigint as paid,
    coalesce(sum(l.refunded_amount) filter (where p.status = 'paid'), 0)::bigint as sent_back
  from payment_leg l join payment p on p.account_id = l.account_id and p.id = l.payment_id
  where p.status in ('paid', 'refunding', 'refunded') and l.order_id is not null
  group by l.order_id, l.merchant_id),
facts as (
  select o.id, o.merchant_id, o.number, o.released_at is not null as is_released,
    case when o.paid_at is null then 0 else o.payable + o.market_borne end as due,
    o.refunded_amount, o.refunded_amount + o.refunding_amount as decided,
    o.refunded_market + o.deducted_market as given_back, o.commission - o.refunded_commission as fee,
    coalesce(m.frozen, 0) as frozen, coalesce(m.still, 0) as still, coalesce(m.kept, 0) as kept,
    coalesce(m.revenue, 0) as revenue, coalesce(m.to_buyer, 0) as to_buyer, coalesce(m.arrived, 0) as arrived,
    coalesce(m.to_market, 0) as to_market, coalesce(m.captured, 0) as captured, coalesce(l.paid, 0) as paid,
    coalesce(l.sent_back, 0) as sent_back
  from orders o
  left join moved m on m.reference = o.id and m.merchant_id = o.merchant_id
  left join legs l on l.order_id = o.id and l.merchant_id = o.merchant_id)
select * from facts
where frozen <> due or captured <> paid or to_buyer <> decided or arrived <> refunded_amount or sent_back <> arrived
  or to_market <> given_back or frozen <> to_buyer + to_market + kept
  or (is_released and (still <> 0 or revenue <> fee))
order by id limit $1
"""


class Problem(msgspec.Struct, frozen=True):
    """Something that cannot be: a stable code and a sentence with the amounts in yuan."""

    code: str
    detail: str
    order_id: str | None = None


class CheckResult(msgspec.Struct, frozen=True):
    """`balanced` when there is no problem; at most 100 are listed."""

    balanced: bool
    problems: list[Problem]


async def check(tx: Tx) -> CheckResult:
    """Look at all accounts and orders, in two statements. Needs the platform or the system scope."""
    balances = await accounts(tx)
    problems = [p for b in balances if (p := _below_zero(b)) is not None]
    for row in await tx.fetch(_ORDERS, MAX_PROBLEMS):
        problems += _of_order(row)
    return CheckResult(not problems, problems[:MAX_PROBLEMS])


def _of_order(row: asyncpg.Record) -> Iterator[Problem]:
    yuan = {name: format_yuan(value) for name, value in row.items() if type(value) is int}

    def problem(code: str, text: str) -> Problem:
        return Problem(code, f"Order {row['number']} {text}", ref(row["merchant_id"], row["id"]))

    if row["frozen"] != row["due"]:
        text = f"froze {yuan['frozen']} at payment; its price asks for {yuan['due']}."
        yield problem("order_frozen", text)
    if row["captured"] != row["paid"]:
        text = f"was paid {yuan['paid']} by the payments, {yuan['captured']} by the gateway account."
        yield problem("order_captured", text)
    if row["is_released"] and row["still"]:
        yield problem("order_not_released", f"is released, but {yuan['still']} of it is still frozen.")
    elif row["is_released"] and row["revenue"] != row["fee"]:
        text = f"is released with a fee of {yuan['revenue']}; {yuan['fee']} of it was not given up."
        yield problem("order_commission", text)
    yield from _refunds_of(row, yuan, problem)


def _refunds_of(
    row: asyncpg.Record, yuan: Mapping[str, str], problem: Callable[[str, str], Problem]
) -> Iterator[Problem]:
    if row["to_buyer"] != row["decided"]:
        text = f"has refunds of {yuan['decided']}; {yuan['to_buyer']} were taken for them."
        yield problem("order_refunded", text)
    if row["arrived"] != row["refunded_amount"] or row["sent_back"] != row["arrived"]:
        text = (
            f"says that {yuan['refunded_amount']} of refunds arrived; the books say {yuan['arrived']}, "
            f"the payments {yuan['sent_back']}."
        )
        yield problem("order_sent_back", text)
    if row["to_market"] != row["given_back"]:
        text = f"says that {yuan['given_back']} went back to the market; the books say {yuan['to_market']}."
        yield problem("order_given_back", text)
    if row["frozen"] != row["to_buyer"] + row["to_market"] + row["kept"]:
        text = (
            f"brought {yuan['frozen']}; {yuan['to_buyer']} refunded, {yuan['to_market']} given back and "
            f"{yuan['kept']} kept do not add up to that."
        )
        yield problem("order_kept", text)


def _below_zero(balance: Balance) -> Problem | None:
    kind, amount = balance.account.kind, balance.balance
    grown = amount if kind in GROW_ON_DEBIT else -amount if kind in GROW_ON_CREDIT else 0
    if grown >= 0:
        return None
    owner = "the market" if balance.account.owner == MARKET_ID else ref(balance.account.owner)
    return Problem("account_below_zero", f"Account {kind} of {owner} stands at {format_yuan(grown)}.")
