"""Does the ledger agree with itself and with what was sold? Each transfer balances by construction; the rest is here."""

from collections.abc import Callable, Iterator, Mapping
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx
from core.kit.ids import MARKET_ID, ref
from core.kit.money import format_yuan
from core.ledger import check_rows as rows
from core.ledger.rules import GROW_ON_CREDIT, GROW_ON_DEBIT
from core.ledger.service import Balance, accounts

MAX_PROBLEMS = 100


class Problem(msgspec.Struct, frozen=True):
    """Something that cannot be: a stable code and a sentence with the amounts in yuan."""

    code: str
    detail: str
    order_id: str | None = None


class CheckResult(msgspec.Struct, frozen=True):
    """`balanced` when there is no problem; at most 100 are listed."""

    balanced: bool
    problems: list[Problem]


async def check(tx: Tx, *, sums: bool = True) -> CheckResult:
    """Look at all accounts, orders, payouts and calls, a statement each. Needs the platform or the system scope.

    Reads every transfer three times, which takes a while when there are millions of them; without `sums` twice: then
    balances are not compared with the transfers that they are made of.
    """
    problems = [p for b in await accounts(tx) if (p := _below_zero(b)) is not None]
    for row in await tx.fetch(rows.ORDERS, MAX_PROBLEMS):
        problems += _of_order(row)
    for sql, told in _OTHERS:
        if sums or sql is not rows.SUMS:
            problems += [told(row) for row in await tx.fetch(sql, MAX_PROBLEMS)]
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
    yield from _earnings_of(row, yuan, problem)
    if row["is_released"] and row["still"]:
        yield problem("order_not_released", f"is released, but {yuan['still']} of it is still frozen.")
    elif row["is_released"] and row["revenue"] != row["fee"]:
        text = f"is released with a fee of {yuan['revenue']}; {yuan['fee']} of it was not given up."
        yield problem("order_commission", text)
    yield from _refunds_of(row, yuan, problem)


def _earnings_of(
    row: asyncpg.Record, yuan: Mapping[str, str], problem: Callable[[str, str], Problem]
) -> Iterator[Problem]:
    books = (row["earned"], row["given_up"])
    if row["unlike_earners"] or books != (row["earnings_due"], row["refunded_earnings"]):
        text = (
            f"gives earners {yuan['earnings_due']}, of which refunds took {yuan['refunded_earnings']}; the books say "
            f"{yuan['earned']} and {yuan['given_up']}."
        )
        yield problem("order_earnings", text)
    if row["listed"] != row["to_merchant"]:
        text = f"made {yuan['to_merchant']} payable; what payouts are made of says {yuan['listed']}."
        yield problem("order_payable", text)


def _refunds_of(
    row: asyncpg.Record, yuan: Mapping[str, str], problem: Callable[[str, str], Problem]
) -> Iterator[Problem]:
    if row["to_buyer"] != row["decided"]:
        text = f"has refunds of {yuan['decided']}; {yuan['to_buyer']} were taken for them."
        yield problem("order_refunded", text)
    if row["arrived"] != row["refunded_amount"] + row["unsettled"] or row["sent_back"] != row["arrived"]:
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
    text = f"Account {kind} of {_owner(balance.account.owner)} stands at {format_yuan(grown)}."
    return Problem("account_below_zero", text)


def _owner(owner: UUID) -> str:
    return "the market" if owner == MARKET_ID else ref(owner)


def _sum(row: asyncpg.Record) -> Problem:
    text = (
        f"Account {row['kind']} of {_owner(row['owner'])} was rolled up to {format_yuan(row['rolled'])}; its transfers add "
        f"up to {format_yuan(row['moved'])}."
    )
    return Problem("balance", text)


def _payable(row: asyncpg.Record) -> Problem:
    text = (
        f"Merchant {ref(row['merchant_id'])} is owed {format_yuan(row['payable'])}; what its next payout is made of adds "
        f"up to {format_yuan(row['listed'])}."
    )
    return Problem("payable", text)


def _cash(row: asyncpg.Record) -> Problem:
    text = (
        f"Merchant {ref(row['merchant_id'])} has {format_yuan(row['gateway'])} at the payment service and nothing on its "
        f"way; {format_yuan(row['owed'])} of it is spoken for."
    )
    return Problem("cash", text)


def _call(row: asyncpg.Record) -> Problem:
    made, posted = format_yuan(row["made"]), format_yuan(row["posted"])
    about = ref(row["merchant_id"], row["about"])
    text = f"Calls of the sort {row['sort']} moved {made} for {about}; the books say {posted}."
    return Problem("call", text)


def _payout(row: asyncpg.Record) -> Problem:
    text = f"Payout {row['number']} of {format_yuan(row['amount'])} is {row['status']}; the books do not say the same."
    return Problem("payout", text)


# Statements of problems, and how they are told.
_OTHERS: tuple[tuple[str, Callable[[asyncpg.Record], Problem]], ...] = (
    (rows.PAYABLE, _payable),
    (rows.CASH, _cash),
    (rows.CALLS, _call),
    (rows.PAYOUTS, _payout),
    (rows.SUMS, _sum),
)
