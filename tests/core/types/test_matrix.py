"""The stacking matrix: edits laid over declarations, and what contradicts in them."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.plugin import Plugin, PluginError, check, declared, discover
from core.pricing.engine import quote
from core.types.matrix import KindEdit, MatrixEdits, PairEdit, faults, merged, phase_name
from core.types.pricing import Phase, Relation, RuleKind
from tests.support.pricing_model import (
    FreeShipping,
    basket,
    check_sums,
    line,
    off,
)

KINDS = {
    kind.name: kind
    for kind in (
        RuleKind("sale", Phase.SHOP_PROMOTION, "sale"),
        RuleKind("club", Phase.SHOP_PROMOTION, "club", priority=1),
        RuleKind("coupon", Phase.SHOP_COUPON, "coupon", per_shop=1),
        RuleKind("market", Phase.MARKET_COUPON, "market coupon", per_trade=1),
        RuleKind("freight", Phase.SHIPPING_DISCOUNT, "freight"),
        RuleKind("points", Phase.POINTS, "points"),
        RuleKind("first", Phase.MARKET_PROMOTION, "first", group="pair", per_shop=2),
        RuleKind("second", Phase.MARKET_PROMOTION, "second", group="pair"),
    )
}
PAIRS = {("sale", "club"): Relation.BEST, ("coupon", "sale"): Relation.BLOCK}


def edits(*entries: KindEdit | PairEdit) -> MatrixEdits:
    return MatrixEdits(
        tuple(e for e in entries if isinstance(e, KindEdit)),
        tuple(e for e in entries if isinstance(e, PairEdit)),
    )


def found(*entries: KindEdit | PairEdit) -> list[tuple[str, str]]:
    return [(f.field, f.code) for f in faults(KINDS, PAIRS, edits(*entries))]


def test_without_edits_the_declarations_hold() -> None:
    matrix = merged(KINDS, PAIRS)
    assert matrix.kinds == KINDS
    assert matrix.relation("club", "sale") is matrix.relation("sale", "club") is Relation.BEST
    assert faults(KINDS, PAIRS) == []


def test_what_is_not_edited_stays_as_declared() -> None:
    kind = merged(KINDS, PAIRS, edits(KindEdit("coupon", priority=7))).kinds["coupon"]
    assert kind == RuleKind("coupon", Phase.SHOP_COUPON, "coupon", priority=7, per_shop=1)
    kind = merged(KINDS, PAIRS, edits(KindEdit("first", group="", per_shop=None))).kinds["first"]
    assert (kind.group, kind.per_shop) == ("", None)
    kind = merged(KINDS, PAIRS, edits(KindEdit("coupon", phase="points"))).kinds["coupon"]
    assert kind.phase is Phase.POINTS


def test_an_edited_pair_takes_the_place_of_the_declared_one_whichever_side_is_first() -> None:
    for a, b in (("sale", "club"), ("club", "sale")):
        matrix = merged(KINDS, PAIRS, edits(PairEdit(a, b, Relation.STACK)))
        assert matrix.relation("sale", "club") is matrix.relation("club", "sale") is Relation.STACK


def test_entries_for_kinds_that_are_not_there_mean_nothing() -> None:
    stale = edits(KindEdit("gone", priority=1), PairEdit("gone", "sale", Relation.BLOCK))
    assert merged(KINDS, PAIRS, stale) == merged(KINDS, PAIRS)
    assert [f.code for f in faults(KINDS, PAIRS, stale)] == ["unknown_kind"] * 2
    assert faults(KINDS, PAIRS, stale, {"gone"}) == []


def test_a_stored_phase_that_the_kind_cannot_live_in_is_passed_over() -> None:
    matrix = merged(KINDS, PAIRS, edits(KindEdit("freight", phase="points")))
    assert matrix.kinds["freight"].phase is Phase.SHIPPING_DISCOUNT


@pytest.mark.parametrize(
    ("entries", "field", "code", "words"),
    [
        ([KindEdit("nobody")], "kinds[0].name", "unknown_kind", "'nobody'"),
        ([PairEdit("sale", "nobody", Relation.BEST)], "pairs[0].b", "unknown_kind", "'nobody'"),
        ([KindEdit("sale"), KindEdit("sale", priority=1)], "kinds[1].name", "duplicate", "one entry"),
        (
            [PairEdit("points", "sale", Relation.BLOCK), PairEdit("points", "sale", Relation.BLOCK)],
            "pairs[1].relation",
            "duplicate",
            "listed twice as block",
        ),
        (
            [PairEdit("points", "sale", Relation.BLOCK), PairEdit("sale", "points", Relation.STACK)],
            "pairs[1].relation",
            "pair_differs",
            "as block and as stack",
        ),
        (
            [PairEdit("coupon", "coupon", Relation.STACK)],
            "pairs[0].relation",
            "never_stacks",
            "per shop. Raise per_shop",
        ),
        (
            [PairEdit("market", "market", Relation.STACK)],
            "pairs[0].relation",
            "never_stacks",
            "per trade. Raise per_trade",
        ),
        (
            [PairEdit("first", "second", Relation.STACK), KindEdit("first", per_shop=1)],
            "pairs[0].relation",
            "never_stacks",
            "first and second can never stack: at most 1 of the group pair",
        ),
        (
            [KindEdit("second", per_shop=1)],
            "kinds[0].per_shop",
            "limits_differ",
            "first says 2, second says 1",
        ),
        (
            [KindEdit("coupon", group="pair")],
            "kinds[0].group",
            "limits_differ",
            "coupon says 1, first says 2",
        ),
        ([KindEdit("first", per_trade=1)], "kinds[0].per_trade", "shop_above_trade", "The group pair"),
        (
            [KindEdit("sale", per_shop=3, per_trade=2)],
            "kinds[0].per_shop",
            "shop_above_trade",
            "sale may apply 3 times per shop but only 2 times",
        ),
        ([PairEdit("sale", "sale", Relation.BLOCK)], "pairs[0].relation", "no_order", "use best"),
        (
            [PairEdit("first", "second", Relation.BLOCK)],
            "pairs[0].relation",
            "no_order",
            "both have the priority 0 in the phase market_promotion",
        ),
        (
            [PairEdit("sale", "points", Relation.BEST)],
            "pairs[0].relation",
            "phases_not_compared",
            "points is decided in the phase points, sale in shop_promotion. Use block",
        ),
        ([KindEdit("club", phase="points")], "kinds[0].phase", "phases_not_compared", "cannot be compared"),
        ([KindEdit("coupon", phase="shop_promotion")], "kinds[0].phase", "no_order", "higher priority"),
        ([KindEdit("sale", per_shop=0)], "kinds[0].per_shop", "range", "at least 1"),
        ([KindEdit("sale", per_trade=-1)], "kinds[0].per_trade", "range", "Switch the plugin off"),
        ([KindEdit("freight", phase="points")], "kinds[0].phase", "phase_fixed", "shipping fee"),
        ([KindEdit("sale", phase="shipping_discount")], "kinds[0].phase", "phase_fixed", "off goods"),
        ([KindEdit("sale", phase="shipping")], "kinds[0].phase", "phase_fixed", "off goods"),
    ],
)
def test_contradictions_are_found_and_said_in_words(
    entries: list[KindEdit | PairEdit], field: str, code: str, words: str
) -> None:
    all_found = faults(KINDS, PAIRS, edits(*entries))
    assert [(f.field, f.code) for f in all_found] == [(field, code)], all_found
    assert words in all_found[0].detail


@pytest.mark.parametrize(
    "entries",
    [
        [KindEdit("coupon", per_shop=2), PairEdit("coupon", "coupon", Relation.STACK)],
        [KindEdit("first", priority=1), PairEdit("first", "second", Relation.BLOCK)],
        [PairEdit("points", "sale", Relation.BLOCK)],
        [KindEdit("club", phase="points"), KindEdit("sale", phase="points")],
        [KindEdit("freight", phase="shipping_discount")],
        [KindEdit("second", per_shop=2)],
        [KindEdit("sale", per_shop=2, per_trade=2)],
    ],
)
def test_what_can_come_true_is_no_contradiction(entries: list[KindEdit | PairEdit]) -> None:
    assert found(*entries) == []


def test_the_declarations_of_all_installed_plugins_are_in_order() -> None:
    assert faults(*declared(discover().values())) == []


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ({("one.a", "one.b"): Relation.BLOCK}, "Rule kinds of one: one.a and one.b block each other"),
        ({("one.a", "one.c"): Relation.BEST}, "cannot be compared"),
        ({("one.c", "one.c"): Relation.STACK}, "can never stack"),
        (
            {("one.a", "one.b"): Relation.BEST, ("one.b", "one.a"): Relation.STACK},
            "one.b and one.a are best as plugin one declares and stack as one",
        ),
    ],
)
def test_a_plugin_that_contradicts_itself_is_refused_by_name(
    pairs: dict[tuple[str, str], Relation], words: str
) -> None:
    kinds = (
        RuleKind("one.a", Phase.SHOP_COUPON, "a"),
        RuleKind("one.b", Phase.SHOP_COUPON, "b"),
        RuleKind("one.c", Phase.MARKET_COUPON, "c", per_trade=1),
    )
    one = _plugin("one", rule_kinds=kinds, rule_pairs=pairs)
    with pytest.raises(PluginError) as refused:
        check([one])
    assert words in str(refused.value)


def test_plugins_that_contradict_each_other_are_both_named() -> None:
    kinds = (RuleKind("one.a", Phase.SHOP_COUPON, "a", per_shop=1, group="g"),)
    one = _plugin("one", rule_kinds=kinds, rule_pairs={("one.a", "two.b"): Relation.BEST})
    other = (RuleKind("two.b", Phase.SHOP_COUPON, "b", per_shop=2, group="g"),)
    two = _plugin("two", rule_kinds=other, rule_pairs={("two.b", "one.a"): Relation.BLOCK})
    with pytest.raises(PluginError) as refused:
        check([one, two])
    text = str(refused.value)
    assert "are best as plugin one declares and block as two" in text
    assert "Rule kinds of one and two: The kinds of the group g share one limit per shop" in text


def test_a_pair_with_a_kind_of_a_plugin_that_is_not_installed_is_no_contradiction() -> None:
    kinds = (RuleKind("one.a", Phase.SHOP_COUPON, "a"),)
    check([_plugin("one", rule_kinds=kinds, rule_pairs={("one.a", "two.b"): Relation.BLOCK})])


def _plugin(name: str, **attributes: Any) -> type[Plugin]:
    return type(name, (Plugin,), {"name": name, "title": "", "summary": "", **attributes})


def test_edits_are_the_same_after_a_way_through_json() -> None:
    some = edits(KindEdit("sale", per_shop=None, group=""), PairEdit("sale", "club", Relation.STACK))
    raw = msgspec.json.encode(some)
    assert msgspec.json.decode(raw, type=MatrixEdits) == some
    assert b"priority" not in raw


NAMES = st.sampled_from([*KINDS, "gone"])
LIMITS = st.sampled_from([None, 1, 2, 3])


@st.composite
def some_edits(draw: st.DrawFn) -> MatrixEdits:
    kinds = []
    for name in draw(st.lists(NAMES, max_size=4)):
        fields = {
            "phase": st.sampled_from([phase_name(p) for p in Phase]),
            "priority": st.integers(-2, 2),
            "group": st.sampled_from(["", "pair", "other"]),
            "per_shop": LIMITS,
            "per_trade": LIMITS,
        }
        chosen = draw(st.sets(st.sampled_from(sorted(fields)), max_size=2))
        kinds.append(KindEdit(name, **{f: draw(fields[f]) for f in sorted(chosen)}))
    pairs = draw(st.lists(st.builds(PairEdit, NAMES, NAMES, st.sampled_from(list(Relation))), max_size=4))
    return MatrixEdits(tuple(kinds), tuple(pairs))


RULES = [
    *(
        off(f"{kind}{n}", kind, 90 + 10 * n, n or None)
        for kind in KINDS
        if kind != "freight"
        for n in range(3)
    ),
    *(FreeShipping(plugin="p", id=f"f{n}", kind="freight", label="", amount=5) for n in range(2)),
]
BASKET = basket(line(1, 1, 1000, 2), line(1, 2, 50), line(2, 3, 700))


@given(some_edits())
def test_a_table_without_faults_prices_any_basket(draft: MatrixEdits) -> None:
    assume(not faults(KINDS, PAIRS, draft, {"gone"}))
    priced = quote(BASKET, RULES, [], merged(KINDS, PAIRS, draft))
    check_sums(priced)
    assert len(priced.explain) == len(RULES)


@given(some_edits(), st.randoms())
def test_the_order_of_edits_changes_nothing(draft: MatrixEdits, rng: random.Random) -> None:
    assume(not faults(KINDS, PAIRS, draft, {"gone"}))
    kinds, pairs = list(draft.kinds), list(draft.pairs)
    rng.shuffle(kinds)
    rng.shuffle(pairs)
    shuffled = MatrixEdits(tuple(kinds), tuple(PairEdit(p.b, p.a, p.relation) for p in pairs))
    assert merged(KINDS, PAIRS, shuffled) == merged(KINDS, PAIRS, draft)
    assert list(merged(KINDS, PAIRS, shuffled).pairs) == list(merged(KINDS, PAIRS, draft).pairs)


@given(some_edits())
def test_faults_are_found_in_whatever_is_sent(draft: MatrixEdits) -> None:
    for fault in faults(KINDS, PAIRS, draft):
        assert fault.code
        assert fault.detail.endswith(".")
        assert fault.kinds
        assert fault.field.startswith(("kinds[", "pairs["))
