"""The price engine by hand-reckoned examples."""

import pytest

from core.kit.ids import ref
from core.pricing.engine import quote
from core.types.pricing import (
    AddLine,
    Adjust,
    FlatFee,
    Matrix,
    PriceRule,
    Refused,
    Relation,
    ShippingAdjust,
    ShippingOption,
)
from tests.support.pricing_model import (
    KINDS,
    MATRIX,
    FreeShipping,
    Gives,
    PerGram,
    Says,
    basket,
    check_sums,
    code_of,
    line,
    matrix,
    off,
    outcomes,
    shop,
    uid,
)


def flat(merchant: int, key: str, fee: int, free_from: int | None = None) -> ShippingOption:
    return ShippingOption(shop(merchant), key, "express", key, FlatFee(fee, free_from))


def test_shop_coupon_then_market_coupon_with_shared_cost_over_two_shops() -> None:
    priced = quote(
        basket(line(1, 1, 6000), line(1, 2, 4000), line(2, 3, 5000)),
        [
            off("S", "shop_coupon", 500, 1),
            off("M", "market_coupon", 1000, merchant_bp=3000),
        ],
        [flat(1, "x:a", 800), flat(2, "x:a", 800, free_from=4000)],
        MATRIX,
    )
    # Shop 1: 10,000 - 500 = 9,500 as 5,700 and 3,800. The market's 1,000 over 5,700 : 3,800 : 5,000 of 14,500 is
    # 393.1, 262.07, 344.83 -> 393, 262, 345; its 300 borne by merchants 117.9, 78.6, 103.5 -> 118, 79, 103.
    one, two = priced.merchants
    assert [x.payable for x in one.lines] == [5700 - 393, 3800 - 262]
    assert [x.payable for x in two.lines] == [5000 - 345]
    bearers = [x.adjustments[-1].bearer for m in priced.merchants for x in m.lines]
    assert [b.merchant for b in bearers] == [118, 79, 103]
    assert [b.market for b in bearers] == [275, 183, 242]
    assert (one.shipping_amount, two.shipping_amount) == (800, 0)
    assert priced.payable == 15000 - 500 - 1000 + 800
    check_sums(priced)


def test_odd_cents_go_to_the_largest_remainder_and_then_by_key() -> None:
    lines = [line(1, n, 100) for n in (1, 2, 3)]
    priced = quote(basket(*lines), [off("A", "promo", 100)], [], MATRIX)
    assert [x.payable for x in priced.merchants[0].lines] == [66, 67, 67]
    weights = quote(
        basket(line(1, 1, 100), line(1, 2, 250), line(1, 3, 50)), [off("A", "promo", 99)], [], MATRIX
    )
    # 24.75, 61.875, 12.375
    assert [99 * w // 400 for w in (100, 250, 50)] == [24, 61, 12]
    assert [x.amount - x.payable for x in weights.merchants[0].lines] == [25, 62, 12]


def test_alternatives_take_the_lowest_subtotal_and_say_who_won() -> None:
    priced = quote(
        basket(line(1, 1, 1000)),
        [off("A", "shop_coupon", 300, 1), off("B", "shop_coupon", 400, 1)],
        [],
        MATRIX,
    )
    assert outcomes(priced) == {"A": "beaten", "B": "applied"}
    assert "B" in next(e.reason for e in priced.explain if e.rule == "A")
    assert priced.payable == 600


def test_equal_alternatives_are_decided_by_priority_then_id() -> None:
    rules = [off("A", "member", 100, 1), off("B", "item", 100, 1)]
    assert outcomes(quote(basket(line(1, 1, 1000)), rules, [], MATRIX)) == {"A": "beaten", "B": "applied"}
    same = [off("B", "promo", 100, 1), off("A", "promo", 100, 1)]
    assert outcomes(quote(basket(line(1, 1, 1000)), same, [], MATRIX)) == {"A": "applied", "B": "beaten"}


def test_each_shop_decides_its_own_coupon() -> None:
    rules = [off("A", "shop_coupon", 10, 1), off("B", "shop_coupon", 20, 1), off("C", "shop_coupon", 5, 2)]
    priced = quote(basket(line(1, 1, 1000), line(2, 2, 1000)), rules, [], MATRIX)
    assert outcomes(priced) == {"A": "beaten", "B": "applied", "C": "applied"}


def test_at_most_one_market_coupon_per_trade_even_for_different_goods() -> None:
    one, two = line(1, 1, 1000), line(2, 2, 1000)
    rules = [off("A", "market_coupon", 10, keys=(one.key,)), off("B", "market_coupon", 20, keys=(two.key,))]
    assert outcomes(quote(basket(one, two), rules, [], MATRIX)) == {"A": "beaten", "B": "applied"}


def test_a_group_shares_its_limit_above_one() -> None:
    rules = [off(r, "triple", a, keys=None) for r, a in (("A", 10), ("B", 30), ("C", 20))]
    priced = quote(basket(line(1, 1, 1000), line(2, 2, 10)), rules, [], MATRIX)
    assert outcomes(priced) == {"A": "beaten", "B": "applied", "C": "applied"}
    assert priced.discount_amount == 50


def test_stacked_rules_never_take_more_than_there_is() -> None:
    rules = [off("A", "promo", 80, 1), off("B", "extra", 80, 1)]
    priced = quote(basket(line(1, 1, 100)), rules, [], MATRIX)
    assert priced.payable == 0
    assert {e.rule: e.amount for e in priced.explain} == {"B": 80, "A": 20}
    check_sums(priced)


def test_a_stacked_rule_that_finds_nothing_left_is_not_applied() -> None:
    priced = quote(basket(line(1, 1, 100)), [off("A", "promo", 80, 1), off("B", "extra", 100, 1)], [], MATRIX)
    assert outcomes(priced) == {"A": "beaten", "B": "applied"}
    assert code_of(priced, "A") == "nothing_left"


def test_block_keeps_the_earlier_phase() -> None:
    rules = [off("I", "item", 1, 1), off("C", "shop_coupon", 500, 1), off("D", "shop_coupon", 500, 2)]
    m = matrix(item__shop_coupon=Relation.BLOCK)
    priced = quote(basket(line(1, 1, 1000), line(2, 2, 1000)), rules, [], m)
    assert outcomes(priced) == {"I": "applied", "C": "refused", "D": "applied"}
    assert code_of(priced, "C") == "blocked"


def test_a_market_rule_leaves_out_the_shop_where_it_is_blocked() -> None:
    m = matrix(item__market_coupon=Relation.BLOCK)
    rules = [off("I", "item", 1, 1), off("M", "market_coupon", 100)]
    priced = quote(basket(line(1, 1, 1000), line(2, 2, 1000)), rules, [], m)
    assert [x.discount_amount for x in priced.merchants] == [1, 100]
    alone = quote(basket(line(1, 1, 1000)), rules, [], m)
    assert code_of(alone, "M") == "blocked"


def test_block_within_a_phase_keeps_the_higher_priority() -> None:
    m = matrix(promo__extra=Relation.BLOCK)
    priced = quote(basket(line(1, 1, 1000)), [off("A", "promo", 500, 1), off("B", "extra", 1, 1)], [], m)
    assert outcomes(priced) == {"A": "refused", "B": "applied"}


def test_what_the_buyer_chose_is_not_swapped_for_something_better() -> None:
    rules = [
        off("A", "shop_coupon", 300, 1),
        off("B", "shop_coupon", 400, 1),
        off("C", "shop_coupon", 1, 1, chosen=True),
    ]
    priced = quote(basket(line(1, 1, 1000)), rules, [], MATRIX)
    assert outcomes(priced) == {"A": "beaten", "B": "beaten", "C": "applied"}


def test_of_two_chosen_that_exclude_each_other_the_lower_is_refused() -> None:
    rules = [off("A", "shop_coupon", 300, 1, chosen=True), off("B", "shop_coupon", 400, 1, chosen=True)]
    priced = quote(basket(line(1, 1, 1000)), rules, [], MATRIX)
    assert outcomes(priced) == {"A": "applied", "B": "refused"}
    assert code_of(priced, "B") == "excluded"


def test_a_chosen_one_that_does_not_apply_is_refused_with_its_reason() -> None:
    rule = Says(
        plugin="p",
        id="A",
        kind="shop_coupon",
        label="A",
        chosen=True,
        answer=Refused("threshold", "Buy more.", 5),
    )
    priced = quote(basket(line(1, 1, 1000)), [rule], [], MATRIX)
    assert (priced.explain[0].outcome, priced.explain[0].code) == ("refused", "threshold")
    assert priced.explain[0].reason == "Buy more."


def test_beyond_the_bound_rules_go_by_priority_and_explain_says_so() -> None:
    lines = [line(1, n, 1000 + n) for n in range(1, 81)]
    rules = [off(f"{n:03}", "market_coupon", n, keys=(lines[n - 1].key,)) for n in range(1, 81)]
    priced = quote(basket(*lines), rules, [], MATRIX)
    assert outcomes(priced)["001"] == "applied"
    assert all("by priority" in e.reason for e in priced.explain)
    within = quote(basket(*lines), rules[:64], [], MATRIX)
    assert outcomes(within)["064"] == "applied"


def test_many_alternatives_on_the_same_lines_are_compared_all_the_same() -> None:
    rules = [off(f"{n:03}", "market_coupon", n) for n in range(1, 201)]
    priced = quote(basket(line(1, 1, 1000)), rules, [], MATRIX)
    assert outcomes(priced)["200"] == "applied"
    assert priced.payable == 800


def test_a_gift_is_a_line_of_its_own_shipped_with_its_parent() -> None:
    bought, gift = line(1, 1, 1000, weight_g=10), line(1, 1, 700, 2, weight_g=5)
    rule = Gives(plugin="p", id="G", kind="promo", label="gift", merchant_id=shop(1), gift=gift)
    option = ShippingOption(shop(1), "x:w", "express", "by weight", PerGram())
    priced = quote(basket(bought), [rule], [option], MATRIX)
    sale, given = priced.merchants[0].lines
    assert (given.kind, given.parent, given.quantity, given.payable, given.sku_id) == (
        "gift",
        sale.key,
        2,
        0,
        sale.sku_id,
    )
    assert given.key != sale.key
    assert priced.shipping_amount == 20
    assert outcomes(priced) == {"G": "applied"}
    check_sums(priced)


def test_shipping_takes_the_cheapest_unless_the_buyer_chose() -> None:
    options = [flat(1, "x:b", 500), flat(1, "x:a", 500), flat(1, "x:c", 900)]
    priced = quote(basket(line(1, 1, 1000)), [], options, MATRIX)
    assert [(o.key, o.selected) for o in priced.merchants[0].shipping_options] == [
        ("x:a", True),
        ("x:b", False),
        ("x:c", False),
    ]
    chosen = quote(basket(line(1, 1, 1000), shipping={shop(1): "x:c"}), [], options, MATRIX)
    assert chosen.shipping_amount == 900
    gone = quote(basket(line(1, 1, 1000), shipping={shop(1): "x:z"}), [], options, MATRIX)
    assert [(p.code, p.merchant_id) for p in gone.problems] == [("shipping_option_gone", ref(shop(1)))]


def test_shipping_fee_terms_see_the_goods_as_discounted() -> None:
    priced = quote(
        basket(line(1, 1, 1000)), [off("A", "promo", 1)], [flat(1, "x:a", 700, free_from=1000)], MATRIX
    )
    assert priced.shipping_amount == 700


def test_without_any_offer_the_merchant_arranges_shipping() -> None:
    service = line(2, 2, 500, requires_shipping=False)
    priced = quote(basket(line(1, 1, 1000), service), [], [], MATRIX)
    assert [m.shipping_options[0].key for m in priced.merchants] == ["core:arranged", "core:service"]
    assert [m.shipping_options[0].kind for m in priced.merchants] == ["express", "service"]
    assert priced.problems == ()


def test_a_merchant_without_an_option_cannot_deliver() -> None:
    priced = quote(basket(line(1, 1, 1000), line(2, 2, 500)), [], [flat(1, "x:a", 1)], MATRIX)
    assert [(p.code, p.merchant_id) for p in priced.problems] == [("not_deliverable", ref(shop(2)))]
    strict = quote(basket(line(1, 1, 1000)), [], [], MATRIX, arranged=False)
    assert [p.code for p in strict.problems] == ["not_deliverable"]


def test_shipping_discounts_are_shared_between_bearers() -> None:
    rule = FreeShipping(plugin="p", id="F", kind="freight", label="F", amount=333, merchant_bp=5000)
    priced = quote(
        basket(line(1, 1, 1000), line(2, 2, 10)), [rule], [flat(1, "x:a", 700), flat(2, "x:a", 100)], MATRIX
    )
    assert [m.shipping_amount for m in priced.merchants] == [367, 0]
    assert priced.discount_amount == 0
    bearer = priced.merchants[0].shipping_adjustments[0].bearer
    assert (bearer.market, bearer.merchant) == (166, 167)
    check_sums(priced)


def test_points_come_last_and_reduce_goods() -> None:
    priced = quote(
        basket(line(1, 1, 1000)), [off("P", "points", 100)], [flat(1, "x:a", 700, free_from=1000)], MATRIX
    )
    assert (priced.discount_amount, priced.shipping_amount) == (100, 0)


def test_an_empty_basket_costs_nothing() -> None:
    priced = quote(basket(), [off("A", "promo", 1)], [], MATRIX)
    assert (priced.payable, priced.merchants) == (0, ())
    assert outcomes(priced) == {"A": "refused"}


def test_a_basket_with_a_key_twice_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="each key once"):
        quote(basket(line(1, 1, 1), line(1, 1, 1)), [], [], MATRIX)


def test_no_lines_of_another_shop_for_a_shops_rule() -> None:
    other = line(2, 2, 1000)
    rule = Says(
        plugin="p", id="A", kind="promo", label="A", merchant_id=shop(1), answer=(Adjust((other.key,), 1),)
    )
    assert code_of(quote(basket(line(1, 1, 1000), other), [rule], [], MATRIX), "A") == "bad_proposal"


KEY = line(1, 1, 1000).key


@pytest.mark.parametrize(
    ("kind", "answer", "code"),
    [
        ("promo", RuntimeError, "rule_failed"),
        ("promo", RecursionError, "rule_failed"),
        ("promo", None, "bad_proposal"),
        ("promo", 5, "bad_proposal"),
        ("promo", (), "nothing_to_do"),
        ("promo", ("x",), "bad_proposal"),
        ("promo", (Adjust(("unknown",), 1),), "bad_proposal"),
        ("promo", (Adjust((), 1),), "bad_proposal"),
        ("promo", (Adjust((KEY, KEY), 1),), "bad_proposal"),
        ("promo", (Adjust((KEY,), -1),), "bad_proposal"),
        ("promo", (Adjust((KEY,), 1001),), "bad_proposal"),
        ("promo", (Adjust((KEY,), 600), Adjust((KEY,), 600)), "bad_proposal"),
        ("promo", (Adjust((KEY,), 1.5),), "bad_proposal"),  # type: ignore[arg-type]
        ("promo", (Adjust((KEY,), True),), "bad_proposal"),
        ("promo", (Adjust((KEY,), 1, 10_001),), "bad_proposal"),
        ("promo", (Adjust((KEY,), 1, -1),), "bad_proposal"),
        ("promo", (Adjust(([],), 1),), "bad_proposal"),  # type: ignore[arg-type]
        ("promo", (Adjust((KEY,), 0),), "nothing_to_do"),
        ("promo", (ShippingAdjust(shop(1), 0),), "bad_proposal"),
        ("promo", (AddLine(line(2, 9, 0), KEY),), "bad_proposal"),
        ("promo", (AddLine(line(1, 9, 0), "nowhere"),), "bad_proposal"),
        ("promo", (AddLine(line(1, 9, 0, 0), KEY),), "bad_proposal"),
        ("promo", (AddLine("gift", KEY),), "bad_proposal"),  # type: ignore[arg-type]
        ("promo", Refused(1, None), "bad_proposal"),  # type: ignore[arg-type]
        ("freight", (ShippingAdjust(shop(1), 701),), "bad_proposal"),
        ("freight", (ShippingAdjust(shop(9), 1),), "bad_proposal"),
        ("freight", (Adjust((KEY,), 1),), "bad_proposal"),
        ("points", (AddLine(line(1, 9, 0), KEY),), "bad_proposal"),
        ("stray", (Adjust((KEY,), 1),), "bad_proposal"),
        ("unknown", (Adjust((KEY,), 1),), "unknown_kind"),
    ],
)
def test_a_misbehaving_rule_is_refused_and_the_rest_goes_on(kind: str, answer: object, code: str) -> None:
    rule = Says(plugin="p", id="BAD", kind=kind, label="bad", answer=answer)
    priced = quote(basket(line(1, 1, 1000)), [rule, off("A", "extra", 1, 1)], [flat(1, "x:a", 700)], MATRIX)
    assert (outcomes(priced)["BAD"], code_of(priced, "BAD")) == ("refused", code)
    assert priced.payable == 999 + 700
    check_sums(priced)


def test_what_is_no_rule_or_has_no_identity_of_its_own_is_refused() -> None:
    rules = [
        object(),
        off("A", "promo", 1, 1),
        off("A", "extra", 1, 1),
        Says(plugin="p", id=7, kind="promo", label="", answer=()),
    ]
    priced = quote(basket(line(1, 1, 1000)), rules, [], MATRIX)  # type: ignore[arg-type]
    assert sorted(e.code for e in priced.explain) == [
        "duplicate_rule",
        "duplicate_rule",
        "not_a_rule",
        "not_a_rule",
    ]
    assert priced.payable == 1000


def test_a_rule_that_proposes_nothing_of_its_own_is_refused() -> None:
    priced = quote(
        basket(line(1, 1, 1000)), [PriceRule(plugin="p", id="A", kind="promo", label="A")], [], MATRIX
    )
    assert code_of(priced, "A") == "rule_failed"


class BadTerms:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def fee(self, goods_amount: int, lines: object) -> object:
        if self.answer is RuntimeError:
            raise RuntimeError
        return self.answer


@pytest.mark.parametrize("answer", [RuntimeError, -1, None, 1.5, True])
def test_failing_fee_terms_leave_their_option_out(answer: object) -> None:
    bad = ShippingOption(shop(1), "x:bad", "express", "bad", BadTerms(answer))  # type: ignore[arg-type]
    priced = quote(basket(line(1, 1, 1000)), [], [bad, flat(1, "x:a", 5), "no option"], MATRIX)  # type: ignore[list-item]
    assert [o.key for o in priced.merchants[0].shipping_options] == ["x:a"]
    assert {e.code for e in priced.explain} == {"bad_terms"}
    only = quote(basket(line(1, 1, 1000)), [], [bad], MATRIX)
    assert [p.code for p in only.problems] == ["not_deliverable"]


def test_an_activity_is_named_on_the_discount() -> None:
    priced = quote(basket(line(1, 1, 1000)), [off("A", "promo", 1, 1, activity_id=uid(77))], [], MATRIX)
    assert priced.merchants[0].lines[0].adjustments[0].activity_id == ref(uid(77))


def test_a_thousand_rules_that_stack_are_all_applied() -> None:
    m = Matrix(KINDS, {("promo", "promo"): Relation.STACK})
    rules = [off(f"{n:04}", "promo", 1, 1) for n in range(1000)]
    priced = quote(basket(line(1, 1, 5000), line(1, 2, 5000)), rules, [], m)
    assert priced.discount_amount == 1000
    check_sums(priced)
