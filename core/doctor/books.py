"""Whether what is written adds up: encrypted values open, money and stock agree with the orders."""

from datetime import timedelta

from core.deployment.runtime import Runtime
from core.doctor.report import Finding, failing, listed, ok
from core.kit.ids import ref
from core.ledger import check as money
from core.orders import address as order_address
from core.types.scope import SYSTEM

_MOST = 20

# A call that has waited for so long was tried about thirty times.
_OLD = timedelta(hours=4)
_CALLS = """
select id, merchant_id, kind, status, coalesce(error, 'no answer yet') as error, count(*) over () as total
from channel_call where status = 'refused' or (status = 'waiting' and created_at < $1) order by status, seq limit $2
"""

_ADDRESS = "select account_id, recipient from address order by id desc limit 1"
_ORDER = "select id, address from orders where address is not null order by id desc limit 1"

# Stock is reserved from placing to shipping; what was cancelled before that was given back.
_RESERVED = """
with open as (
  select l.merchant_id, l.sku_id, sum(l.quantity - l.shipped_quantity - l.cancelled_quantity)::bigint as wanted
  from order_line l join orders o on o.merchant_id = l.merchant_id and o.id = l.order_id
  where o.status in ('unpaid', 'paid', 'accepted')
  group by l.merchant_id, l.sku_id
)
select coalesce(k.code, '') as code, coalesce(s.sku_id, w.sku_id) as sku_id, coalesce(s.reserved, 0) as reserved,
  coalesce(w.wanted, 0) as wanted
from stock s full join open w on w.merchant_id = s.merchant_id and w.sku_id = s.sku_id
left join sku k on k.merchant_id = coalesce(s.merchant_id, w.merchant_id) and k.id = coalesce(s.sku_id, w.sku_id)
where coalesce(s.reserved, 0) <> coalesce(w.wanted, 0)
order by 2 limit $1
"""
_JOURNAL = """
with moved as (
  select merchant_id, sku_id, sum(on_hand_delta)::bigint as on_hand, sum(reserved_delta)::bigint as reserved
  from stock_move group by merchant_id, sku_id
)
select coalesce(s.sku_id, m.sku_id) as sku_id, coalesce(k.code, '') as code, coalesce(s.on_hand, 0) as on_hand,
  coalesce(m.on_hand, 0) as moved
from stock s full join moved m on m.merchant_id = s.merchant_id and m.sku_id = s.sku_id
left join sku k on k.merchant_id = coalesce(s.merchant_id, m.merchant_id) and k.id = coalesce(s.sku_id, m.sku_id)
where coalesce(s.on_hand, 0) <> coalesce(m.on_hand, 0) or coalesce(s.reserved, 0) <> coalesce(m.reserved, 0)
order by 1 limit $1
"""


async def stored(runtime: Runtime) -> list[Finding]:
    """The newest encrypted values open with this process's secret."""
    vault, opened = runtime.env.vault, 0
    async with runtime.tx(SYSTEM) as tx:
        address, order = await tx.fetchrow(_ADDRESS), await tx.fetchrow(_ORDER)
    try:
        if address is not None:
            vault.open(address["recipient"], f"address.recipient:{address['account_id']}")
            opened += 1
        if order is not None:
            order_address.unseal(vault, order["id"], order["address"])
            opened += 1
    except ValueError:
        return [
            failing(
                "stored values",
                "What is stored was encrypted with another secret.",
                "Put the former secret file back (JISHI_SECRET_FILE); nothing else can read the personal data.",
            )
        ]
    return [ok("stored values", f"{opened} looked at, all open." if opened else "Nothing is stored yet.")]


async def ledger(runtime: Runtime) -> list[Finding]:
    """The ledger's own check."""
    async with runtime.tx(SYSTEM) as tx:
        found = await money.check(tx)
    if found.balanced:
        return [ok("ledger", "Money agrees with orders and payments.")]
    mend = "`jishi ledger check` lists all, `jishi ledger trace ORDER` shows where the money went."
    return [failing("ledger", p.detail, mend) for p in found.problems[:_MOST]]


async def calls(runtime: Runtime) -> list[Finding]:
    """What payment services were asked for is done, or being done."""
    async with runtime.tx(SYSTEM) as tx:
        stuck = await tx.fetch(_CALLS, tx.now - _OLD, _MOST)
    if not stuck:
        return [
            ok(
                "payment calls",
                "Nothing that payment services were asked for was refused or is long overdue.",
            )
        ]
    told = [f"{r['kind']} {ref(r['merchant_id'], r['id'])} ({r['status']}: {r['error']})" for r in stuck]
    mend = (
        "Find out why with the payment service, then POST /api/platform/payments/calls/ID/retry. Later calls of the same "
        "payment and merchant wait for it."
    )
    return [failing("payment calls", f"{stuck[0]['total']} are stuck: {listed(told)}.", mend)]


async def stock(runtime: Runtime) -> list[Finding]:
    """What is reserved is what open orders hold, and stock is the sum of its journal."""
    async with runtime.tx(SYSTEM) as tx:
        reserved = await tx.fetch(_RESERVED, _MOST)
        journal = await tx.fetch(_JOURNAL, _MOST)
    findings = []
    if reserved:
        wrong = [f"{r['code'] or r['sku_id']} ({r['reserved']}, open orders {r['wanted']})" for r in reserved]
        mend = "Find what changed stock beside the services in stock_move; correct it by a stock adjustment."
        findings.append(
            failing("stock", f"Reserved stock is not what open orders hold: {listed(wrong)}.", mend)
        )
    if journal:
        wrong = [
            f"{r['code'] or r['sku_id']} ({r['on_hand']} on hand, journal {r['moved']})" for r in journal
        ]
        mend = "Stock was changed without its journal; count the goods and adjust."
        findings.append(failing("stock", f"Stock is not the sum of its journal: {listed(wrong)}.", mend))
    return findings or [
        ok("stock", "Reservations are those of open orders, and stock is the sum of its journal.")
    ]
