"""Promotions in a purchase: claimed by placing, given back by closing and by refunds of whole orders."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from core.api import Closing, Conflict, Placement, Refunded, Tx, hold
from plugins.promotions import gifts, usage
from plugins.promotions.repository import Key
from plugins.promotions.rules import LIMITED, NTH, PLUGIN, promotion_of
from plugins.promotions.usage import Use

_BY_ORDER = frozenset({LIMITED, NTH})


async def use(tx: Tx, placement: Placement) -> None:
    """Claim what the trade uses of limits, and note its gifts. Nothing is asked when it uses none.

    Raises `Conflict`: `promotion_limit`, `promotion_sold_out`.
    """
    units, shared = _units(placement)
    given = await gifts.given(tx, placement)
    if not units and not given:
        return
    touched = {(key, order_id) for key, order_id in _touched(placement) if key in shared}
    uses = [Use(*key, order_id, n, False, None) for (key, order_id), n in units.items() if key not in shared]  # noqa: FBT003
    uses += [Use(*key, order_id, shared[key], True, None) for key, order_id in touched]  # noqa: FBT003
    noted = {((u.merchant_id, u.promotion_id), u.order_id): u for u in uses}
    for place, made in given.items():
        key, order_id = place
        noted[place] = noted.get(place, Use(*key, order_id, 0, True, None))._replace(given=made)  # noqa: FBT003
    wanted: Counter[Key] = Counter(shared)
    for (key, _), n in units.items():
        if key not in shared:
            wanted[key] += n
    drawn = [(*key, n) for key, n in wanted.items()]
    found = await usage.claim(tx, placement.account_id, placement.trade_id, drawn, list(noted.values()))
    if found["sold_out"]:
        raise Conflict("Too little is left of a promotion; look at the new price.", code="promotion_sold_out")
    if found["limited"]:
        raise Conflict(
            "You have used a promotion as often as one account may; look at the new price.",
            code="promotion_limit",
        )
    if found["until"] is not None:
        await hold(tx, placement.account_id, PLUGIN, found["until"])


def _units(placement: Placement) -> tuple[dict[tuple[Key, UUID], int], dict[Key, int]]:
    """Units by promotion and order; and by promotion alone where one use is one for the whole trade."""
    uses = placement.uses_of(PLUGIN)
    kinds = {e.rule: e.kind for e in placement.quote.explain if e.plugin == PLUGIN}
    shared: dict[Key, int] = {}
    for rule, n in uses.items():
        if kinds[rule] not in _BY_ORDER:
            key = promotion_of(rule)
            shared[key] = max(n, shared.get(key, 0))
    units: Counter[tuple[Key, UUID]] = Counter()
    for rule, order_id in _rules(placement):
        if rule in uses:
            units[promotion_of(rule), order_id] += uses[rule]
    return units, shared


def _touched(placement: Placement) -> Iterable[tuple[Key, UUID]]:
    return {(promotion_of(rule), order_id) for rule, order_id in _rules(placement)}


def _rules(placement: Placement) -> Iterable[tuple[str, UUID]]:
    """(rule, order id) of what was applied: discounts on goods and freight, and gifts."""
    found = set()
    for order in placement.orders:
        for cuts in (order.priced.shipping_adjustments, *[line.adjustments for line in order.priced.lines]):
            found |= {(cut.rule, order.id) for cut in cuts if cut.plugin == PLUGIN}
        found |= {(rule, order.id) for line in order.priced.lines if (rule := gifts.rule_of(line))}
    return found


async def close(tx: Tx, closing: Closing) -> None:
    """Orders are given up: what they used is free again."""
    orders = [order.id for order in closing.orders]
    await usage.end(tx, closing.account_id, closing.trade_id, orders, "closed")


async def settle(tx: Tx, refunded: Refunded) -> None:
    """With a whole order goes what it used; a refund of a part gives nothing back."""
    refund = refunded.refund
    if refund.whole_order:
        await usage.end(tx, refund.account_id, refund.trade_id, [refund.order_id], "refunded")
