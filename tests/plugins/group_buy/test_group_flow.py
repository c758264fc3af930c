"""Groups by the real flow: opened, joined and full; what is refused on the way."""

from datetime import datetime, timedelta

from core.kit.ids import new_id, ref
from core.testkit import TestClock
from core.testkit.market import Market
from tests.support.coupons import claim, issue
from tests.support.groups import scene

Heard = list[tuple[str, str, int]]


async def test_order_placing_and_order_paying_fill_a_group_and_release_its_orders(
    market: Market, heard: Heard
) -> None:
    at = await scene(market)
    leader, member = await market.buyer(), await market.buyer()
    first = await at.place(leader)
    group = await at.group_of(leader)
    assert (await at.status(group), await at.seats(group), await at.sold()) == ("opening", ["held"], 1)
    await at.pay(leader, first)
    row = await at.row(group)
    assert (row["status"], row["paid"], row["taken"]) == ("running", 1, 1)
    assert len(await at.holds()) == 1
    second = await at.place(member, group)
    await at.pay(member, second)
    assert await at.status(group) == "succeeded"
    await market.drain()
    assert await at.holds() == set()
    assert heard == [("succeeded", group, 2)]
    for person, trade in ((leader, first), (member, second)):
        order = await at.order(person, trade)
        assert (order["status"], order["payable"]) == ("paid", 7_000)
    await market.fulfil(member, {"orders": [await at.order(member, second)]})
    await at.balanced()


async def test_the_time_runs_from_the_payment_of_the_leader(market: Market, clock: TestClock) -> None:
    at = await scene(market, hours=5)
    leader = await market.buyer()
    trade = await at.place(leader)
    clock.advance(minutes=10)
    before = market.runtime.clock()
    await at.pay(leader, trade)
    row = await at.row(await at.group_of(leader))
    assert timedelta() <= row["expires_at"] - before - timedelta(hours=5) < timedelta(minutes=1)
    order = await at.order(leader, trade)
    assert [(h["plugin"], datetime.fromisoformat(h["until"])) for h in order["holds"]] == [
        ("group_buy", row["expires_at"])
    ]


async def test_while_a_group_is_filled_nothing_ships_and_nothing_is_refunded(market: Market) -> None:
    at = await scene(market)
    leader = await market.buyer()
    trade = await at.place(leader)
    await at.pay(leader, trade)
    order = (await at.order(leader, trade))["id"]
    staff = await market.staff(at.shop)
    accepted = await staff.post(f"/api/merchant/orders/{order}/accept")
    assert (accepted.status_code, accepted.json()["code"]) == (409, "on_hold")
    for person, path, body in (
        (leader, f"/api/shop/orders/{order}/cancel", {"reason": "x"}),
        (staff, f"/api/merchant/orders/{order}/refunds", {"reason": "x"}),
    ):
        answer = await person.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "group_running"), answer.text
    assert await at.seats(await at.group_of(leader)) == ["paid"]


async def test_refund_requesting_lets_the_market_refund_by_force_and_frees_the_seat(market: Market) -> None:
    at = await scene(market, size=3)
    leader, member = await market.buyer(), await market.buyer()
    group = await at.open(member, person=leader)
    order = (await at.mine(member))[0]["order_id"]
    operator = await market.operator()
    answer = await operator.post(f"/api/platform/orders/{order}/refunds", {"reason": "fraud"})
    assert answer.status_code < 300, answer.text
    await market.drain()
    row = await at.row(group)
    assert (row["status"], row["taken"], row["paid"]) == ("running", 1, 1)
    assert await at.seats(group) == ["paid", "refunded"]
    assert await at.sold() == await at.reserved() == 1
    await at.balanced()


async def test_after_success_a_refund_is_of_what_was_paid_also_of_the_leader_price(market: Market) -> None:
    at = await scene(market, leader_price=5_000)
    leader, member = await market.buyer(), await market.buyer()
    assert (await at.quote(leader))["payable"] == 5_000
    group = await at.open(person=leader, price=5_000)
    assert (await at.quote(member, group))["payable"] == 7_000
    await at.join(member, group)
    await market.drain()
    seat = (await at.mine(leader))[0]
    answer = await leader.post(f"/api/shop/orders/{seat['order_id']}/cancel", {"reason": "x"})
    assert (answer.status_code, answer.json()["amount"]) == (200, 5_000), answer.text
    await market.drain()
    assert await at.status(group) == "succeeded"
    assert await at.sold() == 1
    assert (await at.mine(member))[0]["status"] == "paid"
    await at.balanced()


async def test_one_group_in_progress_for_an_account_also_unpaid(market: Market) -> None:
    at = await scene(market, size=3)
    leader, other = await market.buyer(), await market.buyer()
    trade = await at.place(leader)
    assert await at.why_not(leader) == "group_in_progress"
    answer = await at.try_to_place(leader)
    assert (answer.status_code, answer.json()["code"]) == (409, "price_changed")
    await at.pay(leader, trade)
    group = await at.group_of(leader)
    assert await at.why_not(leader, group) == "already_in_group"
    theirs = await at.open(person=other)
    assert await at.why_not(leader, theirs) == "group_in_progress"
    await leader.post(f"/api/shop/group_buy/groups/{group}/leave")
    assert await at.why_not(leader, theirs) == ""


async def test_order_closing_frees_the_seat_and_the_quota(market: Market) -> None:
    at = await scene(market)
    leader, member, later = [await market.buyer() for _ in range(3)]
    unpaid = await at.place(leader)
    closed = await at.group_of(leader)
    assert await at.why_not(member, closed) == "group_not_open"
    assert (await leader.post(f"/api/shop/trades/{unpaid}/close")).status_code == 200
    assert (await at.status(closed), await at.seats(closed)) == ("closed", ["closed"])
    assert await at.sold() == await at.reserved() == 0
    assert await at.why_not(member, closed) == "group_over"
    group = await at.open(person=leader)
    trade = await at.place(member, group)
    assert await at.why_not(later, group) == "group_full"
    assert (await member.post(f"/api/shop/trades/{trade}/close")).status_code == 200
    assert (await at.seats(group), await at.sold()) == (["paid", "closed"], 1)
    await at.join(later, group)
    assert await at.status(group) == "succeeded"
    await market.drain()
    await at.balanced()


async def test_an_unpaid_seat_is_free_once_its_trade_runs_out(market: Market, clock: TestClock) -> None:
    at = await scene(market)
    member, later = await market.buyer(), await market.buyer()
    group = await at.open()
    await at.place(member, group)
    clock.advance(hours=1)
    await market.drain()
    assert await at.seats(group) == ["paid", "closed"]
    await at.join(later, group)
    assert await at.status(group) == "succeeded"


async def test_a_member_has_to_pay_before_the_groups_time_is_over(market: Market, clock: TestClock) -> None:
    at = await scene(market)
    group = await at.open()
    clock.advance(hours=23, minutes=55)
    member = await market.buyer()
    answer = await at.try_to_place(member, group)
    assert datetime.fromisoformat(answer.json()["expires_at"]) == (await at.row(group))["expires_at"]


async def test_new_customers_only_is_looked_at_when_joining(market: Market) -> None:
    at = await scene(market, new_only="shop", size=3)
    old, elsewhere, new = [await market.buyer() for _ in range(3)]
    other = await market.merchant("other")
    await market.purchase(old, [(at.article, 1)])
    await market.purchase(elsewhere, [(await market.product(other, price=500), 1)])
    group = await at.open(person=old)
    assert await at.why_not(await market.buyer(), group) == ""
    assert await at.why_not(elsewhere, group) == ""
    another = await market.buyer()
    await market.purchase(another, [(at.article, 1)])
    assert await at.why_not(another, group) == "not_new"
    await at.join(new, group)


async def test_order_paying_refunds_a_member_who_is_no_new_customer_any_more(market: Market) -> None:
    at = await scene(market, new_only="market")
    group = await at.open()
    member = await market.buyer()
    trade = await at.place(member, group)
    await market.purchase(member, [(at.article, 1)])
    await at.pay(member, trade)
    await market.drain()
    order = await at.order(member, trade)
    assert (order["status"], order["refunded_amount"]) == ("closed", 7_000)
    assert (await at.status(group), await at.seats(group)) == ("running", ["paid", "refused"])
    assert (await at.row(group))["taken"] == 1
    assert await at.sold() == 1
    await at.join(await market.buyer(), group)
    await market.drain()
    await at.balanced()


async def test_limits_of_order_account_and_quota(market: Market) -> None:
    at = await scene(market, per_order=2, per_account=3, quota=4)
    one, two = await market.buyer(), await market.buyer()
    assert await at.why_not(one, units=3) == "order_limit"
    group = await at.open(person=one, units=2)
    await at.join(two, group)
    assert await at.why_not(one, units=2) == "account_limit"
    assert await at.why_not(await market.buyer(), units=2) == "quota_sold_out"
    assert await at.why_not(one) == ""
    assert await at.sold() == 3


async def test_what_is_no_choice_is_told_by_its_field(market: Market) -> None:
    at = await scene(market)
    person = await market.buyer()
    other = await market.product(at.shop)
    for chosen, field in (
        ("x", "options.group_buy"),
        ({}, "options.group_buy"),
        ({"activity_id": at.activity, "more": 1}, "options.group_buy"),
        ({"activity_id": "nonsense"}, "options.group_buy.activity_id"),
        ({"activity_id": at.activity, "group_id": "nonsense"}, "options.group_buy.group_id"),
    ):
        answer = await person.quote((at.article.ref, 1), options={"group_buy": chosen})
        assert answer.status_code == 422, answer.text
        assert [e["field"] for e in answer.json()["errors"]] == [field]
    both = await person.quote((at.article.ref, 1), (other.ref, 1), options=at.options())
    assert (both.status_code, both.json()["code"]) == (409, "single_sku")
    unknown = {"group_buy": {"activity_id": ref(new_id())}}
    quote = (await person.quote((at.article.ref, 1), options=unknown)).json()
    assert [e["code"] for e in quote["explain"]] == ["unknown_activity"]
    quote = (await person.quote((other.ref, 1), options=at.options())).json()
    assert [e["code"] for e in quote["explain"]] == ["not_in_activity"]
    assert await at.why_not(person, ref(at.shop.id, new_id())) == "unknown_group"


async def test_price_rules_send_no_statement_without_the_option_and_one_with_it(
    market: Market, statements: object
) -> None:
    at = await scene(market, new_only="market")
    person = await market.buyer()
    group = await at.open()
    count: list[int] = []
    for options in ({}, {}, at.options(), at.options(group)):
        with statements() as seen:  # type: ignore[operator]
            assert (await person.quote((at.article.ref, 1), options=options)).status_code == 200
        count.append(len(seen))
    assert [n - count[1] for n in count[2:]] == [1, 1]


async def test_coupons_of_the_market_only_go_with_the_price_if_the_activity_says_so(market: Market) -> None:
    closed, opened = await scene(market), await scene(market, market_coupons=True)
    person = await market.buyer()
    for merchant_id in (None, closed.shop.id, opened.shop.id):
        template = await issue(market.runtime, *([] if merchant_id is None else [merchant_id]), amount=500)
        await claim(market.runtime, person.me.account_id, template)
    assert (await closed.quote(person))["payable"] == 7_000
    assert (await opened.quote(person))["payable"] == 6_500
