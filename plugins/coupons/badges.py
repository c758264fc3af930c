"""What products show of the coupons that anybody may claim for them; kept for a moment, so that a page in the usual case
asks the database nothing."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from core.api import MARKET_ID, Badge, BadgePage, Remembered, ShelfProduct, Tx, format_yuan, rate, ref
from plugins.coupons import usage
from plugins.coupons.rules import FREE_SHIPPING, Terms, kind_of

PLUGIN = "coupons"
TTL_S = 5.0
MOST_ISSUERS = 10_000
MOST_OFFERS = 1_000
MOST_PRODUCTS = 10_000
_ALL_BP = 10_000
_NO_CAP = 1 << 60


class Offer(NamedTuple):
    """A coupon to be claimed: what it says on a product, and what it is worth. `power` compares offers of one sort: one
    with no higher threshold and no part of `power` lower is never worth less."""

    kind: str
    text: str
    sort: str
    threshold: int
    power: tuple[int, ...]

    def worth(self, amount: int) -> int:
        """What it takes off goods of `amount` fen. Freight is not known here and counts as one fen, so that any discount
        on the goods comes first."""
        if amount < self.threshold:
            return 0
        if self.sort == "amount":
            return min(self.power[0], amount)
        return 1 if self.sort == FREE_SHIPPING else min(rate(amount, self.power[0]), self.power[1])

    def beats(self, other: "Offer") -> bool:
        """Whether `other` can never be the better one."""
        return (
            self.sort == other.sort
            and self.threshold <= other.threshold
            and all(mine >= its for mine, its in zip(self.power, other.power, strict=True))
        )


def offer(terms: Terms, *, of_market: bool) -> Offer:
    """The offer that a template makes."""
    cap = _NO_CAP if terms.cap is None else terms.cap
    power = {"amount": (terms.amount,), "rate": (terms.rate_bp, cap)}.get(terms.kind, (cap,))
    return Offer(kind_of(terms, of_market=of_market), text(terms), terms.kind, terms.threshold, power)


def text(terms: Terms) -> str:
    """A few characters for a product: 满100减10, 8.5折, 满59包邮."""
    reached = f"满{_yuan(terms.threshold)}" if terms.threshold else ""
    if terms.kind == "amount":
        return f"{reached}减{_yuan(terms.amount)}" if reached else f"立减{_yuan(terms.amount)}元"
    if terms.kind == FREE_SHIPPING:
        return f"{reached}包邮" if terms.cap is None else f"{reached}运费减{_yuan(terms.cap)}"
    if terms.rate_bp == _ALL_BP:
        return f"{reached}免单"
    rest = f"{(_ALL_BP - terms.rate_bp) / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{reached}打{rest}折" if reached else f"{rest}折"


def _yuan(fen: int) -> str:
    return format_yuan(fen).removesuffix(".00")


class Shelf:
    """One issuer's offers, found by what they are meant for; ids as clients know them."""

    def __init__(self, issuer: UUID, templates: Iterable[Terms]) -> None:
        found: dict[tuple[str, str], list[Offer]] = {}
        for terms in templates:
            made = offer(terms, of_market=issuer == MARKET_ID)
            for key in terms.ids or ("",):
                found.setdefault((terms.scope, key), []).append(made)
        self._scopes = {scope for scope, _ in found}
        self._offers = {place: _undominated(offers) for place, offers in found.items()}
        self._shown: dict[tuple[UUID, int], Badge | None] = {}

    def badge(self, product: ShelfProduct) -> Badge | None:
        """What a product shows of the best offer; worked out once for as long as the shelf is remembered."""
        key = (product.product_id, product.price)
        if key not in self._shown:
            if len(self._shown) >= MOST_PRODUCTS:
                self._shown.clear()
            made = self.best(product)
            self._shown[key] = (
                None if made is None else Badge(product.product_id, PLUGIN, made.kind, made.text)
            )
        return self._shown[key]

    def best(self, product: ShelfProduct) -> Offer | None:
        """The offer that takes most off one piece; if it alone reaches no threshold, the one that is nearest."""
        best: Offer | None = None
        rank = (0, 0, 0)
        for place in self._places(product):
            for made in self._offers.get(place, ()):
                its = (made.worth(product.price), -made.threshold, made.worth(made.threshold))
                if best is None or its > rank:
                    best, rank = made, its
        return best

    def _places(self, product: ShelfProduct) -> Iterable[tuple[str, str]]:
        shop = product.merchant_id
        for scope in self._scopes:
            if scope == "all":
                yield scope, ""
            elif scope == "products":
                yield scope, ref(shop, product.product_id)
            elif scope == "merchants":
                yield scope, ref(shop)
            elif scope == "categories":
                yield from [(scope, ref(category)) for category in product.category_path]
            else:
                yield from [(scope, ref(shop, category)) for category in product.shop_category_ids]


def _undominated(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Without those that can never be the best, however many there are; in a fixed order."""
    kept: list[Offer] = []
    for made in sorted(offers, key=lambda o: (o.sort, o.threshold, [-part for part in o.power], o.text)):
        if not any(other.beats(made) for other in kept):
            kept.append(made)
    return tuple(kept)


class RememberedOffers:
    """The shelves of up to `MOST_ISSUERS` shops and of the market, each read again after 5 seconds; one per plugin
    instance. An issuer without offers is remembered as well."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept: Remembered[UUID, Shelf] = Remembered(TTL_S, MOST_ISSUERS, clock)

    async def of(self, tx: Tx, issuers: Iterable[UUID]) -> Mapping[UUID, Shelf]:
        """The shelf of each issuer; one statement for all that are not remembered, else none."""

        async def read(missing: Sequence[UUID]) -> Mapping[UUID, Shelf]:
            return await _read(tx, missing)

        return await self._kept.of(issuers, read)


async def _read(tx: Tx, issuers: Sequence[UUID]) -> dict[UUID, Shelf]:
    templates: dict[UUID, list[Terms]] = {issuer: [] for issuer in issuers}
    for row in await usage.offers(tx, issuers, MOST_OFFERS):
        templates[row["merchant_id"]].append(msgspec.json.decode(row["terms_json"], type=Terms))
    return {issuer: Shelf(issuer, terms) for issuer, terms in templates.items()}


async def badges(tx: Tx, page: BadgePage, remembered: RememberedOffers) -> list[Badge]:
    """For each product the best coupon of its shop and the market's best that anybody may claim, as far as there are."""
    shelves = await remembered.of(tx, {MARKET_ID, *[product.merchant_id for product in page.products]})
    found: list[Badge] = []
    of_market = shelves[MARKET_ID]
    for product in page.products:
        own = shelves[product.merchant_id]
        for shelf in (own, of_market) if own is not of_market else (own,):
            badge = shelf.badge(product)
            if badge is not None:
                found.append(badge)
    return found
