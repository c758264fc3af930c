"""The rule alone: no servers."""

import pytest
from hello_plugin import RoundOff, RoundOffPlugin

from core.testkit import basket, rule_kinds, take

MATRIX = rule_kinds(RoundOffPlugin)


def payable(unit: int, *prices: int) -> int:
    """What goods of these prices cost in the end."""
    rule = RoundOff(plugin="round_off", id="round_off", kind="round_off", label="抹零", unit=unit)
    return take(basket(*prices), [rule], MATRIX).payable


@pytest.mark.parametrize(
    ("unit", "prices", "expected"),
    [(100, (1234, 1111), 2300), (100, (1200, 1100), 2300), (100, (99,), 99), (1000, (1234, 1111), 2000)],
)
def test_it_rounds_down_to_the_unit(unit: int, prices: tuple[int, ...], expected: int) -> None:
    assert payable(unit, *prices) == expected
