"""A rule that does not come to an end is stopped; it never holds the process."""

from typing import Any

import pytest

from core.pricing import watch
from core.pricing.engine import quote
from core.types.pricing import FlatFee, PriceRule, Proposal, Refused, ShippingOption, View
from tests.support.pricing_model import MATRIX, basket, code_of, line, off, outcomes, shop


class Endless(PriceRule, frozen=True, kw_only=True):
    """Never answers; with `stubborn`, it even swallows what stops it."""

    stubborn: bool = False

    def propose(self, view: View) -> Proposal | Refused:
        """Turns in a circle."""
        try:
            while True:
                pass
        except BaseException:
            if not self.stubborn:
                raise
        return ()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for two seconds."""
    monkeypatch.setattr(watch, "LIMIT", 0.05)


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_endless_rule_is_refused_and_the_others_apply(stubborn: bool) -> None:
    endless = Endless(plugin="bad", id="E", kind="promo", label="endless", stubborn=stubborn)
    priced = quote(basket(line(1, 1, 1000)), [endless, off("A", "promo", 100, 1)], [], MATRIX)
    assert outcomes(priced) == {"E": "refused", "A": "applied"}
    assert code_of(priced, "E") == "rule_endless"
    assert priced.payable == 900


class Circling:
    """Terms of a fee that are never reckoned to the end."""

    def fee(self, goods_amount: int, lines: Any) -> int:
        """Turns in a circle."""
        return int(_forever(lines))


def test_endless_terms_of_a_fee_are_left_out() -> None:
    ways = [
        ShippingOption(shop(1), "x:bad", "express", "bad", Circling()),
        ShippingOption(shop(1), "x:good", "express", "good", FlatFee(700)),
    ]
    priced = quote(basket(line(1, 1, 1000)), [], ways, MATRIX)
    assert code_of(priced, "x:bad") == "bad_terms"
    assert priced.shipping_amount == 700


def test_what_is_quick_runs_undisturbed_afterwards() -> None:
    with pytest.raises(watch.EndlessError):
        watch.run(_forever, None)
    assert [watch.run(abs, -n) for n in range(1000)] == list(range(1000))


def test_a_fault_is_raised_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        watch.run(lambda n: 1 // n, 0)


def _forever(_: Any) -> Any:
    while True:
        pass
