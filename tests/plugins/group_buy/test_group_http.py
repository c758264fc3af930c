"""The routes: who may begin what, and what everybody sees of groups."""

import re
from datetime import timedelta
from typing import Any

import pytest

from core.kit.ids import new_id, ref
from core.testkit import Plugins, TestClock
from core.testkit.market import Market
from core.types.scope import SYSTEM
from tests.plugins.group_buy.conftest import plugins
from tests.support.groups import GROUP_PRICE, PRICE, begin, scene, terms

MERCHANT, SHOP, PLATFORM = (f"/api/{a}/group_buy" for a in ("merchant", "shop", "platform"))


async def test_a_shop_begins_extends_and_stops_an_activity_of_the_calendar(market: Market) -> None:
    at = await scene(market, per_order=2, new_only="shop", leader_price=6_000)
    staff = await market.staff(at.shop, "marketing")
    made = (await staff.get(f"{MERCHANT}/activities/{at.activity}")).json()
    assert (made["phase"], made["size"], made["new_only"], made["groups"]) == ("running", 2, "shop", {})
    assert made["prices"] == [
        {"sku_id": at.article.ref, "price": 7_000, "left": 50, "leader_price": 6_000, "quota": 50, "sold": 0}
    ]
    later = market.runtime.clock() + timedelta(days=9)
    path = f"{MERCHANT}/activities/{at.activity}"
    body = {
        "ends_at": later.isoformat(),
        "name": "老带新",
        "quotas": [{"sku_id": at.article.ref, "quota": 9}],
    }
    changed = await staff.call("PATCH", path, body)
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["prices"][0]["quota"]) == ("老带新", 9)
    owner = await market.staff(at.shop)
    entry = (await owner.get(f"/api/merchant/activities/{at.activity}")).json()
    assert (entry["name"], entry["plugin"], entry["exclusive"], entry["skus"]) == (
        "老带新",
        "group_buy",
        True,
        1,
    )
    sooner = await staff.call("PATCH", path, {"ends_at": made["ends_at"]})
    assert sooner.status_code == 422
    group = await at.open(price=6_000)
    stopped = await staff.post(f"{path}/stop")
    assert (stopped.status_code, stopped.json()["phase"], stopped.json()["groups"]) == (
        200,
        "stopped",
        {"running": 1},
    )
    assert (await staff.post(f"{path}/stop")).json()["code"] == "activity_over"
    assert await at.why_not(await market.buyer()) == "activity_over"
    # Those who have paid keep their chance.
    await at.join(await market.buyer(), group)
    assert await at.status(group) == "succeeded"
    listed = (await staff.get(f"{MERCHANT}/activities")).json()["items"]
    assert [a["id"] for a in listed] == [at.activity]
    report = (await owner.get(f"/api/merchant/activities/{at.activity}/report")).json()
    assert (report["orders"], report["merchant_borne"], report["market_borne"]) == (2, 7_000, 0)


async def test_product_badges_show_the_lowest_group_price_without_a_statement_per_product(
    market: Market, statements: Any
) -> None:
    at = await scene(market)
    for n in range(4):
        await market.product(at.shop, title=f"Cup {n}")
    page = f"/api/shop/products?merchant_id={at.shop.ref}"
    with statements() as first:
        items = (await market.client.get(page)).json()["items"]
    badges = {i["id"]: [b for b in i["badges"] if b["plugin"] == "group_buy"] for i in items}
    (badge,) = badges.pop(at.article.product)
    assert (badge["text"], badge["price"], badge["activity_id"]) == ("2人团70元", GROUP_PRICE, at.activity)
    assert set(map(tuple, badges.values())) == {()}
    with statements() as again:
        await market.client.get(page)
    assert [len([text for text in seen.sql if "group_buy" in text]) for seen in (first, again)] == [1, 0]


async def test_one_exclusive_activity_for_a_sku_at_a_time(market: Market) -> None:
    at = await scene(market)
    answer = await begin(market, at.shop, at.article, name="又一个")
    assert (answer.status_code, answer.json()["code"]) == (409, "activity_overlap")
    staff = await market.staff(at.shop)
    await staff.post(f"{MERCHANT}/activities/{at.activity}/stop")
    soon = (market.runtime.clock() + timedelta(minutes=1)).isoformat()
    again = await begin(market, at.shop, at.article, name="又一个", starts_at=soon)
    assert again.status_code == 201, again.text


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"size": 1}, None),
        ({"size": 11}, None),
        ({"hours": 73}, None),
        ({"hours": 49}, "hours"),
        ({"price": PRICE}, "skus[0].price"),
        ({"leader_price": GROUP_PRICE + 1}, "skus[0].leader_price"),
        ({"per_order": 3, "per_account": 2}, "per_account"),
        ({"virtual_fill": True}, "virtual_fill"),
        ({"product_id": "nonsense"}, "product_id"),
        ({"campaign_id": ref(new_id(), new_id())}, "campaign_id"),
        ({"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"}, "ends_at"),
        ({"starts_at": "2020-01-01T00:00:00"}, None),
    ],
)
async def test_what_cannot_be_an_activity_is_told_by_its_field(
    strict: None, market: Market, more: dict[str, Any], field: str | None
) -> None:
    shop = await market.merchant("shop")
    article = await market.product(shop, price=PRICE)
    answer = await begin(market, shop, article, **more)
    assert answer.status_code == 422 if field else answer.status_code in (400, 422), answer.text
    if field:
        assert [e["field"] for e in answer.json()["errors"]] == [field]


@pytest.fixture
def jishi_plugins(request: pytest.FixtureRequest) -> Plugins:
    """Stricter than the default for the test that asks for it."""
    return plugins({"max_hours": 48} if "strict" in request.fixturenames else {"virtual_fill_allowed": True})


@pytest.fixture
def strict() -> None:
    """The operator allows less."""


async def test_a_sku_of_another_product_or_shop_is_none(market: Market) -> None:
    shop, other = await market.merchant("shop"), await market.merchant("other")
    article, second = await market.product(shop, price=PRICE), await market.product(shop, price=PRICE)
    theirs = await market.product(other, price=PRICE)
    for sku in (second.ref, theirs.ref):
        body = terms(market, article) | {"skus": [{"sku_id": sku, "price": 1, "quota": 1}]}
        answer = await (await market.staff(shop)).post(f"{MERCHANT}/activities", body)
        assert answer.status_code == 422, answer.text
    twice = terms(market, article)
    twice["skus"] *= 2
    answer = await (await market.staff(shop)).post(f"{MERCHANT}/activities", twice)
    assert [e["field"] for e in answer.json()["errors"]] == ["skus"]


async def test_another_shop_and_clerks_may_not(market: Market) -> None:
    at = await scene(market)
    other = await market.staff(await market.merchant("other"))
    path = f"{MERCHANT}/activities/{at.activity}"
    for answer in (
        await other.get(path),
        await other.post(f"{path}/stop"),
        await other.get(f"{path}/groups"),
    ):
        assert answer.status_code == 404
    clerk = await market.staff(at.shop, "clerk")
    assert (await clerk.post(f"{path}/stop")).status_code == 403


async def test_a_quota_below_what_is_sold_is_refused(market: Market) -> None:
    at = await scene(market)
    await at.open(units=3)
    staff = await market.staff(at.shop)
    body = {"quotas": [{"sku_id": at.article.ref, "quota": 2}]}
    answer = await staff.call("PATCH", f"{MERCHANT}/activities/{at.activity}", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "quota_below_sold")


async def test_the_staff_see_groups_and_the_market_stops_any(market: Market) -> None:
    at = await scene(market)
    group = await at.open()
    staff, operator = await market.staff(at.shop), await market.operator()
    for person, base in ((staff, MERCHANT), (operator, PLATFORM)):
        path = f"{base}/activities/{at.activity}/groups"
        (seen,) = (await person.get(f"{path}?status=running")).json()["items"]
        assert (seen["id"], seen["paid"], seen["taken"]) == (group, 1, 1)
        assert (await person.get(f"{path}?status=failed")).json()["items"] == []
        assert (await person.get(f"{path}?status=x")).status_code == 422
    assert (await operator.post(f"{PLATFORM}/activities/{at.activity}/stop")).json()["phase"] == "stopped"


async def test_a_code_shows_the_group_to_everybody_and_nobodys_identity(
    market: Market, clock: TestClock
) -> None:
    at = await scene(market, size=3)
    leader, member, stranger = [await market.buyer() for _ in range(3)]
    async with market.runtime.tx(SYSTEM) as tx:
        await tx.execute("update account set nickname = '王小明' where id = $1", leader.me.account_id)
    group = await at.open(member, person=leader)
    code = (await at.mine(leader))[0]["code"]
    assert re.fullmatch(r"[2-9A-Z]{12}", code)
    answer = await market.client.get(f"{SHOP}/groups/{code}")
    page = answer.json()
    assert page["members"] == [{"nickname": "王**", "leader": True}, {"nickname": "t**", "leader": False}]
    assert (page["id"], page["left"], page["joinable"], page["reason"]) == (group, 1, True, None)
    assert (page["product"]["id"], page["product"]["title"]) == (at.article.product, "Tea")
    assert page["prices"][0]["price"] == GROUP_PRICE
    for person in (leader, member):
        assert ref(person.me.account_id) not in answer.text
        assert str(person.me.account_id) not in answer.text
    seen = (await leader.get(f"{SHOP}/groups/{code}")).json()
    assert (seen["joinable"], seen["reason"], bool(seen["detail_zh"])) == (False, "already_in_group", True)
    await at.open(person=stranger)
    assert (await stranger.get(f"{SHOP}/groups/{code}")).json()["reason"] == "group_in_progress"
    assert (await market.client.get(f"{SHOP}/groups/NOSUCHCODE22")).status_code == 404
    clock.advance(hours=25)
    assert (await market.client.get(f"{SHOP}/groups/{code}")).json()["reason"] == "group_over"


async def test_open_groups_are_listed_where_the_shop_shows_them(market: Market) -> None:
    shown, hidden = await scene(market, size=3), await scene(market, show_open=False)
    groups = [await shown.open() for _ in range(3)]
    await hidden.open()
    full = await shown.open(await market.buyer())
    await shown.join(await market.buyer(), full)
    path = f"{SHOP}/activities/{shown.activity}/groups"
    page = (await market.client.get(f"{path}?limit=2")).json()
    rest = (await market.client.get(f"{path}?limit=2&cursor={page['next_cursor']}")).json()
    found = page["items"] + rest["items"]
    assert [g["id"] for g in found] == groups
    assert (found[0]["left"], found[0]["leader"]) == (2, "t**")
    assert rest["next_cursor"] is None
    assert (await market.client.get(f"{SHOP}/activities/{hidden.activity}/groups")).json()["items"] == []


async def test_buyers_find_the_group_buys_of_a_product(market: Market) -> None:
    at = await scene(market)
    (found,) = (await market.client.get(f"{SHOP}/activities?product_id={at.article.product}")).json()
    assert found == (await market.client.get(f"{SHOP}/activities/{at.activity}")).json()
    assert not {"groups", "virtual_fill"} & found.keys()
    assert "sold" not in found["prices"][0]
    assert (await market.client.get(f"{SHOP}/activities/{ref(new_id())}")).status_code == 404


async def test_a_buyer_sees_the_own_seats_only(market: Market) -> None:
    at = await scene(market)
    one, two = await market.buyer(), await market.buyer()
    group = await at.open(person=one)
    (seat,) = await at.mine(one)
    assert (seat["group_id"], seat["leader"], seat["price"], seat["left"]) == (group, True, GROUP_PRICE, 1)
    assert await at.mine(two) == []
    assert (await market.client.get(f"{SHOP}/mine")).status_code == 401
