"""Full reduction, gifts, free shipping and limited-time prices, without any server."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import (
    MARKET_ID,
    BasketLine,
    FlatFee,
    KeptLine,
    PriceRule,
    Relation,
    ShippingOption,
    new_id,
    ref,
)
from core.testkit import basket, line, take
from plugins.coupons.rules import SHOP_SHIPPING, CouponRule
from plugins.coupons.rules import Terms as CouponTerms
from plugins.promotions import rules, shown
from plugins.promotions.giving import Earning, Given, Present, Promise, unearned
from plugins.promotions.rules import Allowance
from plugins.promotions.terms import Gift, Item, Scope, Terms, Tier
from tests.support.promotions import MATRIX, made, priced, saved, why

SHOP = UUID(int=1001)
TIERS = (Tier(10_000, minus=1000), Tier(20_000, minus=3000), Tier(30_000, minus=3500))


def reduction(*tiers: Tier, **more: object) -> Terms:
    return Terms(kind="reduction", name="满减", tiers=tiers, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("price", "off"), [(9_999, 0), (10_000, 1000), (19_999, 1000), (20_000, 3000), (50_000, 3500)]
)
def test_only_the_highest_tier_that_is_reached_counts(price: int, off: int) -> None:
    assert priced(basket(price), (reduction(*reversed(TIERS)), SHOP)).discount_amount == off


def test_what_is_short_of_the_first_tier_is_said() -> None:
    assert why(priced(basket(9_000), (reduction(*TIERS), SHOP))) == {
        "promotions.reduction": ("threshold", 1000)
    }


@given(st.integers(1, 200_000), st.integers(1, 20_000), st.integers(1, 5_000), st.none() | st.integers(1, 4))
def test_each_so_much_counts_again_up_to_its_bound(
    there: int, step: int, minus: int, most: int | None
) -> None:
    terms = reduction(Tier(step, minus=min(minus, step)), each=True, per_order=most)
    times = there // step if most is None else min(there // step, most)
    assert priced(basket(there), (terms, SHOP)).discount_amount == times * min(minus, step)


def test_by_count_with_a_rate_and_its_cap() -> None:
    terms = reduction(Tier(3, rate_bp=2000, cap=900), by="count")
    assert why(priced(basket(line(1000, 2)), (terms, SHOP))) == {"promotions.reduction": ("count_short", 0)}
    assert priced(basket(line(1000, 3)), (terms, SHOP)).discount_amount == 600
    assert priced(basket(line(1000, 9)), (terms, SHOP)).discount_amount == 900


def test_goods_outside_the_scope_neither_count_nor_carry_anything() -> None:
    leaf, root = new_id(), new_id()
    mine = line(6000, sku=1, category_path=(root, leaf))
    other = line(6000, sku=2, category_path=(new_id(),))
    terms = reduction(*TIERS, scope=Scope("categories", (ref(root),)))
    assert priced(basket(mine, other), (terms, SHOP)).discount_amount == 0
    both = line(6000, 2, sku=1, category_path=(root, leaf))
    assert saved(priced(basket(both, other), (terms, SHOP))) == {both.key: 1000}


def test_thresholds_look_at_prices_after_item_prices() -> None:
    tea = line(10_500)
    limited = Terms(kind="limited", name="限时", items=(Item(tea.key, price=9_900),))
    quote = priced(basket(tea), (limited, SHOP), (reduction(*TIERS), SHOP))
    assert quote.discount_amount == 600
    assert why(quote) == {"promotions.reduction": ("threshold", 100)}


def test_one_reduction_of_the_shop_and_one_of_the_market() -> None:
    both = priced(basket(20_000), (reduction(*TIERS), SHOP), (reduction(Tier(15_000, minus=500)), MARKET_ID))
    # The market's sees what the shop's left: 170 yuan.
    assert both.discount_amount == 3000 + 500
    twice = priced(basket(20_000), (reduction(*TIERS), SHOP), (reduction(Tier(1000, minus=10)), SHOP))
    assert twice.discount_amount == 3000


def test_a_reduction_never_makes_a_line_negative_and_all_of_it_may_go() -> None:
    """Peers' carts go negative with two promotions, and fail at 100 %."""
    all_off = reduction(Tier(1, rate_bp=10_000))
    quote = priced(basket(3333, 1), (all_off, SHOP), (reduction(Tier(1, minus=1)), MARKET_ID))
    assert (quote.payable, quote.discount_amount) == (0, 3334)
    assert min(x.payable for m in quote.merchants for x in m.lines) == 0


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9999)), min_size=1, max_size=6),
    st.integers(1, 9000),
    st.permutations(range(4)),
)
def test_the_order_of_rules_changes_nothing_and_no_fen_is_lost(
    rows: list[tuple[int, int]], minus: int, order: list[int]
) -> None:
    wanted = basket(*[line(price, n, sku=i) for i, (n, price) in enumerate(rows, 1)])
    of = [
        made(wanted, reduction(Tier(minus, minus=minus)), SHOP, promotion_id=UUID(int=1)),
        made(wanted, reduction(Tier(1, rate_bp=700)), MARKET_ID, promotion_id=UUID(int=2)),
        made(wanted, Terms(kind="nth", name="n", rate_bp=3333), SHOP, promotion_id=UUID(int=3)),
        made(
            wanted,
            Terms(kind="limited", name="l", items=(Item(wanted.lines[0].key, rate_bp=1234),)),
            SHOP,
            promotion_id=UUID(int=4),
        ),
    ]
    straight = take(wanted, [rule for part in of for rule in part], MATRIX)
    assert take(wanted, [rule for n in order for rule in of[n]], MATRIX) == straight
    for x in straight.merchants[0].lines:
        assert x.payable == x.amount - sum(a.amount for a in x.adjustments) >= 0


FREIGHT = [ShippingOption(SHOP, "std", "express", "快递", FlatFee(800))]


def with_freight(*rules_: PriceRule, price: int = 10_000) -> tuple[int, dict[str, str]]:
    """(freight paid, outcomes by kind)."""
    quote = take(basket(price), rules_, MATRIX, FREIGHT)
    return quote.shipping_amount, {e.kind: e.outcome for e in quote.explain}


def test_free_shipping_over_an_amount_up_to_a_cap() -> None:
    free = Terms(kind="free_shipping", name="包邮", tiers=(Tier(5900, cap=500, free_freight=False),))
    wanted = basket(5900)
    assert with_freight(*made(wanted, free, SHOP), price=5900)[0] == 300
    assert with_freight(*made(wanted, free, SHOP), price=5899)[0] == 800


def test_a_coupon_for_freight_is_not_spent_where_freight_is_free_anyway() -> None:
    day = timedelta(days=1)
    wanted = basket(10_000)
    coupon = CouponRule(
        plugin="coupons",
        id="a",
        kind=SHOP_SHIPPING,
        label="包邮券",
        merchant_id=SHOP,
        terms=CouponTerms("包邮券", "free_shipping", "all"),
        ids=frozenset(),
        valid_from=wanted.now - day,
        expires_at=wanted.now + day,
    )
    free = made(wanted, Terms(kind="free_shipping", name="包邮", tiers=(Tier(0),)), SHOP)
    assert with_freight(coupon, *free) == (
        0,
        {"promotions.free_shipping": "applied", "coupons.shop_shipping": "beaten"},
    )


def test_a_tier_with_free_freight_looks_at_what_its_own_phase_found() -> None:
    """100 yuan less 10 with free freight: the 90 that are left do not lose the freight again."""
    terms = reduction(Tier(10_000, minus=1000, free_freight=True))
    quote = take(basket(10_000), made(basket(10_000), terms, SHOP), MATRIX, FREIGHT)
    assert (quote.discount_amount, quote.shipping_amount, quote.payable) == (1000, 0, 9000)
    short = take(basket(9_999), made(basket(9_999), terms, SHOP), MATRIX, FREIGHT)
    assert short.shipping_amount == 800


CUP = BasketLine(ref(SHOP, UUID(int=77)), SHOP, UUID(int=78), UUID(int=77), 1, 500, "杯")


def gifts(terms: Terms, *lines: BasketLine, left: int = 99) -> list[tuple[str | None, int, int, int]]:
    wanted = basket(*lines)
    quote = take(wanted, made(wanted, terms, SHOP, shelf={CUP.key: (CUP, left)}), MATRIX)
    return [
        (x.parent, x.quantity, x.unit_price, x.payable)
        for m in quote.merchants
        for x in m.lines
        if x.kind == "gift"
    ]


def giving(from_: int, quantity: int = 1, **more: object) -> Terms:
    tier = Tier(from_, gifts=(Gift(CUP.key, quantity),))
    return Terms(kind="gift", name="买赠", tiers=(tier,), **more)  # type: ignore[arg-type]


def test_buy_two_get_one_with_its_line_or_with_the_order() -> None:
    tea, pot = line(1000, 4, sku=1), line(500, 1, sku=2)
    assert gifts(giving(2, by="count"), tea) == [(tea.key, 1, 0, 0)]
    assert gifts(giving(2, by="count", each=True), tea) == [(tea.key, 2, 0, 0)]
    assert gifts(giving(2, by="count", each=True), tea, pot) == [(None, 2, 0, 0)]
    assert gifts(giving(6, by="count"), tea, pot) == []


def test_gifts_that_are_given_away_refuse_the_gift_and_not_the_purchase() -> None:
    tea = line(1000, 4, sku=1)
    assert gifts(giving(2, quantity=2, by="count", each=True), tea, left=3) == [(tea.key, 2, 0, 0)]
    wanted = basket(tea)
    quote = take(wanted, made(wanted, giving(2, by="count"), SHOP), MATRIX)
    assert why(quote) == {"promotions.gift": ("gift_gone", 0)}
    assert (quote.payable, quote.problems) == (4000, ())


def test_two_gifts_of_a_shop_are_both_given() -> None:
    wanted = basket(1000)
    shelf = {CUP.key: (CUP, 9)}
    both = [rule for n in (1, 2) for rule in made(wanted, giving(n * 100), SHOP, shelf=shelf)]
    quote = take(wanted, both, MATRIX)
    assert sum(x.quantity for m in quote.merchants for x in m.lines if x.kind == "gift") == 2


def test_a_limited_time_price_is_for_the_pieces_that_limits_leave() -> None:
    tea, cup = line(1000, 3, sku=1), line(2000, 3, sku=2)
    items = (Item(tea.key, price=900), Item(cup.key, amount=500))
    terms = Terms(kind="limited", name="限时", items=items, per_order=4)
    assert saved(priced(basket(tea, cup), (terms, SHOP))) == {cup.key: 1500, tea.key: 100}
    [first, second] = made(basket(tea, cup), terms, SHOP, allowance=Allowance(2))
    assert (first.id.endswith(cup.key), second.id.endswith(tea.key)) == (True, True)
    quote = take(basket(tea, cup), [first, second], MATRIX)
    assert quote.discount_amount == 1000
    assert why(quote) == {"promotions.limited": ("promotion_limit", 0)}


def test_a_price_that_fell_below_the_limited_one_stays() -> None:
    tea = line(800)
    terms = Terms(kind="limited", name="限时", items=(Item(tea.key, price=900),))
    assert why(priced(basket(tea), (terms, SHOP))) == {"promotions.limited": ("nothing_left", 0)}


def given_(*lines: tuple[int, int, int]) -> Given:
    return Given(
        tuple(Earning(UUID(int=n), quantity, amount) for n, quantity, amount in lines),
        (Present(CUP.sku_id, 1, 500),),
    )


def lost(
    *promises: tuple[Terms, Given], kept: dict[int, int], held: int, unsent: int = 0
) -> list[tuple[int, int]]:
    """(cups cancelled, fen due) by promotion, when goods (by number) and so many cups stay."""
    stays = [KeptLine(new_id(), new_id(), UUID(int=n), "sale", units, 0) for n, units in kept.items()]
    cups = KeptLine(new_id(), new_id(), CUP.sku_id, "gift", held, 0, unsent)
    found = unearned([Promise(*x) for x in promises], [*stays, cups])
    return [(sum(units for _, units in x.cancelled), x.due) for x in found]


def test_a_gift_is_due_once_the_kept_goods_no_longer_earn_it() -> None:
    # 110 yuan of two units and 5 of another: what was taken off later, by a coupon, does not matter.
    promise = giving(10_000), given_((1, 2, 11_000), (2, 1, 500))
    assert lost(promise, kept={1: 2}, held=1) == [(0, 0)]
    assert lost(promise, kept={1: 1, 2: 1}, held=1) == [(0, 500)]
    assert lost(promise, kept={1: 1, 2: 1}, held=0) == [(0, 0)]
    assert lost(promise, kept={9: 50, 1: 1}, held=1) == [(0, 500)]


def test_a_gift_that_has_not_left_is_cancelled_instead() -> None:
    promise = giving(10_000), given_((1, 2, 11_000))
    assert lost(promise, kept={1: 2}, held=1, unsent=1) == [(0, 0)]
    assert lost(promise, kept={1: 1}, held=1, unsent=1) == [(1, 0)]


def test_of_a_smaller_tier_that_is_still_reached_only_the_difference_is_due() -> None:
    terms = Terms(kind="gift", name="买赠", by="count", each=True, tiers=(Tier(2, gifts=(Gift(CUP.key),)),))
    promise = terms, Given((Earning(UUID(int=1), 6, 600),), (Present(CUP.sku_id, 3, 500),))
    assert lost(promise, kept={1: 5}, held=3) == [(0, 500)]
    assert lost(promise, kept={1: 5}, held=2) == [(0, 0)]
    assert lost(promise, kept={}, held=3) == [(0, 1500)]
    assert lost(promise, kept={1: 1}, held=3, unsent=2) == [(2, 500)]
    assert lost(promise, kept={1: 3}, held=3, unsent=1) == [(1, 500)]


def test_the_gift_of_a_smaller_tier_counts_against_that_of_a_larger_one_which_has_left() -> None:
    pot = line(500)
    tiers = (Tier(1, gifts=(Gift(pot.key, value=200),)), Tier(2, gifts=(Gift(CUP.key),)))
    terms = Terms(kind="gift", name="买赠", by="count", tiers=tiers)
    promise = terms, given_((1, 2, 600))
    assert lost(promise, kept={1: 1}, held=1) == [(0, 300)]
    assert lost(promise, kept={1: 1}, held=1, unsent=1) == [(1, 0)]


def test_a_gift_that_another_promotion_still_owes_is_left_to_it() -> None:
    first = giving(2, by="count"), given_((1, 2, 600))
    second = giving(2, by="count"), given_((2, 2, 600))
    assert lost(first, second, kept={2: 2}, held=1) == [(0, 0), (0, 0)]
    assert lost(first, second, kept={2: 2}, held=2) == [(0, 500), (0, 0)]
    assert lost(first, second, kept={2: 2}, held=2, unsent=1) == [(1, 0), (0, 0)]
    keeps = giving(2, by="count", on_refund="keep"), given_((2, 2, 600))
    assert lost(first, keeps, kept={}, held=2, unsent=2) == [(1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        (Terms(kind="nth", name="", rate_bp=5000), "第二件半价"),
        (Terms(kind="nth", name="", nth=3, rate_bp=10_000), "第三件0元"),
        (Terms(kind="nth", name="", nth=12, rate_bp=1500), "第12件8.5折"),
        (reduction(*TIERS), "满100减10"),
        (reduction(Tier(10_000, minus=1000), each=True), "每满100减10"),
        (reduction(Tier(3, rate_bp=2000), by="count"), "满3件8折"),
        (giving(2, by="count"), "满2件赠"),
        (Terms(kind="free_shipping", name="", tiers=(Tier(0),)), "包邮"),
        (Terms(kind="free_shipping", name="", tiers=(Tier(5900, cap=600),)), "满59运费减6"),
        (Terms(kind="bundle", name="", price=9990), "套装99.90元"),
        (Terms(kind="limited", name=""), "限时"),
    ],
)
def test_what_a_product_says_in_a_few_characters(terms: Terms, text: str) -> None:
    assert shown.text(terms) == text


def test_the_kinds_combine_as_the_operator_expects_at_first() -> None:
    assert MATRIX.relation(rules.LIMITED, rules.NTH) is Relation.BEST
    assert MATRIX.relation(rules.REDUCTION, rules.LIMITED) is Relation.STACK
    assert MATRIX.relation(rules.REDUCTION, rules.MARKET_REDUCTION) is Relation.STACK
    assert MATRIX.relation(rules.REDUCTION, "coupons.shop") is Relation.STACK
    assert MATRIX.relation(rules.GIFT, rules.GIFT) is Relation.STACK
