"""What goes into a quote and what comes out.

`quote(basket, rules) -> Quote` is pure. Amounts are integers in fen; discounts are positive numbers; shares in basis
points (10,000 = all). Ids inside are UUIDs; a line's `key` is the opaque SKU id that clients know.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Protocol
from uuid import UUID

import msgspec

from core.kit.geo import Point


class Phase(IntEnum):
    """The order of pricing. A rule sees the amounts that the earlier phases left."""

    ITEM_PRICE = 10
    ITEM_PROMOTION = 20
    SHOP_PROMOTION = 30
    MARKET_PROMOTION = 40
    SHOP_COUPON = 50
    MARKET_COUPON = 60
    SHIPPING = 70
    SHIPPING_DISCOUNT = 80
    POINTS = 90


class RuleKind(msgspec.Struct, frozen=True):
    """A sort of rule, declared by the plugin that owns it and editable by the operator.

    `priority` decides ties (higher first); `per_shop` and `per_trade` bound how many of the kind may apply.
    Kinds of one `group` share their limits. Rules meet on the shops that both touch; those of a kind that is `per_line` meet
    others only on the lines that both touch, so each line has its own best.
    """

    name: str
    phase: Phase
    title: str
    priority: int = 0
    group: str = ""
    per_shop: int | None = None
    per_trade: int | None = None
    per_line: bool = False


class Relation(StrEnum):
    """What happens when rules of two kinds meet on the same shop, or line."""

    STACK = "stack"
    BEST = "best"
    BLOCK = "block"


_STRICTNESS = (Relation.STACK, Relation.BEST, Relation.BLOCK)


class Matrix(msgspec.Struct, frozen=True):
    """Kinds and how pairs of them combine. A pair that is not listed stacks; a kind is `best` with itself
    unless listed. Of a pair that is listed both ways round, differently, the stricter counts."""

    kinds: Mapping[str, RuleKind]
    pairs: Mapping[tuple[str, str], Relation] = {}

    def relation(self, a: str, b: str) -> Relation:
        """How rules of kinds `a` and `b` combine; symmetric."""
        listed = [self.pairs[pair] for pair in ((a, b), (b, a)) if pair in self.pairs]
        if listed:
            return max(listed, key=_STRICTNESS.index)
        return Relation.BEST if a == b else Relation.STACK


class Region(msgspec.Struct, frozen=True):
    """Where a basket goes, as far as pricing and shipping need to know; no personal data."""

    province: str
    city: str
    district: str
    location: Point | None = None


class BasketLine(msgspec.Struct, frozen=True):
    """One SKU in a basket. `category_path` runs from the root to the product's category."""

    key: str
    merchant_id: UUID
    product_id: UUID
    sku_id: UUID
    quantity: int
    unit_price: int
    title: str = ""
    specs: tuple[str, ...] = ()
    image_url: str | None = None
    category_path: tuple[UUID, ...] = ()
    shop_category_ids: tuple[UUID, ...] = ()
    weight_g: int = 0
    volume_cm3: int = 0
    requires_shipping: bool = True
    options: Mapping[str, Any] = {}
    source: Mapping[str, str] | None = None

    @property
    def amount(self) -> int:
        """Price of all units before any discount."""
        return self.unit_price * self.quantity


class Basket(msgspec.Struct, frozen=True):
    """All that a quote is about. `options[plugin]` is what the buyer chose, as sent; each plugin reads its own."""

    lines: tuple[BasketLine, ...]
    account_id: UUID | None
    now: datetime
    region: Region | None = None
    shipping: Mapping[UUID, str] = {}
    options: Mapping[str, Any] = {}
    # Plugins of which the buyer owns something (`core.api.hold`); the others need no look into their tables.
    holdings: frozenset[str] = frozenset()
    # Plugin -> shop (or market) -> version of its rules there (`core.api.KeptRules`).
    versions: Mapping[str, Mapping[UUID, int]] = {}


class LineView(msgspec.Struct, frozen=True):
    """A line as a rule sees it: the basket line and the amount that earlier phases left of it."""

    line: BasketLine
    amount: int


class View(msgspec.Struct, frozen=True):
    """The basket as a rule sees it. `shipping` is the fee per merchant, known from the shipping phase on; `began` are the
    amounts of lines by key as each phase so far found them."""

    basket: Basket
    lines: tuple[LineView, ...]
    shipping: Mapping[UUID, int] = {}
    began: Mapping[Phase, Mapping[Any, int]] = {}

    def at(self, phase: Phase) -> tuple[LineView, ...]:
        """The lines with the amounts that `phase` found, for what was promised on those."""
        found = self.began.get(phase)
        if found is None:
            return self.lines
        return tuple([LineView(seen.line, found[seen.line.key]) for seen in self.lines])


class Adjust(msgspec.Struct, frozen=True, tag=True):
    """A discount of `amount` over the lines `keys`, spread by their current amounts. `merchant_bp` of it is borne
    by the merchant of each line, the rest by the market."""

    keys: tuple[str, ...]
    amount: int
    merchant_bp: int = 10_000


class AddLine(msgspec.Struct, frozen=True, tag=True):
    """A gift at price 0: its SKU facts as a basket line, shipped with the line `parent` and taken back with it; one
    `of_order` was earned by several lines and goes back with the last one of the order."""

    line: BasketLine
    parent: str
    of_order: bool = False


class ShippingAdjust(msgspec.Struct, frozen=True, tag=True):
    """A discount on one merchant's shipping fee."""

    merchant_id: UUID
    amount: int
    merchant_bp: int = 10_000


class Uses(msgspec.Struct, frozen=True, tag=True):
    """How many units of its own limits the rule uses up when it applies: sets, times, pieces. Placing finds it in
    `Placement.uses_of`, so that the plugin can claim it."""

    units: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Why a rule does not apply: a stable code and a sentence for the buyer, `zh` in Chinese. `short` is what is missing, in
    fen."""

    code: str
    detail: str
    short: int = 0
    zh: str = ""


Proposal = tuple[Adjust | AddLine | ShippingAdjust | Uses, ...]


class PriceRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that may apply to this basket; plugins subclass it in their `rules.py`. Of the four kinds of plugin code
    this is the `rule`: sync, pure, and it only proposes.

    `merchant_id` None means the whole market. `chosen`: the buyer named it, so it is never swapped for another.
    """

    plugin: str
    id: str
    kind: str
    label: str
    merchant_id: UUID | None = None
    activity_id: UUID | None = None
    chosen: bool = False

    def propose(self, view: View) -> Proposal | Refused:
        """What this rule would do to the basket as it stands. Pure; must not raise."""
        raise NotImplementedError


class FeeTerms(Protocol):
    """Pure terms of a shipping fee, evaluated on the goods as discounted."""

    def fee(self, goods_amount: int, lines: Sequence[LineView]) -> int:
        """The fee in fen for one merchant's lines; `goods_amount` is after all goods discounts."""


class FlatFee(msgspec.Struct, frozen=True):
    """A fixed fee, nothing from `free_from` fen of goods on (None: never free)."""

    amount: int = 0
    free_from: int | None = None

    def fee(self, goods_amount: int, lines: Sequence[LineView]) -> int:  # noqa: ARG002
        """The fee in fen."""
        return 0 if self.free_from is not None and goods_amount >= self.free_from else self.amount


class ShippingOption(msgspec.Struct, frozen=True):
    """One way to get a merchant's lines to the buyer. `kind`: express, instant, pickup or service."""

    merchant_id: UUID
    key: str
    kind: str
    name: str
    terms: FeeTerms
    promise: str = ""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something cannot be bought as it stands; `zh` says it in Chinese."""

    code: str
    detail: str
    sku_id: str | None = None
    merchant_id: str | None = None
    zh: str = ""


class Bearer(msgspec.Struct, frozen=True):
    """Who pays for a discount, in fen."""

    market: int
    merchant: int


class Adjustment(msgspec.Struct, frozen=True):
    """A discount as applied to one line or one shipping fee."""

    plugin: str
    rule: str
    kind: str
    label: str
    amount: int
    bearer: Bearer
    activity_id: str | None = None


class QuoteLine(msgspec.Struct, frozen=True):
    """One priced line; `payable = amount - sum(adjustments)`."""

    key: str
    kind: str
    sku_id: str
    product_id: str
    title: str
    specs: tuple[str, ...]
    quantity: int
    unit_price: int
    amount: int
    payable: int
    adjustments: tuple[Adjustment, ...] = ()
    parent: str | None = None
    requires_shipping: bool = True


class OfferedShipping(msgspec.Struct, frozen=True):
    """A way to ship with its fee for this basket, before shipping discounts."""

    key: str
    kind: str
    name: str
    fee: int
    promise: str
    selected: bool


class QuoteMerchant(msgspec.Struct, frozen=True):
    """One merchant's part: `payable = goods_amount - discount_amount + shipping_amount`."""

    merchant_id: str
    goods_amount: int
    discount_amount: int
    shipping_amount: int
    payable: int
    shipping_options: tuple[OfferedShipping, ...]
    shipping_adjustments: tuple[Adjustment, ...]
    lines: tuple[QuoteLine, ...]


class Explanation(msgspec.Struct, frozen=True):
    """One rule considered, and what became of it: `applied` with what it took off, `beaten` with what it would have
    taken off by itself, or `refused`; `code` says stably why not, `reason` and `reason_zh` in words, `short` how many fen
    are missing to it, `uses` what of its own limits it uses up."""

    plugin: str
    rule: str
    kind: str
    phase: str
    outcome: str
    reason: str
    amount: int
    code: str = ""
    label: str = ""
    reason_zh: str = ""
    short: int = 0
    uses: int = 0


class Quote(msgspec.Struct, frozen=True):
    """The priced basket. `shipping_amount` is after shipping discounts; `discount_amount` is goods discounts only."""

    merchants: tuple[QuoteMerchant, ...]
    goods_amount: int
    discount_amount: int
    shipping_amount: int
    payable: int
    explain: tuple[Explanation, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def contributors(self) -> set[str]:
        """The plugins of which a rule was applied."""
        return {told.plugin for told in self.explain if told.outcome == "applied"}
