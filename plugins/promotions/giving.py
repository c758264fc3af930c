"""What gifts are worth, and whether the kept goods still earn them. Pure; amounts in fen."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from core.api import KeptLine, parse_pair
from plugins.promotions.terms import Terms
from plugins.promotions.tiers import reached


class Earning(msgspec.Struct, frozen=True):
    """Goods that counted towards a gift, as they were reckoned then: `amount` is what the phase found."""

    sku_id: UUID
    quantity: int
    amount: int


class Present(msgspec.Struct, frozen=True):
    """A gift: `value` is what one counts for."""

    sku_id: UUID
    quantity: int
    value: int


class Given(msgspec.Struct, frozen=True):
    """The gifts of one order by one promotion, and the goods that earned them."""

    lines: tuple[Earning, ...]
    gifts: tuple[Present, ...]


class Promise(NamedTuple):
    """A promotion that gave something with an order."""

    terms: Terms
    given: Given


class Unearned(NamedTuple):
    """What is to become of a promotion's gifts: (line id, units) that are cancelled, and what those that stay are worth
    beyond what the goods that stay earn."""

    cancelled: tuple[tuple[UUID, int], ...]
    due: int


def unearned(promises: Sequence[Promise], kept: Sequence[KeptLine]) -> list[Unearned]:
    """What becomes of the gifts of an order of which the lines `kept` stay.

    Gifts that the goods that stay would have brought are left alone. Of the others, those that have not left are cancelled,
    the rest is due. One SKU that several promotions gave is theirs first who still owe it, in the order of `promises`.
    """
    gifts = [line for line in kept if line.kind == "gift"]
    goods = _by_sku((line.sku_id, line.quantity) for line in kept if line.kind != "gift")
    earned = [_earned(promise, goods) for promise in promises]
    rest = _by_sku((line.sku_id, line.quantity) for line in gifts)
    safe = []
    for promise, mine in zip(promises, earned, strict=True):
        safe.append(rest & mine & _units(promise.given))
        rest -= safe[-1]
    to_ship = {line.line_id: line.to_ship for line in gifts}
    found = []
    for promise, mine, stays in zip(promises, earned, safe, strict=True):
        over = rest & (_units(promise.given) - stays)
        rest -= over
        cancelled = _cancel(gifts, to_ship, over)
        skus = {line.line_id: line.sku_id for line in gifts}
        gone = _by_sku((skus[line_id], units) for line_id, units in cancelled)
        found.append(Unearned(cancelled, _worth(promise, stays + over - gone, mine)))
    return found


def _cancel(
    gifts: Sequence[KeptLine], to_ship: dict[UUID, int], wanted: Counter[UUID]
) -> tuple[tuple[UUID, int], ...]:
    """Units of lines, up to those `wanted` by SKU, taken off what is still `to_ship` of these lines."""
    rest, found = Counter(wanted), []
    for line in gifts:
        units = min(rest[line.sku_id], to_ship[line.line_id])
        if units:
            rest[line.sku_id] -= units
            to_ship[line.line_id] -= units
            found.append((line.line_id, units))
    return tuple(found)


def _by_sku(units: Iterable[tuple[UUID, int]]) -> Counter[UUID]:
    found: Counter[UUID] = Counter()
    for sku_id, quantity in units:
        found[sku_id] += quantity
    return found


def _earned(promise: Promise, kept: Mapping[UUID, int]) -> Counter[UUID]:
    """The gifts, by SKU, that the goods that stay would have brought.

    Goods outside the scope never count. They are compared as they were when the gift was given, not as paid: coupons
    that came later, and discounts of others, neither give nor take a gift. Part of a fen counts for the buyer.
    """
    terms, given = promise
    if terms.on_refund == "keep":
        return _units(given)
    there = 0
    for line in given.lines:
        units = min(kept.get(line.sku_id, 0), line.quantity)
        there += units if terms.by == "count" else -(-line.amount * units // line.quantity)
    found = reached(terms, there)
    earned: Counter[UUID] = Counter()
    if found is not None:
        tier, times = found
        for gift in tier.gifts:
            earned[parse_pair(gift.sku_id)[1]] += gift.quantity * times
    return earned


def _worth(promise: Promise, stays: Counter[UUID], earned: Counter[UUID]) -> int:
    """What the gifts that stay are worth beyond those that are earned."""
    stated = {parse_pair(gift.sku_id)[1]: gift.value or 0 for gift in promise.terms.gifts}
    values = stated | {present.sku_id: present.value for present in promise.given.gifts}
    more, less = stays - earned, earned - stays
    worth = sum(values.get(sku, 0) * n for sku, n in more.items())
    return max(0, worth - sum(values.get(sku, 0) * n for sku, n in less.items()))


def _units(given: Given) -> Counter[UUID]:
    return _by_sku((present.sku_id, present.quantity) for present in given.gifts)
