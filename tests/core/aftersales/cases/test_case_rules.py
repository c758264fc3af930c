"""Which units a case may be about: whatever is asked for, no unit is in two open cases, or refunded as well."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.aftersales.cases.machine import Kind
from core.aftersales.cases.moving import crosses
from core.aftersales.cases.rules import Claim, check_units, checked_images
from core.aftersales.rules import Line, Order, plan
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.ids import new_id

SHOP = new_id()
KINDS: tuple[Kind, ...] = ("refund_only", "return_refund", "exchange")


def line(quantity: int, **more: Any) -> Line:
    """A line."""
    return replace(Line(new_id(), "sale", new_id(), new_id(), None, quantity, 100), **more)


def refusal(
    kind: Kind,
    lines: list[Line],
    *wanted: tuple[Line, int],
    claims: dict[UUID, Claim] | None = None,
    waiting: int = 0,
) -> str:
    """The code with which a case is refused; nothing when it is not."""
    try:
        check_units(
            SHOP,
            lines,
            claims or {},
            {x.id: waiting for x in lines},
            kind,
            [(x.id, quantity) for x, quantity in wanted],
        )
    except (Conflict, Invalid, NotFound) as error:
        return error.code
    return ""


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_whatever_is_asked_for_no_unit_is_spoken_for_twice(data: st.DataObject) -> None:
    quantity = data.draw(st.integers(1, 6))
    one = line(quantity, shipped=data.draw(st.integers(0, quantity)))
    cases: list[tuple[Kind, int]] = []
    for _ in range(12):
        claim = Claim(sum(n for _, n in cases), sum(n for kind, n in cases if kind != "refund_only"))
        match data.draw(st.sampled_from(["apply", "settle", "give up", "ship"])):
            case "apply":
                kind, wanted = data.draw(st.sampled_from(KINDS)), data.draw(st.integers(1, 7))
                if not refusal(kind, [one], (one, wanted), claims={one.id: claim}):
                    cases.append((kind, wanted))
            case "ship" if one.to_ship:
                one = replace(one, shipped=one.shipped + 1)
            case "give up" if cases:
                cases.pop(data.draw(st.integers(0, len(cases) - 1)))
            case "settle" if cases:
                kind, wanted = cases.pop(data.draw(st.integers(0, len(cases) - 1)))
                back = kind != "refund_only"
                made = plan(Order(SHOP, (one,)), "accepted", [(one.id, wanted)], None, restock=back)
                (part,) = (x.part for x in made.lines)
                left = Claim(sum(n for _, n in cases), sum(n for k, n in cases if k != "refund_only"))
                assert not crosses(part, left)
                assert not back or part.cancelled == 0
                one = replace(
                    one, refunded=one.refunded + part.quantity, cancelled=one.cancelled + part.cancelled
                )
        assert one.refunded + sum(n for _, n in cases) <= one.quantity
        assert sum(n for kind, n in cases if kind != "refund_only") <= one.left - one.to_ship


def test_more_than_is_left_is_refused_and_what_never_left_is_not_sent_back() -> None:
    tea = line(5, shipped=3, refunded=1)
    assert refusal("refund_only", [tea], (tea, 4)) == ""
    assert refusal("refund_only", [tea], (tea, 5)) == "refund_exceeds"
    assert refusal("return_refund", [tea], (tea, 2)) == ""
    assert refusal("exchange", [tea], (tea, 3)) == "not_shipped"
    assert refusal("return_refund", [tea], (tea, 2), waiting=1) == "not_shipped"
    claims = {tea.id: Claim(2, 2)}
    assert refusal("refund_only", [tea], (tea, 2), claims=claims) == ""
    assert refusal("refund_only", [tea], (tea, 3), claims=claims) == "in_case"
    assert refusal("return_refund", [tea], (tea, 1), claims=claims) == "not_shipped"


def test_lines_are_of_the_order_and_named_once() -> None:
    tea, other = line(2), line(2)
    assert refusal("refund_only", [tea], (tea, 1), (tea, 1)) == "invalid"
    assert refusal("refund_only", [tea], (other, 1)) == "not_found"


def test_a_gift_goes_back_with_what_it_came_with() -> None:
    tea, pot = line(2, shipped=2), line(1, shipped=1)
    cup = line(1, kind="gift", parent_id=tea.id, shipped=1)
    bag = line(1, kind="gift", shipped=1)
    lines = [tea, pot, cup, bag]
    assert refusal("return_refund", lines, (cup, 1)) == "gift_alone"
    assert refusal("return_refund", lines, (cup, 1), (pot, 1)) == "gift_alone"
    assert refusal("return_refund", lines, (bag, 1)) == "gift_alone"
    assert refusal("return_refund", lines, (tea, 2), (cup, 1), (bag, 1)) == ""


@pytest.mark.parametrize("url", ["https://cdn.example.com/a.jpg", "/media/2026/a-1.jpg"])
def test_images_are_https_or_ours(url: str) -> None:
    assert checked_images([url, url]) == [url]


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example.com/a.jpg",
        "javascript:alert(1)",
        "//cdn.example.com/a.jpg",
        "/media/../secret",
        "/media/%2e%2e/secret",
        "/media//a.jpg",
        "/static/a.jpg",
        "https://user:pass@example.com/a.jpg",
        "https://exa mple.com/a.jpg",
        "media/a.jpg",
    ],
)
def test_other_images_are_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked_images(["/media/a.jpg", url])
    assert [x.field for x in caught.value.extra["errors"]] == ["images[1]"]
