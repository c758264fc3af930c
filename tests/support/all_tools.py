"""Baskets, and what all installed tools offer for them, drawn at random: the real rules, without servers."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import strategies as st

from core.api import (
    MARKET_ID,
    Basket,
    BasketLine,
    FlatFee,
    PriceRule,
    ShippingOption,
    ref,
)
from core.plugin import declared, discover
from core.testkit.baskets import NOW, basket, line
from core.types.matrix import NO_EDITS, merged
from core.types.pricing import Matrix
from plugins.coupons import rules as coupons
from plugins.flash_sale import rules as flash_sale
from plugins.group_buy import rules as group_buy
from plugins.membership import rules as membership
from plugins.promotions.rules import Allowance
from plugins.promotions.terms import Gift, Item, Scope, Terms, Tier
from tests.support.promotions import made

SHOPS = (1, 2, 3)
DAY = timedelta(days=1)
fen = st.integers(1, 6000)
share = st.sampled_from([0, 1, 3333, 5000, 9999, 10_000])
few = st.integers(0, 3)


def all_kinds() -> Matrix:
    """How the rules of all installed plugins combine, as they declare it."""
    return merged(*declared(discover().values()), NO_EDITS)


def shop(number: int) -> UUID:
    """The shop of a line with this number."""
    return UUID(int=1000 + number)


class Drawn(NamedTuple):
    """A basket, the rules offered for it, and the ways to ship."""

    basket: Basket
    rules: list[PriceRule]
    ways: list[ShippingOption]


@st.composite
def offers(draw: st.DrawFn) -> Drawn:
    """A basket with rules of every tool."""
    facts = draw(st.lists(st.tuples(st.sampled_from(SHOPS), fen, st.integers(1, 4)), min_size=1, max_size=5))
    lines = [line(price, many, shop=at, sku=n) for n, (at, price, many) in enumerate(facts, 1)]
    of = basket(*lines, account_id=UUID(int=7))
    rules = [
        *draw(_coupons(of)),
        *draw(_member_prices(of)),
        *draw(_points()),
        *draw(_activity_prices(of)),
        *draw(_promotions(of)),
    ]
    ways = [
        ShippingOption(shop(n), "express_delivery:standard", "express", "快递", FlatFee(fee, free))
        for n in SHOPS
        for fee, free in [draw(st.tuples(st.integers(0, 1500), st.none() | st.integers(0, 9000)))]
    ]
    return Drawn(of, rules, ways)


def _owners(of: Basket) -> st.SearchStrategy[UUID]:
    """Who runs something: a shop that is bought from, or the market."""
    return st.sampled_from([*sorted({x.merchant_id for x in of.lines}), MARKET_ID])


@st.composite
def _coupons(draw: st.DrawFn, of: Basket) -> list[PriceRule]:
    rules: list[PriceRule] = []
    for n in range(draw(few)):
        owner = draw(_owners(of))
        of_market = owner == MARKET_ID
        kind = draw(st.sampled_from(["amount", "rate", "free_shipping"]))
        products = draw(st.booleans())
        named = frozenset([draw(st.sampled_from(of.lines)).product_id]) if products else frozenset()
        terms = coupons.Terms(
            name="券",
            kind=kind,
            scope="products" if products else "all",
            threshold=draw(st.sampled_from([0, 3000, 12_000])),
            amount=draw(fen),
            rate_bp=draw(share),
            cap=draw(st.none() | fen),
            merchant_share_bp=draw(share) if of_market else 10_000,
        )
        rules.append(
            coupons.CouponRule(
                plugin="coupons",
                id=f"c{n}",
                kind=coupons.kind_of(terms, of_market=of_market),
                label=terms.name,
                merchant_id=None if of_market else owner,
                chosen=draw(st.booleans()),
                terms=terms,
                ids=named,
                status=draw(st.sampled_from(["unused", "unused", "used"])),
                valid_from=NOW - DAY,
                expires_at=NOW + DAY,
            )
        )
    return rules


@st.composite
def _member_prices(draw: st.DrawFn, of: Basket) -> list[PriceRule]:
    def level(owner: UUID, number: int) -> membership.Level:
        priced = draw(st.sets(st.sampled_from(of.lines).map(lambda x: (x.sku_id, x.product_id)), max_size=2))
        return membership.Level(
            issuer=owner,
            id=UUID(int=900 + number),
            name="金卡",
            growth=0,
            discount_bp=draw(st.sampled_from([0, 500, 1234, 10_000])),
            merchant_share_bp=draw(share) if owner == MARKET_ID else 10_000,
            prices={sku: (product, draw(fen)) for sku, product in sorted(priced)},
        )

    of_market = level(MARKET_ID, 0) if draw(st.booleans()) else None
    of_shops = {shop(n): level(shop(n), n) for n in SHOPS if draw(st.booleans())}
    return list(membership.member_prices("membership", of.lines, of_market, of_shops))


@st.composite
def _points(draw: st.DrawFn) -> list[PriceRule]:
    if not draw(st.booleans()):
        return []
    return [
        membership.PointsRule(
            plugin="membership",
            id=membership.POINTS_RULE,
            kind=membership.POINTS,
            label=membership.points_label(1),
            chosen=True,
            wanted=draw(st.none() | st.integers(1, 3000)),
            balance=draw(st.sampled_from([9000, 500, 0])),
            fen_per_point=draw(st.sampled_from([1, 7])),
            max_bp=draw(st.sampled_from([5000, 10_000, 3333, 0])),
            max_fen=draw(st.none() | fen),
        )
    ]


@st.composite
def _activity_prices(draw: st.DrawFn, of: Basket) -> list[PriceRule]:
    """Flash and group prices, here also in baskets of several SKUs, where they meet everything else."""
    rules: list[PriceRule] = []
    for n, seen in enumerate(of.lines):
        if draw(st.integers(0, 3)) == 3:
            rules.append(_flash(draw, n, seen))
        if draw(st.integers(0, 3)) == 3:
            rules.append(_group(draw, n, seen))
    return rules


def _flash(draw: st.DrawFn, n: int, seen: BasketLine) -> PriceRule:
    is_open = draw(st.booleans())
    offer = flash_sale.Offer(
        name="秒杀",
        price=draw(st.integers(1, seen.unit_price)),
        per_order=draw(st.sampled_from([9, 2])),
        per_account=9,
        left=draw(st.sampled_from([9, 4, 2])),
        taken=draw(few),
        starts_at=NOW - DAY,
        ends_at=NOW + DAY,
        share_bp=draw(share),
        market_coupons=is_open,
    )
    return flash_sale.FlashRule(
        plugin="flash_sale",
        id=f"f{n}",
        kind=flash_sale.PRICE_OPEN if is_open else flash_sale.PRICE,
        label="秒杀",
        merchant_id=seen.merchant_id,
        activity_id=UUID(int=300 + n),
        key=seen.key,
        offer=offer,
    )


def _group(draw: st.DrawFn, n: int, seen: BasketLine) -> PriceRule:
    return group_buy.GroupRule(
        plugin="group_buy",
        id=f"g{n}",
        kind=draw(st.sampled_from([group_buy.PRICE, group_buy.PRICE_OPEN])),
        label="拼团",
        merchant_id=seen.merchant_id,
        activity_id=UUID(int=400 + n),
        chosen=True,
        key=seen.key,
        price=draw(st.integers(1, seen.unit_price)),
        fault=draw(st.sampled_from(["", "", "group_full"])),
    )


@st.composite
def _promotions(draw: st.DrawFn, of: Basket) -> list[PriceRule]:
    rules: list[PriceRule] = []
    for n in range(draw(st.integers(1, 5))):
        owner = draw(_owners(of))
        terms = draw(_terms(of, owner))
        left = draw(st.none() | st.sampled_from([1, 3, 0]))
        gift = _gift(owner)
        rules += made(
            of,
            terms,
            owner,
            allowance=Allowance(left, "promotion_sold_out"),
            shelf={gift.key: (gift, draw(st.integers(0, 5)))} if terms.gifts else {},
            promotion_id=UUID(int=500 + n),
        )
    return rules


def _gift(owner: UUID) -> BasketLine:
    """What a shop gives away."""
    return line(500, shop=int(owner) - 1000 if owner != MARKET_ID else 1, sku=99)


@st.composite
def _terms(draw: st.DrawFn, of: Basket, owner: UUID) -> Terms:
    kinds = [
        "limited",
        "nth",
        "bundle",
        "reduction",
        "free_shipping",
        *(["gift"] if owner == shop(1) else []),
    ]
    kind = draw(st.sampled_from(kinds))
    more: dict[str, Any] = {"kind": kind, "name": "活动"}
    more["merchant_share_bp"] = draw(share) if owner == MARKET_ID else None
    more["per_account"] = draw(st.none() | st.just(5))
    if kind == "limited":
        more["items"] = tuple([_item(draw, x) for x in draw(_some_lines(of))])
    elif kind == "bundle":
        items = [Item(x.key, quantity=draw(st.integers(1, 2))) for x in draw(_some_lines(of))]
        more |= {"items": tuple(items), "price": draw(fen)}
    elif kind == "nth":
        more |= {"nth": draw(st.integers(2, 4)), "rate_bp": draw(share.filter(bool))}
        more["pool"] = draw(st.sampled_from(["sku", "product", "activity"]))
    else:
        more |= _of_tiers(draw, kind, owner)
    if kind in ("nth", "reduction", "free_shipping", "gift") and draw(st.booleans()):
        some = draw(_some_lines(of))
        more["scope"] = Scope("products", tuple([ref(x.merchant_id, x.product_id) for x in some]))
    return Terms(**more)


def _some_lines(of: Basket) -> st.SearchStrategy[list[BasketLine]]:
    return st.lists(st.sampled_from(of.lines), min_size=1, max_size=3, unique_by=lambda x: x.key)


def _item(draw: st.DrawFn, seen: BasketLine) -> Item:
    way = draw(st.sampled_from(["price", "amount", "rate_bp"]))
    return Item(seen.key, **{way: draw(share.filter(bool)) if way == "rate_bp" else draw(fen)})


def _of_tiers(draw: st.DrawFn, kind: str, owner: UUID) -> dict[str, Any]:
    each = kind != "free_shipping" and draw(st.booleans())
    by = draw(st.sampled_from(["amount", "count"]))
    froms = draw(
        st.lists(
            st.integers(1, 4) if by == "count" else fen, min_size=1, max_size=1 if each else 3, unique=True
        )
    )
    given = (Gift(_gift(owner).key, draw(st.integers(1, 2))),)
    tiers = []
    for start in froms:
        fields: dict[str, Any] = {"from_": start}
        if kind == "gift":
            fields["gifts"] = given
        elif kind == "free_shipping":
            fields["cap"] = draw(st.none() | fen)
        else:
            minus = each or draw(st.booleans())
            most = min(start, 2000) if by == "amount" else 2000
            fields |= (
                {"minus": draw(st.integers(1, most))} if minus else {"rate_bp": draw(share.filter(bool))}
            )
            fields["free_freight"] = draw(st.booleans())
            fields["gifts"] = given if owner != MARKET_ID and draw(st.booleans()) else ()
        tiers.append(Tier(**fields))
    return {"each": each, "by": by, "tiers": tuple(tiers)}
