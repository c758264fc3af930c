"""Gifts of orders: noted by placing, looked at again when goods go back."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from core.api import BasketLine as Line
from core.api import (
    Conflict,
    Deduction,
    PlacedOrder,
    Placement,
    QuoteLine,
    RefundDraft,
    Relation,
    Tx,
    parse_pair,
)
from plugins.promotions import usage
from plugins.promotions.giving import Earning, Given, Present, Promise, unearned
from plugins.promotions.offers import running_of
from plugins.promotions.repository import Key
from plugins.promotions.rules import PLUGIN, Running, kind_of, promotion_of
from plugins.promotions.terms import Terms

_PREFIX = f"gift:{PLUGIN}:"


def rule_of(line: QuoteLine) -> str | None:
    """The rule that gives this line of a quote, if it is a gift of ours."""
    if line.kind != "gift" or not line.key.startswith(_PREFIX):
        return None
    return line.key.removeprefix(_PREFIX).partition(":")[0]


async def given(tx: Tx, placement: Placement) -> dict[tuple[Key, UUID], str]:
    """`Given` in JSON for each promotion and order with gifts; two statements, none without gifts."""
    presents: dict[tuple[Key, UUID], list[QuoteLine]] = {}
    orders = {order.id: order for order in placement.orders}
    for order in placement.orders:
        for line in order.priced.lines:
            rule = rule_of(line)
            if rule is not None:
                presents.setdefault((promotion_of(rule), order.id), []).append(line)
    if not presents:
        return {}
    rows = await usage.terms(tx, sorted({key for key, _ in presents}))
    promotions = {(row["merchant_id"], row["id"]): running_of(row) for row in rows}
    skus = {parse_pair(line.sku_id) for _, order_id in presents for line in orders[order_id].priced.lines}
    facts = {(row["merchant_id"], row["sku_id"]): row for row in await usage.facts(tx, sorted(skus))}
    return {
        (key, order_id): msgspec.json.encode(
            Given(
                tuple(_earning(tx, promotions[key], orders[order_id], facts)),
                tuple(_presents(promotions[key].terms, lines, facts)),
            )
        ).decode()
        for (key, order_id), lines in presents.items()
    }


def _earning(
    tx: Tx, running: Running, order: PlacedOrder, facts: Mapping[Key, asyncpg.Record]
) -> Iterable[Earning]:
    """The lines that counted, with the amounts that the promotion's phase found: after earlier phases, and without
    lines where a rule stands that it does not go with."""
    matrix = tx.snapshot.matrix
    kind = kind_of(running.terms, of_market=running.of_market)
    phase = matrix.kinds[kind].phase
    for line in order.priced.lines:
        key = parse_pair(line.sku_id)
        fact = facts.get(key)
        if line.kind == "gift" or fact is None or not _matches(running, key, fact):
            continue
        before = [cut for cut in line.adjustments if matrix.kinds[cut.kind].phase < phase]
        if all(matrix.relation(cut.kind, kind) is Relation.STACK for cut in before):
            yield Earning(key[1], line.quantity, line.amount - sum(cut.amount for cut in before))


def _matches(running: Running, key: Key, fact: asyncpg.Record) -> bool:
    line = Line(
        "",
        key[0],
        fact["product_id"],
        key[1],
        1,
        0,
        category_path=tuple(fact["category_path"]),
        shop_category_ids=tuple(fact["shop_category_ids"]),
    )
    return running.takes(line)


def _presents(
    terms: Terms, lines: Iterable[QuoteLine], facts: Mapping[Key, asyncpg.Record]
) -> Iterable[Present]:
    stated = {gift.sku_id: gift.value for gift in terms.gifts}
    for line in lines:
        key = parse_pair(line.sku_id)
        value = stated.get(line.sku_id)
        price = facts[key]["price"] if key in facts else 0
        yield Present(key[1], line.quantity, price if value is None else value)


async def keep_back(tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
    """What becomes of gifts that the goods that stay no longer earn: those that have not left are cancelled; the value of
    the others is kept back, and given back once it is not due any more.

    Raises `Conflict` `gift_to_return` where gifts that have left have to come back with the goods.
    """
    rows = await usage.given(tx, refund.account_id, refund.order_id)
    if not rows:
        return []
    promises = [
        Promise(
            msgspec.json.decode(row["terms_json"], type=Terms), msgspec.json.decode(row["given"], type=Given)
        )
        for row in rows
    ]
    deductions, amounts = [], []
    for row, promise, found in zip(rows, promises, unearned(promises, refund.kept), strict=True):
        name, amount = promise.terms.name, found.due - row["deducted"]
        if promise.terms.on_refund == "return" and found.due:
            raise Conflict(
                f"What stays no longer earns the gift of “{name}”; take the gift back with the goods.",
                code="gift_to_return",
            )
        if amount or found.cancelled:
            deductions.append(Deduction(PLUGIN, name, amount, "merchant", found.cancelled))
        if amount:
            amounts.append((row["promotion_id"], amount))
    if amounts:
        await usage.deducted(tx, refund.account_id, refund.order_id, amounts)
    return deductions
