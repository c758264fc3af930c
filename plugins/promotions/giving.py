"""What gifts are worth, and whether the kept goods still earn them. Pure; amounts in fen."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from core.api import parse_pair
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


def due(terms: Terms, given: Given, kept: Mapping[UUID, int], kept_gifts: Mapping[UUID, int]) -> int:
    """What the gifts that stay are worth beyond what the goods that stay earn. `kept` and `kept_gifts` are units by SKU.

    Goods outside the scope never count. They are compared as they were when the gift was given, not as paid: coupons
    that came later, and discounts of others, neither give nor take a gift. Part of a fen counts for the buyer.
    """
    there = 0
    for line in given.lines:
        units = min(kept.get(line.sku_id, 0), line.quantity)
        there += units if terms.by == "count" else -(-line.amount * units // line.quantity)
    values = {present.sku_id: present.value for present in given.gifts}
    stays = sum(min(kept_gifts.get(p.sku_id, 0), p.quantity) * p.value for p in given.gifts)
    found = reached(terms, there)
    if found is None:
        return stays
    tier, times = found
    earned = 0
    for gift in tier.gifts:
        sku_id = parse_pair(gift.sku_id)[1]
        value = values.get(sku_id, gift.value or 0)
        earned += value * gift.quantity * times
    return max(0, stays - earned)
