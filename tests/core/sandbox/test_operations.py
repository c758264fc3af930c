"""What a market can have done with money: where it is afterwards, once, and never more than there is."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from core.kit.ids import MARKET_ID, new_id

Caller = Any


async def test_the_worked_example_ends_with_every_fen_where_it_belongs(caller: Caller) -> None:
    payment, (shop,) = await caller.paid(9_300)
    promoter = new_id()
    leg = {"payment_id": payment, "merchant_id": shop}
    held = {"payment_id": str(payment), "merchant_id": str(shop)}
    assert await caller.books() == {"buyers": 9_300, "frozen": [{**held, "amount": 9_300}]}
    await caller.ask("POST", "/subsidies", {"id": new_id(), **leg, "amount": 1_000})
    assert await caller.books() == {"buyers": 9_300, "funds": -1_000, "frozen": [{**held, "amount": 10_300}]}
    shares = [{"owner_id": MARKET_ID, "amount": 475}, {"owner_id": promoter, "amount": 255}]
    await caller.ask("POST", "/splits", {"id": new_id(), **leg, "shares": shares})
    await caller.ask("POST", "/finishes", {"id": new_id(), **leg})
    assert await caller.books() == {
        "buyers": 9_300,
        "funds": -525,
        "merchants": {str(shop): 9_570},
        "earners": {str(promoter): 255},
    }
    await caller.ask("POST", "/payouts", {"id": new_id(), "merchant_id": shop, "amount": 9_570})
    await caller.ask("POST", "/split-returns", {"id": new_id(), **leg, "amount": 237})
    await caller.ask("POST", "/refunds", {"id": new_id(), **leg, "amount": 4_250, "advance": 4_013})
    await caller.ask(
        "POST", "/subsidies", {"id": new_id(), **leg, "amount": 500, "back": True, "advance": 500}
    )
    assert await caller.books() == {
        "buyers": 5_050,
        "funds": -525 - 237 - 4_013,
        "banks": {str(shop): 9_570},
        "earners": {str(promoter): 255},
    }


_SHARE = {"owner_id": str(MARKET_ID), "amount": 30}
_CASES = [
    ("/refunds", {"amount": 30}, {"amount": 31}, "refund_mismatch"),
    ("/refunds", {"amount": 30, "advance": 10}, {"amount": 30, "advance": 11}, "refund_mismatch"),
    ("/subsidies", {"amount": 30}, {"amount": 29}, "subsidy_mismatch"),
    ("/splits", {"shares": [_SHARE]}, {"shares": [{**_SHARE, "amount": 29}]}, "split_mismatch"),
    ("/payouts", {"amount": 30}, {"amount": 30, "recovered": 1}, "payout_mismatch"),
]


@pytest.mark.parametrize(("path", "terms", "other", "code"), _CASES)
async def test_the_same_again_is_done_once_and_other_amounts_are_refused(
    caller: Caller, path: str, terms: dict[str, Any], other: dict[str, Any], code: str
) -> None:
    payment, (shop,) = await caller.paid(100)
    if path == "/payouts":
        await caller.ask("POST", "/finishes", {"id": new_id(), "payment_id": payment, "merchant_id": shop})
    order = {"id": new_id(), "payment_id": payment, "merchant_id": shop}
    if path == "/payouts":
        order.pop("payment_id")
    assert await caller.ask("POST", path, order | terms) == {"status": "done"}
    before = await caller.books()
    assert await caller.ask("POST", path, order | terms) == {"status": "done"}
    assert await caller.refused("POST", path, order | other) == (409, code)
    assert await caller.books() == before


async def test_a_payment_opened_again_is_the_same_one_unless_its_amounts_differ(caller: Caller) -> None:
    payment, (shop,) = await caller.open(100)
    order = {
        "payment_id": payment,
        "amount": 100,
        "legs": [{"merchant_id": shop, "amount": 100}],
        "notify_url": "http://market/",
        "expires_at": "2026-01-01T00:00:00Z",
    }
    first = await caller.ask("GET", f"/payments/{payment}")
    assert await caller.ask("POST", "/payments", order) == first
    for other in (
        {"amount": 99, "legs": [{"merchant_id": shop, "amount": 99}]},
        {"amount": 99},
        {"legs": [{"merchant_id": new_id(), "amount": 100}]},
        {"legs": [{"merchant_id": shop, "amount": 50}, {"merchant_id": shop, "amount": 50}]},
    ):
        assert await caller.refused("POST", "/payments", order | other) == (409, "payment_mismatch")


async def test_nothing_takes_more_than_there_is(caller: Caller) -> None:
    payment, (shop, _) = await caller.paid(100, 50)
    leg = {"payment_id": payment, "merchant_id": shop}
    share = {"owner_id": new_id(), "amount": 101}
    unpaid, (stranger,) = await caller.open(70)
    elsewhere = {"payment_id": unpaid, "merchant_id": stranger}
    for path, order, code in (
        ("/refunds", leg | {"amount": 101}, "refund_exceeds_payment"),
        ("/refunds", elsewhere | {"amount": 1}, "refund_exceeds_payment"),
        ("/refunds", leg | {"amount": 10, "advance": 11}, "not_enough"),
        ("/splits", leg | {"shares": [share]}, "not_enough"),
        ("/splits", elsewhere | {"shares": [share]}, "not_enough"),
        ("/subsidies", leg | {"amount": 1, "back": True}, "not_enough"),
        ("/subsidies", elsewhere | {"amount": 1}, "not_enough"),
        ("/split-returns", leg | {"amount": 1}, "not_enough"),
        ("/finishes", elsewhere, "not_enough"),
        ("/payouts", {"merchant_id": shop, "amount": 1}, "not_enough"),
    ):
        assert await caller.refused("POST", path, {"id": new_id(), **order}) == (409, code), path
    assert (await caller.books())["buyers"] == 150


async def test_earners_keep_what_they_have_and_only_the_markets_share_comes_back(caller: Caller) -> None:
    payment, (shop,) = await caller.paid(100)
    leg = {"payment_id": payment, "merchant_id": shop}
    shares = [{"owner_id": new_id(), "amount": 40}, {"owner_id": MARKET_ID, "amount": 5}]
    await caller.ask("POST", "/splits", {"id": new_id(), **leg, "shares": shares})
    back = {**leg, "amount": 6}
    assert await caller.refused("POST", "/split-returns", {"id": new_id(), **back}) == (409, "not_enough")
    await caller.ask("POST", "/split-returns", {"id": new_id(), **leg, "amount": 5})
    await caller.ask("POST", "/finishes", {"id": new_id(), **leg})
    assert (await caller.books())["merchants"] == {str(shop): 60}


async def test_a_finished_leg_is_finished_once_and_then_the_merchant_pays(caller: Caller) -> None:
    payment, (shop,) = await caller.paid(100)
    leg = {"payment_id": payment, "merchant_id": shop}
    for _ in range(2):
        assert await caller.ask("POST", "/finishes", {"id": new_id(), **leg}) == {"status": "done"}
    shares = [{"owner_id": MARKET_ID, "amount": 1}]
    assert await caller.refused("POST", "/splits", {"id": new_id(), **leg, "shares": shares}) == (
        409,
        "finished",
    )
    assert await caller.refused("POST", "/subsidies", {"id": new_id(), **leg, "amount": 1}) == (
        409,
        "finished",
    )
    await caller.ask("POST", "/payouts", {"id": new_id(), "merchant_id": shop, "amount": 80, "recovered": 15})
    assert await caller.refused("POST", "/refunds", {"id": new_id(), **leg, "amount": 6}) == (
        409,
        "not_enough",
    )
    await caller.ask("POST", "/refunds", {"id": new_id(), **leg, "amount": 6, "advance": 1})
    assert await caller.books() == {"buyers": 94, "funds": 14, "banks": {str(shop): 80}}


async def test_a_payment_refunded_whole_says_so(caller: Caller) -> None:
    payment, shops = await caller.paid(100, 50)
    for shop, amount in zip(shops, (100, 50), strict=True):
        assert (await caller.ask("GET", f"/payments/{payment}"))["status"] == "paid"
        order = {"id": new_id(), "payment_id": payment, "merchant_id": shop, "amount": amount}
        await caller.ask("POST", "/refunds", order)
    assert (await caller.ask("GET", f"/payments/{payment}"))["status"] == "refunded"
    assert await caller.books() == {}
    assert await caller.pay(payment) == {"status": "paid", "notified": True}


async def test_a_closed_payment_is_only_paid_as_a_late_one(caller: Caller) -> None:
    payment, _ = await caller.open(100)
    for _ in range(2):
        assert (await caller.ask("POST", f"/payments/{payment}/close"))["status"] == "closed"
    assert await caller.refused("POST", f"/payments/{payment}/pay", {}) == (409, "payment_closed")
    assert await caller.pay(payment, late=True) == {"status": "paid", "notified": True}
    assert (await caller.ask("POST", f"/payments/{payment}/close"))["status"] == "paid"
    for path in (f"/payments/{new_id()}", "/payments/x", "/nowhere"):
        assert await caller.refused("GET", path) == (404, "not_found")
    assert await caller.refused("POST", f"/payments/{new_id()}/pay", {}) == (404, "not_found")


async def test_accounts_see_nothing_of_each_other(caller: Caller, another: Any) -> None:
    payment, (shop,) = await caller.paid(100)
    stranger = another("stranger")
    assert await stranger.refused("GET", f"/payments/{payment}") == (404, "not_found")
    order = {"id": new_id(), "payment_id": payment, "merchant_id": shop, "amount": 1}
    assert await stranger.refused("POST", "/refunds", order) == (409, "refund_exceeds_payment")
    assert await stranger.books() == {}


async def test_the_bill_lists_each_operation_of_the_day(caller: Caller) -> None:
    payment, (shop,) = await caller.paid(100)
    ids = {name: new_id() for name in ("subsidise", "split", "finish", "pay_out", "refund")}
    leg = {"payment_id": payment, "merchant_id": shop}
    await caller.ask("POST", "/subsidies", {"id": ids["subsidise"], **leg, "amount": 10})
    shares = [{"owner_id": MARKET_ID, "amount": 3}, {"owner_id": new_id(), "amount": 4}]
    await caller.ask("POST", "/splits", {"id": ids["split"], **leg, "shares": shares})
    await caller.ask("POST", "/finishes", {"id": ids["finish"], **leg})
    await caller.ask("POST", "/payouts", {"id": ids["pay_out"], "merchant_id": shop, "amount": 50})
    await caller.ask("POST", "/refunds", {"id": ids["refund"], **leg, "amount": 20, "advance": 5})
    day = (await caller.ask("GET", f"/payments/{payment}"))["paid_at"]
    here = (datetime.fromisoformat(day) + timedelta(hours=8)).date()
    lines = (await caller.ask("GET", f"/bill?day={here}"))["lines"]
    assert {(x["kind"], x["id"], x["amount"], x["advance"]) for x in lines} == {
        ("pay", str(payment), 100, 0),
        ("subsidise", str(ids["subsidise"]), 10, 0),
        ("split", str(ids["split"]), 7, 0),
        ("finish", str(ids["finish"]), 103, 0),
        ("pay_out", str(ids["pay_out"]), 50, 0),
        ("refund", str(ids["refund"]), 20, 5),
    }
    assert (await caller.ask("GET", f"/bill?day={here + timedelta(days=1)}"))["lines"] == []
    assert await caller.refused("GET", "/bill?day=yesterday") == (422, "invalid")


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"amount": 0},
        {"amount": -1},
        {"amount": 10**12},
        {"amount": 1.5},
        {"amount": "x"},
        {"advance": -1},
    ],
)
async def test_malformed_orders_are_refused(caller: Caller, order: dict[str, Any]) -> None:
    wanted = {"id": new_id(), "payment_id": new_id(), "merchant_id": new_id(), "amount": 1} | order
    if not order:
        wanted = {}
    assert await caller.refused("POST", "/refunds", wanted) == (422, "invalid")
