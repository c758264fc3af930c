"""Coupons in a purchase: priced, used up by placing, returned by closing and refunding, counted when paid."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

import asyncpg
import msgspec

from core.api import (
    MARKET_ID,
    Basket,
    Closing,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    OrderEvent,
    Placement,
    PriceRule,
    Refunded,
    RefundEvent,
    Tx,
    parse_pair,
    parse_ref,
    ref,
)
from plugins.coupons import usage
from plugins.coupons.rules import MARKET, CouponRule, Terms, UnknownCoupon, kind_of
from plugins.coupons.schemas import Choice

PLUGIN = "coupons"
_LATER = timedelta(minutes=1)
_PAIRS = ("products", "shop_categories")


async def rules(tx: Tx, basket: Basket) -> Sequence[PriceRule]:
    """A rule for each coupon of the buyer that may matter here: all usable ones, or just those that were
    named. One statement, none when the buyer holds no coupon and names none.

    Raises `Invalid` for a choice that is none.
    """
    if basket.account_id is None:
        return []
    ids = _choice(basket).ids
    if ids == "best":
        if PLUGIN not in basket.holdings:
            return []
        merchants = list({line.merchant_id for line in basket.lines})
        return [_rule(row, chosen=False) for row in await usage.usable(tx, basket.account_id, merchants)]
    wanted = {text: _id_or_none(text) for text in ids}
    known = [coupon_id for coupon_id in wanted.values() if coupon_id is not None]
    rows = await usage.named(tx, basket.account_id, known) if known else []
    found: list[PriceRule] = [_rule(row, chosen=True) for row in rows]
    mine = {rule.id for rule in found}
    found += [UnknownCoupon(plugin=PLUGIN, id=text, kind=MARKET, label="", chosen=True)
              for text in wanted if text not in mine]  # fmt: skip
    return found


def _choice(basket: Basket) -> Choice:
    try:
        return msgspec.convert(basket.options.get(PLUGIN, {}), Choice)
    except msgspec.ValidationError as error:
        fault = FieldError("options.coupons", "invalid", str(error))
        raise Invalid('options.coupons takes {"ids": [...]} or {"ids": "best"}.', fault) from None


def _id_or_none(text: str) -> UUID | None:
    try:
        return parse_ref(text)
    except NotFound:
        return None


def _rule(row: asyncpg.Record, *, chosen: bool) -> CouponRule:
    terms, ids = _terms(row["terms_json"])
    of_market = row["merchant_id"] == MARKET_ID
    return CouponRule(
        plugin=PLUGIN,
        id=ref(row["id"]),
        kind=kind_of(terms, of_market=of_market),
        label=terms.name,
        merchant_id=None if of_market else row["merchant_id"],
        chosen=chosen,
        terms=terms,
        ids=ids,
        status=row["status"],
        valid_from=row["valid_from"],
        expires_at=row["expires_at"],
    )


@lru_cache(maxsize=1024)
def _terms(text: str) -> tuple[Terms, frozenset[UUID]]:
    """The terms and their ids; the coupons of one template mostly have the very same."""
    terms = msgspec.json.decode(text, type=Terms)
    paired = terms.scope in _PAIRS
    return terms, frozenset([parse_pair(i)[1] if paired else parse_ref(i) for i in terms.ids])


async def use(tx: Tx, placement: Placement) -> None:
    """Use up what took something off. Raises `Conflict` `coupon_used` if a coupon no longer can be used."""
    uses = list(_uses(placement))
    coupons = {coupon_id for coupon_id, *_ in uses}
    if coupons and await usage.use(tx, placement.account_id, placement.trade_id, uses) < len(coupons):
        raise Conflict(
            "A coupon was used or expired in the meantime; look at the new price.", code="coupon_used"
        )


def _uses(placement: Placement) -> Iterable[usage.Use]:
    """What each coupon took off each order, goods and freight, by bearer."""
    market: Counter[tuple[str, UUID]] = Counter()
    merchant: Counter[tuple[str, UUID]] = Counter()
    for order in placement.orders:
        for taken in (order.priced.shipping_adjustments, *[line.adjustments for line in order.priced.lines]):
            for part in taken:
                if part.plugin == PLUGIN:
                    market[part.rule, order.id] += part.bearer.market
                    merchant[part.rule, order.id] += part.bearer.merchant
    for rule, order_id in market:
        yield parse_ref(rule), order_id, market[rule, order_id], merchant[rule, order_id]


async def close(tx: Tx, closing: Closing) -> None:
    """Orders are given up: return the coupons of which they were the last orders."""
    orders = [order.id for order in closing.orders]
    account_id, trade_id = closing.account_id, closing.trade_id
    if await usage.mark(tx, account_id, trade_id, orders, "closed", of=("open", "paid")):
        await usage.give_back(tx, account_id, trade_id)


async def settle(tx: Tx, refunded: Refunded) -> None:
    """A refund is settled: its shares are no longer a cost, and with the whole order go the coupons of which it was the
    last. Part of an order never returns a coupon. The same refund again changes nothing."""
    refund = refunded.refund
    market: Counter[str] = Counter()
    merchant: Counter[str] = Counter()
    for line in refund.lines:
        for share in line.discounts:
            if share.plugin == PLUGIN:
                market[share.rule] += share.market
                merchant[share.rule] += share.merchant
    shares = [(parse_ref(rule), market[rule], merchant[rule]) for rule in market]
    account_id, trade_id = refund.account_id, refund.trade_id
    await usage.take_back(
        tx, account_id, trade_id, refund.order_id, refund.id, whole=refund.whole_order, shares=shares
    )
    if refund.whole_order:
        await usage.give_back(tx, account_id, trade_id)


async def paid(tx: Tx, event: OrderEvent) -> list[tuple[UUID, UUID]]:
    """An order was paid: what it used stays used. The answer are the templates of that, which `count` is for."""
    account_id, trade_id, order_id = event.account_id, event.trade_id, event.order_id
    if not await usage.mark(tx, account_id, trade_id, [order_id], "paid", of=("open",)):
        return []
    return await usage.templates(tx, account_id, trade_id, order_id)


async def count(tx: Tx, event: OrderEvent) -> None:
    """Count a paid order for the templates whose coupons it used, with what they cost. After `paid`."""
    await usage.recount(tx, event.account_id, event.trade_id, event.order_id)


async def refunded(tx: Tx, event: RefundEvent) -> None:
    """Take a refund off what the order's coupons cost; with the whole order, off what they brought too. If it could not be
    settled yet, that is done later."""
    account_id, trade_id, order_id = event.account_id, event.trade_id, event.order_id
    settled = await usage.settled(tx, account_id, trade_id, order_id, event.refund_id)
    if settled is None:
        return
    await usage.recount(tx, account_id, trade_id, order_id)
    if not settled:
        tx.schedule(PLUGIN, "recount", event, tx.now + _LATER)


async def _recount(tx: Tx, payload: msgspec.Raw) -> None:
    await refunded(tx, msgspec.json.decode(payload, type=RefundEvent))


TIMERS = {"recount": _recount}
