"""Proofs that the payment service's books and ours say the same. Amounts in fen."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from core.kit.ids import MARKET_ID
from tests.stress.story import World

Look = Callable[[Any, World], Awaitable[list[str]]]

_ACCOUNTS = """
select owner, kind, sum(amount)::bigint as held from (
  select debit_owner as owner, debit_kind as kind, amount from ledger_transfer
  union all select credit_owner, credit_kind, -amount from ledger_transfer) x
where kind in ('gateway', 'funds') group by 1, 2
"""
_EARNED = "select debit_owner as owner, sum(amount)::bigint as n from ledger_transfer where code = 'split.earning' group by 1"
_BANKS = "select merchant_id as owner, sum(amount)::bigint as n from payout where status = 'paid' group by 1"
_LEGS = """
select p.id as payment_id, l.merchant_id, p.status, l.amount, l.refunded_amount, o.number from payment p
join payment_leg l on l.account_id = p.account_id and l.payment_id = p.id
left join orders o on o.merchant_id = l.merchant_id and o.id = l.order_id where l.amount > 0
"""
_CALLS = "select id, kind, amount, status, merchant_id, error from channel_call"
_THEIR_LEGS = """
select p.id as payment_id, p.status, l.merchant_id, l.amount, l.refunded from payment p
join leg l on l.account = p.account and l.payment_id = p.id where l.amount > 0
"""
_THEIR_CALLS = (
    "select id, kind, amount, merchant_id from operation where kind not in ('pay', 'payout_returned')"
)


async def _balances(connection: Any, world: World) -> list[str]:
    books = await world.till.books()
    ours = {(row["owner"], row["kind"]): row["held"] for row in await connection.fetch(_ACCOUNTS)}
    theirs: dict[UUID, int] = defaultdict(int, books.merchants)
    for leg in books.frozen:
        theirs[leg.merchant_id] += leg.amount
    found = _differ("gateway of shop", theirs, {o: n for (o, kind), n in ours.items() if kind == "gateway"})
    found += _differ("funds", {MARKET_ID: books.funds}, {MARKET_ID: ours.get((MARKET_ID, "funds"), 0)})
    earned = {row["owner"]: row["n"] for row in await connection.fetch(_EARNED)}
    found += _differ("paid to earner", books.earners, earned)
    banks = {row["owner"]: row["n"] for row in await connection.fetch(_BANKS)}
    return found + _differ("paid out to shop", books.banks, banks)


def _differ(what: str, theirs: Any, ours: Any) -> list[str]:
    return [
        f"{what} {owner}: the service has {theirs.get(owner, 0)}, our books say {ours.get(owner, 0)}"
        for owner in sorted({*theirs, *ours})
        if theirs.get(owner, 0) != ours.get(owner, 0)
    ]


async def _payments(connection: Any, world: World) -> list[str]:
    theirs = {(UUID(r["payment_id"]), UUID(r["merchant_id"])): r for r in world.till.rows(_THEIR_LEGS)}
    found = []
    for row in await connection.fetch(_LEGS):
        leg = theirs.pop((row["payment_id"], row["merchant_id"]), None)
        captured, sent_back = (leg["status"] in ("paid", "refunded"), leg["refunded"]) if leg else (False, 0)
        known = row["status"] in ("paid", "refunding", "refunded")
        if (
            captured != known
            or (leg and leg["amount"] != row["amount"])
            or sent_back != row["refunded_amount"]
        ):
            said = "unknown" if leg is None else f"{leg['status']}, {leg['amount']}, {sent_back} sent back"
            found.append(
                f"order {row['number']} : our payment is {row['status']}, {row['amount']}, {row['refunded_amount']} sent back; "
                f"the service says {said}"
            )
    return found + [f"the service has a payment {key} that we do not know" for key in theirs]


async def _calls(connection: Any, world: World) -> list[str]:
    theirs = {(UUID(r["id"]), r["kind"]): r for r in world.till.rows(_THEIR_CALLS)}
    found = []
    for row in await connection.fetch(_CALLS):
        there = theirs.pop((row["id"], row["kind"]), None)
        if row["status"] != "done":
            found.append(f"call {row['kind']} {row['id']} is {row['status']}: {row['error']}")
        elif there is None and row["amount"]:
            found.append(
                f"call {row['kind']} {row['id']} of {row['amount']} is done, and the service does not know it"
            )
        elif there is not None and row["kind"] != "finish" and there["amount"] != row["amount"]:
            found.append(f"call {row['kind']} {row['id']}: {row['amount']} here, {there['amount']} there")
    return found + [f"the service did {kind} {id_}, which nobody asked for" for id_, kind in theirs]


PROOFS: tuple[tuple[str, Look], ...] = (
    ("the payment service's balances are those of our books", _balances),
    ("each payment was captured and sent back there as here", _payments),
    ("each call was done once, there and here, and with the same amount", _calls),
)
