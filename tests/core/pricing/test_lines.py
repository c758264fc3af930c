"""Kinds that meet others on lines instead of shops: each line has its own best, and what is closed is the line."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from core.pricing.engine import quote
from core.types.pricing import Basket, PriceRule
from tests.support.pricing_model import MATRIX, Off, basket, check_sums, code_of, line, off, outcomes

TEA, CUP = line(1, 1, 1000), line(1, 2, 3000)


def on(rule_id: str, kind: str, amount: int, *keys: str) -> Off:
    """A discount on these lines of shop 1."""
    return off(rule_id, kind, amount, 1, keys=keys)


def payable(of: Basket, rules: Sequence[PriceRule]) -> dict[str, int]:
    """What each line costs."""
    priced = quote(of, rules, [], MATRIX)
    check_sums(priced)
    return {x.key: x.payable for m in priced.merchants for x in m.lines}


def test_two_discounts_of_one_kind_stand_on_two_lines_of_one_shop() -> None:
    rules = [on("a", "limited", 100, TEA.key), on("b", "limited", 200, CUP.key)]
    assert payable(basket(TEA, CUP), rules) == {TEA.key: 900, CUP.key: 2800}


def test_each_line_takes_the_better_of_two_kinds() -> None:
    rules: list[PriceRule] = [
        on("limited tea", "limited", 100, TEA.key),
        on("limited cup", "limited", 900, CUP.key),
        on("flash tea", "flash", 300, TEA.key),
        on("flash cup", "flash", 200, CUP.key),
    ]
    assert payable(basket(TEA, CUP), rules) == {TEA.key: 700, CUP.key: 2100}


def test_a_blocked_kind_loses_the_line_and_not_the_shop() -> None:
    rules = [on("flash", "flash", 100, TEA.key), off("promo", "promo", 5000, 1)]
    assert payable(basket(TEA, CUP), rules) == {TEA.key: 900, CUP.key: 0}
    alone = quote(basket(TEA), rules, [], MATRIX)
    assert outcomes(alone) == {"flash": "applied", "promo": "refused"}
    assert code_of(alone, "promo") == "blocked"


def test_twenty_lines_with_two_rivals_each_are_all_compared() -> None:
    lines = [line(1, n, 10_000) for n in range(1, 21)]
    rules: list[PriceRule] = [
        on(f"{kind}{n}", kind, 100 * (1 + (n * step) % 7), x.key)
        for n, x in enumerate(lines)
        for kind, step in (("limited", 1), ("flash", 3))
    ]
    best = {x.key: 10_000 - 100 * (1 + max(n % 7, n * 3 % 7)) for n, x in enumerate(lines)}
    assert payable(basket(*lines), rules) == best
    told = quote(basket(*lines), rules, [], MATRIX).explain
    assert {e.code for e in told} <= {"", "beaten"}


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["flash", "limited"]), st.integers(1, 900)), max_size=10
    )
)
def test_lines_never_disturb_each_other(facts: list[tuple[int, str, int]]) -> None:
    lines = [line(1, n, 1000) for n in range(4)]
    rules = [on(str(n), kind, amount, lines[at].key) for n, (at, kind, amount) in enumerate(facts)]
    together = payable(basket(*lines), [*rules])
    for at, x in enumerate(lines):
        mine: list[PriceRule] = [rule for rule, fact in zip(rules, facts, strict=True) if fact[0] == at]
        assert payable(basket(x), mine)[x.key] == together[x.key]
        assert together[x.key] == 1000 - max((fact[2] for fact in facts if fact[0] == at), default=0)
