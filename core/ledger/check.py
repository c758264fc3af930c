"""Does the ledger agree with itself and with what was sold? Each transfer balances by construction; the rest is here."""

import msgspec

from core.db.tx import Tx
from core.kit.ids import MARKET_ID, ref
from core.kit.money import format_yuan
from core.ledger.rules import GROW_ON_CREDIT, GROW_ON_DEBIT
from core.ledger.service import Balance, accounts

MAX_PROBLEMS = 100

# What payment froze, what is still frozen, what the gateway took in, and what the payments say: each order once.
_ORDERS = """
with moved as (
  select reference, merchant_id,
    coalesce(sum(amount) filter (where code in ('pay.buyer', 'pay.subsidy')), 0)::bigint as frozen,
    (coalesce(sum(amount) filter (where credit_owner = merchant_id and credit_kind = 'frozen'), 0)
     - coalesce(sum(amount) filter (where debit_owner = merchant_id and debit_kind = 'frozen'), 0))::bigint as still,
    coalesce(sum(amount) filter (where code in ('pay.buyer', 'late.in')), 0)::bigint as captured
  from ledger_transfer group by reference, merchant_id),
legs as (
  select l.order_id, l.merchant_id, sum(l.amount)::bigint as paid
  from payment_leg l join payment p on p.account_id = l.account_id and p.id = l.payment_id
  where p.status in ('paid', 'refunding', 'refunded') and l.order_id is not null
  group by l.order_id, l.merchant_id),
facts as (
  select o.id, o.merchant_id, o.number, o.paid_at is not null as is_paid, o.released_at is not null as is_released,
    o.payable + o.market_borne as due, coalesce(m.frozen, 0) as frozen, coalesce(m.still, 0) as still,
    coalesce(m.captured, 0) as captured, coalesce(l.paid, 0) as paid
  from orders o
  left join moved m on m.reference = o.id and m.merchant_id = o.merchant_id
  left join legs l on l.order_id = o.id and l.merchant_id = o.merchant_id)
select * from facts
where frozen <> case when is_paid then due else 0 end or (is_released and still <> 0) or captured <> paid
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
        order, number = ref(row["merchant_id"], row["id"]), row["number"]
        due = row["due"] if row["is_paid"] else 0
        if row["frozen"] != due:
            problems.append(
                Problem(
                    "order_frozen",
                    f"Order {number} froze {format_yuan(row['frozen'])} at payment; "
                    f"its price asks for {format_yuan(due)}.",
                    order,
                )
            )
        if row["is_released"] and row["still"]:
            problems.append(
                Problem(
                    "order_not_released",
                    f"Order {number} is released, but {format_yuan(row['still'])} of it is still frozen.",
                    order,
                )
            )
        if row["captured"] != row["paid"]:
            problems.append(
                Problem(
                    "order_captured",
                    f"Order {number}: payments say {format_yuan(row['paid'])}, "
                    f"the gateway account {format_yuan(row['captured'])}.",
                    order,
                )
            )
    return CheckResult(not problems, problems[:MAX_PROBLEMS])


def _below_zero(balance: Balance) -> Problem | None:
    kind, amount = balance.account.kind, balance.balance
    grown = amount if kind in GROW_ON_DEBIT else -amount if kind in GROW_ON_CREDIT else 0
    if grown >= 0:
        return None
    owner = "the market" if balance.account.owner == MARKET_ID else ref(balance.account.owner)
    return Problem("account_below_zero", f"Account {kind} of {owner} stands at {format_yuan(grown)}.")
