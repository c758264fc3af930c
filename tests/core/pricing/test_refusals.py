"""Words of refusals in both languages."""

import pytest

from core.api import Refusals, Refused

refused = Refusals(
    {
        "threshold": ("{it} yuan short.", "还差 {it} 元。"),
        "nothing_left": ("Nothing left.", "没有了。"),
        "no_freight": ("No freight.", "没有运费。"),
    },
    codes={"no_freight": "nothing_left"},
)


def test_a_refusal_says_what_it_speaks_of_in_both_languages() -> None:
    assert refused("threshold", "5.00", 500) == Refused(
        "threshold", "5.00 yuan short.", 500, "还差 5.00 元。"
    )


def test_the_name_is_the_code_unless_there_is_another_for_it() -> None:
    assert refused("nothing_left") == Refused("nothing_left", "Nothing left.", 0, "没有了。")
    assert refused("no_freight") == Refused("nothing_left", "No freight.", 0, "没有运费。")


def test_a_name_that_is_none_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        refused("unknown")
