"""Bundles at a fixed price: against a slow reference, and rule by rule."""

from hypothesis import given
from hypothesis import strategies as st

from core.api import MARKET_ID, LineView, Refused, View, largest_remainder
from core.testkit import basket, line
from plugins.promotions.bundle import BundleRule
from plugins.promotions.terms import Item, Terms
from tests.support.promotions import priced, saved, why


def slowly(lines: list[LineView], parts: dict[str, int], price: int, most: int | None) -> dict[str, int]:
    """Sets are taken one by one, each from the dearest units that are left of each line."""
    units = {}
    for seen in lines:
        each, odd = divmod(seen.amount, seen.line.quantity)
        units[seen.line.key] = [each + (n < odd) for n in range(seen.line.quantity)]
    values = dict.fromkeys(sorted(parts), 0)
    sets = 0
    while (most is None or sets < most) and all(len(units.get(key, ())) >= n for key, n in parts.items()):
        for key, n in parts.items():
            values[key] += sum(units[key][:n])
            units[key] = units[key][n:]
        sets += 1
    saving = sum(values.values()) - price * sets
    if sets == 0 or saving <= 0:
        return {}
    shares = largest_remainder(saving, list(values.values()))
    return {key: part for key, part in zip(values, shares, strict=True) if part}


rows = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5000), st.integers(1, 3)), min_size=1, max_size=5)


@given(rows, st.integers(1, 9000), st.none() | st.integers(1, 3))
def test_savings_are_those_of_the_slow_reference(
    rows: list[tuple[int, int, int]], price: int, most: int | None
) -> None:
    lines = [LineView(line(100, n, sku=i), amount) for i, (n, amount, _) in enumerate(rows, 1)]
    parts = {seen.line.key: need for seen, (_, _, need) in zip(lines, rows, strict=True)}
    rule = BundleRule(plugin="p", id="i", kind="k", label="l", parts=parts, price=price, most=most)
    answer = rule.propose(View(basket(*[seen.line for seen in lines]), tuple(lines)))
    found = {} if isinstance(answer, Refused) else {a.keys[0]: a.amount for a in answer if hasattr(a, "keys")}
    assert found == slowly(lines, parts, price, most)
    assert all(found.get(seen.line.key, 0) <= seen.amount for seen in lines)


def test_several_sets_each_at_the_price() -> None:
    tea, cup = line(3000, 3, sku=1), line(1000, 5, sku=2)
    terms = Terms(kind="bundle", name="b", price=4000, items=(Item(tea.key), Item(cup.key, quantity=2)))
    quote = priced(basket(tea, cup), (terms, MARKET_ID))
    # Two sets of 50 yuan at 40; the third tea and the fifth cup cost what they did.
    assert quote.discount_amount == 2000
    assert saved(quote) == {tea.key: 1200, cup.key: 800}


def test_what_is_missing_to_a_set_is_said_and_a_dearer_bundle_is_none() -> None:
    tea, cup = line(3000, sku=1), line(1000, sku=2)
    terms = Terms(kind="bundle", name="b", price=4000, items=(Item(tea.key), Item(cup.key, quantity=2)))
    assert why(priced(basket(tea, cup), (terms, MARKET_ID))) == {"promotions.bundle": ("count_short", 0)}
    same = Terms(kind="bundle", name="b", price=4000, items=(Item(tea.key), Item(cup.key)))
    assert why(priced(basket(tea, cup), (same, MARKET_ID))) == {"promotions.bundle": ("nothing_left", 0)}


def test_a_bundle_of_the_market_is_of_several_shops() -> None:
    tea, cup = line(3000, sku=1), line(1000, shop=2, sku=2)
    terms = Terms(
        kind="bundle", name="b", price=3600, items=(Item(tea.key), Item(cup.key)), merchant_share_bp=2500
    )
    quote = priced(basket(tea, cup), (terms, MARKET_ID))
    assert saved(quote) == {tea.key: 300, cup.key: 100}
    bearers = [a.bearer for m in quote.merchants for x in m.lines for a in x.adjustments]
    assert [(b.market, b.merchant) for b in bearers] == [(225, 75), (75, 25)]


def test_of_two_bundles_with_a_sku_in_common_the_better_applies() -> None:
    tea, cup, pot = line(3000, sku=1), line(1000, sku=2), line(2000, sku=3)
    small = Terms(kind="bundle", name="a", price=3900, items=(Item(tea.key), Item(cup.key)))
    large = Terms(kind="bundle", name="b", price=4000, items=(Item(tea.key), Item(pot.key)))
    assert priced(basket(tea, cup, pot), (small, MARKET_ID), (large, MARKET_ID)).discount_amount == 1000
