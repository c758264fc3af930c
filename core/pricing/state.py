"""What is left of a basket while it is priced: plain dicts and lists, private to one call of `quote`.

Everything runs in the order of keys, never in the order of the basket, so that the order of lines changes
nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from core.kit.ids import ref
from core.kit.money import largest_remainder, rate
from core.pricing.words import Reason
from core.types.pricing import (
    AddLine,
    Adjustment,
    Basket,
    BasketLine,
    Bearer,
    Explanation,
    LineView,
    OfferedShipping,
    Phase,
    PriceRule,
    Problem,
    RuleKind,
    View,
)

# What can be discounted: a line by its key, a shipping fee by its merchant.
Key = str | UUID
Bucket = tuple[str, UUID | None]


class Cut(NamedTuple):
    """A discount of `amount` fen over `keys` (sorted); the merchants bear `merchant_bp` of it."""

    keys: tuple[Key, ...]
    amount: int
    merchant_bp: int


class Candidate:
    """A rule with a sound proposal. `shops` are those it touches, `lines` the lines (with gifts, their parents), `amount` is
    what it takes off by itself, `buckets` the limits it counts against and how many each allows."""

    __slots__ = (
        "amount",
        "buckets",
        "cuts",
        "gifts",
        "keys",
        "kind",
        "lines",
        "rank",
        "rule",
        "shops",
        "uses",
    )

    def __init__(
        self,
        rule: PriceRule,
        kind: RuleKind,
        cuts: list[Cut],
        gifts: list[AddLine],
        shops: frozenset[UUID],
        uses: int = 0,
    ) -> None:
        self.uses = uses
        self.rule, self.kind, self.cuts, self.gifts, self.shops = rule, kind, cuts, gifts, shops
        self.keys = frozenset([key for cut in cuts for key in cut.keys])
        self.lines = self.keys.union([gift.parent for gift in gifts]) if gifts else self.keys
        self.amount = sum(cut.amount for cut in cuts)
        self.rank = (-kind.priority, rule.plugin, rule.id)
        self.buckets: list[tuple[Bucket, int]] = []


class Gift(NamedTuple):
    """A gift line of the quote."""

    key: str
    line: BasketLine
    parent: str | None


class State:
    """Amounts left, adjustments made and rules explained so far.

    `left` is in fen per key. `stands` and `lines_of` hold, per kind, the shops and lines where a rule of it was applied;
    `counts` how many rules of a group were applied per shop and (shop None) in the whole trade.
    """

    def __init__(self, basket: Basket, problems: Iterable[Problem]) -> None:
        lines = sorted(basket.lines, key=lambda line: line.key)
        self.basket = replace(basket, lines=tuple(lines))
        self.lines: dict[str, BasketLine] = {line.key: line for line in lines}
        if len(self.lines) != len(lines) or any(line.quantity < 1 or line.unit_price < 0 for line in lines):
            raise ValueError("a basket has each key once, quantities from 1 and no negative price")
        self.left: dict[Key, int] = {line.key: line.amount for line in lines}
        self.shop_of: dict[Key, UUID] = {line.key: line.merchant_id for line in lines}
        self.by_shop: dict[UUID, list[str]] = {}
        for line in lines:
            self.by_shop.setdefault(line.merchant_id, []).append(line.key)
        self.gifts: dict[str, list[Gift]] = {}
        self.fees: dict[UUID, int] = {}
        self.offers: dict[UUID, list[OfferedShipping]] = {}
        self.adjustments: dict[Key, list[Adjustment]] = {}
        self.explain: list[Explanation] = []
        self.problems: list[Problem] = list(problems)
        self.stands: dict[str, set[UUID]] = {}
        self.lines_of: dict[str, set[Key]] = {}
        self.counts: Counter[Bucket] = Counter()
        self.began: dict[Phase, dict[Key, int]] = {}

    def view(self, merchant_id: UUID | None, hidden: frozenset[UUID], closed: frozenset[Key]) -> View:
        """What a rule sees: its own shop's lines or everybody's, without those of the `hidden` shops and the
        `closed` ones."""
        # In the order of keys, as the lines are.
        if merchant_id is None:
            keys = [key for key in self.lines if key not in closed and self.shop_of[key] not in hidden]
        elif merchant_id in hidden:
            keys = []
        else:
            keys = [key for key in self.by_shop.get(merchant_id, ()) if key not in closed]
        lines = tuple([LineView(self.lines[key], self.left[key]) for key in keys])
        fees = {
            shop: self.left[shop] for shop in self.fees if shop not in hidden and merchant_id in (None, shop)
        }
        return View(self.basket, lines, fees, self.began)

    def shop_lines(self, merchant_id: UUID) -> Iterator[LineView]:
        """One merchant's lines as they will be shipped: discounted, with gifts at 0."""
        for key in self.by_shop[merchant_id]:
            yield LineView(self.lines[key], self.left[key])
            yield from (LineView(gift.line, 0) for gift in self.gifts.get(key, ()))

    def apply(self, candidate: Candidate) -> int:
        """Carry a rule out. The answer is what it took off, which is less than it proposed where rules
        applied beside it left less."""
        shares, borne = spread(self.left, candidate.cuts)
        rule = candidate.rule
        activity_id = ref(rule.activity_id) if rule.activity_id is not None else None
        for key, share in shares.items():
            if share:
                bearer = Bearer(market=share - borne[key], merchant=borne[key])
                self.adjustments.setdefault(key, []).append(
                    Adjustment(rule.plugin, rule.id, rule.kind, rule.label, share, bearer, activity_id)
                )
        for gift in candidate.gifts:
            key = gift_key(rule, gift)
            line = replace(gift.line, unit_price=0)
            parent = None if gift.of_order else gift.parent
            self.gifts.setdefault(gift.parent, []).append(Gift(key, line, parent))
        amount = sum(shares.values())
        if amount or candidate.gifts:
            self.stands.setdefault(rule.kind, set()).update(candidate.shops)
            self.lines_of.setdefault(rule.kind, set()).update(candidate.lines)
            for bucket, _ in candidate.buckets:
                self.counts[bucket] += 1
        return amount

    def told(
        self, rule: PriceRule, phase: str, outcome: str, why: Reason, amount: int = 0, uses: int = 0
    ) -> None:
        """Say what became of a rule."""
        self.explain.append(
            Explanation(
                rule.plugin,
                rule.id,
                rule.kind,
                phase,
                outcome,
                why.en,
                amount,
                why.code,
                rule.label,
                why.zh,
                why.short,
                uses,
            )
        )


def gift_key(rule: PriceRule, gift: AddLine) -> str:
    """The key of a gift line: one SKU may be bought and given, and given by several rules."""
    return f"gift:{rule.plugin}:{rule.id}:{gift.parent}:{gift.line.key}"


def spread(left: dict[Key, int], cuts: list[Cut]) -> tuple[dict[Key, int], dict[Key, int]]:
    """Take `cuts` from `left`, one after another, each spread by the amounts left and never below zero.

    The answer is, per key, the discount and the merchant's part of it. The merchant's part of a cut is
    rounded once and then spread, so that it sums exactly.
    """
    shares: dict[Key, int] = {}
    borne: dict[Key, int] = {}
    for cut in cuts:
        if len(cut.keys) == 1:
            (key,) = cut.keys
            part = min(cut.amount, left[key])
            left[key] -= part
            shares[key] = shares.get(key, 0) + part
            borne[key] = borne.get(key, 0) + rate(part, cut.merchant_bp)
            continue
        weights = [left[key] for key in cut.keys]
        parts = largest_remainder(min(cut.amount, sum(weights)), weights)
        by_merchant = parts
        if cut.merchant_bp != 10_000:
            by_merchant = largest_remainder(rate(sum(parts), cut.merchant_bp), parts)
        for key, part, own in zip(cut.keys, parts, by_merchant, strict=True):
            left[key] -= part
            shares[key] = shares.get(key, 0) + part
            borne[key] = borne.get(key, 0) + own
    return shares, borne


def taken(left: Mapping[Key, int], candidates: Iterable[Candidate]) -> int:
    """What these rules would take off together, in this order."""
    rest = dict(left)
    return sum(sum(spread(rest, candidate.cuts)[0].values()) for candidate in candidates)
