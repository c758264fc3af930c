"""What rules tell beyond discounts: units of their own limits, gifts of the whole order; and what they may ask for."""

import pytest

from core.api import AddLine, Adjust, Phase, PriceRule, Proposal, Refused, RuleKind, Uses, View
from core.pricing.engine import quote
from core.types.orders import Placement
from core.types.pricing import Matrix
from tests.support.pricing_model import NOW, Off, Says, basket, line, uid

KINDS = {
    "early": RuleKind("early", Phase.ITEM_PRICE, "e"),
    "late": RuleKind("late", Phase.SHOP_COUPON, "l"),
}
GOODS = basket(line(1, 1, 1000), line(1, 2, 500))


def rule(kind: str, *parts: object, rule_id: str = "r") -> Says:
    return Says(plugin="p", id=rule_id, kind=kind, label="l", answer=parts)


def test_what_a_rule_uses_is_told_with_what_was_applied_and_claimed_from_there() -> None:
    key = GOODS.lines[0].key
    made = quote(
        GOODS,
        [
            rule("early", Adjust((key,), 100), Uses(2), Uses(1)),
            rule("late", Uses(5), rule_id="nothing"),
            rule("late", Adjust((key,), 5000), Uses(7), rule_id="too_much"),
        ],
        (),
        Matrix(KINDS),
    )
    assert {e.rule: (e.outcome, e.uses) for e in made.explain} == {
        "r": ("applied", 3),
        "nothing": ("refused", 0),
        "too_much": ("refused", 0),
    }
    placement = Placement(uid(1), uid(2), (), made, NOW)
    assert placement.uses_of("p") == {"r": 3}
    assert placement.uses_of("other") == {}


@pytest.mark.parametrize("units", [-1, 1.5, True, None, 10**12])
def test_units_that_cannot_be_refuse_the_rule(units: object) -> None:
    parts = (Adjust((GOODS.lines[0].key,), 100), Uses(units))  # type: ignore[arg-type]
    made = quote(GOODS, [rule("early", *parts)], (), Matrix(KINDS))
    assert [(e.outcome, e.code) for e in made.explain] == [("refused", "bad_proposal")]


def test_a_gift_of_the_order_has_no_parent() -> None:
    gift = line(1, 9, 300)
    parts = (AddLine(gift, GOODS.lines[0].key, of_order=True),)
    made = quote(GOODS, [rule("early", *parts)], (), Matrix(KINDS))
    [given] = [x for x in made.merchants[0].lines if x.kind == "gift"]
    assert (given.parent, given.payable) == (None, 0)


class AtItemPromotion(PriceRule, frozen=True, kw_only=True):
    """Refuses with the amounts that the phase of item promotions found, and those it sees."""

    def propose(self, view: View) -> Proposal | Refused:
        then = sum(seen.amount for seen in view.at(Phase.ITEM_PROMOTION))
        return Refused("told", f"{then} {sum(seen.amount for seen in view.lines)}")


def test_a_rule_may_look_at_what_an_earlier_phase_found() -> None:
    middle = RuleKind("middle", Phase.SHOP_PROMOTION, "m")
    made = quote(
        GOODS,
        [
            Off(plugin="p", id="a", kind="early", label="l", amount=100),
            Off(plugin="p", id="b", kind="middle", label="l", amount=30),
            AtItemPromotion(plugin="p", id="c", kind="late", label="l"),
        ],
        (),
        Matrix(KINDS | {"middle": middle}),
    )
    assert {e.rule: e.reason for e in made.explain if e.rule == "c"} == {"c": "1400 1370"}
