"""The real rules of all tools at once: whatever is offered together adds up, and nothing applies that may not."""

import random
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.api import CommissionBase, PriceRule, Quote, Relation, rate
from core.pricing.engine import quote
from core.pricing.units import Share, worth
from core.types.pricing import QuoteMerchant
from plugins.commission.rules import FlatRate
from plugins.coupons.rules import CouponRule
from plugins.flash_sale.rules import FlashRule
from plugins.group_buy.rules import GroupRule
from plugins.membership.rules import MemberPrice, PointsRule
from tests.support.all_tools import Drawn, all_kinds, offers
from tests.support.pricing_model import check_sums

MATRIX = all_kinds()


def taken(drawn: Drawn) -> Quote:
    """The quote with all that is offered."""
    return quote(drawn.basket, drawn.rules, drawn.ways, MATRIX)


def merchant_bp(rule: PriceRule) -> int:
    """What shops bear of a rule, in basis points."""
    match rule:
        case CouponRule():
            return rule.terms.merchant_share_bp
        case MemberPrice():
            return rule.merchant_share_bp
        case PointsRule():
            return 0
        case FlashRule():
            return rule.offer.share_bp
        case GroupRule():
            return 10_000
    found: int = rule.merchant_bp  # type: ignore[attr-defined]
    return found


@given(offers())
def test_everything_adds_up_and_nothing_is_negative(drawn: Drawn) -> None:
    priced = taken(drawn)
    check_sums(priced)
    bought = {x.key: x.quantity for m in priced.merchants for x in m.lines if x.kind == "sale"}
    assert bought == {x.key: x.quantity for x in drawn.basket.lines}
    for m in priced.merchants:
        for x in m.lines:
            assert x.kind == "sale" or x.payable == x.unit_price == 0


@given(offers())
def test_each_bearer_pays_the_share_that_was_agreed(drawn: Drawn) -> None:
    priced = taken(drawn)
    for rule in drawn.rules:
        lines = [[a for a in x.adjustments if a.rule == rule.id] for m in priced.merchants for x in m.lines]
        fees = [[a for a in m.shipping_adjustments if a.rule == rule.id] for m in priced.merchants]
        # A rule over several lines is split as a whole, one that names what each line saves, or each shop's freight, by these.
        whole = rule.kind.endswith(("reduction", "market", "shop", "points"))
        for parts in [[a for found in lines for a in found]] if whole else [*lines, *fees]:
            total = sum(a.amount for a in parts)
            assert sum(a.bearer.merchant for a in parts) == rate(total, merchant_bp(rule)), rule


@given(offers(), st.randoms())
def test_the_order_of_rules_lines_and_ways_to_ship_changes_nothing(drawn: Drawn, rng: random.Random) -> None:
    def told(priced: Quote) -> dict[str, Any]:
        lines = {x.key: (x.payable, x.adjustments) for m in priced.merchants for x in m.lines}
        fees = {m.merchant_id: (m.payable, m.shipping_adjustments) for m in priced.merchants}
        return {"lines": lines, "fees": fees, "explain": priced.explain, "payable": priced.payable}

    first, (of, rules, ways) = told(taken(drawn)), drawn
    lines = list(of.lines)
    for shuffled in (rules, ways, lines):
        rng.shuffle(shuffled)
    assert told(taken(Drawn(replace(of, lines=tuple(lines)), rules, ways))) == first


@given(offers())
def test_every_rule_is_explained_once_and_in_both_languages(drawn: Drawn) -> None:
    priced = taken(drawn)
    explain, lines = priced.explain, [x for m in priced.merchants for x in m.lines]
    assert sorted((e.plugin, e.rule) for e in explain) == sorted((r.plugin, r.id) for r in drawn.rules)
    kinds = {(r.plugin, r.id): (r.kind, r.label) for r in drawn.rules}
    for e in explain:
        assert (e.kind, e.label) == kinds[e.plugin, e.rule]
        assert e.outcome in ("applied", "beaten", "refused")
        # No rule of an installed tool is a mistake in itself.
        assert e.code not in ("not_a_rule", "unknown_kind", "duplicate_rule", "bad_proposal", "rule_failed")
        if e.outcome == "applied":
            assert e.amount or any(x.key.startswith(f"gift:{e.plugin}:{e.rule}") for x in lines), e
        else:
            assert e.code
            assert e.reason
            assert any(letter >= "\u4e00" for letter in e.reason_zh), e


@given(offers())
def test_nothing_stands_together_that_may_not(drawn: Drawn) -> None:
    priced = taken(drawn)
    for m in priced.merchants:
        for x in m.lines:
            there = {(a.kind, a.rule) for a in x.adjustments}
            for (one, _), (other, _) in combinations(sorted(there), 2):
                if MATRIX.kinds[one].per_line or MATRIX.kinds[other].per_line:
                    assert MATRIX.relation(one, other) is Relation.STACK, (one, other)
            phases = [MATRIX.kinds[a.kind].phase for a in x.adjustments]
            assert phases == sorted(phases)
    for name, kind in MATRIX.kinds.items():
        used = [_rules_of(m, name) for m in priced.merchants]
        assert kind.per_shop is None or all(len(found) <= kind.per_shop for found in used)
        assert kind.per_trade is None or len(set().union(*used)) <= kind.per_trade


def _rules_of(m: QuoteMerchant, kind: str) -> set[str]:
    found = [*m.shipping_adjustments, *(a for x in m.lines for a in x.adjustments)]
    return {a.rule for a in found if a.kind == kind}


@given(offers(), st.randoms())
def test_units_that_come_back_one_by_one_bring_what_they_cost_by_bearer(
    drawn: Drawn, rng: random.Random
) -> None:
    for m in taken(drawn).merchants:
        for x in m.lines:
            cuts = [Share(a.bearer.market, a.bearer.merchant) for a in x.adjustments]
            units = list(range(x.quantity))
            rng.shuffle(units)
            parts = [worth(x.unit_price, x.quantity, cuts, n, 1) for n in units]
            assert all(part.amount >= 0 for part in parts)
            assert sum(part.amount for part in parts) == x.payable
            for at, cut in enumerate(cuts):
                assert sum(part.shares[at].market for part in parts) == cut.market
                assert sum(part.shares[at].merchant for part in parts) == cut.merchant


@given(offers(), st.integers(0, 3000))
def test_the_markets_fee_is_never_more_than_its_base(drawn: Drawn, rate_bp: int) -> None:
    for m in taken(drawn).merchants:
        borne = sum(a.bearer.merchant for x in m.lines for a in x.adjustments)
        base = CommissionBase(drawn.basket.lines[0].merchant_id, m.goods_amount - borne, m.shipping_amount)
        assert base.goods_amount >= 0
        assert 0 <= FlatRate(rate_bp).commission(base).amount <= base.goods_amount
