"""What a level and points take off a basket. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from uuid import UUID

import msgspec

from core.api import Adjust, BasketLine, PriceRule, Proposal, Refusals, Refused, View, format_yuan, rate

MARKET_PRICE = "membership.price"
SHOP_PRICE = "membership.shop_price"
POINTS = "membership.points"
# The one rule by which a purchase uses points.
POINTS_RULE = "points"
_ALL_BP = 10_000


class Level(msgspec.Struct, frozen=True):
    """A level as it is kept for pricing: its issuer (a shop or the market), the growth it takes (None: it is bought), what
    it takes off, and prices by SKU with their products. Shops bear `merchant_share_bp`."""

    issuer: UUID
    id: UUID
    name: str
    growth: int | None
    discount_bp: int
    merchant_share_bp: int
    prices: Mapping[UUID, tuple[UUID, int]]

    def unit_price(self, sku_id: UUID, price: int) -> int:
        """What one piece costs a member: the SKU's member price, else the level's discount; never more than `price`."""
        own = self.prices.get(sku_id)
        return min(price, own[1] if own is not None else price - rate(price, self.discount_bp))

    def shelf_price(self, product_id: UUID, price: int) -> int:
        """What a product costs a member whose cheapest SKU is at `price`, as far as that is certain: which SKU that is
        nobody knows here, so of a product with member prices only these count."""
        own = [fen for product, fen in self.prices.values() if product == product_id]
        return min(price, *own) if own else price - rate(price, self.discount_bp)


def level_of(levels: Iterable[Level], growth: int) -> Level | None:
    """The highest level that this growth reaches."""
    known = [(x.growth, x) for x in levels if x.growth is not None and x.growth <= growth]
    return max(known, key=itemgetter(0), default=(0, None))[1]


def after(levels: Iterable[Level], growth: int) -> Level | None:
    """The next level that this growth does not reach yet."""
    known = [(x.growth, x) for x in levels if x.growth is not None and x.growth > growth]
    return min(known, key=itemgetter(0), default=(0, None))[1]


def levels_of(levels: Sequence[Level], growth: int, bought: Collection[UUID]) -> list[Level]:
    """An issuer's levels that hold for somebody: the highest that the growth reaches, and those with their ids in
    `bought`."""
    reached = level_of(levels, growth)
    return [x for x in levels if x is reached or (x.growth is None and x.id in bought)]


class MemberPrice(PriceRule, frozen=True, kw_only=True):
    """A level's price for one line: `unit` fen a piece."""

    key: str
    unit: int
    merchant_share_bp: int

    def propose(self, view: View) -> Proposal | Refused:
        """The difference to the member's price, or why there is none."""
        seen = next((v for v in view.lines if v.line.key == self.key), None)
        if seen is None:
            return _refused("no_matching_goods")
        amount = seen.amount - self.unit * seen.line.quantity
        if amount <= 0:
            return _refused("not_cheaper")
        return (Adjust((self.key,), amount, self.merchant_share_bp),)


def member_prices(
    plugin: str, lines: Iterable[BasketLine], of_market: Level | None, of_shops: Mapping[UUID, Level]
) -> list[MemberPrice]:
    """A rule for each line and each level that makes it cheaper."""
    found: list[MemberPrice] = []
    for line in lines:
        for level, kind in ((of_market, MARKET_PRICE), (of_shops.get(line.merchant_id), SHOP_PRICE)):
            if level is None:
                continue
            unit = level.unit_price(line.sku_id, line.unit_price)
            if unit < line.unit_price:
                found.append(_price(plugin, line, level, kind, unit))
    return found


def lowest(found: Iterable[MemberPrice]) -> list[MemberPrice]:
    """Of an issuer's prices for the same line the lowest one."""
    best: dict[tuple[str, str], MemberPrice] = {}
    for price in found:
        there = best.get((price.key, price.kind))
        if there is None or price.unit < there.unit:
            best[price.key, price.kind] = price
    return list(best.values())


def _price(plugin: str, line: BasketLine, level: Level, kind: str, unit: int) -> MemberPrice:
    return MemberPrice(
        plugin=plugin,
        id=f"{level.id.hex}:{line.sku_id.hex}",
        kind=kind,
        label=f"{level.name}会员价",
        merchant_id=line.merchant_id if kind == SHOP_PRICE else None,
        key=line.key,
        unit=unit,
        merchant_share_bp=level.merchant_share_bp,
    )


class PointsRule(PriceRule, frozen=True, kw_only=True):
    """Pays a part of the goods with points: `wanted` of them, or (None) as many as can be. `max_bp` and `max_fen` bound what
    they pay."""

    wanted: int | None
    balance: int
    fen_per_point: int
    max_bp: int
    max_fen: int | None = None

    def propose(self, view: View) -> Proposal | Refused:
        """The worth of the points over all lines, or why none are used."""
        if self.balance == 0:
            return _refused("no_points")
        if self.wanted is not None and self.wanted > self.balance:
            return _refused(
                "points_short", str(self.balance), (self.wanted - self.balance) * self.fen_per_point
            )
        lines = [seen for seen in view.lines if seen.amount]
        there = sum([seen.amount for seen in lines])
        room = there * self.max_bp // _ALL_BP
        if self.max_fen is not None:
            room = min(room, self.max_fen)
        points = min(self.balance if self.wanted is None else self.wanted, room // self.fen_per_point)
        if points == 0:
            return _refused("nothing_left")
        return (Adjust(tuple([seen.line.key for seen in lines]), points * self.fen_per_point, 0),)


def points_label(fen_per_point: int) -> str:
    """How points are called on an order."""
    return f"积分抵扣（每积分 {format_yuan(fen_per_point)} 元）"


_refused = Refusals(
    {
        "no_matching_goods": ("Another offer holds for this product.", "该商品已享受其他优惠价。"),
        "not_cheaper": ("The member's price is not lower here.", "该商品的会员价没有更低。"),
        "no_points": ("You have no points to use.", "您没有可用的积分。"),
        "points_short": ("You have only {it} points.", "您只有 {it} 积分可用。"),
        "nothing_left": ("Points cannot pay any of this purchase.", "这笔订单不能使用积分抵扣。"),
    }
)
