"""What is looked at before a promotion is written: a mistake here would silently widen or void it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from core.api import MARKET_ID, FieldError, NotFound, Tx, parse_pair, parse_ref
from plugins.promotions import repository
from plugins.promotions.limited import target
from plugins.promotions.repository import Key
from plugins.promotions.schemas import PromotionIn
from plugins.promotions.terms import BUNDLE, FREE_SHIPPING, GIFT, LIMITED, NTH, REDUCTION, Item, Tier

# Scopes whose ids name a shop's own things.
_OWNED = frozenset({"products", "shop_categories"})
_FAR = timedelta(days=20 * 365)
# What a promotion says that says nothing of a field, and the kinds that may say something.
_PLAIN = {field.name: field.default for field in msgspec.structs.fields(PromotionIn)}
_TAKEN_BY = {
    "scope": {NTH, GIFT, REDUCTION, FREE_SHIPPING},
    "items": {LIMITED, BUNDLE},
    "price": {BUNDLE},
    "rate_bp": {NTH},
    "nth": {NTH},
    "pool": {NTH},
    "by": {GIFT, REDUCTION, FREE_SHIPPING},
    "tiers": {GIFT, REDUCTION, FREE_SHIPPING},
    "each": {GIFT, REDUCTION},
    "on_refund": {GIFT, REDUCTION},
}
_TIERED = (GIFT, REDUCTION, FREE_SHIPPING)
_NEEDED = {"items": (LIMITED, BUNDLE), "price": (BUNDLE,), "rate_bp": (NTH,), "tiers": _TIERED}


def far(now: datetime, field: str, moment: datetime) -> Iterable[FieldError]:
    """A moment that is out of all reason."""
    if not now - _FAR < moment < now + _FAR:
        yield FieldError(field, "range", "Must be within 20 years from now.")


class PromotionChecks:
    """The faults of a promotion that `merchant_id` wants to run."""

    def __init__(self, data: PromotionIn, merchant_id: UUID, now: datetime) -> None:
        self.data, self.now, self.merchant_id = data, now, merchant_id
        self.of_market = merchant_id == MARKET_ID

    def faults(self) -> Iterable[FieldError]:
        """Whatever can be seen without looking anything up."""
        yield from self._period()
        yield from self._fields()
        yield from self._scope()
        yield from self._items()
        yield from self._tiers()
        if self.data.merchant_share_bp is not None and not self.of_market:
            yield FieldError("merchant_share_bp", "unexpected", "A shop bears its own promotions.")

    def _period(self) -> Iterable[FieldError]:
        data = self.data
        yield from far(self.now, "starts_at", data.starts_at)
        yield from far(self.now, "ends_at", data.ends_at)
        if data.ends_at <= data.starts_at:
            yield FieldError("ends_at", "range", "End after the start.")
        elif data.ends_at <= self.now:
            yield FieldError("ends_at", "past", "End in the future.")

    def _fields(self) -> Iterable[FieldError]:
        """Fields that the kind lacks, or does not take."""
        data = self.data
        for field, kinds in _TAKEN_BY.items():
            given = getattr(data, field) != _PLAIN[field]
            if given and data.kind not in kinds:
                yield FieldError(field, "unexpected", f"The kind {data.kind} takes none.")
            if not given and data.kind in _NEEDED.get(field, ()):
                yield FieldError(field, "required", f"The kind {data.kind} needs it.")

    def _scope(self) -> Iterable[FieldError]:
        scope = self.data.scope
        if scope.kind == "merchants" and not self.of_market:
            yield FieldError("scope.kind", "unsupported", "A shop's promotion holds in that shop only.")
        if (scope.kind == "all") == bool(scope.ids):
            yield FieldError("scope.ids", "mismatch", "Name ids for every scope but all, which takes none.")

    def _items(self) -> Iterable[FieldError]:
        data = self.data
        for n, item in enumerate(data.items):
            ways = [w for w in ("price", "amount", "rate_bp") if getattr(item, w) is not None]
            if data.kind == LIMITED and len(ways) != 1:
                yield FieldError(f"items[{n}]", "mismatch", "Say one of price, amount and rate_bp.")
            if data.kind == LIMITED and item.quantity != 1:
                yield FieldError(f"items[{n}].quantity", "unexpected", "Only a bundle has quantities.")
            if data.kind == BUNDLE and ways:
                yield FieldError(f"items[{n}].{ways[0]}", "unexpected", "A bundle has one price in all.")
        yield from _twice([item.sku_id for item in data.items], "items")
        if data.kind == BUNDLE and sum(item.quantity for item in data.items) < 2:
            yield FieldError("items", "range", "A bundle is of two pieces or more.")
        if data.kind == BUNDLE and len(data.items) > 50:
            yield FieldError("items", "range", "A bundle is of 50 SKUs at most.")

    def _tiers(self) -> Iterable[FieldError]:
        data = self.data
        yield from _twice([str(tier.from_) for tier in data.tiers], "tiers", ".from")
        if data.each and len(data.tiers) > 1:
            yield FieldError("tiers", "range", "With each there is one tier.")
        if data.kind in (GIFT, REDUCTION) and not data.each and data.per_order is not None:
            yield FieldError("per_order", "unexpected", "How often a tier counts is for each.")
        if data.kind == FREE_SHIPPING and data.per_order is not None:
            yield FieldError("per_order", "unexpected", "Free shipping counts once.")
        for n, tier in enumerate(data.tiers):
            yield from self._tier(f"tiers[{n}]", tier)

    def _tier(self, at: str, tier: Tier) -> Iterable[FieldError]:
        kind = self.data.kind
        if tier.from_ == 0 and (self.data.each or kind != FREE_SHIPPING):
            yield FieldError(f"{at}.from", "range", "At least 1.")
        cuts = [w for w in ("minus", "rate_bp") if getattr(tier, w) is not None]
        if kind == REDUCTION and len(cuts) > 1:
            yield FieldError(at, "mismatch", "Say minus or rate_bp, not both.")
        if kind == REDUCTION and not cuts and not tier.gifts:
            yield FieldError(at, "required", "Say minus, rate_bp or gifts.")
        if kind != REDUCTION and cuts:
            yield FieldError(f"{at}.{cuts[0]}", "unexpected", f"The kind {kind} takes none.")
        if self.data.each and tier.rate_bp is not None:
            yield FieldError(f"{at}.rate_bp", "unexpected", "A rate does not count for each.")
        if self.data.by == "amount" and tier.minus is not None and tier.minus > tier.from_:
            yield FieldError(f"{at}.minus", "range", "More off than the goods come to.")
        if tier.free_freight and kind == GIFT:
            yield FieldError(f"{at}.free_freight", "unexpected", "The kind gift gives gifts.")
        if tier.cap is not None and tier.rate_bp is None and kind != FREE_SHIPPING:
            yield FieldError(f"{at}.cap", "unexpected", "cap is for rate_bp and free shipping.")
        yield from self._gifts(at, tier)

    def _gifts(self, at: str, tier: Tier) -> Iterable[FieldError]:
        kind = self.data.kind
        if kind == GIFT and not tier.gifts:
            yield FieldError(f"{at}.gifts", "required", "The kind gift needs them.")
        if tier.gifts and kind == FREE_SHIPPING:
            yield FieldError(f"{at}.gifts", "unexpected", "Free shipping gives none.")
        if tier.gifts and self.of_market:
            yield FieldError(f"{at}.gifts", "unsupported", "Gifts are a shop's own goods; it runs them.")
        yield from _twice([gift.sku_id for gift in tier.gifts], f"{at}.gifts")

    async def unknown(self, tx: Tx) -> tuple[list[FieldError], list[Key]]:
        """The ids that name nothing which this merchant may name, and the SKUs of items and gifts. One statement for
        the scope, one for SKUs."""
        faults = await self._scope_unknown(tx)
        named = [(f"items[{n}]", item.sku_id) for n, item in enumerate(self.data.items)]
        named += [
            (f"tiers[{t}].gifts[{g}]", gift.sku_id)
            for t, tier in enumerate(self.data.tiers)
            for g, gift in enumerate(tier.gifts)
        ]
        keys = {text: _key(text) for _, text in named}
        own = {
            key for key in keys.values() if key is not None and (self.of_market or key[0] == self.merchant_id)
        }
        found = await repository.prices(tx, sorted(own)) if own else {}
        for at, text in named:
            if keys[text] not in found:
                faults.append(FieldError(f"{at}.sku_id", "unknown", "There is no such SKU of yours."))
        faults += self._dear(found, keys)
        return faults, sorted(found)

    def _dear(self, prices: dict[Key, int], keys: dict[str, Key | None]) -> list[FieldError]:
        """Limited-time prices that are none."""
        faults = []
        for n, item in enumerate(self.data.items if self.data.kind == LIMITED else ()):
            price = prices.get(keys[item.sku_id] or (MARKET_ID, MARKET_ID))
            if price is not None and _not_less(item, price):
                faults.append(FieldError(f"items[{n}]", "range", f"It costs {price} fen already."))
        return faults

    async def _scope_unknown(self, tx: Tx) -> list[FieldError]:
        kind, ids = self.data.scope.kind, self.data.scope.ids
        keys: Sequence[tuple[UUID | None, UUID] | None]
        keys = [_key(text) if kind in _OWNED else _single(text) for text in ids]
        shop = None if self.of_market else self.merchant_id
        wanted = [key[1] for key in keys if key is not None]
        known = await repository.known(tx, kind, shop, wanted) if wanted else set()
        detail = f"There is no such id among the {kind} of {'the market' if self.of_market else 'your shop'}."
        return [
            FieldError(f"scope.ids[{n}]", "unknown", detail) for n, key in enumerate(keys) if key not in known
        ]


def _not_less(item: Item, price: int) -> bool:
    return target(item, price) >= price


def _twice(names: Sequence[str], field: str, of: str = ".sku_id") -> Iterable[FieldError]:
    for name, count in Counter(names).items():
        if count > 1:
            at = len(names) - 1 - list(reversed(names)).index(name)
            yield FieldError(f"{field}[{at}]{of}", "repeated", "Named twice.")


def _key(text: str) -> Key | None:
    try:
        return parse_pair(text)
    except NotFound:
        return None


def _single(text: str) -> tuple[None, UUID] | None:
    try:
        return None, parse_ref(text)
    except NotFound:
        return None
