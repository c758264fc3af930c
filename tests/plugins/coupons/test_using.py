"""Coupons in a purchase: what is offered to pricing, at what cost, and that placing uses it up once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.api import Conflict, Invalid, hookspecs, new_id, parse_ref, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from tests.support.coupon_use import (
    Purchase,
    applied,
    counted,
    give,
    refused,
    states,
    template,
    uses,
)
from tests.support.coupons import claim, issue
from tests.support.market import Session, a_buyer, add_product, open_shop


@pytest.fixture
def purchase(runtime: Any) -> Purchase:
    return Purchase(runtime, new_id(), [new_id(), new_id()])


async def statements(purchase: Purchase, *, holding: bool, **coupons: Any) -> tuple[int, int]:
    """(rules, statements) of one call of the hook."""
    async with purchase.runtime.tx(scopes.buyer(purchase.account_id)) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        basket = purchase.basket(tx.now, {"coupons": coupons} if coupons else {}, holding=holding)
        rules = await purchase.hook(tx, hookspecs.price_rules)(tx, basket)
        return len(rules), tx.statements - before


async def test_price_rules_take_the_best_coupons_in_one_statement(purchase: Purchase) -> None:
    runtime, me, shop = purchase.runtime, purchase.account_id, purchase.shops[0]
    small = await give(runtime, me, shop, amount=100)
    large = await give(runtime, me, shop, amount=300)
    market = await give(runtime, me, amount=200)
    far = await give(runtime, me, threshold=50_000)
    await give(runtime, me, new_id())
    quote = await purchase.quote()
    assert applied(quote) == {large, market}
    assert refused(quote) == {far: "threshold"}
    assert quote.discount_amount == 500
    assert small not in applied(quote)
    assert await statements(purchase, holding=True) == (4, 1)
    assert await statements(purchase, holding=True, ids=[small, far]) == (2, 1)


async def test_who_holds_nothing_and_names_nothing_costs_no_statement(purchase: Purchase) -> None:
    coupon = await give(purchase.runtime, purchase.account_id)
    assert await statements(purchase, holding=False) == (0, 0)
    assert await statements(purchase, holding=False, ids="best") == (0, 0)
    assert await statements(purchase, holding=True, ids=[]) == (0, 0)
    assert await statements(purchase, holding=True, ids=["nonsense"]) == (1, 0)
    assert await statements(purchase, holding=False, ids=[coupon]) == (1, 1)


async def test_named_coupons_are_taken_and_no_others(purchase: Purchase) -> None:
    runtime, me, shop = purchase.runtime, purchase.account_id, purchase.shops[0]
    small = await give(runtime, me, shop, amount=100)
    await give(runtime, me, shop, amount=300)
    await give(runtime, me, amount=200)
    quote = await purchase.quote(ids=[small])
    assert (applied(quote), quote.discount_amount) == ({small}, 100)
    assert (await purchase.quote(ids=[])).discount_amount == 0
    assert (await purchase.quote(ids="best")).discount_amount == 500


async def test_a_coupon_that_is_not_the_buyers_is_unknown(purchase: Purchase) -> None:
    foreign = await give(purchase.runtime, new_id())
    quote = await purchase.quote(ids=[foreign, ref(new_id()), "nonsense"])
    assert set(refused(quote).values()) == {"unknown_coupon"}
    assert len(refused(quote)) == 3


async def test_coupons_that_cannot_be_used_say_why(purchase: Purchase) -> None:
    runtime, me = purchase.runtime, purchase.account_id
    day = timedelta(days=1)
    early = await give(runtime, me, starts=day)
    late = await give(runtime, me, starts=-2 * day, ends=-day)
    void = await give(runtime, me)
    used = await give(runtime, me)
    await purchase.again().place(ids=[used])
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_coupon set status = 'void' where id = $1", parse_ref(void))
    want = {early: "not_started", late: "expired", void: "coupon_void", used: "coupon_used"}
    assert refused(await purchase.quote(ids=list(want))) == want
    assert refused(await purchase.quote()) == {early: "not_started"}


@pytest.mark.parametrize("ids", [5, "worst", [1], None, ["x"] * 51])
async def test_a_choice_that_is_none_is_malformed(purchase: Purchase, ids: Any) -> None:
    with pytest.raises(Invalid):
        await purchase.quote(ids=ids)


async def test_order_placing_uses_what_was_applied_and_only_once(purchase: Purchase) -> None:
    runtime, me = purchase.runtime, purchase.account_id
    market, spare = await give(runtime, me), await give(runtime, me, amount=1)
    quote = await purchase.place()
    assert await states(runtime, me) == {market: "used", spare: "unused"}
    with pytest.raises(Conflict) as refusal:
        await purchase.again().place(quote)
    assert refusal.value.code == "coupon_used"
    assert refused(await purchase.quote(ids=[market])) == {market: "coupon_used"}


async def test_each_order_is_noted_with_what_came_off_goods_and_freight_by_bearer(runtime: Any) -> None:
    me, shops = new_id(), [new_id(), new_id()]
    purchase = Purchase(runtime, me, shops, freight=800)
    own = await give(runtime, me, shops[0], amount=1000)
    market = await give(runtime, me, amount=190, merchant_share_bp=3000)
    freight = await give(runtime, me, kind="free_shipping", amount=0, merchant_share_bp=2500)
    await purchase.place()
    one, two = (purchase.orders[shop] for shop in shops)
    assert await uses(runtime, own) == {one: ("open", 0, 1000, 0, 0)}
    # 190 over 9000 and 10000.
    assert await uses(runtime, market) == {one: ("open", 63, 27, 0, 0), two: ("open", 70, 30, 0, 0)}
    assert await uses(runtime, freight) == {one: ("open", 600, 200, 0, 0), two: ("open", 600, 200, 0, 0)}


async def test_placing_takes_one_statement_and_none_without_coupons(purchase: Purchase) -> None:
    for shop in purchase.shops:
        await give(purchase.runtime, purchase.account_id, shop)
    await give(purchase.runtime, purchase.account_id)
    seen: list[int] = []
    hook = purchase.hook

    def counting(tx: Any, spec: Any) -> Any:
        async def run(tx: Any, subject: Any) -> Any:
            await tx.fetchval("select 1")
            before = tx.statements
            answer = await hook(tx, spec)(tx, subject)
            seen.append(tx.statements - before)
            return answer

        return run

    purchase.hook = counting  # type: ignore[method-assign]
    await purchase.place()
    await purchase.place(ids=[])
    assert seen == [1, 1, 0, 0]


async def test_an_applied_coupon_that_took_nothing_is_not_used(runtime: Any) -> None:
    """Both may take the freight; the shop's goes first and leaves nothing for the market's."""
    me, shop = new_id(), new_id()
    own = await give(runtime, me, shop, kind="free_shipping", amount=0)
    market = await give(runtime, me, kind="free_shipping", amount=0)
    purchase = Purchase(runtime, me, [shop], freight=800)
    quote = await purchase.place()
    assert quote.shipping_amount == 0
    assert await states(runtime, me) == {own: "used", market: "unused"}
    assert await uses(runtime, market) == {}


async def test_a_coupon_that_expired_since_the_quote_refuses_the_placement(purchase: Purchase) -> None:
    await give(purchase.runtime, purchase.account_id)
    quote = await purchase.quote()
    async with purchase.runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_coupon set expires_at = $1", tx.now - timedelta(seconds=1))
    with pytest.raises(Conflict) as refusal:
        await purchase.place(quote)
    assert refusal.value.code == "coupon_used"


async def test_one_coupon_in_two_placements_at_once_goes_to_one(purchase: Purchase) -> None:
    coupon = await give(purchase.runtime, purchase.account_id)
    others = [purchase.again() for _ in range(6)]
    quotes = [await other.quote() for other in others]
    found = await asyncio.gather(
        *(o.place(q) for o, q in zip(others, quotes, strict=True)), return_exceptions=True
    )
    assert sum(isinstance(f, Conflict) for f in found) == 5
    assert len(await uses(purchase.runtime, coupon)) == 2


async def test_order_paid_counts_orders_coupons_and_cost_once_however_often_it_comes(
    purchase: Purchase,
) -> None:
    runtime, me, (one, two) = purchase.runtime, purchase.account_id, purchase.shops
    of_shop = await template(runtime, one, amount=1000)
    of_market = await template(runtime, amount=190, merchant_share_bp=3000)
    await give(runtime, me, of=of_shop, amount=1000)
    coupon = await give(runtime, me, of=of_market, amount=190, merchant_share_bp=3000)
    await purchase.place()
    assert await counted(runtime, of_market) == (0, 0, 0, 0)
    await asyncio.gather(purchase.pay(one), purchase.pay(two), purchase.pay(one))
    await purchase.pay()
    assert await counted(runtime, of_shop) == (1, 1, 0, 1000)
    assert await counted(runtime, of_market) == (1, 2, 133, 57)
    assert {status for status, *_ in (await uses(runtime, coupon)).values()} == {"paid"}


async def test_an_order_without_coupons_counts_for_nothing_in_one_statement(purchase: Purchase) -> None:
    async with purchase.runtime.tx(SYSTEM) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        await purchase.closing(tx)
        assert tx.statements - before == 1
    await purchase.pay()


async def test_terms_are_those_of_the_claim(purchase: Purchase) -> None:
    key: tuple[UUID, UUID] = await template(purchase.runtime, amount=500)
    await give(purchase.runtime, purchase.account_id, of=key, amount=500)
    async with purchase.runtime.tx(SYSTEM) as tx:
        sql = "update coupons_template set terms = terms || '{\"amount\": 1}' where id = $1"
        await tx.execute(sql, key[1])
    assert (await purchase.quote()).discount_amount == 500


async def test_free_shipping_goes_from_claim_to_checkout_over_http(
    runtime: Any, client: httpx.AsyncClient
) -> None:
    me = await a_buyer(runtime)
    sku = await add_product(runtime, await open_shop(runtime, "shop"), price=2000)
    session = Session(client, runtime, me)
    issued = await issue(runtime, kind="free_shipping", amount=None, threshold=2001)
    coupon = await claim(runtime, me.account_id, issued)
    wanted = {"lines": [{"sku_id": sku, "quantity": 1}]}
    short = (await session.post("/api/shop/quote", wanted)).json()
    assert short["shipping_amount"] > 0
    (told,) = [e for e in short["explain"] if e["plugin"] == "coupons"]
    assert (told["rule"], told["phase"], told["code"]) == (coupon, "shipping_discount", "threshold")
    assert (await session.checkout((sku, 2))).status_code == 201
    ((state, market, merchant, *_),) = (await uses(runtime, coupon)).values()
    assert (state, market, merchant) == ("open", short["shipping_amount"], 0)
