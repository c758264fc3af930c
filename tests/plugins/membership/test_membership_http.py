"""The routes of the membership: who may define what, what is refused, whose books are seen."""

from typing import Any

import pytest

from core.api import MARKET_ID, new_id, ref
from core.testkit import Market
from core.types.scope import SYSTEM
from plugins.membership.config import Config
from tests.support.membership import balance, buy, give, growth, level, me, receive

SHOP, MERCHANT, PLATFORM = (f"/api/{a}/membership" for a in ("shop", "merchant", "platform"))


async def test_a_buyer_sees_levels_growth_points_and_what_ends(market: Market) -> None:
    person, shop = await market.buyer(), await market.merchant()
    await level(market.runtime, growth=0, name="普通", discount_bp=0, perks="生日礼")
    await level(market.runtime, growth=100, name="金卡")
    await level(market.runtime, shop.id, growth=300, name="熟客")
    empty = (await person.get(SHOP)).json()
    assert (empty["points"], empty["debt"], empty["expiring"], empty["shops"]) == (0, 0, [], [])
    assert empty["market"]["level"]["name"] == "普通"
    article = await market.product(shop, price=12_345)
    await receive(market, person, await buy(market, person, [(article, 1)]))
    mine = (await person.get(SHOP)).json()
    assert (mine["points"], mine["fen_per_point"], [e["points"] for e in mine["expiring"]]) == (123, 1, [123])
    assert (mine["market"]["growth"], mine["market"]["level"]["name"], mine["market"]["next"]) == (
        123,
        "金卡",
        None,
    )
    assert [x["name"] for x in mine["market"]["levels"]] == ["普通", "金卡"]
    (there,) = mine["shops"]
    assert (there["merchant_id"], there["growth"], there["level"], there["next"]["name"]) == (
        shop.ref,
        123,
        None,
        "熟客",
    )
    assert "merchant_share_bp" not in there["next"]
    assert "prices" not in there["next"]
    other = (await person.get(f"{SHOP}?merchant_id={ref(new_id())}")).json()["shops"]
    assert [(s["growth"], s["levels"]) for s in other] == [(0, [])]
    assert [x["name"] for x in (await market.client.get(f"{SHOP}/levels")).json()] == ["普通", "金卡"]
    assert [x["name"] for x in (await market.client.get(f"{SHOP}/levels?merchant_id={shop.ref}")).json()] == [
        "熟客"
    ]
    assert (await market.client.get(SHOP)).status_code == 401


async def test_the_journal_tells_why_page_by_page_and_only_ones_own(market: Market) -> None:
    person, other, shop = await market.buyer(), await market.buyer(), await market.merchant()
    article = await market.product(shop, price=10_000)
    for n in range(3):
        await give(market.runtime, me(person), 10, f"gift {n}")
    trade = await buy(market, person, [(article, 1)], points=25)
    await receive(market, person, trade)
    page = (await person.get(f"{SHOP}/points?limit=3")).json()
    rest = (await person.get(f"{SHOP}/points?limit=3&cursor={page['next_cursor']}")).json()
    found = [*page["items"], *rest["items"]]
    assert rest["next_cursor"] is None
    assert [(e["kind"], e["amount"]) for e in found] == [
        ("earned", 99), ("used", -25), ("granted", 10), ("granted", 10), ("granted", 10),
    ]  # fmt: skip
    assert [e["reference"] for e in found[:3]] == [trade["orders"][0]["id"]] * 2 + ["gift 2"]
    assert all(("expires_at" in e) == (e["amount"] > 0) for e in found)
    assert (await other.get(f"{SHOP}/points")).json()["items"] == []
    grown = (await person.get(f"{SHOP}/growth")).json()["items"]
    assert {(e["merchant_id"], e["amount"]) for e in grown} == {(ref(MARKET_ID), 99), (shop.ref, 99)}
    only = (await person.get(f"{SHOP}/growth?merchant_id={shop.ref}")).json()["items"]
    assert [e["merchant_id"] for e in only] == [shop.ref]
    for bad in ("limit=0", "cursor=x"):
        assert (await person.get(f"{SHOP}/points?{bad}")).status_code == 422


async def test_levels_are_defined_changed_and_removed_by_their_issuer_only(market: Market) -> None:
    shop, other = await market.merchant("one"), await market.merchant("two")
    staff, stranger, clerk = (
        await market.staff(shop),
        await market.staff(other),
        await market.staff(shop, "clerk"),
    )
    mine, theirs = await market.product(shop, price=1000), await market.product(other, price=1000)
    body = {"name": "熟客", "growth": 100, "discount_bp": 500, "prices": [{"sku_id": mine.ref, "price": 900}]}
    made = await staff.post(f"{MERCHANT}/levels", body)
    assert made.status_code == 201, made.text
    assert made.json()["prices"] == [{"sku_id": mine.ref, "price": 900}]
    assert (made.json()["merchant_share_bp"], made.json()["gained_by"]) == (10_000, "growth")
    path = f"{MERCHANT}/levels/{made.json()['id']}"
    assert (await clerk.post(f"{MERCHANT}/levels", body)).status_code == 403
    taken = await staff.post(f"{MERCHANT}/levels", body)
    assert (taken.status_code, taken.json()["code"]) == (409, "growth_taken")
    for method, data in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await stranger.call(method, path, data)).status_code == 404
    patched = await staff.call("PATCH", path, {"growth": 50, "perks": "包邮"})
    assert patched.json() == made.json() | {"growth": 50, "perks": "包邮"}
    assert [x["growth"] for x in (await staff.get(f"{MERCHANT}/levels")).json()] == [50]
    assert (await stranger.get(f"{MERCHANT}/levels")).json() == []
    for wrong, field in (
        ({"merchant_share_bp": 5000}, "merchant_share_bp"),
        ({"prices": [{"sku_id": theirs.ref, "price": 1}]}, "prices[0].sku_id"),
        ({"prices": [{"sku_id": mine.ref, "price": 1}] * 2}, "prices[1].sku_id"),
        ({"prices": [{"sku_id": "x", "price": 1}]}, "prices[0].sku_id"),
    ):
        for method, where in (("POST", f"{MERCHANT}/levels"), ("PATCH", path)):
            answer = await staff.call(
                method, where, ({"name": "x", "growth": 7} if method == "POST" else {}) | wrong
            )
            assert answer.status_code == 422, answer.text
            assert [e["field"] for e in answer.json()["errors"]] == [field]
    assert (await staff.call("DELETE", path)).status_code == 204
    assert (await staff.call("DELETE", path)).status_code == 404
    assert (await staff.call("PATCH", path, {"name": "x"})).status_code == 404


async def test_a_misspelt_field_is_refused_by_name_however_deep(market: Market) -> None:
    operator = await market.operator()
    for more, named in (
        ({"discount": 1}, "discount"),
        ({"prices": [{"sku_id": "x", "price": 1, "pirce": 1}]}, "pirce"),
    ):
        answer = await operator.post(f"{PLATFORM}/levels", {"name": "x", "growth": 1} | more)
        assert answer.status_code == 422
        assert f"`{named}`" in answer.text


async def test_the_market_prices_any_shops_goods_and_says_who_bears_it(market: Market) -> None:
    operator, shop = await market.operator(), await market.merchant()
    article = await market.product(shop, price=1000)
    body = {
        "name": "PLUS",
        "growth": 0,
        "merchant_share_bp": 3000,
        "prices": [{"sku_id": article.ref, "price": 900}],
    }
    made = (await operator.post(f"{PLATFORM}/levels", body)).json()
    assert made["merchant_share_bp"] == 3000
    (kept,) = (await operator.get(f"{PLATFORM}/levels")).json()
    assert kept["prices"][0]["price"] == 900
    patched = await operator.call("PATCH", f"{PLATFORM}/levels/{made['id']}", {"merchant_share_bp": 0})
    assert patched.json()["merchant_share_bp"] == 0


async def test_there_are_so_many_levels_and_no_more(market: Market) -> None:
    operator = await market.operator()
    codes = [
        (await operator.post(f"{PLATFORM}/levels", {"name": "x", "growth": n})).status_code for n in range(21)
    ]
    assert codes == [201] * 20 + [409]


async def test_staff_see_members_without_their_names_and_a_shop_without_their_accounts(
    market: Market,
) -> None:
    person, shop, other = await market.buyer(), await market.merchant("one"), await market.merchant("two")
    await level(market.runtime, shop.id, growth=50, name="熟客")
    article = await market.product(shop, price=10_000)
    await receive(market, person, await buy(market, person, [(article, 1)]))
    staff, stranger, operator = await market.staff(shop), await market.staff(other), await market.operator()
    (seen,) = (await staff.get(f"{MERCHANT}/members")).json()["items"]
    assert seen == {
        "id": seen["id"], "name": "t**", "growth": 100, "level": "熟客", "bought": [], "joined_at": seen["joined_at"],
    }  # fmt: skip
    assert ref(me(person)) not in str(seen)
    assert (await stranger.get(f"{MERCHANT}/members")).json()["items"] == []
    path = f"{MERCHANT}/members/{seen['id']}/journal"
    assert [e["amount"] for e in (await staff.get(path)).json()["items"]] == [100]
    assert (await stranger.get(path)).status_code == 404
    (member,) = (await operator.get(f"{PLATFORM}/members")).json()["items"]
    assert (member["account_id"], member["points"], member["debt"], member["level"]) == (
        ref(me(person)),
        100,
        0,
        None,
    )
    entries = (await operator.get(f"{PLATFORM}/accounts/{member['account_id']}/journal")).json()["items"]
    assert sorted((e["unit"], e["amount"]) for e in entries) == [
        ("growth", 100),
        ("growth", 100),
        ("points", 100),
    ]


async def test_adjustments_count_once_have_a_reason_and_are_audited(market: Market) -> None:
    person, operator, reader = (
        await market.buyer(),
        await market.operator(),
        await market.operator("reviewer"),
    )
    base = f"{PLATFORM}/accounts/{ref(me(person))}/adjustments"
    body = {"points": 100, "growth": 40, "reason": "补偿"}
    for _ in range(2):
        answer = await operator.put(f"{base}/ticket-1", body)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["points"], answer.json()["growth"]) == (100, 40)
    assert (await operator.put(f"{base}/ticket-1", body | {"points": 5})).json()[
        "code"
    ] == "adjustment_differs"
    for wrong, code in (({"points": -101}, "points_short"), ({"growth": -41}, "growth_short")):
        answer = await operator.put(f"{base}/ticket-2", {"reason": "x", **wrong})
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    taken = await operator.put(f"{base}/ticket-2", {"points": -30, "growth": -40, "reason": "误发"})
    assert (taken.json()["points"], taken.json()["growth"]) == (70, 0)
    assert await balance(market.runtime, me(person)) == (70, 0)
    assert (await operator.put(f"{base}/ticket-3", {"reason": "x"})).status_code == 422
    assert (await operator.put(f"{base}/ticket-3", {"points": 1, "reason": ""})).status_code == 422
    assert (await operator.put(f"{base}/{'x' * 65}", body)).status_code == 422
    assert (await reader.put(f"{base}/ticket-4", body)).status_code == 403
    unknown = f"{PLATFORM}/accounts/{ref(new_id())}/adjustments/ticket-1"
    assert (await operator.put(unknown, body)).status_code == 404
    (last, *_) = (await operator.get(f"{PLATFORM}/accounts/{ref(me(person))}/journal")).json()["items"]
    assert (last["note"], last["reference"], last["by"]) == ("误发", "ticket-2", ref(operator.me.account_id))
    (told, *_) = (await person.get(f"{SHOP}/points")).json()["items"]
    assert (told["note"], "by" in told) == ("误发", False)
    async with market.runtime.tx(SYSTEM) as tx:
        assert (
            await tx.fetchval(
                "select count(*) from audit where action like '%adjustments%' or target like '%adjustments%'"
            )
            >= 3
        )


async def test_a_shop_adjusts_growth_of_its_own_members_only(market: Market) -> None:
    person, shop, other = await market.buyer(), await market.merchant("one"), await market.merchant("two")
    article = await market.product(shop, price=10_000)
    await receive(market, person, await buy(market, person, [(article, 1)]))
    staff, stranger = await market.staff(shop), await market.staff(other)
    (member,) = (await staff.get(f"{MERCHANT}/members")).json()["items"]
    path = f"{MERCHANT}/members/{member['id']}/adjustments/visit"
    for _ in range(2):
        assert (await staff.put(path, {"growth": 25, "reason": "到店"})).json()["growth"] == 125
    assert (await stranger.put(path, {"growth": 25, "reason": "x"})).status_code == 404
    short = await staff.put(f"{path}-2", {"growth": -126, "reason": "x"})
    assert (short.status_code, short.json()["code"]) == (409, "growth_short")
    assert await growth(market.runtime, me(person)) == 100
    assert await balance(market.runtime, me(person)) == (100, 0)


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_operator_may_keep_levels_to_the_market(
    market: Market, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    configs: dict[Any, Any] = market.runtime.snapshot._configs
    monkeypatch.setitem(configs, Config, Config(merchants_may_define=allowed))
    staff = await market.staff(await market.merchant())
    answer = await staff.post(f"{MERCHANT}/levels", {"name": "x", "growth": 1})
    assert answer.status_code == (201 if allowed else 403)
