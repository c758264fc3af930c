"""From the promotions that run to rules for one basket. Pure.

How each kind reckons stands in modules of its own: `limited`, `nth`, `bundle`, `tiers`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from core.api import (
    MARKET_ID,
    Basket,
    BasketLine,
    Phase,
    PriceRule,
    Relation,
    RuleKind,
    parse_pair,
    parse_ref,
    ref,
)
from plugins.promotions import terms as of_terms
from plugins.promotions.bundle import BundleRule
from plugins.promotions.limited import LimitedRule, target
from plugins.promotions.nth import NthRule
from plugins.promotions.terms import ALL_BP, Item, Scope, Terms
from plugins.promotions.tiers import FreightRule, ReductionRule

PLUGIN = "promotions"
LIMITED = "promotions.limited"
NTH = "promotions.nth"
BUNDLE = "promotions.bundle"
GIFT = "promotions.gift"
REDUCTION = "promotions.reduction"
MARKET_REDUCTION = "promotions.market_reduction"
FREE_SHIPPING = "promotions.free_shipping"
MARKET_FREE_SHIPPING = "promotions.market_free_shipping"

KINDS = (
    RuleKind(LIMITED, Phase.ITEM_PRICE, "限时折扣", per_line=True),
    # Alternatives to other prices of the same lines, so they are compared with these; lower, so that what blocks them stays.
    RuleKind(NTH, Phase.ITEM_PRICE, "第 N 件优惠", priority=-1, per_line=True),
    RuleKind(BUNDLE, Phase.ITEM_PRICE, "优惠套装", priority=-1, per_line=True),
    RuleKind(GIFT, Phase.ITEM_PROMOTION, "买赠"),
    RuleKind(REDUCTION, Phase.SHOP_PROMOTION, "店铺满减", per_shop=1),
    RuleKind(MARKET_REDUCTION, Phase.MARKET_PROMOTION, "平台满减", per_trade=1),
    # Before coupons for freight, which cost the buyer something: a coupon is not spent on freight that is free anyway.
    RuleKind(FREE_SHIPPING, Phase.SHIPPING_DISCOUNT, "店铺包邮", priority=3, per_shop=1),
    RuleKind(MARKET_FREE_SHIPPING, Phase.SHIPPING_DISCOUNT, "平台包邮", priority=2, per_trade=1),
)
PAIRS = {
    (LIMITED, NTH): Relation.BEST,
    (BUNDLE, LIMITED): Relation.BEST,
    (BUNDLE, NTH): Relation.BEST,
    (GIFT, GIFT): Relation.STACK,
}
_OF_SHOP = {of_terms.REDUCTION: REDUCTION, of_terms.FREE_SHIPPING: FREE_SHIPPING}
_OF_MARKET = {of_terms.REDUCTION: MARKET_REDUCTION, of_terms.FREE_SHIPPING: MARKET_FREE_SHIPPING}
_OF_BOTH = {of_terms.LIMITED: LIMITED, of_terms.NTH: NTH, of_terms.BUNDLE: BUNDLE, of_terms.GIFT: GIFT}
_OWNED = ("products", "shop_categories")


class Running(NamedTuple):
    """A promotion that runs, or will: `ids` are those of its scope, decoded; `items` its SKUs by the keys of lines; `ref` is
    its id as clients know it."""

    merchant_id: UUID
    id: UUID
    terms: Terms
    starts_at: datetime
    ends_at: datetime
    ids: frozenset[UUID]
    items: Mapping[str, Item]
    ref: str

    @property
    def of_market(self) -> bool:
        """Whether the market runs it."""
        return self.merchant_id == MARKET_ID

    def on(self, now: datetime) -> bool:
        """Whether it runs at this moment."""
        return self.starts_at <= now < self.ends_at

    def takes(self, line: BasketLine) -> bool:
        """Whether a line takes part."""
        if not self.of_market and line.merchant_id != self.merchant_id:
            return False
        return line.key in self.items if self.items else matches(self.terms.scope, self.ids, line)

    def lines(self, basket: Basket) -> list[BasketLine]:
        """The lines that take part."""
        return self.among([x for x in basket.lines if self.of_market or x.merchant_id == self.merchant_id])

    def among(self, lines: Sequence[BasketLine]) -> list[BasketLine]:
        """Those that take part of lines of its shop, or for the market's of any."""
        if self.items:
            return [line for line in lines if line.key in self.items]
        if self.terms.scope.kind == "all":
            return list(lines)
        return [line for line in lines if matches(self.terms.scope, self.ids, line)]


class Allowance(NamedTuple):
    """What limits over the whole activity leave to this buyer: `left` None is no limit; `why` is the one that binds."""

    left: int | None = None
    why: str = "promotion_limit"


class Made(NamedTuple):
    """What a promotion's rules have in common."""

    running: Running
    lines: Sequence[BasketLine]
    allowance: Allowance
    shelf: Mapping[str, tuple[BasketLine, int]]

    def common(self, suffix: str = "", merchant_id: UUID | None = None) -> dict[str, Any]:
        """Fields of `PriceRule`, and who bears it."""
        running = self.running
        terms = running.terms
        return {
            "plugin": PLUGIN,
            "id": f"{running.ref}:{suffix}" if suffix else running.ref,
            "kind": kind_of(terms, of_market=running.of_market),
            "label": terms.name,
            "merchant_id": merchant_id or (None if running.of_market else running.merchant_id),
            "activity_id": running.id,
            "merchant_bp": (terms.merchant_share_bp or 0) if running.of_market else ALL_BP,
            "counted": terms.limited,
        }

    @property
    def most(self) -> int | None:
        """The units that one order may have."""
        found = [n for n in (self.running.terms.per_order, self.allowance.left) if n is not None]
        return min(found, default=None)


def decoded(
    merchant_id: UUID, promotion_id: UUID, terms: Terms, starts_at: datetime, ends_at: datetime
) -> Running:
    """A promotion ready to be matched."""
    owned = terms.scope.kind in _OWNED
    ids = frozenset([parse_pair(i)[1] if owned else parse_ref(i) for i in terms.scope.ids])
    items = {item.sku_id: item for item in terms.items}
    named = ref(merchant_id, promotion_id)
    return Running(merchant_id, promotion_id, terms, starts_at, ends_at, ids, items, named)


def promotion_of(rule: str) -> tuple[UUID, UUID]:
    """(merchant id, promotion id) in the id of one of its rules."""
    return parse_pair(rule.partition(":")[0])


def kind_of(terms: Terms, *, of_market: bool) -> str:
    """The kind of rule that a promotion is."""
    return _OF_BOTH.get(terms.kind) or (_OF_MARKET if of_market else _OF_SHOP)[terms.kind]


def matches(scope: Scope, ids: frozenset[UUID], line: BasketLine) -> bool:
    """Whether a line is in a scope."""
    match scope.kind:
        case "products":
            return line.product_id in ids
        case "categories":
            return not ids.isdisjoint(line.category_path)
        case "shop_categories":
            return not ids.isdisjoint(line.shop_category_ids)
        case "merchants":
            return line.merchant_id in ids
        case _:
            return True


def rules_for(
    running: Running,
    lines: Sequence[BasketLine],
    allowance: Allowance,
    shelf: Mapping[str, tuple[BasketLine, int]],
) -> Iterable[PriceRule]:
    """The rules of one promotion for the `lines` of a basket that take part, at least one."""
    made = Made(running, lines, allowance, shelf)
    match running.terms.kind:
        case of_terms.LIMITED:
            return _limited(made)
        case of_terms.NTH:
            return _nth(made)
        case of_terms.BUNDLE:
            return [_bundle(made)]
        case _:
            return _tiered(made)


def _limited(made: Made) -> Iterable[LimitedRule]:
    """A rule a line; what limits leave goes to the lines that save most."""
    items, left = made.running.items, made.most

    def saving(line: BasketLine) -> int:
        return line.unit_price - target(items[line.key], line.unit_price)

    for line in sorted(made.lines, key=lambda line: (-saving(line), line.key)):
        most = None if left is None else min(left, line.quantity)
        yield LimitedRule(
            **made.common(line.key, line.merchant_id),
            key=line.key,
            item=items[line.key],
            most=most,
            why=made.allowance.why,
        )
        left = None if left is None or most is None else left - most


def _nth(made: Made) -> Iterable[NthRule]:
    """A rule a pool, which is of one shop; what limits leave goes to the dearest pools."""
    terms, left = made.running.terms, made.most
    pools: dict[tuple[UUID, str], list[BasketLine]] = {}
    for line in made.lines:
        pools.setdefault((line.merchant_id, _pool(terms, line)), []).append(line)
    for (shop, pool), lines in sorted(
        pools.items(), key=lambda p: (-max(line.unit_price for line in p[1]), p[0])
    ):
        sets = sum(line.quantity for line in lines) // terms.nth
        most = None if left is None else min(left, sets)
        yield NthRule(
            **made.common(pool or (ref(shop) if made.running.of_market else ""), shop),
            keys=frozenset([line.key for line in lines]),
            nth=terms.nth,
            rate_bp=terms.rate_bp or 0,
            most=most,
            why=made.allowance.why,
        )
        left = None if left is None or most is None else left - most


def _pool(terms: Terms, line: BasketLine) -> str:
    if terms.pool == "sku":
        return line.key
    return ref(line.merchant_id, line.product_id) if terms.pool == "product" else ""


def _bundle(made: Made) -> BundleRule:
    return BundleRule(
        **made.common(),
        parts={key: item.quantity for key, item in made.running.items.items()},
        price=made.running.terms.price or 0,
        most=made.most,
        why=made.allowance.why,
    )


def _tiered(made: Made) -> Iterable[PriceRule]:
    running, terms = made.running, made.running.terms
    keys = frozenset([line.key for line in made.lines])
    # `per_order` is how often the tier of a promotion counts; that is in the terms.
    common: dict[str, Any] = {
        "keys": keys,
        "terms": terms,
        "most": made.allowance.left,
        "why": made.allowance.why,
    }
    if terms.kind == of_terms.FREE_SHIPPING:
        yield FreightRule(**made.common(), **common)
        return
    yield ReductionRule(**made.common(), **common, shelf=made.shelf)
    if any(tier.free_freight for tier in terms.tiers):
        kind = MARKET_FREE_SHIPPING if running.of_market else FREE_SHIPPING
        at = Phase.MARKET_PROMOTION if running.of_market else Phase.SHOP_PROMOTION
        yield FreightRule(**{**made.common("freight"), "kind": kind}, **common, at=at)
