"""How the tools combine as they are installed: the one table that operators start from."""

from collections import Counter

from core.api import Phase, Relation
from core.plugin import discover
from tests.support.all_tools import all_kinds

MATRIX = all_kinds()

# Each kind with those before it, in the order of pricing, and with itself: `.` both apply, `=` the better one, `x` never both.
# Prices of a single product are alternatives, the best of them counts. Beside a flash or group price there is no N-th piece,
# bundle, gift, full reduction or shop's coupon, and a coupon of the market only if the activity says so (`..._open`). Gifts go
# with each other, of all other kinds one counts. Freight and points, which come last, go with everything.
TABLE = """
flash_sale.price                 =
flash_sale.price_open            = =
group_buy.price                  = = =
group_buy.price_open             = = = =
membership.price                 = = = = =
membership.shop_price            = = = = = =
promotions.limited               = = = = = = =
promotions.nth                   x x x x = = = =
promotions.bundle                x x x x = = = = =
promotions.gift                  x x x x . . . . . .
promotions.reduction             x x x x . . . . . . =
promotions.market_reduction      x x x x . . . . . . . =
coupons.shop                     x x x x . . . . . . . . =
coupons.market                   x . x . . . . . . . . . . =
promotions.free_shipping         . . . . . . . . . . . . . . =
promotions.market_free_shipping  . . . . . . . . . . . . . . . =
coupons.shop_shipping            . . . . . . . . . . . . . . . . =
coupons.market_shipping          . . . . . . . . . . . . . . . . . =
membership.points                . . . . . . . . . . . . . . . . . . =
"""
SIGNS = {".": Relation.STACK, "=": Relation.BEST, "x": Relation.BLOCK}

# Kind -> (at most in a shop, at most in a trade) where there is a limit: one full reduction and one coupon of the shop, one of
# the market, the same for freight, points once.
LIMITS = {
    "promotions.reduction": (1, None),
    "promotions.market_reduction": (None, 1),
    "coupons.shop": (1, None),
    "coupons.market": (None, 1),
    "promotions.free_shipping": (1, None),
    "promotions.market_free_shipping": (None, 1),
    "coupons.shop_shipping": (1, None),
    "coupons.market_shipping": (None, 1),
    "membership.points": (None, 1),
}


def table() -> dict[str, list[Relation]]:
    """Kind -> how it combines with each kind of the table up to itself."""
    rows = (row.split() for row in TABLE.strip().splitlines())
    return {name: [SIGNS[sign] for sign in signs] for name, *signs in rows}


def test_all_pairs_of_kinds_combine_as_the_table_says() -> None:
    expected = table()
    names = list(expected)
    assert set(names) == set(MATRIX.kinds)
    for place, name in enumerate(names):
        assert len(expected[name]) == place + 1
        for other, relation in zip(names, expected[name], strict=False):
            assert MATRIX.relation(name, other) is relation, (name, other)
            assert MATRIX.relation(other, name) is relation, (other, name)


def test_the_order_of_pricing_is_that_of_the_table_and_points_come_last() -> None:
    phases = [MATRIX.kinds[name].phase for name in table()]
    assert phases == sorted(phases)
    assert [name for name in table() if MATRIX.kinds[name].phase is Phase.POINTS] == ["membership.points"]
    assert phases[-1] is max(Phase)


def test_prices_of_single_products_and_only_these_meet_line_by_line() -> None:
    for kind in MATRIX.kinds.values():
        assert kind.per_line is (kind.phase is Phase.ITEM_PRICE), kind.name


def test_as_many_of_a_kind_apply_as_was_agreed() -> None:
    found = {k.name: (k.per_shop, k.per_trade) for k in MATRIX.kinds.values() if k.per_shop or k.per_trade}
    assert found == LIMITS
    assert not any(kind.group for kind in MATRIX.kinds.values())


def test_every_pair_is_listed_once_and_about_kinds_that_are_there() -> None:
    listed: Counter[frozenset[str]] = Counter()
    for name, cls in discover().items():
        for pair in cls.rule_pairs:
            listed[frozenset(pair)] += 1
            assert set(pair) <= set(MATRIX.kinds), pair
            assert any(kind.startswith(f"{name}.") for kind in pair), pair
    assert {pair for pair, times in listed.items() if times > 1} == set()


def test_what_blocks_within_a_phase_is_decided_by_priority() -> None:
    kinds = list(MATRIX.kinds.values())
    for one in kinds:
        for other in kinds:
            if one.phase is other.phase and MATRIX.relation(one.name, other.name) is Relation.BLOCK:
                assert one.priority != other.priority, (one.name, other.name)
