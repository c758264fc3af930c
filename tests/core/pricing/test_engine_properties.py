"""Properties that hold for every basket and every set of rules."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.pricing.engine import quote
from core.pricing.units import Share, worth
from core.types.pricing import (
    Adjust,
    Basket,
    FlatFee,
    Matrix,
    PriceRule,
    Quote,
    Relation,
    RuleKind,
    ShippingAdjust,
    ShippingOption,
)
from tests.support.pricing_model import (
    KINDS,
    PAIRS,
    FreeShipping,
    Gives,
    Off,
    Says,
    basket,
    check_sums,
    line,
    off,
    outcomes,
    shop,
)

GOODS = [
    "item",
    "member",
    "flash",
    "limited",
    "promo",
    "extra",
    "shop_coupon",
    "market_coupon",
    "triple",
    "points",
]

amounts = st.integers(0, 5000)
shops = st.integers(1, 3)


@st.composite
def baskets(draw: st.DrawFn) -> Basket:
    facts = draw(
        st.lists(
            st.tuples(shops, st.integers(0, 3000), st.integers(1, 4), st.booleans()), min_size=1, max_size=7
        )
    )
    lines = [
        line(m, n, price, many, requires_shipping=ships) for n, (m, price, many, ships) in enumerate(facts)
    ]
    return basket(*lines)


@st.composite
def good_rules(draw: st.DrawFn, of: Basket) -> list[PriceRule]:
    rules: list[PriceRule] = []
    for n in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from([*GOODS, "freight", "gift"]))
        merchant_id = draw(st.none() | shops.map(shop))
        common: dict[str, Any] = {
            "plugin": draw(st.sampled_from("pq")),
            "id": str(n),
            "label": str(n),
            "merchant_id": merchant_id,
            "chosen": draw(st.booleans()),
        }
        bp = draw(st.integers(0, 10_000))
        if kind == "gift":
            parent = draw(st.sampled_from(of.lines))
            common["merchant_id"] = parent.merchant_id
            rules.append(Gives(kind="promo", gift=line(int(parent.merchant_id) - 1000, 900 + n, 5), **common))
        elif kind == "freight":
            rules.append(FreeShipping(kind=kind, amount=draw(amounts), merchant_bp=bp, **common))
        else:
            keys = draw(st.none() | st.sets(st.sampled_from([x.key for x in of.lines]), min_size=1))
            rules.append(
                Off(
                    kind=kind,
                    amount=draw(amounts),
                    merchant_bp=bp,
                    keys=tuple(keys) if keys else None,
                    **common,
                )
            )
    return rules


@st.composite
def bad_rules(draw: st.DrawFn, of: Basket) -> list[PriceRule]:
    keys = st.sampled_from([*(x.key for x in of.lines), "unknown"])
    parts = st.one_of(
        st.builds(
            Adjust,
            st.lists(keys, max_size=3).map(tuple),
            st.integers(-10, 20_000) | st.none() | st.floats(),
            st.integers(-5, 10_005),
        ),
        st.builds(ShippingAdjust, shops.map(shop), st.integers(-5, 2000)),
        st.none(),
        st.text(max_size=2),
    )
    answers = st.one_of(st.lists(parts, max_size=3).map(tuple), st.just(ValueError), st.none())
    kinds = st.sampled_from([*KINDS, "no_such_kind"])
    return [
        Says(plugin="bad", id=str(n), kind=draw(kinds), label="", answer=draw(answers))
        for n in range(draw(st.integers(1, 4)))
    ]


@st.composite
def kinds_as_edited(draw: st.DrawFn) -> dict[str, RuleKind]:
    """The kinds with priorities, groups and limits as an operator might set them."""
    few = st.none() | st.integers(1, 3)
    edited = draw(st.sets(st.sampled_from(GOODS), max_size=4))
    return KINDS | {
        name: replace(
            KINDS[name],
            priority=draw(st.integers(-3, 9)),
            group=draw(st.sampled_from(["", "pair", "other"])),
            per_shop=draw(few),
            per_trade=draw(few),
        )
        for name in sorted(edited)
    }


@st.composite
def some_matrices(draw: st.DrawFn, relations: tuple[Relation, ...] = tuple(Relation)) -> Matrix:
    """Any kinds in any relations."""
    pairs = st.dictionaries(
        st.tuples(st.sampled_from(GOODS), st.sampled_from(GOODS)), st.sampled_from(relations), max_size=6
    )
    return Matrix(draw(kinds_as_edited()), PAIRS | draw(pairs))


matrices = some_matrices()

options = st.lists(
    st.builds(
        lambda m, key, fee, free: ShippingOption(shop(m), f"x:{key}", "express", key, FlatFee(fee, free)),
        shops,
        st.sampled_from("abc"),
        st.integers(0, 900),
        st.none() | amounts,
    ),
    max_size=6,
)


def amounts_of(priced: Quote) -> dict[str, Any]:
    lines = {x.key: (x.payable, x.adjustments) for m in priced.merchants for x in m.lines}
    fees = {
        m.merchant_id: (m.shipping_amount, m.payable, m.shipping_options, m.shipping_adjustments)
        for m in priced.merchants
    }
    return {"lines": lines, "fees": fees, "explain": priced.explain, "payable": priced.payable}


@given(st.data(), baskets(), options, matrices)
def test_everything_adds_up_and_nothing_is_negative(
    data: st.DataObject, of: Basket, ways: Any, matrix: Matrix
) -> None:
    rules = data.draw(good_rules(of)) + data.draw(bad_rules(of))
    priced = quote(of, rules, ways, matrix)
    check_sums(priced)
    assert len(priced.explain) == len(rules)
    assert {x.key for m in priced.merchants for x in m.lines if x.kind == "sale"} == {x.key for x in of.lines}


@given(st.data(), baskets(), options, matrices, st.randoms())
def test_the_order_of_rules_lines_and_options_changes_nothing(
    data: st.DataObject, of: Basket, ways: Any, matrix: Matrix, rng: random.Random
) -> None:
    rules = data.draw(good_rules(of))
    first = amounts_of(quote(of, rules, ways, matrix))
    assert amounts_of(quote(of, rules, ways, matrix)) == first
    lines = list(of.lines)
    for shuffled in (rules, ways, lines):
        rng.shuffle(shuffled)
    assert amounts_of(quote(basket(*lines), rules, ways, matrix)) == first


@given(st.data(), baskets(), options, matrices)
def test_bearers_split_each_rule_as_it_asked(
    data: st.DataObject, of: Basket, ways: Any, matrix: Matrix
) -> None:
    rules = [r for r in data.draw(good_rules(of)) if isinstance(r, Off)]
    priced = quote(of, rules, ways, matrix)
    for rule in rules:
        parts = [a for m in priced.merchants for x in m.lines for a in x.adjustments if a.rule == rule.id]
        total = sum(a.amount for a in parts)
        assert sum(a.bearer.merchant for a in parts) == (total * rule.merchant_bp + 5000) // 10_000


@given(st.data(), baskets(), amounts, some_matrices((Relation.STACK, Relation.BEST)))
def test_one_more_alternative_never_raises_its_phase(
    data: st.DataObject, of: Basket, amount: int, matrix: Matrix
) -> None:
    rules: list[PriceRule] = [
        off(
            str(n),
            data.draw(st.sampled_from(["promo", "extra"])),
            data.draw(amounts),
            data.draw(st.none() | shops),
        )
        for n in range(data.draw(st.integers(0, 5)))
    ]
    before = quote(of, rules, [], matrix).payable
    more = off("new", "promo", amount, data.draw(st.none() | shops))
    assert quote(of, [*rules, more], [], matrix).payable <= before


@given(st.data(), baskets(), matrices)
def test_chosen_rules_are_never_beaten_by_others(data: st.DataObject, of: Basket, matrix: Matrix) -> None:
    rules = data.draw(good_rules(of))
    priced = quote(of, rules, [], matrix)
    chosen = {r.id for r in rules if r.chosen}
    beaten = {e.rule for e in priced.explain if e.outcome == "beaten" and e.code != "nothing_left"}
    assert not beaten & chosen


@given(st.data(), baskets(), options, matrices)
def test_misbehaving_rules_change_nothing_for_the_others(
    data: st.DataObject, of: Basket, ways: Any, matrix: Matrix
) -> None:
    rules = data.draw(good_rules(of))
    bad = [r for r in data.draw(bad_rules(of)) if outcomes(quote(of, [r], ways, matrix))[r.id] == "refused"]
    with_bad, without = quote(of, rules + bad, ways, matrix), quote(of, rules, ways, matrix)
    assert with_bad.merchants == without.merchants


@given(st.data(), baskets(), options, matrices, st.randoms())
def test_refunding_unit_by_unit_in_any_order_adds_up_to_what_was_paid_per_bearer(
    data: st.DataObject, of: Basket, ways: Any, matrix: Matrix, rng: random.Random
) -> None:
    priced = quote(of, data.draw(good_rules(of)), ways, matrix)
    units = [(x, n) for m in priced.merchants for x in m.lines for n in range(x.quantity)]
    rng.shuffle(units)
    back: dict[str, int] = {}
    borne: dict[tuple[str, int], Share] = {}
    for x, n in units:
        cuts = [Share(a.bearer.market, a.bearer.merchant) for a in x.adjustments]
        found = worth(x.unit_price, x.quantity, cuts, n, 1)
        back[x.key] = back.get(x.key, 0) + found.amount
        for at, share in enumerate(found.shares):
            before = borne.get((x.key, at), Share(0, 0))
            borne[x.key, at] = Share(before.market + share.market, before.merchant + share.merchant)
    for m in priced.merchants:
        for x in m.lines:
            assert back[x.key] == x.payable
            assert [borne[x.key, at] for at in range(len(x.adjustments))] == [
                Share(a.bearer.market, a.bearer.merchant) for a in x.adjustments
            ]


@given(st.data(), baskets(), matrices)
def test_everything_that_did_not_apply_says_why_in_both_languages(
    data: st.DataObject, of: Basket, matrix: Matrix
) -> None:
    rules = data.draw(good_rules(of)) + data.draw(bad_rules(of))
    for entry in quote(of, rules, [], matrix).explain:
        if entry.outcome != "applied":
            assert entry.code
            assert entry.reason
            assert entry.reason_zh
